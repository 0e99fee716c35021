"""The median and the spread of what was measured in rounds, and of the ratios of two sides."""

import dataclasses
import statistics
from typing import Callable


@dataclasses.dataclass
class Spread:
    median: float
    low: float
    high: float
    # The first and the third, if there are enough values for them to say something.
    quartiles: tuple | None

    @classmethod
    def of(cls, values):
        quartiles = statistics.quantiles(values, method="inclusive") if len(values) >= 9 else None
        return cls(
            statistics.median(values),
            min(values),
            max(values),
            (quartiles[0], quartiles[2]) if quartiles else None,
        )


def paired(samples, metric, side, base):
    """The ratio of `side` to `base` in each round."""
    pairs = zip(samples[side], samples[base], strict=True)
    return [ours[metric] / theirs[metric] for ours, theirs in pairs]


@dataclasses.dataclass
class Target:
    """What the median of `values` has to be at least, or at most."""

    what: str
    limit: float
    at_least: bool
    # From the samples of a case, by side, to one value per round.
    values: Callable
    unit: str = ""

    def reached(self, spread):
        return spread.median >= self.limit if self.at_least else spread.median <= self.limit


def at_least(limit, metric, side, base, what=None):
    return ratio(limit, True, metric, side, base, what)


def at_most(limit, metric, side, base, what=None):
    return ratio(limit, False, metric, side, base, what)


def ratio(limit, is_least, metric, side, base, what):
    what = what or f"{side} / {base}"
    return Target(what, limit, is_least, lambda samples: paired(samples, metric, side, base))


def value_at_most(limit, metric, side, what, unit):
    def values(samples):
        return [sample[metric] for sample in samples[side]]

    return Target(what, limit, False, values, unit)
