"""Storms: which new pages count and fold, when a storm is over, what opens then, and what the storm page says."""

import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.alert import MINUTE, SECOND
from relay.config import load
from relay.decision import Verdict
from relay.event import Severity
from relay.ingress.alertmanager import parse
from relay.page import Lane, Line, Page, State, Wanted, short_id
from relay.rules.classify import classify
from relay.rules.judge import judge
from relay.rules.ledger import Ledger, Lookup, Plan
from relay.rules.pages import plan
from relay.rules.render import LONGEST_EVENT
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Integration, Storm
from relay.rules.storm_event import NAMED, WORST, Census, storm_event
from relay.rules.storms import Home, Stood, StormBegins, counts, opened_at_its_end, storm_id
from relay.storms import Storms
from tests.model.engines import Dictionaries

NOW = 1_700_000_000 * SECOND
KEY = "0123456789abcdef0123456789abcdef"


def integration(pages: int = 60, within: int = MINUTE) -> Integration:
    return Integration("i", "k", "http://x", "payments", storm=Storm(pages, within))


def page(number: int = 1, **more: Any) -> Page:
    known: dict[str, Any] = {"severity": Severity.WARNING, "revision": 1, **more}
    return Page(number, "i", f"key {number}", "", "g", "payments", **known)


def folding(storms: Storms, count: int, at: int = NOW, first: int = 0, where: Integration | None = None) -> list[bool]:
    """Count so many new pages; say of each whether it folds."""
    return [storms.folds(where or integration(), page(n), at) for n in range(first, first + count)]


# What goes first


@pytest.mark.parametrize("new", [word for word in Severity if word is not Severity.CRITICAL])
@pytest.mark.parametrize("shown", [word for word in Severity if word is not Severity.CRITICAL])
def test_a_storm_page_goes_before_what_is_new_with_it_and_not_critical(new: Severity, shown: Severity) -> None:
    ordinary, storm = plan(page(severity=new), NOW), plan(page(storm=True, severity=shown), NOW + MINUTE - 1)
    assert storm.lane is Lane.ERROR
    assert ordinary.lane is not None
    assert (storm.lane, storm.due_at) < (ordinary.lane, ordinary.due_at)
    critical = plan(page(severity=Severity.CRITICAL), NOW)
    assert critical.lane is not None
    assert critical.lane < storm.lane


def test_a_storm_page_waits_for_its_back_off_and_is_resolved_in_the_lane_of_resolves() -> None:
    failed = page(storm=True, lane=Lane.ERROR, failures=2, due_at=NOW + 9 * SECOND)
    assert plan(failed, NOW).due_at == NOW + 9 * SECOND
    over = page(storm=True, wanted=Wanted.CLOSED, lines=(Line("k", "u", State.OPEN),))
    assert plan(over, NOW).lane is Lane.RESOLVE


# What counts


COUNTING: list[tuple[str, Page, Page | None, bool]] = [
    ("one that was never there", page(), None, True),
    ("one that begins anew", page(episode=2), page(wanted=Wanted.CLOSED), True),
    ("one that was kept quiet", page(), page(wanted=Wanted.QUIET), True),
    ("one that waits to be sent already", page(), page(), False),
    ("one that is quiet", page(wanted=Wanted.QUIET), None, False),
    ("a critical", page(severity=Severity.CRITICAL), None, False),
    ("an error", page(severity=Severity.ERROR), None, True),
    ("the storm page", page(storm=True), None, False),
    ("one that takes another's place", page(opened_because="it grew"), None, False),
    ("one that is open there", page(lines=(Line("k", "u", State.OPEN),)), page(wanted=Wanted.CLOSED), False),
    ("one that may be", page(lines=(Line("k", "u", State.UNKNOWN_RESOLVE),)), page(wanted=Wanted.CLOSED), False),
    ("one that is closed there", page(lines=(Line("k", "u", State.CLOSED),)), page(wanted=Wanted.CLOSED), True),
]


