"""What became of a firing alert by what keeps it quiet, in words for the journal."""

from collections.abc import Mapping
from typing import NamedTuple

from relay.decision import Step, Verdict
from relay.page import Member, Page, Wanted
from relay.rules.pages import LIVE


class Turn(NamedTuple):
    """What became of a firing alert, and why."""

    verdict: Verdict
    steps: tuple[Step, ...]


def turn(verdict: Verdict, rows: Mapping[int, Member], before: Mapping[int, Member], pages: Mapping[int, Page]) -> Turn:
    """Say what became of an alert that fires in `rows`, of which some stood as in `before`; both by page.

    `verdict` is what its joining came to; `pages` are as they were.
    """
    reasons = dict.fromkeys(one for member in rows.values() for one in member.suppressions)
    quiet = bool(reasons) and all(member.suppressions for member in rows.values())
    lowered = dict.fromkeys(member.lowered for member in rows.values() if member.lowered)
    because = [*(one.because for one in reasons), *lowered]
    steps = tuple(Step("suppression", one) for one in because)
    if verdict is not Verdict.REPEATS:
        return Turn(Verdict.SUPPRESSED if quiet else verdict, steps)
    if not any(_tells(one, rows[page]) for page, one in before.items()):
        return Turn(verdict, steps)
    if quiet:
        return Turn(Verdict.SUPPRESSED, steps)
    loud = [pages.get(page) for page, one in rows.items() if not one.suppressions]
    opens = any(page is None or (page.wanted is Wanted.QUIET and page.delivered not in LIVE) for page in loud)
    return Turn(Verdict.OPENS if opens else Verdict.JOINS, (*_over(before, because), *steps))


def _over(before: Mapping[int, Member], goes_on: list[str]) -> tuple[Step, ...]:
    """Say what kept it quiet, or made it milder, and does no more."""
    known = dict.fromkeys(one.because for member in before.values() for one in member.suppressions)
    known.update(dict.fromkeys(member.lowered for member in before.values() if member.lowered))
    return tuple(Step("suppression", f"over: {because}") for because in known if because not in goes_on)


def _tells(before: Member, now: Member) -> bool:
    """Say whether the journal should tell of it: an alert is quiet that was not, or the other way round, or somebody
    else keeps it quiet by now; or a window makes it milder that did not, or does no more."""
    if bool(before.suppressions) is not bool(now.suppressions) or before.lowered != now.lowered:
        return True
    return any(one not in before.suppressions for one in now.suppressions)
