"""Counts what happens often, for Prometheus: every metric the relay exposes stands here, and in docs/metrics.md."""

import sqlite3
import sys
from collections import Counter as Tally
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SOURCES = 50
"""Sources that get a label value of their own; the path is anybody's to write, so later ones are `other`."""
SEVERITIES = ("critical", "error", "warning", "info")
LANES = ("critical", "error", "resolve", "warning", "update", "refresh")
"""By value of relay.page.Lane."""
REASONS = (
    "rateLimited",
    "serverError",
    "timeout",
    "tls",
    "dns",
    "network",
    "clientError",
    "authError",
    "configuration",
    "tooLarge",
    "other",
)
"""Alertmanager's words for failures (notify/util.go `Reason`), and ours beside them."""
INVALID = ("empty", "encoding", "malformed", "not_a_webhook", "nothing_salvageable", "too_large")
VERDICTS = (
    "opens",
    "joins",
    "folded",
    "repeats",
    "resolves",
    "supersedes",
    "ignored",
    "nothing_open",
    "suppressed",
    "forgotten",
    "retried",
    "discarded",
    "not_ours",
)
"""The values of relay.decision.Verdict."""
SUPPRESSIONS = (
    "unrouted",
    "silence",
    "inhibition",
    "mute_time_interval",
    "active_time_interval",
    "hold",
    "inhibit_hold",
)
"""The values of relay.page.SuppressionKind."""
SELF_PAGES = (
    "dead_letters",
    "key_refused",
    "store_failing",
    "store_corrupt",
    "config_last_good",
    "secrets_unreadable",
    "paused",
    "body_too_large",
    "unknown_source",
    "auth_failures",
    "body_refused",
    "web_config",
    "clock_back",
    "template_failing",
    "key_gone",
)
"""Reasons for which the relay pages about itself."""
STORE_OPS = ("keep", "claim", "settle", "read", "schedule", "prune", "open")
FIELDS = (
    "description",
    "source",
    "class",
    "component",
    "group",
    "client",
    "client_url",
    "details",
    "links",
    "images",
)
CODES = ("200", "400", "401", "413", "503")
AUTH_FAILURES = (
    ("sender", "missing"),
    ("sender", "wrong"),
    ("sender", "other_source"),
    ("reader", "missing"),
    ("reader", "wrong"),
    ("operator", "missing"),
    ("operator", "wrong"),
    ("tls", "certificate"),
)
"""Doors, and why somebody was not let in."""
CONNECTIONS = ("headers", "unread", "full", "making_room")
"""Why a connection was dropped."""

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_CALL = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_PATIENCE = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_MICROSECONDS = 1_000_000

_M = TypeVar("_M", Counter, Gauge, Histogram)


class _Children(dict[tuple[str, ...], _M], Generic[_M]):
    """The children of one metric by their label values; `.labels()` costs three times an increment."""

    def __init__(self, metric: _M) -> None:
        self._metric: _M = metric

    def __missing__(self, values: tuple[str, ...]) -> _M:
        child: _M = self._metric.labels(*values)
        self[values] = child
        return child


# What the counts below need of the values they are told of; the cellar knows no floor above it.


class _Placement(Protocol):
    @property
    def severity(self) -> str: ...


class _Step(Protocol):
    @property
    def by(self) -> str: ...


class _Alert(Protocol):
    @property
    def status(self) -> str: ...


class _Entry(Protocol):
    @property
    def alert(self) -> _Alert: ...
    @property
    def placements(self) -> Sequence[_Placement]: ...
    @property
    def steps(self) -> Sequence[_Step]: ...


class _Draft(Protocol):
    @property
    def entries(self) -> Sequence[_Entry]: ...
    @property
    def repeated(self) -> int: ...


class _Message(Protocol):
    @property
    def source(self) -> str: ...
    @property
    def truncated_alerts(self) -> int: ...


class _Decision(Protocol):
    @property
    def verdict(self) -> str: ...


class _Folded(Protocol):
    @property
    def receiver(self) -> str: ...
    @property
    def pages(self) -> int: ...
    @property
    def alerts(self) -> int: ...


class _Plan(Protocol):
    @property
    def decisions(self) -> Sequence[_Decision]: ...
    @property
    def suppressed(self) -> Sequence[str]: ...
    @property
    def folded(self) -> Sequence["_Folded"]: ...