@pytest.mark.parametrize(("what", "now", "before", "new"), COUNTING, ids=[one[0] for one in COUNTING])
def test_a_new_page_is_one_of_which_nothing_is_open_and_no_critical(
    what: str, now: Page, before: Page | None, new: bool
) -> None:
    assert counts(now, before) is new


def test_the_61st_new_page_within_a_minute_folds() -> None:
    assert folding(Storms(), 62) == [False] * 60 + [True] * 2


def test_a_storm_is_over_when_fewer_than_60_came_in_the_last_minute() -> None:
    storms = Storms()
    folding(storms, 100)
    folding(storms, 20, NOW + 10 * SECOND, first=100)

    assert storms.over_at(integration(), NOW + 20 * SECOND) == NOW + MINUTE
    assert storms.lasts(integration(), NOW + MINUTE - 1)
    assert not storms.lasts(integration(), NOW + MINUTE)
    assert folding(storms, 41, NOW + MINUTE, first=200) == [False] * 40 + [True]


def test_a_page_that_is_asked_about_again_is_counted_once_and_told_the_same() -> None:
    storms = Storms()
    first = folding(storms, 70)

    assert folding(storms, 70, NOW + SECOND) == first
    assert storms.over_at(integration(), NOW + SECOND) == NOW + MINUTE


def test_what_a_failed_transaction_counted_slides_out_and_what_comes_again_is_what_it_was() -> None:
    storms = Storms()
    folding(storms, 50)  # its transaction failed, and the body comes again

    assert folding(storms, 60, NOW + 5 * SECOND) == [False] * 60
    assert not storms.lasts(integration(), NOW + 65 * SECOND)


def test_a_batch_that_is_undone_and_run_again_folds_what_it_folded_before() -> None:
    storms = Storms()
    rows = [[page(10 * message + n) for n in range(10)] for message in range(64)]

    def run() -> list[bool]:
        return [storms.folds(integration(), one, NOW + at) for at, body in enumerate(rows) for one in body]

    first = run()
    assert (first.count(False), run() == first) == (60, True)


def test_a_clock_that_was_set_back_makes_no_storm_last() -> None:
    storms = Storms()
    folding(storms, 100)

    assert not storms.lasts(integration(), NOW - 3600 * SECOND)
    assert folding(storms, 1, NOW - 3600 * SECOND, first=500) == [False]


def test_a_storm_that_goes_on_from_before_folds_at_once_until_then() -> None:
    storms = Storms()
    storms.go_on("i", NOW + 30 * SECOND)

    assert folding(storms, 1) == [True]
    assert folding(storms, 1, NOW + 30 * SECOND, first=9) == [False]


def test_an_integration_without_storms_folds_nothing() -> None:
    storms = Storms()
    off = Integration("i", "k", "http://x", "payments", storm=None)

    assert not any(folding(storms, 1000, where=off))
    assert not storms.lasts(off, NOW)


