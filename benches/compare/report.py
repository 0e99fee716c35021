"""The tables: how far the targets are, and what was measured."""

from cases.base import BARE, DOCKER, NGINX, NGINX_READS
from ratios import Spread, paired

MIB = 1 << 20
# What most cases have. Ratios to other sides are among the targets.
BASES = {
    NGINX: "÷ nginx",
    NGINX_READS: "÷ nginx, no sendfile",
    BARE: "÷ bare",
    DOCKER: "÷ docker",
}


def target_rows(case, samples):
    """A row of text for each target of a case."""
    for target in case.targets():
        spread = Spread.of(target.values(samples))
        sign = "≥" if target.at_least else "≤"
        yield [
            case.name,
            target.what,
            figure(spread.median),
            span(spread.quartiles),
            span((spread.low, spread.high)),
            f"{sign} {target.limit:g} {target.unit}".strip(),
            "reached" if target.reached(spread) else "missed",
        ]


TARGET_HEAD = ["case", "what", "median", "quartiles", "from–to", "target", ""]


def side_rows(case, samples):
    """A row of text for each figure of each side of a case."""
    for metric in case.metrics:
        for side, rows in samples.items():
            spread = Spread.of([row[metric.key] for row in rows])
            shown = [f"{value:,.{metric.digits}f}" for value in (spread.low, spread.high)]
            yield [
                case.name,
                metric.title,
                side,
                f"{spread.median:,.{metric.digits}f}",
                "–".join(shown),
                *(ratio(samples, metric.key, side, base) for base in BASES),
                *usage(case, rows),
            ]


SIDE_HEAD = ["case", "unit", "side", "median", "from–to", *BASES.values()]
SIDE_HEAD += ["CPU s", "per", "core busy", "peak MiB"]


def ratio(samples, key, side, base):
    if base not in samples or base == side:
        return ""
    return figure(Spread.of(paired(samples, key, side, base)).median)


def usage(case, rows):
    """CPU seconds, what they are for, how busy the core was, and the peak of resident memory."""
    cells = ["", "", "", ""]
    if "cpu" in rows[0]:
        cells[0] = figure(Spread.of([row["cpu"] for row in rows]).median)
        cells[1] = case.cpu_unit
        cells[2] = f"{Spread.of([row['busy'] for row in rows]).median:.0%}"
    if "peak" in rows[0]:
        cells[3] = f"{max(row['peak'] for row in rows) / MIB:.1f}"
    return cells


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def span(pair):
    return "–".join(map(figure, pair)) if pair else ""


def table(head, rows):
    """A table in Markdown whose columns are aligned."""
    rows = [head, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def tables(results):
    """Both tables of all cases, each with its samples."""
    targets = [row for case, samples in results for row in target_rows(case, samples)]
    sides = [row for case, samples in results for row in side_rows(case, samples)]
    return table(TARGET_HEAD, targets), table(SIDE_HEAD, sides)


def reached(case, samples):
    """Whether a case reached all of its targets."""
    return all(target.reached(Spread.of(target.values(samples))) for target in case.targets())
