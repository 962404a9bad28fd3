"""What the routing YAML comes to once it is read: plain frozen values that the rules work on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.alert import HOUR, MINUTE, SECOND, Duration
from relay.event import Severity
from relay.rules.dedup import DedupTemplate
from relay.rules.matchers import Matcher


@dataclass(frozen=True, slots=True)
class SeverityMap:
    """A total map from label values (lower case) to PagerDuty's words."""

    words: Mapping[str, Severity]
    default: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Regroup:
    """When a growing or worsening page is opened anew, since PagerDuty notifies nobody of an update."""

    urgency: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One node of the routing tree with everything inherited filled in. Compared by identity."""

    id: str
    """Alertmanager's route ID: the key, `/` and the index among siblings at every level but the root."""
    key: str
    """Alertmanager's route key: `{}/{env="prod"}`."""
    order: int
    """Position in a depth-first walk of the tree, parents first; smaller is earlier in the file."""
    receiver: str
    matchers: tuple[Matcher, ...] = ()
    continue_: bool = False
    group_by: tuple[str, ...] | None = None
    """Sorted label names; () is one group for all; None: set nowhere on the path."""
    group_by_all: bool = False
    """`group_by: ['...']`."""
    group_wait: Duration = 0
    group_interval: Duration = MINUTE
    repeat_interval: Duration = 4 * HOUR
    severity: SeverityMap = field(default_factory=lambda: SeverityMap({}))
    severity_label: str = "severity"
    regroup: Regroup = field(default_factory=Regroup)
    on_mute: str = "leave"
    dedup_key: DedupTemplate | None = None
    """The route's own `dedup_key` text, evaluated at intake in place of group_by."""
    mute_time_intervals: tuple[str, ...] = ()
    active_time_intervals: tuple[str, ...] = ()
    routes: tuple["Route", ...] = ()
    line: int = 0
    """Line of this route in its file, for messages."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `events` calls in any `within`, per integration."""

    events: int = 120
    within: Duration = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Integration:
    """One (url, routing key) at PagerDuty. The key itself is in the keyring, never here."""

    id: str
    """Stable name, kept across key rotation: 16 hex digits, the key_id it was first seen with."""
    key_id: str
    """Names the current (url, routing key)."""
    url: str
    name: str
    """`receiver` or `receiver/2` of the first entry that uses it; the metric label."""
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class Texts:
    """The template fields of one pagerduty_configs entry, as written; None: the default of templates/event/."""

    description: str | None = None
    source: str | None = None
    class_: str | None = None
    component: str | None = None
    group: str | None = None
    client: str | None = None
    client_url: str | None = None
    details: Mapping[str, Any] | None = None
    """Values are templates, or lists and maps of templates."""
    links: tuple[Mapping[str, str], ...] | None = None
    """Each with href and perhaps text."""
    images: tuple[Mapping[str, str], ...] | None = None
    """Each with src and perhaps href and alt."""


@dataclass(frozen=True, slots=True)
class Target:
    """One pagerduty_configs entry of a receiver."""

    receiver: str
    index: int
    integration: str
    """Integration.id."""
    texts: Texts = field(default_factory=Texts)
    severity: Severity | None = None
    """The entry's own fixed severity, in place of the route's map."""
    send_resolved: bool = True


@dataclass(frozen=True, slots=True)
class Receiver:
    """A named receiver: its PagerDuty entries, and what else it has that is not ours to send."""

    name: str
    targets: tuple[Target, ...] = ()
    others: tuple[str, ...] = ()
    """Kinds of integration the relay does not serve: `slack_configs`, `email_configs` ..."""


@dataclass(frozen=True, slots=True)
class Source:
    """A sender the configuration names."""

    name: str
    native_keys: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RuleSet:
    """Everything the rules need to judge, loaded from one file. Compared by identity."""

    root: Route
    receivers: Mapping[str, Receiver]
    integrations: Mapping[str, Integration]
    """By Integration.id."""
    sources: Mapping[str, Source]
    fingerprint: str
    """sha256 of the file's bytes, 16 hex digits."""

    def namespace(self, source: str) -> str:
        """Say what is mixed into a source's dedup keys: "" for native keys, else its name."""
        named = self.sources.get(source)
        return "" if named is not None and named.native_keys else source
