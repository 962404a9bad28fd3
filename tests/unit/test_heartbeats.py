"""What must keep being heard: who is missing when, the page that says so, and its end."""

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.alert import DAY, HOUR, MINUTE, SECOND, Instant, instant
from relay.config import load
from relay.decision import Verdict
from relay.event import Severity
from relay.page import Wanted
from relay.rules.classify import Draft
from relay.rules.heartbeats import (
    Beat,
    Watch,
    alarm,
    all_clear,
    kept_alive,
    missing,
    next_due,
    returned,
    tell,
    unwatched,
    watches,
)
from relay.rules.ledger import Plan
from relay.rules.reload import place_again, rejudge
from relay.rules.rulebook import Rulebook
from tests.model.engines import Dictionaries

NOON = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
CONFIG: dict[str, Any] = {
    "route": {"receiver": "root"},
    "receivers": [
        {"name": "root", "pagerduty_configs": [{"routing_key": "a" * 32}]},
        {"name": "self", "pagerduty_configs": [{"routing_key": "b" * 32}]},
    ],
    "sources": [
        {"name": "eu1", "repeat_interval": "1h", "native_keys": "false"},
        {"name": "us1", "native_keys": "false"},
    ],
    "heartbeats": [
        {"name": "watchdog", "matchers": ['alertname="Watchdog"'], "within": "5m", "receiver": "self"},
        {
            "name": "eu",
            "matchers": ['alertname="Watchdog"', 'cluster=~"eu.*"'],
            "within": "10m",
            "receiver": "root",
            "source": "eu1",
        },
    ],
}


def book(folder: Path, **changes: Any) -> Rulebook:
    (folder / "relay.yml").write_text(json.dumps({**CONFIG, **changes}))
    loaded = load(folder / "relay.yml", {})
    return Rulebook(loaded.rules, loaded.keys)


@pytest.fixture
def rules(tmp_path: Path) -> Rulebook:
    return book(tmp_path)


def test_every_heartbeat_and_every_source_the_file_names_is_watched(rules: Rulebook) -> None:
    assert watches(rules.rules) == (
        Watch("heartbeat/watchdog", "watchdog", 5 * MINUTE, "self"),
        Watch("heartbeat/eu", "eu", 10 * MINUTE, "root", "eu1"),
        Watch("source/eu1", "eu1", 2 * HOUR, "root", "eu1"),
        Watch("source/us1", "us1", DAY, "self", "us1"),
    )


def test_without_heartbeats_a_silent_source_pages_the_root_receiver(tmp_path: Path) -> None:
    assert {watch.receiver for watch in watches(book(tmp_path, heartbeats=[]).rules)} == {"root"}


@pytest.mark.parametrize(
    ("labels", "source", "keys"),
    [
        ({"alertname": "Watchdog"}, "", ["heartbeat/watchdog"]),
        ({"alertname": "Watchdog", "cluster": "eu1"}, "us1", ["heartbeat/watchdog"]),
        ({"alertname": "Watchdog", "cluster": "eu1"}, "eu1", ["heartbeat/watchdog", "heartbeat/eu"]),
        ({"alertname": "Down"}, "eu1", []),
    ],
)
def test_an_alert_is_a_beat_of_what_it_matches_from_the_right_source(
    rules: Rulebook, labels: dict[str, str], source: str, keys: list[str]
) -> None:
    assert list(kept_alive(rules.rules.heartbeats, labels, source)) == keys


@pytest.mark.parametrize(
    ("heard_after", "asked_after", "gone", "back", "due_after"),
    [
        (None, 4 * MINUTE, False, False, 5 * MINUTE),
        (None, 5 * MINUTE, True, False, None),
        (2 * MINUTE, 6 * MINUTE, False, True, 7 * MINUTE),
        (2 * MINUTE, 7 * MINUTE - 1, False, True, 7 * MINUTE),
        (2 * MINUTE, 7 * MINUTE, True, False, None),
        (9 * MINUTE, 8 * MINUTE, False, True, 14 * MINUTE),
    ],
)
def test_a_heartbeat_is_missing_once_it_was_not_heard_within_its_time(
    heard_after: int | None, asked_after: int, gone: bool, back: bool, due_after: int | None
) -> None:
    watch = Watch("heartbeat/w", "w", 5 * MINUTE, "self")
    heard = {} if heard_after is None else {watch.key: Beat(NOON + heard_after, "")}
    now = NOON + asked_after

    assert bool(missing([watch], heard, NOON, now)) is gone
    assert bool(returned([watch], heard, now)) is back
    assert next_due([watch], heard, NOON, now) == (None if due_after is None else NOON + due_after)


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 100), max_size=8, unique=True).map(sorted),
    st.integers(1, 40),
    st.integers(0, 150),
)
def test_next_due_is_the_first_instant_at_which_another_is_missing(beats: list[int], within: int, now: int) -> None:
    watch = Watch("heartbeat/w", "w", within, "self")
    heard = {watch.key: Beat(past[-1], "")} if (past := [at for at in beats if at <= now]) else {}

    due = next_due([watch], heard, 0, now)

    if due is None:
        assert missing([watch], heard, 0, now) == (watch,)
    else:
        assert missing([watch], heard, 0, due - 1) == ()
        assert missing([watch], heard, 0, due) == (watch,)