def test_threads_that_count_at_once_do_not_overshoot() -> None:
    storms = Storms()
    opened: list[bool] = []

    def count(first: int) -> None:
        opened.extend(folding(storms, 50, first=first))

    threads = [threading.Thread(target=count, args=(50 * n,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert opened.count(False) == 60


@given(gaps=st.lists(st.integers(0, 40), max_size=60), pages=st.integers(1, 5))
def test_no_minute_sees_more_pages_open_by_themselves_than_the_rule_says(gaps: list[int], pages: int) -> None:
    storms, where, now = Storms(), integration(pages), NOW
    came: list[tuple[int, bool]] = []
    for number, gap in enumerate(gaps):
        now += gap * SECOND
        folds = storms.folds(where, page(number), now)
        recent = [at for at, _ in came if at > now - MINUTE]
        came.append((now, folds))

        assert folds is (len(recent) >= pages)
        assert sum(not folded for at, folded in came if at > now - MINUTE) <= pages


def test_a_count_of_a_million_pages_holds_no_more_than_make_a_storm() -> None:
    storms = Storms()
    for number in range(100_000):
        storms.folds(integration(), page(number), NOW + number)
    window = storms._windows["i"]

    assert max(len(window._times), len(window._folded), len(window._opened)) <= 60


# What opens at the end

ENDS = [
    ([Home(n, 1, 2) for n in range(30)], 2_000, tuple(range(20))),
    ([Home(n, 1, 2) for n in range(3)], 2_000, (0, 1, 2)),
    ([Home(1, 1_500, 1), Home(2, 900, 2), Home(3, 400, 2)], 2_000, (1, 3)),
    ([], 2_000, ()),
]


@pytest.mark.parametrize(("homes", "most", "opened"), ENDS)
def test_at_its_end_at_most_twenty_open_and_only_what_moves_at_once(
    homes: list[Home], most: int, opened: tuple[int, ...]
) -> None:
    assert opened_at_its_end(homes, most) == opened


# The judgement

NOTHING = Ledger({}, {}, {})


class Desk:
    """A relay reduced to its judgement, with a count of new pages."""

    def __init__(self, folder: Path, storm: object = None, **route: object) -> None:
        receivers = [{"name": "a", "pagerduty_configs": [{"routing_key": KEY}]}]
        tree = {"receiver": "a", "dedup_key": "{labels.group}", **route}
        top = {} if storm is None else {"global": {"storm": storm}}
        file = folder / "relay.yml"
        file.write_text(json.dumps({**top, "route": tree, "receivers": receivers}))
        loaded = load(file, {})
        self.book = Rulebook(loaded.rules, loaded.keys)
        self.engine, self.storms, self.now = Dictionaries(), Storms(), NOW

    def post(self, *alerts: dict[str, object]) -> Plan:
        draft = classify(parse(json.dumps({"version": "4", "groupKey": "G", "alerts": alerts}).encode(), ""), self.book)
        watch = self.storms.watch(draft.entries, draft.lookup, self.book, self.now)
        return self.engine.keep(watch.lookup, lambda ledger: judge(draft, ledger, self.now, self.book, storms=watch))

    def folded(self) -> list[Page]:
        return [one for one in self.engine.pages() if one.folded is not None]

    @property
    def storm(self) -> Page:
        (found,) = [one for one in self.engine.pages() if one.storm]
        return found


def alert(group: int | str, severity: str = "warning", *, fires: bool = True, **labels: str) -> dict[str, object]:
    return {
        "status": "firing" if fires else "resolved",
        "labels": {"alertname": "Down", "group": f"g{group}", "severity": severity, **labels},
        "annotations": {},
        "startsAt": "2026-01-01T00:00:10Z",
        "endsAt": "0001-01-01T00:00:00Z" if fires else "2026-01-01T00:00:20Z",
    }


def test_one_message_of_a_thousand_new_pages_folds_from_the_61st_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    plan = desk.post(*(alert(n) for n in range(1_000)))

    verdicts = [one.verdict for one in plan.decisions]
    assert verdicts == [Verdict.OPENS] * 60 + [Verdict.FOLDED] * 940
    assert (len(desk.folded()), desk.storm.firing, desk.storm.tally) == (940, 940, {"2 0 {}": 940})
    assert plan.moved == ()
    assert [(one.receiver, one.pages, one.alerts) for one in plan.folded] == [("a", 940, 940)]


def test_a_folded_alert_says_into_which_page_and_why(tmp_path: Path) -> None:
    desk = Desk(tmp_path, storm={"pages": "1", "within": "90s"})

    plan = desk.post(alert(1), alert(2))

    home = next(one for one in desk.engine.pages() if one.dedup_key == "g2")
    told = plan.decisions[1]
    into = short_id(desk.storm.id)
    assert told.steps[-1].because == f"folded into page {into}: more than 1 new pages within 1m30s at a"
    assert told.pages == (short_id(home.id), into)
    assert (home.wanted, home.folded, home.lane) == (Wanted.CLOSED, desk.storm.id, None)


def test_a_folded_alert_that_is_named_again_changes_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, storm={"pages": "1", "within": "1m"})
    body = [alert(n) for n in range(4)]
    desk.post(*body)

    again = desk.post(*body)

    assert {one.verdict for one in again.decisions} == {Verdict.REPEATS}
    assert (again.pages, again.members) == ((), ())


def test_an_alert_that_joins_a_folded_page_folds_too_while_the_storm_lasts(tmp_path: Path) -> None:
    desk = Desk(tmp_path, storm={"pages": "1", "within": "1m"})
    desk.post(alert(1), alert(2))

    plan = desk.post(alert(2, instance="b"))

    assert [one.verdict for one in plan.decisions] == [Verdict.FOLDED]
    assert desk.storm.firing == 2


def test_a_critical_opens_its_page_though_that_was_folded(tmp_path: Path) -> None:
    desk = Desk(tmp_path, storm={"pages": "1", "within": "1m"}, severity={"critical": "critical", "default": "warning"})
    desk.post(alert(1), alert(2))

    plan = desk.post(alert(2, "critical"))

    home = next(one for one in desk.engine.pages() if one.dedup_key == "g2")
    assert [one.verdict for one in plan.decisions] == [Verdict.OPENS]
    assert (home.wanted, home.folded, home.severity) == (Wanted.OPEN, None, Severity.CRITICAL)
    assert desk.storm.severity is Severity.WARNING


def test_the_storm_page_closes_with_the_last_of_its_alerts(tmp_path: Path) -> None:
    desk = Desk(tmp_path, storm={"pages": "1", "within": "1m"})
    desk.post(*(alert(n) for n in range(4)))

    desk.post(*(alert(n, fires=False) for n in range(3)))
    assert (desk.storm.wanted, desk.storm.firing) == (Wanted.OPEN, 1)
    plan = desk.post(alert(3, fires=False))

    assert [one.verdict for one in plan.decisions] == [Verdict.SUPERSEDES]
    assert (desk.storm.wanted, desk.storm.tally, desk.storm.shape) == (Wanted.CLOSED, {}, 0)


def test_an_alert_of_two_pages_of_one_key_is_in_the_storm_page_once(tmp_path: Path) -> None:
    routes = [
        {"receiver": "a", "dedup_key": "x{labels.group}", "continue": "true"},
        {"receiver": "a", "dedup_key": "y{labels.group}"},
    ]
    desk = Desk(tmp_path, storm={"pages": "1", "within": "1m"}, routes=routes)
    desk.post(*(alert(n) for n in range(3)))
    assert desk.storm.firing == 3

    again = desk.post(*(alert(n) for n in range(3)))
    assert {one.verdict for one in again.decisions} == {Verdict.REPEATS}
    desk.post(*(alert(n, fires=False) for n in range(3)))
    assert desk.storm.wanted is Wanted.CLOSED


def test_a_storm_that_begins_where_its_page_was_not_looked_up_asks_for_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, storm={"pages": "3", "within": "1m"})
    drafts = [classify(parse(json.dumps({"alerts": [alert(n)]}).encode(), ""), desk.book) for n in range(4)]
    watches = [desk.storms.watch(one.entries, one.lookup, desk.book, NOW) for one in drafts]
    for draft, watch in zip(drafts[:3], watches[:3], strict=True):
        judge(draft, NOTHING, NOW, desk.book, storms=watch)

    with pytest.raises(StormBegins) as missing:
        judge(drafts[3], NOTHING, NOW, desk.book, storms=watches[3])

    desk.storms.look_up(missing.value)
    (name,) = desk.book.rules.integrations
    looked_up = desk.storms.watch(drafts[3].entries, drafts[3].lookup, desk.book, NOW)
    assert storm_id(name) in looked_up.lookup.pages
    plan = judge(drafts[3], NOTHING, NOW, desk.book, storms=looked_up)
    assert [one.verdict for one in plan.decisions] == [Verdict.FOLDED]


def test_off_folds_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path, storm="off")

    plan = desk.post(*(alert(n) for n in range(200)))

    assert {one.verdict for one in plan.decisions} == {Verdict.OPENS}


