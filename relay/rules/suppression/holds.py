"""Holds: an alert must fire for a while first (`hold_trigger`), or its inhibitor may still be on its way."""

from relay.rules.suppression.case import NOTHING, Case, Found
from relay.page import Suppression, SuppressionKind


def judge(case: Case) -> Found:
    """Keep a member quiet until its own hold is over, which was decided when it joined."""
    raise RuntimeError
