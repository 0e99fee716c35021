"""A plot of the targets: how far each is, on a scale where right is better."""

import html
import math

from ratios import Spread

LEFT, WIDTH, ROW, TOP = 530, 420, 22, 50
# From a quarter of a target to four times as much; what is beyond stands at the edge.
FACTOR = 4


def svg(measured):
    rows = [row for case, samples in measured for row in case_rows(case, samples)]
    height = TOP + ROW * len(rows) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 110}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" font-size="14">{TITLE}</text>',
        *scale(height - 25),
    ]
    for number, row in enumerate(rows):
        parts += drawn(TOP + ROW * number + ROW // 2, *row)
    return "\n".join([*parts, "</svg>", ""])


TITLE = "How far each target is: 1 is just reached, right is better; median, and from–to"


def case_rows(case, samples):
    """A label, and the median and both ends as multiples of the target, for each target."""
    for target in case.targets():
        spread = Spread.of(target.values(samples))
        values = (spread.median, spread.low, spread.high)
        shares = [
            value / target.limit if target.at_least else target.limit / value for value in values
        ]
        yield f"{case.name}: {target.what}", *shares


def scale(bottom):
    for tick in (0.25, 0.5, 1, 2, 4):
        x = place(tick)
        color = "black" if tick == 1 else "#ddd"
        yield f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}" stroke="{color}"/>'
        yield f'<text x="{x}" y="{TOP - 8}" text-anchor="middle">{tick:g}</text>'


def drawn(y, label, median, *ends):
    color = "#2a7a3b" if median >= 1 else "#b3372f"
    low, high = sorted(ends)
    yield f'<text x="{LEFT - 20}" y="{y + 4}" text-anchor="end">{html.escape(label)}</text>'
    yield (
        f'<line x1="{place(low)}" y1="{y}" x2="{place(high)}" y2="{y}"'
        f' stroke="{color}" stroke-width="2"/>'
    )
    yield f'<circle cx="{place(median)}" cy="{y}" r="4" fill="{color}"/>'
    yield f'<text x="{LEFT + WIDTH + 30}" y="{y + 4}">{median:.2f}</text>'


def place(share):
    """Where a multiple of a target is, on a logarithmic scale."""
    exponent = math.log(min(max(share, 1 / FACTOR), FACTOR), FACTOR)
    return round(LEFT + WIDTH * (exponent + 1) / 2, 1)