def test_far_from_a_storm_nothing_more_is_looked_up(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    lookup = Lookup(alerts=(1,), pages=(2,))
    draft = classify(parse(json.dumps({"alerts": [alert(1)]}).encode(), ""), desk.book)

    assert desk.storms.watch(draft.entries, lookup, desk.book, NOW).lookup is lookup


# What it says


def stood(number: int, name: str = "Slow", severity: Severity = Severity.WARNING, **more: Any) -> Stood:
    raw = json.dumps({"labels": {"alertname": name, "n": str(number), **more.get("labels", {})}, "annotations": {}})
    home = more.get("home", number)
    return Stood(number, home, severity, 0, more.get("quiet", False), NOW - number * SECOND, raw.encode())


def told(*rows: Stood) -> Any:
    found = Census()
    found.add(rows)
    return storm_event(page(storm=True, opened_at=NOW), found, integration(), "http://relay/pages/x")


SUMMARIES = [
    ([stood(1)], "[warning] Storm: 1 page folded (1 Slow)"),
    ([stood(1), stood(2), stood(3, "Down")], "[warning] Storm: 3 pages folded (2 Slow, 1 Down)"),
    (
        [
            *(stood(n) for n in range(1_200)),
            *(stood(n, "NodeDown") for n in range(1_200, 1_700)),
            stood(1_700, "Z"),
            stood(1_701, "Y"),
        ],
        "[warning] Storm: 1,702 pages folded (1,200 Slow, 500 NodeDown, 2 others)",
    ),
    ([stood(1), stood(2, home=1)], "[warning] Storm: 1 page folded (1 Slow)"),
    ([stood(1), stood(2, quiet=True)], "[warning] Storm: 1 page folded (1 Slow)"),
    ([stood(1, "a"), stood(2, "b"), stood(3, "c")], "[warning] Storm: 3 pages folded (1 a, 1 b, 1 c)"),
    ([stood(1, "")], "[warning] Storm: 1 page folded (1 (no alertname))"),
]


@pytest.mark.parametrize(("rows", "summary"), SUMMARIES)
def test_the_summary_counts_pages_by_alertname(rows: list[Stood], summary: str) -> None:
    assert told(*rows).summary == summary


def test_the_details_list_thirty_names_and_the_twenty_worst() -> None:
    rows = [stood(n, f"N{n % 50:02}") for n in range(1, 201)] + [stood(999, "Bad", Severity.ERROR)]

    details = told(*rows).custom_details

    assert (details["pages_folded"], details["alerts_firing"]) == (201, 201)
    assert len(details["pages_by_alertname"]) == NAMED
    assert sum(details["pages_by_alertname"].values()) + details["pages_of_other_alertnames"] == 201
    assert len(details["worst"]) == WORST
    assert details["worst"][0]["labels"]["alertname"] == "Bad"
    assert [one["labels"]["n"] for one in details["worst"][1:4]] == ["200", "199", "198"], "then the longest firing"
    assert details["all_of_them"] == "http://relay/pages/x"


def test_slices_count_as_one_look_does() -> None:
    rows = [stood(n, f"N{n % 7}", home=n // 2) for n in range(500)]
    whole, sliced = Census(), Census()
    whole.add(rows)
    for at in range(0, 500, 37):
        sliced.add(rows[at : at + 37])

    where = page(storm=True, opened_at=NOW)
    assert storm_event(where, whole, integration(), "") == storm_event(where, sliced, integration(), "")


def test_huge_labels_stay_below_what_pagerduty_takes() -> None:
    labels = {f"label{n}" + "\u00e9" * 300: "\U0001f4a5" * 5_000 for n in range(300)}
    rows = [stood(n, "\U0001f4a5" * 3_000 + str(n), labels=labels) for n in range(60)]

    event = told(*rows)

    assert len(msgspec.json.encode(event)) < LONGEST_EVENT
    assert len(event.summary) <= 1_024


def test_what_a_storm_page_says_does_not_change_by_itself() -> None:
    event = told(stood(1))

    assert event == told(stood(1))
    assert replace(event, summary="") != event
