"""Messages that are kept together leave the store as if each had been kept alone."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.alert import SECOND, Instant
from relay.config import load
from relay.event import Delivered
from relay.ingress.alertmanager import parse
from relay.page import Member, State, Wanted
from relay.rules.classify import Draft, classify
from relay.rules.delivery import settle, start
from relay.rules.judge import judge
from relay.rules.ledger import Ledger, Lookup, Plan, Want
from relay.rules.rulebook import Rulebook
from relay.rules.storms import StormBegins, storm_id
from relay.store import connect, delivery
from relay.store.keeping import Keep, keep_together
from relay.storms import Storms, Watch
from tests.contract import values

RULES = """
route: {receiver: r, group_by: [cluster], severity: {critical: critical, warning: warning, default: error}}
receivers:
  - name: r
    pagerduty_configs: [{routing_key: 0123456789abcdef0123456789abcdef}]
"""
NOW: Instant = 1_700_000_000 * SECOND


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    file = tmp_path_factory.mktemp("rules") / "relay.yml"
    file.write_text(RULES)
    loaded = load(file, {})
    return Rulebook(loaded.rules, loaded.keys)


@pytest.fixture(scope="module")
def stormy(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    file = tmp_path_factory.mktemp("stormy") / "relay.yml"
    file.write_text(f"global: {{storm: {{pages: 1, within: 1m}}}}\n{RULES}")
    loaded = load(file, {})
    return Rulebook(loaded.rules, loaded.keys)


Said = tuple[int, str, str]
"""One alert of a message: its number, status and severity."""
SAID = st.tuples(st.integers(0, 5), st.sampled_from(["firing", "resolved"]), st.sampled_from(["critical", "warning"]))
MESSAGES = st.lists(st.lists(SAID, min_size=1, max_size=3), min_size=2, max_size=8)


def body(alerts: Sequence[Said]) -> bytes:
    """A message about alerts 0 to 5, two of each cluster."""
    said = [
        {
            "status": status,
            "labels": {"alertname": "A", "cluster": f"c{number // 2}", "n": str(number), "severity": severity},
            "annotations": {},
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2026-01-01T01:00:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
            "fingerprint": f"{number * 2 + (severity == 'critical'):016x}",
        }
        for number, status, severity in alerts
    ]
    return json.dumps({"receiver": "r", "groupKey": "g", "version": "4", "alerts": said}).encode()


def keep(draft: Draft, now: Instant, book: Rulebook) -> Keep:
    return Keep(draft.lookup, lambda ledger: judge(draft, ledger, now, book))


def failing(draft: Draft) -> Keep:
    def fail(_: Ledger) -> Plan:
        raise ValueError("no")

    return Keep(draft.lookup, fail)


@contextmanager
def stores(number: int) -> Iterator[list[sqlite3.Connection]]:
    with TemporaryDirectory() as place:
        made = []
        for at in range(number):
            connect.prepare(Path(place) / str(at))
            made.append(connect.writing(Path(place) / str(at)))
        yield made
        for db in made:
            db.close()


def everything(db: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    tables = ("alerts", "pages", "members", "journal", "sources", "tally", "attempts")
    return {table: sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in tables}


def deliver(db: sqlite3.Connection, book: Rulebook, now: Instant) -> None:
    """Send what is due, so that later messages meet pages that are open at PagerDuty."""
    integration = next(iter(book.rules.integrations))
    lanes = [lane for (lane,) in db.execute("SELECT DISTINCT lane FROM pages WHERE lane IS NOT NULL")]
    wants = [Want(integration, lane, 10) for lane in lanes]
    for claim in delivery.claim(db, wants, now, lambda page: start(page, now, book, 10 * SECOND)):
        delivery.settle(
            db,
            claim.attempt,
            partial(settle, attempt=claim.attempt, outcome=Delivered(), now=now, jitter=0.5, digest="d", book=book),
            now,
        )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=MESSAGES, together=MESSAGES, broken=st.integers(0, 8))
def test_kept_together_is_kept_one_after_the_other(
    book: Rulebook, before: list[list[Said]], together: list[list[Said]], broken: int
) -> None:
    times = count(NOW, SECOND)
    earlier = [keep(classify(parse(body(one), ""), book), next(times), book) for one in before]
    sent = next(times)
    drafts = [classify(parse(body(one), ""), book) for one in together]
    keeps = [failing(draft) if at == broken else keep(draft, next(times), book) for at, draft in enumerate(drafts)]
    with stores(2) as (alone, joint):
        for db in (alone, joint):
            for one in earlier:
                one(db)
            deliver(db, book, sent)

        singly = [one(alone) for at, one in enumerate(keeps) if at != broken]
        outcomes = keep_together(joint, keeps)

        assert [outcome for at, outcome in enumerate(outcomes) if at != broken] == singly
        assert all(isinstance(outcome, ValueError) for outcome in outcomes[broken : broken + 1])
        assert everything(joint) == everything(alone)


def storming(drafts: Sequence[Draft], book: Rulebook) -> list[Keep]:
    """Judgements with a count of new pages, all of them prepared before the first is made."""
    storms = Storms()
    for name in book.rules.integrations:
        storms.look_up(StormBegins(storm_id(name)))
    return [_counted(draft, storms.watch(draft.entries, draft.lookup, book, NOW), book) for draft in drafts]


def _counted(draft: Draft, watch: Watch, book: Rulebook) -> Keep:
    return Keep(watch.lookup, lambda ledger: judge(draft, ledger, NOW, book, storms=watch))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(together=MESSAGES)
def test_a_storm_folds_what_is_kept_together_as_what_is_kept_one_after_the_other(
    stormy: Rulebook, together: list[list[Said]]
) -> None:
    drafts = [classify(parse(body(one), ""), stormy) for one in together]
    with stores(2) as (alone, joint):
        singly = [one(alone) for one in storming(drafts, stormy)]

        assert keep_together(joint, storming(drafts, stormy)) == singly
        assert everything(joint) == everything(alone)


def test_a_page_that_one_message_opens_is_there_for_the_next(book: Rulebook) -> None:
    first = keep(classify(parse(body([(0, "firing", "critical")]), ""), book), NOW, book)
    second = keep(classify(parse(body([(1, "firing", "critical")]), ""), book), NOW + SECOND, book)
    with stores(1) as (db,):
        outcomes = keep_together(db, [first, second])

        assert [[one.verdict for one in plan.decisions] for plan in outcomes if isinstance(plan, Plan)] == [
            ["opens"],
            ["joins"],
        ]


def test_messages_of_different_groups_are_one_look_and_one_writing(book: Rulebook) -> None:
    def statements(clusters: int) -> int:
        keeps = [
            keep(classify(parse(body([(2 * at, "firing", "critical")]), ""), book), NOW, book) for at in range(clusters)
        ]
        seen: list[str] = []
        with stores(1) as (db,):
            db.set_trace_callback(seen.append)
            keep_together(db, keeps)
        return len([text for text in seen if not text.startswith("-- ")])

    assert statements(3) < 1.5 * statements(2)


def test_nothing_kept_is_nothing_read() -> None:
    with stores(1) as (db,):
        assert keep_together(db, [Keep(Lookup(), lambda ledger: Plan())]) == [Plan()]


def test_the_states_met_are_not_all_the_same(book: Rulebook) -> None:
    """The property above is worth something only if its messages meet pages that are open."""
    with stores(1) as (db,):
        keep(classify(parse(body([(0, "firing", "critical")]), ""), book), NOW, book)(db)
        deliver(db, book, NOW + SECOND)

        assert db.execute("SELECT wanted, delivered FROM pages").fetchall() == [(Wanted.OPEN, State.OPEN)]


def test_a_member_that_leaves_for_a_page_which_moves_is_seen_to_leave_for_the_new_one() -> None:
    old, first, second = values.page("old"), values.page("first"), values.page("second")
    leaving = values.alert("1")
    member = values.member(old, leaving, leaving=first.id)
    seen: list[Member] = []

    def look(ledger: Ledger) -> Plan:
        seen.extend(ledger.members[leaving.id])
        return Plan(members=ledger.members[leaving.id])

    with stores(1) as (db,):
        Keep(Lookup(), values.write(Plan(alerts=(leaving,), pages=(old, first, second), members=(member,))))(db)
        moves = Keep(Lookup(pages=(first.id, second.id)), values.write(Plan(moved=((first.id, second.id),))))
        keep_together(db, [moves, Keep(Lookup(alerts=(leaving.id,)), look)])

        assert [one.leaving for one in seen] == [second.id]
        assert db.execute("SELECT leaving FROM members").fetchall() == [(second.id,)]
