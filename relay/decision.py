"""What became of one alert, and each reason on the way, in words a person would say."""

from enum import StrEnum

import msgspec


class Step(msgspec.Struct, frozen=True, gc=False):
    """One reason: which part of the relay spoke, and the sentence someone wants to read at 3 a.m."""

    by: str
    """The room that spoke: `ingress`, `route`, `severity`, `group`, `suppression`, `page`, `change`, `template`,
    `delivery`, `reconcile`."""
    because: str


class Verdict(StrEnum):
    """The closed set of things that can become of an alert in one message."""

    OPENS = "opens"
    """It fires and opens a page (or a new episode of one)."""
    JOINS = "joins"
    """It fires and joins a page that is open."""
    FOLDED = "folded"
    """It fires during a storm of new pages: it stands in the storm page instead of opening one of its own."""
    REPEATS = "repeats"
    """It fires, as the ledger already knew."""
    RESOLVES = "resolves"
    """It stopped firing; the pages that held it were told."""
    SUPERSEDES = "supersedes"
    """It stopped firing before its page was ever sent: nobody is paged."""
    IGNORED = "ignored"
    """A resolve of an earlier episode."""
    NOTHING_OPEN = "nothing_open"
    """A resolve of something the relay never held or has closed already."""
    SUPPRESSED = "suppressed"
    """It fires and a rule keeps it quiet."""
    FORGOTTEN = "forgotten"
    """Nobody spoke of it for too long and it is in no open page: it comes back by being heard."""
    RETRIED = "retried"
    """No alert, but a dead letter: it is tried again, because a person or another configuration says so."""
    DISCARDED = "discarded"
    """No alert, but a dead letter: a person let go of it."""
    ACKNOWLEDGES = "acknowledges"
    """Its sender has it acknowledged at PagerDuty, once its page is open there."""
    CHANGES = "changes"
    """It fires anew and its route makes change events of alerts: nobody is paged."""
    RECONCILED = "reconciled"
    """No alert, but a page: what PagerDuty had of it was not what was known here, and that was put right."""
    NOT_OURS = "not_ours"
    """It fires and its receiver has no PagerDuty integration."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What became of one alert in one message."""

    source: str
    fingerprint: str
    alertname: str
    status: str
    verdict: Verdict
    pages: tuple[str, ...] = ()
    """Short ids of the pages it touched."""
    steps: tuple[Step, ...] = ()
