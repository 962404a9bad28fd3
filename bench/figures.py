"""What a benchmark comes to: figures against a target, and how much of everything a run does."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Taken = TypeVar("Taken")


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be."""

    limit: float
    at_least: bool = False
    """True: the figure should be `limit` or more; False: or less."""
    unit: str = ""

    def holds(self, figure: float) -> bool:
        """Say whether a figure is as it should be."""
        return figure >= self.limit if self.at_least else figure <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {shown(self.limit, self.unit)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured in each round, and against what."""

    id: str
    what: str
    figures: tuple[float, ...]
    target: Target | None = None
    unit: str = ""
    note: str = ""
    """What a reader must know of how it was come by."""

    @property
    def median(self) -> float:
        """The figure that counts."""
        return statistics.median(self.figures)

    @property
    def measured(self) -> str:
        """Median, and the least and most of all rounds."""
        middle = shown(self.median, self.unit)
        if len(self.figures) == 1:
            return middle
        return f"{middle} ({shown(min(self.figures))}-{shown(max(self.figures))})"

    @property
    def verdict(self) -> str:
        """Whether the target holds; - where there is none."""
        if self.target is None:
            return "-"
        return "holds" if self.target.holds(self.median) else "**does not hold**"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much a run does."""

    rounds: int = 5
    share: float = 1.0
    """Of the requests, pages and rows of a full run."""
    warm: bool = True
    """Whether a first round is thrown away."""

    def of(self, full: int, least: int = 1) -> int:
        """Say how many to take of what a full run takes `full` of."""
        return max(least, int(full * self.share))


FULL = Scale()
QUICK = Scale(rounds=1, share=0.01, warm=False)


def interleaved(scale: Scale, *sides: Callable[[int], Taken]) -> list[tuple[Taken, ...]]:
    """Run the sides in turn, A B A B ..., once each round; call each with the number of the round.

    Round 0 warms everything up and is thrown away; `scale.rounds` rounds count.
    """
    taken = [tuple(side(number) for side in sides) for number in range(0 if scale.warm else 1, scale.rounds + 1)]
    return taken[-scale.rounds :]


def shown(figure: float, unit: str = "") -> str:
    """Write a figure with about three digits."""
    size = abs(figure)
    text = f"{figure:,.0f}" if size >= 100 else f"{figure:.1f}" if size >= 10 else f"{figure:.2f}"
    return f"{text}{unit}"


def table(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table."""
    lines = ["| # | what | measured: median (least-most) | target | |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        what = f"{row.what} ({row.note})" if row.note else row.what
        lines.append(f"| {row.id} | {what} | {row.measured} | {row.target or ''} | {row.verdict} |")
    return "\n".join(lines)
