"""Placeholder of the contract."""

from relay.rules.suppression.case import Case, Found


def judge(case: Case) -> Found:
    """Judge."""
    raise RuntimeError