class _Attempt(Protocol):
    @property
    def action(self) -> str: ...
    @property
    def at(self) -> int: ...
    @property
    def rung(self) -> str: ...


class Metrics:
    """Every metric of one relay, in a registry of its own; any thread may count."""

    def __init__(self, version: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._sources: dict[str, str] = {}
        self._intake()
        self._delivery()
        self._state()
        self._gauge("build_info", "Constant 1, labelled with what runs.", "version", "python", "sqlite")[
            version, ".".join(map(str, sys.version_info[:3])), sqlite3.sqlite_version
        ].set(1)
        ProcessCollector(registry=self.registry)
        self._start_at_zero()

    def render(self) -> tuple[bytes, str]:
        """Return the exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE

    def initialise(self, receivers: Iterable[str], sources: Iterable[str]) -> None:
        """Start every label set of these receivers and sources at zero, so that a first failure is an increase."""
        for source in map(self.source, sources):
            for code in CODES:
                self._requests[source, code].inc(0)
            self._bytes[(source,)].inc(0)
            self._truncated[(source,)].inc(0)
            self._polls[(source,)].inc(0)
            self._poll_failures[(source,)].inc(0)
            self._stale_alerts[(source,)].inc(0)
            for severity in (*SEVERITIES, "none"):
                self._received[source, "firing", severity].inc(0)
                self._received[source, "resolved", severity].inc(0)
        for receiver in receivers:
            self._initialise_receiver(receiver)

    def source(self, name: str) -> str:
        """Return the label value of a source; the nameless one of /webhook is `default`."""
        name = name or "default"
        known = self._sources.get(name)
        if known is None:
            known = name if len(self._sources) < SOURCES else "other"
            if known == name:
                self._sources[name] = name
        return known

    # The intake

    def requested(self, source: str, code: int, size: int, seconds: float) -> None:
        """Count one webhook request that was answered."""
        source = self.source(source)
        self._requests[source, str(code)].inc()
        self._bytes[(source,)].inc(size)
        self._request_seconds.observe(seconds)

    def invalid(self, reason: str) -> None:
        """Count one body that was refused (BadBody.reason, or `too_large`)."""
        self._invalid[(reason,)].inc()

    def auth_failed(self, door: str, kind: str) -> None:
        """Count somebody who was not let in."""
        self._auth_failures[door, kind].inc()

    def unlisted(self) -> None:
        """Count one body under a name that `sources` does not list."""
        self._unlisted.inc()

    def dropped(self, why: str) -> None:
        """Count one connection that was closed by the relay before its time."""
        self._dropped[(why,)].inc()

    def connected(self, connections: int) -> None:
        """Say how many connections there are."""
        self._connections.set(connections)

    def received(self, message: _Message, draft: _Draft, plan: _Plan) -> None:
        """Count one accepted message and what became of its alerts."""
        source = self.source(message.source)
        # Summed up first: a counter costs a lock each time, and a message may hold 10,000 alerts.
        kinds = Tally(
            (one.alert.status, one.placements[0].severity if one.placements else "none") for one in draft.entries
        )
        for (status, severity), alerts in kinds.items():
            self._received[source, str(status), str(severity)].inc(alerts)
        unknown = sum(any(step.by == "severity" for step in one.steps) for one in draft.entries)
        self._unknown_severity.inc(unknown)
        self._decided(plan.decisions)
        self._suppress(plan)
        self.deduplicated(draft.repeated)
        if message.truncated_alerts:
            self._truncated[(source,)].inc(message.truncated_alerts)

    def judged_again(self, plan: _Plan, decisions: Sequence[_Decision]) -> None:
        """Count what became of alerts that nobody sent a message about."""
        self._decided(decisions)
        self._suppress(plan)

    def _decided(self, decisions: Sequence[_Decision]) -> None:
        for verdict, alerts in Tally(decision.verdict for decision in decisions).items():
            self._decisions[(str(verdict),)].inc(alerts)

    def _suppress(self, plan: _Plan) -> None:
        for kind, alerts in Tally(plan.suppressed).items():
            self._suppressed[(kind,)].inc(alerts)
        for one in plan.folded:
            self._folded_pages[(one.receiver,)].inc(one.pages)
            self._folded_alerts[(one.receiver,)].inc(one.alerts)

    def deduplicated(self, alerts: int) -> None:
        """Count alerts that were not looked at, since the ledger was known to say them already."""
        if alerts:
            self._deduplicated.inc(alerts)
            self._decisions[("repeats",)].inc(alerts)

    def heard(self, source: str, at: int) -> None:
        """Note when (in microseconds) a source last spoke."""
        self._last_heard[(self.source(source),)].set(at / _MICROSECONDS)

    def polled(self, source: str, *, failed: bool) -> None:
        """Count one round of questions to a source's Alertmanagers; `failed`: one of them gave no answer to go by."""
        self._polls[(self.source(source),)].inc()
        if failed:
            self._poll_failures[(self.source(source),)].inc()

    def stale(self, alerts: Mapping[str, int], pages: int) -> None:
        """Say how many alerts, by source, and pages fire that were not heard of for too long."""
        counted: Tally[str] = Tally()
        for source, count in alerts.items():
            counted[self.source(source)] += count
        for source in counted.keys() | {values[0] for values in self._stale_alerts}:
            self._stale_alerts[(source,)].set(counted[source])
        self._stale_pages.set(pages)

    # Delivery

    def attempted(
        self, receiver: str, attempt: _Attempt, severity: str, outcome: object, took: int, waited: int | None
    ) -> None:
        """Count one attempt. `outcome` is an Outcome, or None where nothing new was to be sent.

        `took` and `waited` (from acceptance to the attempt's start) are microseconds.
        """
        word = "unchanged" if outcome is None else type(outcome).__name__.lower()
        self._attempts[receiver, word].inc()
        if word == "unchanged":
            return
        self._call_seconds[(receiver,)].observe(took / _MICROSECONDS)
        if word == "delivered":
            self._delivered[str(attempt.action), str(severity), receiver].inc()
            self._last_delivery[(receiver,)].set((attempt.at + took) / _MICROSECONDS)
            if str(attempt.action) == "trigger":
                self._descended(receiver, attempt.rung)
            if waited is not None:
                self._waited[(str(severity),)].observe((waited + took) / _MICROSECONDS)
            return
        said = getattr(outcome, "reason", "other")
        reason = said if said in REASONS else "other"
        self._failures[receiver, reason].inc()

    def _descended(self, receiver: str, rung: str) -> None:
        if "minimal" in rung:
            self._minimal[(receiver,)].inc()
        if "fallback" in rung:
            self._fallback[(receiver,)].inc()

    def dead_lettered(self, outcome: object) -> None:
        """Count a page that became a dead letter by this outcome."""
        said = getattr(outcome, "reason", "other")
        self._dead_lettered[(said if said in REASONS else "other",)].inc()

    def template_failed(self, field: str) -> None:
        """Count one template field that fell back to plain text; `details.x` counts as `details`."""
        name = field.partition(".")[0].partition("[")[0]
        self._template_errors[(name if name in FIELDS else "other",)].inc()

    def rendered(self, seconds: float) -> None:
        """Note how long one page took to render."""
        self._render_seconds.observe(seconds)

    # State

    def paged_past_the_store(self) -> None:
        """Count one page that PagerDuty took while the store could not be written."""
        self._emergency_pages.inc()

    def past_the_store(self, *, in_use: bool) -> None:
        """Say whether something was paged that is not written down yet."""
        self._emergency_in_use.set(in_use)

    def store_failed(self, op: str) -> None:
        """Count one call to the store that failed."""
        self._store_errors[(op if op in STORE_OPS else "other",)].inc()

    def self_page(self, reason: str, *, rung: bool) -> None:
        """Say whether there is this reason to page about the relay itself."""
        self._self_page[(reason if reason in SELF_PAGES else "other",)].set(rung)

    def secrets_unreadable(self, files: int) -> None:
        """Say how many files with secrets cannot be used, so that what they held before is in use."""
        self._secrets_unreadable.set(files)

    def pulsed(self, outcome: str, now: int) -> None:
        """Count one round of the pulse (success, failed, withheld); `now` in microseconds."""
        self._pulses[(outcome,)].inc()
        if outcome == "success":
            self._pulsed_at.set(now / _MICROSECONDS)

    def paused(self, receivers: Collection[str]) -> None:
        """Say which receivers are paused; `all` stands for every one."""
        for receiver in {*receivers, *(values[0] for values in self._paused)}:
            self._paused[(receiver,)].set(receiver in receivers)

    def committed(self, seconds: float) -> None:
        """Note how long one commit took."""
        self._commit_seconds.observe(seconds)

    def lagged(self, seconds: float) -> None:
        """Note how late the event loop was."""
        self._loop_lag.observe(seconds)

    def stored(self, *, up: bool, size: int = 0, free: int = 0) -> None:
        """Say whether the store takes writes, its size and the free space beside it in bytes."""
        self._store_up.set(up)
        self._store_size.set(size)
        self._store_free.set(free)

    def reloaded(self, *, ok: bool, at: int, fingerprint: str = "") -> None:
        """Count a load of the configuration; `at` in microseconds, `fingerprint` in hex digits."""
        self._reloads[("success" if ok else "failure",)].inc()
        self._reload_ok.set(ok)
        if ok:
            self._reload_at.set(at / _MICROSECONDS)
        if fingerprint:
            self._config_hash.set(int(fingerprint[:12], 16))

    def queued(self, waiting: Mapping[int, int], oldest: Mapping[int, int], now: int) -> None:
        """Say how many pages wait in each lane (by Lane), and since when (microseconds) the oldest does."""
        for lane, name in enumerate(LANES):
            self._queue[(name,)].set(waiting.get(lane, 0))
            since = oldest.get(lane)
            self._queue_age[(name,)].set(max(0, now - since) / _MICROSECONDS if since is not None else 0)

    def held(self, open_pages: Mapping[str, int], dead: int, key_gone: int) -> None:
        """Say how many pages are open by receiver, are dead letters, and wait for a key that is not at hand."""
        for values in self._open:
            self._open[values].set(open_pages.get(values[0], 0))
        for receiver in open_pages.keys() - {values[0] for values in self._open}:
            self._open[(receiver,)].set(open_pages[receiver])
        self._dead_letters.set(dead)
        self._key_gone.set(key_gone)

    def budget(self, receiver: str, tokens: int, *, circuit_open: bool) -> None:
        """Say how many events an integration may still send in its window, and whether its circuit is open."""
        self._tokens[(receiver,)].set(tokens)
        self._circuit[(receiver,)].set(circuit_open)

    def storming(self, receiver: str, *, on: bool) -> None:
        """Say whether so many pages are new at an integration that further ones are folded into one."""
        self._storm[(receiver,)].set(on)

    # Declarations

    def _intake(self) -> None:
        self._requests = self._counter(
            "webhook_requests", "Webhook requests answered, by source and HTTP status.", "source", "code"
        )
        self._bytes = self._counter("webhook_request_bytes", "Bytes of webhook bodies received.", "source")
        self._invalid = self._counter("webhook_invalid", "Webhook bodies refused, by reason.", "reason")
        self._auth_failures = self._counter(
            "auth_failures", "Requests that were not let in, by kind of door and why.", "door", "kind"
        )
        self._unlisted = self._counter(
            "unknown_source",
            "Bodies posted under a name that `sources` does not list: they count as the unnamed source.",
        )[()]
        self._dropped = self._counter(
            "connections_dropped", "Connections the relay closed before their time.", "reason"
        )
        self._connections = self._gauge("connections", "Connections to the relay's doors.")[()]
        self._received = self._counter(
            "alerts_received",
            "Alerts read from webhooks, by PagerDuty severity (`none`: no receiver of ours).",
            "source",
            "status",
            "severity",
        )
        self._truncated = self._counter(
            "alerts_truncated_upstream", "Alerts that max_alerts cut off before they reached the relay.", "source"
        )
        self._deduplicated = self._counter(
            "alerts_deduplicated", "Alerts whose statement was known word for word, so that nothing was done."
        )[()]
        self._unknown_severity = self._counter(
            "unknown_severity",
            "Alerts that page with the default severity, since the route's map has no word for theirs.",
        )[()]
        self._decisions = self._counter("decisions", "What became of the alerts received.", "verdict")
        self._suppressed = self._counter(
            "suppressed", "Alerts that fire and were put to quiet in a page, by what did it.", "reason"
        )
        self._folded_pages = self._counter(
            "folded_pages", "New pages that were folded into the storm page of an integration.", "receiver"
        )
        self._folded_alerts = self._counter("folded_alerts", "Alerts that fired in those pages.", "receiver")
        self._storm = self._gauge("storm", "1 while new pages of an integration are folded into one.", "receiver")
        self._last_heard = self._gauge("source_last_heard_timestamp_seconds", "When a source was last heard.", "source")
        self._stale_alerts = self._gauge(
            "stale_alerts", "Alerts that fire and were not heard of for the `stale_after` of their source.", "source"
        )
        self._stale_pages = self._gauge("stale_pages", "Pages in which all that fires is stale.")[()]
        self._polls = self._counter(
            "alertmanager_polls", "Times that a source's Alertmanagers were asked about stale alerts.", "source"
        )
        self._poll_failures = self._counter(
            "alertmanager_poll_failures", "Those in which one of them gave no answer to go by.", "source"
        )
        self._request_seconds = self._histogram(
            "webhook_request_duration_seconds", "Time to answer a webhook, from its headers to its answer.", _FAST
        )[()]

    def _delivery(self) -> None:
        self._delivered = self._counter(
            "events_delivered", "Events PagerDuty answered with 202.", "action", "severity", "receiver"
        )
        self._attempts = self._counter(
            "delivery_attempts",
            "Attempts by outcome (`unchanged`: it rendered equal to what is open, so nothing was sent).",
            "receiver",
            "outcome",
        )
        self._failures = self._counter("delivery_failures", "Attempts that failed, by reason.", "receiver", "reason")
        self._dead_lettered = self._counter(
            "events_dead_lettered", "Events that PagerDuty refused on every rung of the ladder, by reason.", "reason"
        )
        self._minimal = self._counter(
            "events_minimal", "Events PagerDuty took as minimal ones, since it had refused the full one.", "receiver"
        )
        self._fallback = self._counter(
            "events_fallback", "Events that went to this receiver as the fallback of another.", "receiver"
        )
        self._template_errors = self._counter(
            "template_errors", "Template fields that failed and fell back to plain text.", "field"
        )
        self._last_delivery = self._gauge(
            "last_delivery_success_timestamp_seconds", "When PagerDuty last took an event.", "receiver"
        )
        self._call_seconds = self._histogram(
            "delivery_request_duration_seconds", "Time of one call to PagerDuty.", _CALL, "receiver"
        )
        self._waited = self._histogram(
            "accept_to_delivery_seconds",
            "Time from accepting a change to PagerDuty's 202, waits for budget and holds included.",
            _PATIENCE,
            "severity",
        )
        self._render_seconds = self._histogram("template_render_duration_seconds", "Time to render one page.", _FAST)[
            ()
        ]
        self._circuit = self._gauge(
            "circuit_open", "1 while an integration is left alone after a 429 or a configuration fault.", "receiver"
        )
        self._tokens = self._gauge(
            "rate_limit_tokens", "Events an integration may still send within its window.", "receiver"
        )

    def _state(self) -> None:
        self._queue = self._gauge("queue_events", "Pages that wait to be sent, by lane.", "lane")
        self._queue_age = self._gauge(
            "queue_oldest_age_seconds", "Age of the oldest change that waits to be sent, by lane.", "lane"
        )
        self._open = self._gauge(
            "open_pages", "Pages that are open at PagerDuty; one that went to its fallback counts there.", "receiver"
        )
        self._dead_letters = self._gauge(
            "dead_letters", "Pages that are dead letters now, without those that a person let go of."
        )[()]
        self._key_gone = self._gauge(
            "pages_key_gone", "Open pages whose routing key is not at hand: they cannot be resolved."
        )[()]
        self._self_page = self._gauge("self_page", "1 while the relay has this reason to page about itself.", "reason")
        self._secrets_unreadable = self._gauge(
            "secrets_unreadable", "Files with secrets that cannot be used: what they held before is in use."
        )[()]
        self._pulses = self._counter(
            "heartbeat_pings",
            "Times that heartbeat_url was due: asked, asked in vain, or withheld since pages do not get through.",
            "outcome",
        )
        self._pulsed_at = self._gauge("heartbeat_last_success_timestamp_seconds", "When heartbeat_url last answered.")[
            ()
        ]
        self._paused = self._gauge("paused", "1 while nothing is sent to a receiver (`all`: to any).", "receiver")
        self._store_errors = self._counter("store_errors", "Calls to the store that failed.", "op")
        self._emergency_pages = self._counter(
            "emergency_pages", "Pages sent while the store could not be written, past it."
        )[()]
        self._emergency_in_use = self._gauge(
            "emergency_exit_in_use", "1 while something was paged past the store that is not written down yet."
        )[()]
        self._store_up = self._gauge("store_up", "1 while the store takes writes.")[()]
        self._store_size = self._gauge("store_size_bytes", "Size of the database.")[()]
        self._store_free = self._gauge("store_free_bytes", "Free space on the disk that holds the database.")[()]
        self._commit_seconds = self._histogram("store_commit_duration_seconds", "Time of one commit.", _FAST)[()]
        self._loop_lag = self._histogram("event_loop_lag_seconds", "How late the event loop was.", _FAST)[()]
        self._reloads = self._counter("config_reloads", "Loads of the configuration, by outcome.", "outcome")
        self._reload_ok = self._gauge(
            "config_last_reload_successful", "Whether the last load of the configuration succeeded."
        )[()]
        self._reload_at = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When the configuration was last loaded."
        )[()]
        self._config_hash = self._gauge("config_hash", "A number that names the configuration in use.")[()]

    def _counter(self, name: str, help_: str, *labels: str) -> _Children[Counter]:
        return _family(Counter(f"pagerelay_{name}_total", help_, labels, registry=self.registry), labels)

    def _gauge(self, name: str, help_: str, *labels: str) -> _Children[Gauge]:
        return _family(Gauge(f"pagerelay_{name}", help_, labels, registry=self.registry), labels)

    def _histogram(self, name: str, help_: str, buckets: Sequence[float], *labels: str) -> _Children[Histogram]:
        metric = Histogram(f"pagerelay_{name}", help_, labels, registry=self.registry, buckets=buckets)
        return _family(metric, labels)

    def _start_at_zero(self) -> None:
        for reason in INVALID:
            self._invalid[(reason,)].inc(0)
        for door, kind in AUTH_FAILURES:
            self._auth_failures[door, kind].inc(0)
        for why in CONNECTIONS:
            self._dropped[(why,)].inc(0)
        for verdict in VERDICTS:
            self._decisions[(verdict,)].inc(0)
        for reason in SUPPRESSIONS:
            self._suppressed[(reason,)].inc(0)
        for reason in REASONS:
            self._dead_lettered[(reason,)].inc(0)
        for field in (*FIELDS, "other"):
            self._template_errors[(field,)].inc(0)
        for reason in (*SELF_PAGES, "other"):
            self._self_page[(reason,)].set(0)
        self._paused[("all",)].set(0)
        for outcome in ("success", "failed", "withheld"):
            self._pulses[(outcome,)].inc(0)
        for op in (*STORE_OPS, "other"):
            self._store_errors[(op,)].inc(0)
        for outcome in ("success", "failure"):
            self._reloads[(outcome,)].inc(0)
        for severity in SEVERITIES:
            self._waited[(severity,)]
        self.queued({}, {}, 0)

    def _initialise_receiver(self, receiver: str) -> None:
        for severity in SEVERITIES:
            for action in ("trigger", "acknowledge", "resolve"):
                self._delivered[action, severity, receiver].inc(0)
        for outcome in ("delivered", "retry", "rejected", "unchanged"):
            self._attempts[receiver, outcome].inc(0)
        for reason in REASONS:
            self._failures[receiver, reason].inc(0)
        for gauge in (self._last_delivery, self._circuit, self._tokens, self._open, self._storm):
            gauge[(receiver,)].inc(0)
        for counter in (self._folded_pages, self._folded_alerts):
            counter[(receiver,)].inc(0)
        for counter in (self._minimal, self._fallback):
            counter[(receiver,)].inc(0)
        self._call_seconds[(receiver,)]


def _family(metric: _M, labels: tuple[str, ...]) -> _Children[_M]:
    children = _Children(metric)
    if not labels:
        children[()] = metric
    return children
