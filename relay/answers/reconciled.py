"""What one comparison of pages, Alertmanagers and PagerDuty came to, as JSON and the command line show it."""

from collections.abc import Mapping

import msgspec


class DriftAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One difference."""

    kind: str
    """One of relay.rules.drift.Kind."""
    title: str
    page: str | None
    """Short id; null where the relay holds none."""
    dedup_key: str
    incident: str | None
    """Where people look at its incident, or the incident's id."""
    evidence: tuple[str, ...]
    """What was seen, in sentences."""
    outcome: str
    """What was done about it, or why nothing was."""
    expected: bool = False
    """Whether the configuration wants it so."""
    repaired: bool = False


class ReconcileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison."""

    at: str | None
    """When it began; null: there was none since the start."""
    seconds: float = 0.0
    fix: bool = False
    """Whether what is certain was to be put right."""
    failed: str = ""
    """Why nothing could be compared; "" if it could."""
    pages: int = 0
    """Pages that were compared."""
    open_there: int = 0
    """Alerts that PagerDuty had open in the services looked at."""
    not_ours: int = 0
    """Of those in integrations of ours, how many the relay did not open: they are left alone."""
    counts: Mapping[str, int] = {}
    """Differences by kind, without those that the configuration wants so."""
    drifts: tuple[DriftAnswer, ...] = ()
    """At most 500."""
    notes: tuple[str, ...] = ()
    """What could not be compared, and why."""
