"""What the routing YAML comes to once it is read: plain frozen values that the rules work on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.alert import DAY, HOUR, MINUTE, SECOND, Duration
from relay.event import Severity
from relay.rules.dedup import DedupTemplate
from relay.rules.matchers import Matcher
from relay.rules.windows import Window


@dataclass(frozen=True, slots=True)
class SeverityMap:
    """A total map from label values (lower case) to PagerDuty's words."""

    words: Mapping[str, Severity]
    default: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Regroup:
    """When a growing or worsening page is opened anew, since PagerDuty notifies nobody of an update."""

    urgency: bool = True
    """When it rises from warning or info to error or critical."""
    growth: float = 0.0
    """When so many times as many members fire as when it was opened; 0: never."""
    worse_severity: bool = False
    """At any rise."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A delay by severity."""

    by_severity: Mapping[Severity, Duration] = field(default_factory=dict)
    default: Duration = 0

    def of(self, severity: Severity) -> Duration:
        """Say how long an alert or page of this severity is held."""
        return self.by_severity.get(severity, self.default)


NO_HOLD = Hold()


@dataclass(frozen=True, slots=True)
class Flap:
    """`changes` changes between firing and resolved `within` a time: the page flaps, and is held open for `hold`."""

    changes: int
    within: Duration
    hold: Duration


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
    on_stale: str = "leave"
    """What becomes of a page of which nothing was heard for too long: leave or resolve."""
    on_pd_resolve: str = "reopen"
    """What becomes of a page that a person resolved at PagerDuty while it still fires: reopen or respect."""
    on_acknowledge: str = "leave"
    """What becomes of its alerts when a person acknowledges it at PagerDuty: leave or silence."""
    change: bool = False
    """Whether its alerts become change events, which page nobody."""
    dedup_key: DedupTemplate | None = None
    """The route's own `dedup_key` text, evaluated at intake in place of group_by."""
    hold_trigger: Hold = NO_HOLD
    hold_resolve: Hold = NO_HOLD
    flap: Flap | None = None
    outside: str = "drop"
    """What a window does to alerts outside it: drop, hold or downgrade."""
    mute_time_intervals: tuple[str, ...] = ()
    """Names; the route's own, never inherited."""
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
class Storm:
    """More than `pages` new pages `within` a time are a storm: those that are not critical are folded into one."""

    pages: int = 60
    within: Duration = MINUTE


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
    storm: Storm | None = field(default_factory=Storm)
    """None: new pages are never folded."""


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
    fallback: str = ""
    """The receiver that gets what PagerDuty refuses here; "" for none."""


@dataclass(frozen=True, slots=True, eq=False)
class InhibitRule:
    """While an alert fires that `source` takes, alerts that `target` takes and that agree in `equal` are kept quiet."""

    name: str
    """As it stands in the file; "" where it has none: `title` is for people."""
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    """Sorted label names; a label missing on both sides is equal."""
    hold: Hold = NO_HOLD
    """How long a target's first page waits for a source that may be on its way."""
    across_sources: bool = False
    """Whether the two may come from different `source`s."""
    line: int = 0

    @property
    def title(self) -> str:
        """Name it for people."""
        return f'inhibit rule "{self.name}"' if self.name else f"the inhibit rule in line {self.line}"


@dataclass(frozen=True, slots=True)
class Source:
    """A sender the configuration names."""

    name: str
    native_keys: bool = False
    repeat_interval: Duration | None = None
    """As configured in that Alertmanager; None: untold."""
    alertmanager_urls: tuple[str, ...] = ()
    """Every replica of it."""
    stale_after: Duration = DAY
    """An alert of it that was not heard of for so long is stale."""
    credentials: bool = False
    """Whether it must show a credential of its own; which ones is for the doors alone to know."""
    routing_keys: bool = False
    """Whether it has virtual routing keys: it sends Events API events."""


@dataclass(frozen=True, slots=True, eq=False)
class Heartbeat:
    """An alert that must keep arriving; silence for `within` opens a page at `receiver`."""

    name: str
    """Unique in the file."""
    matchers: tuple[Matcher, ...]
    within: Duration
    receiver: str
    """Of a receiver that has a PagerDuty entry."""
    source: str | None = None
    """Only alerts of this source count; None: of any."""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """What the file says of the PagerDuty account itself; its secrets are for the doors and clients alone to know."""

    webhooks: bool = False
    """Whether PagerDuty's V3 webhooks are taken: there is a signing secret."""
    api: bool = False
    """Whether the REST API can be asked: there is a token."""
    api_url: str = "https://api.pagerduty.com"
    from_email: str = ""
    """The user that acts over REST count as (the `From` header)."""
    confirm_within: Duration = 5 * MINUTE
    """How long after its 202 a trigger is awaited to be confirmed; 0: it is not."""
    resend_unconfirmed: bool = False
    """Whether a trigger that was not confirmed is sent again, once."""
    reconcile: str = "report"
    """What a comparison of Alertmanager, pages and PagerDuty does: off, report or fix."""
    reconcile_every: Duration = 10 * MINUTE
    business_hours: str = ""
    """Name of the time interval outside of which a page counts as after hours; "" for none."""


@dataclass(frozen=True, slots=True, eq=False)
class RuleSet:
    """Everything the rules need to judge, loaded from one file. Compared by identity."""

    root: Route
    receivers: Mapping[str, Receiver]
    integrations: Mapping[str, Integration]
    """By Integration.id."""
    sources: Mapping[str, Source]
    windows: Mapping[str, Window] = field(default_factory=dict)
    """The time intervals, by name."""
    inhibit_rules: tuple[InhibitRule, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    account: Account = field(default_factory=Account)
    meta_receiver: str = ""
    """The receiver of what the relay has to say of itself; "" for none."""
    resolve_timeout: Duration = 5 * MINUTE
    """How long an alert that a sender without groups states counts as firing, where it does not say so itself."""
    fingerprint: str = ""
    """sha256 of the file's bytes, 16 hex digits."""

    def namespace(self, source: str) -> str:
        """Say what is mixed into a source's dedup keys: "" for native keys, else its name."""
        named = self.sources.get(source)
        return "" if named is not None and named.native_keys else source

    def event_namespace(self, source: str) -> str:
        """Say what is mixed into the dedup keys of a source's events: nothing, unless others could send the same ones.

        Where two sources have virtual routing keys, an event of either may reach any integration.
        """
        return self.namespace(source) if sum(one.routing_keys for one in self.sources.values()) > 1 else ""

    def stale_after(self, source: str) -> Duration:
        """Say after how long without a word an alert of a source is stale; a source the file does not list: 24 h."""
        named = self.sources.get(source)
        return DAY if named is None else named.stale_after
