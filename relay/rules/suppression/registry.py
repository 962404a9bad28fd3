"""The kinds of suppression, and one judgement over all of them."""

from collections.abc import Callable
from typing import NamedTuple

from relay.alert import Instant
from relay.event import Severity
from relay.page import Suppression
from relay.rules.suppression import holds, inhibition, silence, window
from relay.rules.suppression.case import Case, Found

KINDS: tuple[Callable[[Case], Found], ...] = (
    silence.judge,
    inhibition.judge,
    window.judge,
    holds.judge,
)
"""In the order in which their reasons are told."""


class Judged(NamedTuple):
    """What all kinds together say of a case."""

    suppressions: tuple[Suppression, ...]
    """Why it is kept quiet; () when it is not."""
    severity: Severity
    lowered: str
    """Why that is milder than the route says; "" when it is not."""
    again: Instant | None
    """When to judge it again."""


def judge(case: Case) -> Judged:
    """Ask every kind."""
    found = [kind(case) for kind in KINDS]
    suppressions = tuple(one.suppression for one in found if one.suppression is not None)
    again = min((one.again for one in found if one.again is not None), default=None)
    mildest = max((one for one in found if one.severity is not None), key=lambda one: one.rank, default=None)
    if mildest is None or mildest.severity is None or mildest.rank <= case.severity.rank:
        return Judged(suppressions, case.severity, "", again)
    return Judged(suppressions, mildest.severity, mildest.because, again)
