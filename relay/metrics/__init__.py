"""Counts what happens often, for Prometheus: all metrics stand in this folder and in docs/metrics.md."""

import sqlite3
import sys
from collections import Counter as Tally
from collections.abc import Collection, Iterable, Mapping, Sequence

from prometheus_client import ProcessCollector, disable_created_metrics, generate_latest

from relay.metrics.declared import Declared
from relay.metrics.told import Attempt, Decision, Draft, Message, Plan, Response
from relay.metrics.words import (
    ACTS,
    AUTH_FAILURES,
    CHANGES,
    CODES,
    CONNECTIONS,
    DRIFT,
    FIELDS,
    INVALID,
    LANES,
    REASONS,
    RECEIVERS,
    REST_OUTCOMES,
    RETURNED,
    SELF_PAGES,
    SEVERITIES,
    SILENCES,
    SOURCES,
    STORE_OPS,
    SUPPRESSIONS,
    VERDICTS,
)

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MICROSECONDS = 1_000_000


class Metrics(Declared):
    """Every metric of one relay, in a registry of its own; any thread may count."""

    def __init__(self, version: str = "") -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        super().__init__()
        self._sources: dict[str, str] = {}
        self._receivers: set[str] = set()
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
            for act in SILENCES:
                self._silenced[source, act].inc(0)
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

    def received(self, message: Message, draft: Draft, plan: Plan) -> None:
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

    def acknowledged(self, source: str, decisions: Sequence[Decision]) -> None:
        """Count an acknowledgement that a sender of events asked for."""
        self._received[self.source(source), "acknowledge", "none"].inc()
        self._decided(decisions)

    def judged_again(self, plan: Plan, decisions: Sequence[Decision]) -> None:
        """Count what became of alerts that nobody sent a message about."""
        self._decided(decisions)
        self._suppress(plan)

    def _decided(self, decisions: Sequence[Decision]) -> None:
        for verdict, alerts in Tally(decision.verdict for decision in decisions).items():
            self._decisions[(str(verdict),)].inc(alerts)

    def _suppress(self, plan: Plan) -> None:
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

    def rest_called(self, outcome: str) -> None:
        """Count one call to PagerDuty's REST API: `ok`, or the reason of its RestError."""
        self._rest_calls[(outcome,)].inc()

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
        self, receiver: str, attempt: Attempt, severity: str, outcome: object, took: int, waited: int | None
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

    # What people do with it

    def returned(self, outcome: str) -> None:
        """Count a V3 webhook by what became of it (one of RETURNED)."""
        self._returned[(outcome,)].inc()

    def acted(self, kind: str) -> None:
        """Count what was done about a page at PagerDuty (one of ACTS)."""
        self._acted[(kind,)].inc()

    def unconfirmed(self, receiver: str, doubted: int, resent: int) -> None:
        """Count triggers that were not confirmed in time, and those of them that are sent again."""
        self._unconfirmed[(receiver,)].inc(doubted)
        self._resent[(receiver,)].inc(resent)

    def confirming(self, receiver: str, *, on: bool) -> None:
        """Say whether triggers of a receiver are awaited to be confirmed."""
        self._confirming[(receiver,)].set(on)

    def responded(self, response: Response) -> None:
        """Count an incident that was opened, acknowledged or closed."""
        receiver, severity = self._bounded(response.receiver), str(response.severity)
        if response.kind == "opened":
            self._by_hour[receiver, f"{response.hour:02}"].inc()
            if response.after_hours:
                self._after_hours[receiver, severity].inc()
            return
        took = max(0, response.took) / _MICROSECONDS
        histogram = self._to_acknowledge if response.kind == "acknowledged" else self._to_resolve
        histogram[receiver, severity].observe(took)

    def silenced(self, source: str, act: str, count: int = 1) -> None:
        """Count what was done about silences at a source's Alertmanagers (one of SILENCES)."""
        self._silenced[self.source(source), act].inc(count)

    def _bounded(self, receiver: str) -> str:
        """Return a receiver's label value where each has many series."""
        if receiver not in self._receivers and len(self._receivers) >= RECEIVERS:
            return "other"
        self._receivers.add(receiver)
        return receiver

    def change(self, receiver: str, outcome: str, count: int = 1) -> None:
        """Count change events by what became of them: `unrouted`, or one of CHANGES."""
        self._changes[receiver, outcome].inc(count)

    def changes_waiting(self, waiting: Mapping[str, int]) -> None:
        """Say how many change events wait, by receiver."""
        for receiver in {*waiting, *(values[0] for values in self._changes_waiting)}:
            self._changes_waiting[(receiver,)].set(waiting.get(receiver, 0))

    # What differs from PagerDuty

    def compared(self, drift: Mapping[str, int], not_ours: int, at: int) -> None:
        """Say what a comparison found, by kind (all of DRIFT), at an instant in microseconds."""
        for kind, count in drift.items():
            self._drift[(kind,)].set(count)
        self._drift_not_ours.set(not_ours)
        self._compared_at.set(at / _MICROSECONDS)
        self._comparisons[("ok",)].inc()

    def not_compared(self) -> None:
        """Count a comparison that came to nothing."""
        self._comparisons[("failed",)].inc()

    def put_right(self, kind: str) -> None:
        """Count a difference that was put right."""
        self._reconciled[(kind,)].inc()

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

    def _start_at_zero(self) -> None:
        for reason in INVALID:
            self._invalid[(reason,)].inc(0)
        for kind in DRIFT:
            self._drift[(kind,)].set(0)
            self._reconciled[(kind,)].inc(0)
        for outcome in ("ok", "failed"):
            self._comparisons[(outcome,)].inc(0)
        for outcome in RETURNED:
            self._returned[(outcome,)].inc(0)
        for kind in ACTS:
            self._acted[(kind,)].inc(0)
        for door, kind in AUTH_FAILURES:
            self._auth_failures[door, kind].inc(0)
        for why in CONNECTIONS:
            self._dropped[(why,)].inc(0)
        for verdict in VERDICTS:
            self._decisions[(verdict,)].inc(0)
        for outcome in REST_OUTCOMES:
            self._rest_calls[(outcome,)].inc(0)
        for reason in SUPPRESSIONS:
            self._suppressed[(reason,)].inc(0)
        for reason in REASONS:
            self._dead_lettered[(reason,)].inc(0)
        for field in (*FIELDS, "other"):
            self._template_errors[(field,)].inc(0)
        for reason in (*SELF_PAGES, "other"):
            self._self_page[(reason,)].set(0)
        self._paused[("all",)].set(0)
        self._changes["none", "unrouted"].inc(0)
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
        for outcome in CHANGES:
            self._changes[receiver, outcome].inc(0)
        self._changes_waiting[(receiver,)].inc(0)
        for gauge in (self._last_delivery, self._circuit, self._tokens, self._open, self._storm, self._confirming):
            gauge[(receiver,)].inc(0)
        for counter in (self._folded_pages, self._folded_alerts):
            counter[(receiver,)].inc(0)
        for counter in (self._minimal, self._fallback, self._unconfirmed, self._resent):
            counter[(receiver,)].inc(0)
        self._call_seconds[(receiver,)]