class Relay:
    """A relay reduced to its judgement."""

    def __init__(self, rules: Rulebook) -> None:
        self.rules = rules
        self.engine = Dictionaries()

    def keep(self, draft: Draft, now: Instant = NOON) -> Plan:
        return self.engine.keep(draft.lookup, partial(tell, draft, now=now, book=self.rules))

    def wanted(self) -> dict[str, str]:
        return {page.group_key: page.wanted.value for page in self.engine.pages()}


def test_a_missing_heartbeat_opens_a_critical_page_that_says_who_went_quiet_and_its_return_closes_it(
    rules: Rulebook,
) -> None:
    relay, (watch, *_) = Relay(rules), watches(rules.rules)

    plan = relay.keep(alarm(watch, Beat(NOON - 5 * MINUTE, "eu1"), NOON - HOUR, NOON, rules))

    [page], [decision], [held] = plan.pages, plan.decisions, plan.alerts
    assert (page.wanted, page.severity, page.receiver) == (Wanted.OPEN, Severity.CRITICAL, "self")
    assert decision.verdict is Verdict.OPENS
    said = "heartbeat watchdog was not heard since 11:55:00 UTC, more than 5m; source eu1 sent it last"
    assert decision.steps[0].because == said
    stated = json.loads(held.raw)
    assert stated["annotations"] == {"summary": said}
    assert stated["labels"] == {
        "alertname": "HeartbeatMissing",
        "heartbeat": "watchdog",
        "source": "eu1",
        "severity": "critical",
    }
    assert (held.starts_at, held.ours, held.judge_at) == (NOON, True, None)

    again = relay.keep(alarm(watch, Beat(NOON - 5 * MINUTE, "eu1"), NOON - HOUR, NOON, rules), NOON + SECOND)
    assert (again.pages, again.alerts) == ((), ())

    over = relay.keep(all_clear(watch, NOON + MINUTE), NOON + MINUTE)
    assert [page.wanted for page in over.pages] == [Wanted.CLOSED]
    assert over.decisions[0].steps[0].because == "heartbeat watchdog is heard again"


def test_what_was_never_heard_since_the_start_says_so(rules: Rulebook) -> None:
    relay, (_, eu, source, _) = Relay(rules), watches(rules.rules)

    plan = relay.keep(alarm(eu, None, NOON - 10 * MINUTE, NOON, rules))
    relay.keep(alarm(source, None, NOON - DAY, NOON, rules))

    assert json.loads(plan.alerts[0].raw)["annotations"]["summary"] == (
        "heartbeat eu of source eu1 was never heard since the relay started at 11:50:00 UTC, more than 10m"
    )
    assert relay.wanted() == {"heartbeat/eu": "open", "source/eu1": "open"}


def test_a_silent_source_is_named_by_its_own_alert(rules: Rulebook) -> None:
    watch = watches(rules.rules)[2]

    [entry] = alarm(watch, Beat(NOON - 2 * HOUR, "eu1"), 0, NOON, rules).entries

    assert entry.alert.labels == {"alertname": "SourceSilent", "source": "eu1", "severity": "critical"}
    assert entry.alert.annotations["summary"] == "source eu1 was not heard since 10:00:00 UTC, more than 2h"


def test_an_all_clear_without_an_alarm_changes_nothing(rules: Rulebook) -> None:
    relay, (watch, *_) = Relay(rules), watches(rules.rules)

    assert relay.keep(all_clear(watch, NOON)) == Plan()


def test_a_reload_leaves_an_alarm_where_it_is(rules: Rulebook) -> None:
    relay, (watch, *_) = Relay(rules), watches(rules.rules)
    relay.keep(alarm(watch, None, NOON - HOUR, NOON, rules))

    again = place_again(relay.engine.firing(), rules)
    plan = relay.engine.keep(again.lookup, lambda ledger: rejudge(again, ledger, NOON + DAY, rules))

    assert (plan.pages, plan.record) == ((), None)
    assert relay.wanted() == {"heartbeat/watchdog": "open"}


def test_an_alarm_whose_heartbeat_is_taken_out_of_the_file_is_closed(rules: Rulebook) -> None:
    relay, watched = Relay(rules), watches(rules.rules)
    for watch in watched[:2]:
        relay.keep(alarm(watch, None, NOON - HOUR, NOON, rules))

    drafts = unwatched(relay.engine.firing(), watched[1:], NOON)
    plans = [relay.keep(draft) for draft in drafts]

    assert relay.wanted() == {"heartbeat/watchdog": "closed", "heartbeat/eu": "open"}
    assert plans[0].decisions[0].steps[0].because == "heartbeat watchdog is not watched any more"
    assert unwatched(relay.engine.firing(), watched[1:], NOON) == ()


def test_an_alarm_for_a_receiver_without_pagerduty_is_recorded(rules: Rulebook) -> None:
    plan = Relay(rules).keep(alarm(watches(rules.rules)[0]._replace(receiver="gone"), None, 0, NOON, rules))

    assert [decision.verdict for decision in plan.decisions] == [Verdict.NOT_OURS]
