"""What a suppression rule is asked about one firing alert in one page, and what it answers."""

from collections.abc import Mapping
from typing import NamedTuple

from relay.alert import Instant
from relay.event import Severity
from relay.page import Suppression
from relay.rules.inhibiting import Target
from relay.rules.ledger import Inhibitor
from relay.rules.ruleset import Route
from relay.rules.silences import Silences
from relay.rules.windows import Window


class Case(NamedTuple):
    """One firing alert in one page, as a suppression rule sees it."""

    now: Instant
    windows: Mapping[str, Window]
    route: Route
    """The route that brought it to this page."""
    source: str
    labels: Mapping[str, str]
    severity: Severity
    """As decided at intake."""
    joined_at: Instant
    """When this firing of it was accepted."""
    held_until: Instant
    heard_at: Instant
    """When a body last named it."""
    silences: Silences
    targets: tuple[Target, ...]
    """The inhibit rules whose target side takes it."""
    inhibitors: Mapping[int, tuple[Inhibitor, ...]]
    """By inhibition key: who fires there, this alert itself left out."""
    never_loud: bool = True
    """Whether it was kept quiet ever since it joined."""


class Found(NamedTuple):
    """What one rule says of a case."""

    suppression: Suppression | None = None
    severity: Severity | None = None
    """Page with this severity, in place of a worse one."""
    because: str = ""
    """Why with that severity."""
    again: Instant | None = None
    """Judge it again then at the latest, since time may change the answer; None: time alone never does."""

    @property
    def rank(self) -> int:
        """How mild its severity is; -1 where it names none."""
        return -1 if self.severity is None else self.severity.rank


NOTHING = Found()
