"""The kinds of suppression, and one judgement over all of them."""

from collections.abc import Callable

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


def judge(case: Case) -> tuple[tuple[Suppression, ...], Severity, Instant | None]:
    """Ask every kind: (why it is kept quiet, the severity to page with, when to judge again)."""
    found = [kind(case) for kind in KINDS]
    severity = max((case.severity, *(one.severity for one in found if one.severity)), key=lambda word: word.rank)
    again = min((one.again for one in found if one.again is not None), default=None)
    return tuple(one.suppression for one in found if one.suppression is not None), severity, again
