"""What becomes of alerts that are sent again while they fire, once they are not: repeats write little, silence ends."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from relay.alert import DAY, HOUR, MINUTE, SECOND, Instant, instant, moment
from relay.decision import Verdict
from relay.ingress import prometheus
from relay.page import Wanted
from relay.rules.classify import classify
from relay.rules.judge import judge
from relay.rules.ledger import Held, Plan, Recorded
from relay.rules.reload import place_again, rejudge
from relay.rules.staleness import Listening, expires_at, lasting
from tests.model.engines import Dictionaries
from tests.unit.test_judge import rulebook

NOON = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
TIMEOUT = 5 * MINUTE


class Relay:
    """A relay reduced to its judgement, and a Prometheus that posts to it."""

    def __init__(self, folder: Path, route: str = "{receiver: a}") -> None:
        self.book = rulebook(folder, route)
        self.engine = Dictionaries()
        self.now = NOON
        self.started_at = NOON - HOUR

    def post(self, **fields: Any) -> Plan:
        said = {"labels": {"alertname": "Down"}, "startsAt": _written(NOON), **fields}
        message = prometheus.parse(json.dumps([said]).encode(), "prom", self.now, TIMEOUT)
        draft = classify(message, self.book)
        return self.engine.keep(draft.lookup, lambda ledger: judge(draft, ledger, self.now, self.book))

    def hear(self) -> None:
        """Write down that the alert was heard now, as the store does for repeats."""
        self.engine.alerts[self.held.id] = replace(self.held, heard_at=self.now)

    def look(self) -> Plan:
        """Judge again what fires, as the clockwork does when it is due."""
        listening = Listening(self.started_at, {"prom": self.now}, {})
        again = place_again(self.engine.firing(), self.book)
        return self.engine.keep(
            again.lookup, lambda ledger: rejudge(again, ledger, self.now, self.book, listening=listening)
        )

    def advance(self, to: Instant) -> Recorded | None:
        """Move the clock, and let the clockwork do what is due on the way; return what it last wrote down."""
        record = None
        while self.held.judge_at is not None and self.held.judge_at <= to:
            self.now = self.held.judge_at
            record = self.look().record
        self.now = to
        return record

    @property
    def held(self) -> Held:
        [held] = self.engine.alerts.values()
        return held


def _written(at: Instant) -> str:
    return moment(at).isoformat()


@pytest.fixture
def relay(tmp_path: Path) -> Relay:
    return Relay(tmp_path)


def test_an_alert_that_is_not_sent_again_is_resolved_when_it_said_it_would_be(relay: Relay) -> None:
    relay.post(endsAt=_written(NOON + 4 * MINUTE))
    assert relay.held.judge_at == NOON + 4 * MINUTE

    relay.now += 4 * MINUTE - SECOND
    assert relay.look().pages == ()
    relay.now += SECOND
    plan = relay.look()

    assert [page.wanted for page in plan.pages] == [Wanted.CLOSED]
    assert plan.record is not None
    [decision] = plan.record.decisions
    assert decision.verdict is Verdict.RESOLVES
    assert "not sent again since 12:00:00 UTC" in decision.steps[-1].because
    assert "after 4m" in decision.steps[-1].because
    assert not relay.held.firing


def test_an_alert_without_an_end_lasts_for_the_resolve_timeout(relay: Relay) -> None:
    relay.post()

    assert (relay.held.lasts, relay.held.judge_at) == (TIMEOUT, NOON + TIMEOUT)


def test_sending_again_moves_the_end_and_writes_no_alert(relay: Relay) -> None:
    relay.post(endsAt=_written(NOON + 4 * MINUTE))
    for minute in range(1, 10):
        assert relay.advance(NOON + minute * MINUTE + 3 * SECOND) is None
        plan = relay.post(endsAt=_written(relay.now + 4 * MINUTE))
        relay.hear()

        assert (plan.alerts, plan.pages, plan.record) == ((), (), None)
        assert [decision.verdict for decision in plan.decisions] == [Verdict.REPEATS]
        assert relay.held.firing
    assert relay.advance(relay.now + 4 * MINUTE - SECOND) is None
    assert relay.held.firing
    assert relay.advance(relay.now + SECOND) is not None
    assert not relay.held.firing


def test_an_end_that_stands_still_while_it_is_sent_again_is_kept_to_a_tenth(relay: Relay) -> None:
    """amtool says an end once and for all, and whoever sends that again says no later one."""
    end = NOON + HOUR
    while relay.now < end - SECOND:
        relay.post(endsAt=_written(end))
        relay.hear()
        due = expires_at(relay.held, Listening(0, {}, {}))
        assert abs(due - end) * 10 <= end - relay.now + SECOND * 10
        relay.now += 37 * SECOND


def test_a_change_of_words_is_written_and_a_resolve_resolves(relay: Relay) -> None:
    relay.post()
    assert len(relay.post(annotations={"summary": "worse"}).alerts) == 1

    relay.now += MINUTE
    plan = relay.post(endsAt=_written(relay.now))

    assert [decision.verdict for decision in plan.decisions] == [Verdict.SUPERSEDES]
    assert not relay.held.firing


def test_nothing_expires_because_the_relay_was_away(relay: Relay) -> None:
    relay.post(endsAt=_written(NOON + 4 * MINUTE))
    relay.now = relay.started_at = NOON + HOUR
    relay.look()
    assert relay.held.firing

    relay.now += 4 * MINUTE
    relay.look()
    assert not relay.held.firing


def test_an_end_that_was_said_days_ahead_is_not_put_off_by_a_restart(relay: Relay) -> None:
    relay.post(endsAt=_written(NOON + 3 * DAY))
    held = relay.held

    assert expires_at(held, Listening(NOON + DAY, {}, {})) == NOON + 3 * DAY
    assert expires_at(held, Listening(NOON + 4 * DAY, {}, {})) == NOON + 4 * DAY + 5 * MINUTE


def test_it_fires_again_when_it_is_sent_again_after_all(relay: Relay) -> None:
    relay.post()
    relay.now += TIMEOUT
    relay.look()
    relay.now += SECOND

    plan = relay.post()

    assert [decision.verdict for decision in plan.decisions] == [Verdict.OPENS]
    assert relay.held.lasts == TIMEOUT


@pytest.mark.parametrize(
    ("expires", "known", "lasts"),
    [
        (0, 0, 0),
        (0, 4 * MINUTE, 0),
        (NOON + 4 * MINUTE, 0, 4 * MINUTE),
        (NOON + 4 * MINUTE - 7, 0, 4 * MINUTE),
        (NOON + 4 * MINUTE, 4 * MINUTE + 20 * SECOND, 4 * MINUTE + 20 * SECOND),
        (NOON + 4 * MINUTE, 4 * MINUTE - 20 * SECOND, 4 * MINUTE - 20 * SECOND),
        (NOON + 4 * MINUTE, 5 * MINUTE, 4 * MINUTE),
        (NOON + 1, 0, SECOND),
    ],
)
def test_how_long_an_alert_lasts_is_what_it_says_or_what_is_held_if_that_is_near(
    relay: Relay, expires: int, known: int, lasts: int
) -> None:
    relay.post()

    assert lasting(expires, replace(relay.held, lasts=known), NOON) == lasts


ROUTE = """{receiver: a, group_wait: 30s, group_by: [team], severity: {critical: critical, default: warning}}"""


@pytest.mark.parametrize(
    ("severity", "grouped", "waits"), [("warning", "", 30), ("critical", "", 0), ("warning", "G", 0)]
)
def test_group_wait_holds_a_page_of_alerts_that_nobody_grouped(
    tmp_path: Path, severity: str, grouped: str, waits: int
) -> None:
    said = [{"labels": {"alertname": "Down", "severity": severity}}]
    message = replace(prometheus.parse(json.dumps(said).encode(), "prom", NOON, TIMEOUT), group_key=grouped)

    [entry] = classify(message, rulebook(tmp_path, ROUTE)).entries

    assert [place.group_wait for place in entry.placements] == [waits * SECOND]
