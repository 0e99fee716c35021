"""Writes the results down: benches/RESULTS.md, and a plot beside it."""

import plot
from report import tables

INTRODUCTION = """\
# Results

Measured by `benches/compare/run --save`; `benches/compare/README.md` says what is compared, and how
to read it. Only ratios mean something: they are of two things that were measured in the same round.
"""


def save(folder, description, measured):
    targets, sides = tables(measured)
    where = "".join(f"- {name}: {value}\n" for name, value in description.items())
    text = f"""\
{INTRODUCTION}
{where}
![How far each target is](compare.svg)

## Targets

{targets}
## Figures

{sides}"""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "RESULTS.md").write_text(text, encoding="utf-8")
    (folder / "compare.svg").write_text(plot.svg(measured), encoding="utf-8")
