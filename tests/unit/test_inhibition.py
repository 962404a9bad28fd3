"""Who is kept quiet by whom: Alertmanager's own tables, a real one's answers, and its rule written down plainly."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.alert import HOUR, MINUTE, SECOND, Instant
from relay.event import Severity
from relay.page import Suppression, SuppressionKind
from relay.rules.inhibiting import Inhibition, Target
from relay.rules.ledger import Inhibitor, Role
from relay.rules.matchers import Matcher, parse_matchers, valid_label_name
from relay.rules.ruleset import Hold, InhibitRule, Route
from relay.rules.silences import Silences
from relay.rules.suppression import holds, inhibition
from relay.rules.suppression.case import NOTHING, Case, Found
from relay.rules.suppression.holds import held_until
from tests.unit.configuring import errors, loaded, paging

_FOLDER = Path(__file__).parent.parent / "data" / "inhibition"
TABLES = json.loads((_FOLDER / "inhibit.json").read_text(encoding="utf-8"))
TRUTH = json.loads((_FOLDER / "inhibit_truth.json").read_text(encoding="utf-8"))

Labels = Mapping[str, str]
NOON: Instant = 1_782_907_200 * SECOND
"""2026-07-01 12:00:00 UTC."""


class Firing:
    """Who fires where: a small stand-in for the ledger, which keeps the links of the alerts that fire."""

    def __init__(self, rules: Sequence[InhibitRule], entries: int = 8) -> None:
        self.rules = Inhibition(rules, entries)
        self._at: dict[int, dict[tuple[str, Any], Inhibitor]] = {}

    def fires(self, labels: Labels, source: str = "", absent_at: Instant = 0) -> None:
        for link in self.rules.sources(labels, source):
            alert = _identity(labels, source)
            self._at.setdefault(link.key, {})[alert] = Inhibitor(hash(alert), link.role, link.name, absent_at)

    def ends(self, labels: Labels, source: str = "") -> None:
        for link in self.rules.sources(labels, source):
            self._at.get(link.key, {}).pop(_identity(labels, source), None)

    def judge(self, labels: Labels, source: str = "", now: Instant = NOON) -> Found:
        targets = self.rules.targets(labels, source)
        itself = _identity(labels, source)
        inhibitors = {
            key: tuple(one for alert, one in self._at.get(key, {}).items() if alert != itself)
            for key in (target.key for target in targets)
        }
        return inhibition.judge(case(now, labels=labels, source=source, targets=targets, inhibitors=inhibitors))

    def quiet(self, labels: Labels, source: str = "") -> bool:
        return self.judge(labels, source).suppression is not None


def _identity(labels: Labels, source: str) -> tuple[str, Any]:
    return source, tuple(sorted((name, value) for name, value in labels.items() if value))


def case(now: Instant, **known: Any) -> Case:
    """A case in which nothing but what is named matters."""
    plain: dict[str, Any] = {
        "windows": {},
        "route": Route("{}", "{}", 0, "r"),
        "source": "",
        "labels": {},
        "severity": Severity.WARNING,
        "joined_at": NOON,
        "held_until": 0,
        "heard_at": NOON,
        "silences": Silences(),
        "targets": (),
        "inhibitors": {},
    }
    return Case(now=now, **{**plain, **known})


def rule(source: str = "", target: str = "", *equal: str, **more: Any) -> InhibitRule:
    return InhibitRule(
        more.pop("name", ""), parse_matchers(source)[0], parse_matchers(target)[0], tuple(sorted(equal)), **more
    )


def written(row: Mapping[str, Any]) -> InhibitRule:
    """Read a rule of the tables."""
    return InhibitRule("", _side(row, "source"), _side(row, "target"), tuple(sorted(row.get("equal", ()))))


def _side(row: Mapping[str, Any], side: str) -> tuple[Matcher, ...]:
    texts = row.get(f"{side}_matchers", ())
    return (
        *(Matcher("=", name, value) for name, value in row.get(f"{side}_match", {}).items()),
        *(Matcher("=~", name, f"^(?:{value})$") for name, value in row.get(f"{side}_match_re", {}).items()),
        *(one for text in texts for one in (parse_matchers(text)[0] if isinstance(text, str) else (Matcher(*text),))),
    )


def firing(rules: Sequence[InhibitRule], alerts: Sequence[Mapping[str, Any]]) -> Firing:
    """Feed alerts in order: a later one replaces an earlier one with the same labels."""
    found = Firing(rules)
    for alert in alerts:
        if alert.get("resolved"):
            found.ends(alert["labels"])
        else:
            found.fires(alert["labels"])
    return found


# Alertmanager's own tables


@pytest.mark.parametrize("table", TABLES["tables"], ids=lambda table: table["name"])
def test_targets_are_inhibited_as_alertmanagers_tests_say(table: dict[str, Any]) -> None:
    now = firing([written(row) for row in table["rules"]], table["source_alerts"])

    assert [now.quiet(row["target"]) for row in table["cases"]] == [row["inhibited"] for row in table["cases"]]


@pytest.mark.parametrize("row", TABLES["has_equal"], ids=lambda row: row["name"])
def test_equal_labels_agree_as_alertmanagers_tests_say(row: dict[str, Any]) -> None:
    """That table knows no matchers, so each side is told by a label that it does not use."""
    alerts = [{**alert, "labels": {**alert["labels"], "side": "source"}} for alert in row["source_alerts"]]
    now = firing([rule("side=source", "side=target", *row["equal"])], alerts)

    assert now.quiet({**row["input"], "side": "target"}) is row["result"]


@pytest.mark.parametrize("row", TABLES["post_0_34_0"], ids=lambda row: row["name"])
def test_a_set_of_sources_inhibits_while_any_of_them_does(row: dict[str, Any]) -> None:
    now = firing([written(row["rule"])], row["source_alerts"])
    assert now.quiet(row["input"]) is row["result"]

    for alert in row.get("then_expire", ()):
        now.ends(alert["labels"])
        assert now.quiet(row["input"]) is row["result_after_expiry"]


@pytest.mark.parametrize("row", TABLES["scenarios"], ids=lambda row: row["name"])
def test_over_time_those_are_told_that_alertmanager_tells(row: dict[str, Any], tmp_path: Path) -> None:
    rules = loaded(tmp_path, paging("routing_key: KEY", rest=row["config_yaml"])).rules.inhibit_rules
    assert len(rules) == 1
    if isinstance(row["want"], str):  # `-`, a rule that says nothing: every alert is source and target of it
        now = firing(rules, [{"labels": {"alertname": "a"}}])
        assert not now.quiet({"alertname": "b"})
        return
    for want in row["want"]:
        alerts = {
            _identity(push["labels"], ""): push for push in row["push"] if push["at"] <= want["between"][0]
        }.values()
        live = [push["labels"] for push in alerts if "ends_at" not in push]
        now = firing(rules, [{"labels": labels} for labels in live])
        told = [labels for labels in live if not now.quiet(labels)]
        ended = [push["labels"] for push in alerts if "ends_at" in push]

        assert _sorted(told + ended) == _sorted([alert["labels"] for alert in want["alerts"]])


def _sorted(alerts: list[dict[str, str]]) -> list[tuple[str, Any]]:
    return sorted(_identity(labels, "") for labels in alerts)


@pytest.mark.parametrize("row", TABLES["rule_config"], ids=lambda row: f"{row['mode']}: {row['equal']}")
def test_a_rule_loads_as_in_alertmanager(row: dict[str, Any], tmp_path: Path) -> None:
    if row["mode"] == "classic":  # the relay reads as Alertmanager's default mode does, which allows all of UTF-8
        labels = ["corge", "qux🙂" if row["error"] else "qux"]
        assert all(valid_label_name(label, "classic") for label in labels) is (row["error"] is None)
        return
    text = indent(row["yaml"].strip(), "  ").replace(" ", "-", 1)
    (found,) = loaded(tmp_path, paging("routing_key: KEY", rest=f"inhibit_rules:\n{text}\n")).rules.inhibit_rules

    assert found.equal == tuple(sorted(row["equal"]))


def test_a_label_that_cannot_be_one_is_refused_in_alertmanagers_words(tmp_path: Path) -> None:
    text = paging("routing_key: KEY", rest="inhibit_rules: [{equal: ['']}]\n")

    assert [error.partition(": ")[2] for error in errors(tmp_path, text)] == [
        'inhibit_rules[0].equal[0]: invalid label name "" in equal list'
    ]


@pytest.mark.parametrize("row", TRUTH, ids=lambda row: row["config"])
def test_a_running_alertmanager_inhibits_the_same(row: dict[str, Any]) -> None:
    rules = [written(one) for one in row["inhibit_rules"]]

    for one in row["cases"]:
        now = firing(rules, one["alerts"])
        live = [at for at, alert in enumerate(one["alerts"]) if not alert.get("resolved")]
        assert [at for at in live if now.quiet(one["alerts"][at]["labels"])] == one["inhibited"], one["name"]


# Alertmanager's rule, written down as plainly as can be

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["", "x", "y"])
MATCHERS = st.builds(Matcher, st.sampled_from(["=", "=", "!="]), NAMES, VALUES) | st.builds(
    Matcher, st.sampled_from(["=~", "!~"]), NAMES, st.sampled_from(["", "x|y", "[xy]", ".+", ".*"])
)
SIDES = st.lists(MATCHERS, max_size=2).map(tuple)
RULES = st.builds(
    InhibitRule,
    name=st.just(""),
    source=SIDES,
    target=SIDES,
    equal=st.lists(NAMES, unique=True, max_size=2).map(lambda names: tuple(sorted(names))),
    across_sources=st.booleans(),
)
ALERTS = st.tuples(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), VALUES), st.sampled_from(["", "eu"]))


def inhibited(labels: Labels, source: str, alerts: Sequence[tuple[Labels, str]], rules: Sequence[InhibitRule]) -> bool:
    """Go through everything (inhibit/inhibit.go, as of 0.34.1)."""
    return any(
        _takes(rule.target, labels)
        and _takes(rule.source, other)
        and all(labels.get(name, "") == other.get(name, "") for name in rule.equal)
        and not (_takes(rule.source, labels) and _takes(rule.target, other))
        and (rule.across_sources or source == where)
        for rule in rules
        for other, where in alerts
    )


def _takes(matchers: Sequence[Matcher], labels: Labels) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)


@given(st.lists(RULES, max_size=12), st.lists(ALERTS, max_size=12), st.lists(ALERTS, max_size=6))
def test_index_keys_and_memory_change_nothing(
    rules: list[InhibitRule], alerts: list[tuple[Labels, str]], ended: list[tuple[Labels, str]]
) -> None:
    now = Firing(rules, entries=4)
    for labels, source in alerts + ended:
        now.fires(labels, source)
    for labels, source in {_identity(*one): one for one in ended}.values():
        now.ends(labels, source)
    gone = {_identity(*one) for one in ended}
    live = [one for one in alerts if _identity(*one) not in gone]

    for labels, source in alerts + ended:
        assert now.quiet(labels, source) is inhibited(labels, source, live, rules)


# The keys


class Counted(dict[str, str]):
    """Labels that count how often they are asked."""

    asked = 0

    def get(self, *args: Any) -> Any:
        self.asked += 1
        return super().get(*args)


def test_the_cost_of_an_alert_does_not_grow_with_the_rules() -> None:
    asked = []
    for count in (10, 1_000):
        rules = [rule(f'alertname="A{at}",severity="critical"', f'team="t{at}"', "cluster") for at in range(count)]
        many = Inhibition(rules)
        labels = Counted(alertname="A3", severity="critical", team="t5", cluster="eu1")
        assert (len(many.sources(labels, "")), len(many.targets(labels, ""))) == (1, 1)
        asked.append(labels.asked)

    assert asked[1] <= asked[0] + 4


def key(one: InhibitRule, labels: Labels, source: str = "") -> int:
    """Name where an alert stands as a target of the only rule."""
    (target,) = Inhibition([one]).targets(labels, source)
    return target.key


def test_a_key_survives_a_reload_that_does_not_touch_its_rule() -> None:
    labels = {"job": "api", "cluster": "eu1"}
    before = key(rule("a=1,b=2", "job=api", "cluster", name="node down", line=3), labels)
    edits = [
        rule("b=2,a=1", "job=api", "cluster", name="renamed", line=9, hold=Hold(default=SECOND)),
        rule("a=1,b=3", "job=api", "cluster"),
        rule("a=1,b=2", "job=~api", "cluster"),
        rule("a=1,b=2", "job=api", "cluster", "job"),
        rule("a=1,b=2", "job=api", "cluster", across_sources=True),
    ]

    assert [key(edit, labels) == before for edit in edits] == [True, False, False, False, False]
    assert before == 2975022247551693226, "keys stand in the store: a change would lose who inhibits whom"


def test_values_that_hold_what_separates_them_are_kept_apart() -> None:
    one = rule("", "", "a", "b")

    assert key(one, {"a": "x\x00y", "b": "z"}) != key(one, {"a": "x", "b": "y\x00z"})


@pytest.mark.parametrize(("across", "quiet"), [(False, False), (True, True)])
def test_source_and_target_come_from_one_source_unless_the_rule_says_otherwise(across: bool, quiet: bool) -> None:
    now = Firing([rule("a=1", "b=1", across_sources=across)])
    now.fires({"a": "1"}, "eu")

    assert now.quiet({"b": "1"}, "us") is quiet
    assert now.quiet({"b": "1"}, "eu")


def test_a_rule_written_twice_counts_once_and_targets_come_in_the_order_of_the_file() -> None:
    rules = [rule("a=1", "b=1", name="1"), rule("a=2", "b=1", name="2"), rule("a=1", "b=1", name="3")]
    many = Inhibition(rules)

    assert [target.rule.name for target in many.targets({"b": "1"}, "")] == ["1", "2"]
    assert len(many.sources({"a": "1"}, "")) == 1


def test_without_rules_nobody_meets_anybody() -> None:
    nothing = Inhibition([])

    assert (nothing.sources({"a": "1"}, ""), nothing.targets({"a": "1"}, "")) == ((), ())


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (
            {"alertname": "NodeDown", "instance": "a", "cluster": "eu1", "severity": "critical"},
            'NodeDown{instance="a"}',
        ),
        ({"alertname": "NodeDown", "zone": "1", "instance": "a"}, 'NodeDown{instance="a", zone="1"}'),
        ({"alertname": "NodeDown"}, "NodeDown"),
        ({"alertname": "NodeDown", "instance": ""}, "NodeDown"),
        ({"instance": 'a"b'}, '{instance="a\\"b"}'),
        ({}, "{}"),
        ({"alertname": "A" * 200, "instance": "i"}, "A" * 59 + '…{instance="i"}'),
        ({"alertname": "A", "instance": "i" * 200, "z": "z" * 80}, 'A{instance="' + "i" * 59 + '…", …}'),
    ],
)
def test_a_source_is_named_by_what_tells_it_apart(labels: dict[str, str], name: str) -> None:
    labels = {**labels, "severity": "critical"}
    (link,) = Inhibition([rule("severity=critical", "severity=warning", "cluster")]).sources(labels, "")

    assert link.name == name


@given(st.dictionaries(st.text(max_size=80), st.text(max_size=300), max_size=12))
def test_a_name_stays_short(labels: dict[str, str]) -> None:
    (link,) = Inhibition([rule("", "side=target")]).sources(labels, "")

    assert 0 < len(link.name) <= 120
    assert "\n" not in link.name


# What is said


def test_a_reason_names_rule_source_and_equal_labels() -> None:
    now = Firing([rule("alertname=NodeDown", "severity=warning", "cluster", name="node down")])
    now.fires({"alertname": "NodeDown", "instance": "a", "cluster": "eu1"})

    assert now.judge({"severity": "warning", "cluster": "eu1"}) == Found(
        Suppression(
            SuppressionKind.INHIBITION,
            'inhibited by inhibit rule "node down": NodeDown{instance="a"} fires with the same cluster="eu1"',
        )
    )


def test_a_rule_without_name_or_equal_labels_is_told_by_its_line() -> None:
    now = Firing([rule("alertname=NodeDown", "severity=warning", line=12)])
    now.fires({"alertname": "NodeDown"})
    found = now.judge({"severity": "warning"}).suppression

    assert found is not None
    assert found.because == "inhibited by the inhibit rule in line 12: NodeDown fires"


def test_an_absent_source_counts_for_an_hour() -> None:
    now = Firing([rule("a=1", "b=1", name="r")])
    now.fires({"a": "1", "alertname": "A"}, absent_at=NOON - MINUTE)
    end = NOON - MINUTE + HOUR
    found = now.judge({"b": "1"})

    assert (found.again, found.suppression and found.suppression.until) == (end, end)
    assert found.suppression is not None
    assert found.suppression.because == (
        'inhibited by inhibit rule "r": A fires; absent since 11:59:00 UTC, it counts until 12:59:00 UTC'
    )
    assert now.judge({"b": "1"}, now=end - 1).suppression == found.suppression
    assert now.judge({"b": "1"}, now=end) == NOTHING
    assert now.judge({"b": "1"}, now=NOON - HOUR) == NOTHING, "the clock was set back"


def test_a_source_that_is_there_is_named_before_one_that_is_absent() -> None:
    now = Firing([rule("a=1", "b=1"), rule("a=2", "b=1")])
    now.fires({"a": "1", "alertname": "First"}, absent_at=NOON - 2 * MINUTE)
    now.fires({"a": "1", "alertname": "Last", "x": "y"}, absent_at=NOON - MINUTE)
    found = now.judge({"b": "1"})
    assert found.suppression is not None
    assert "Last" in found.suppression.because, "it counts longest"
    assert found.again == NOON - MINUTE + HOUR

    now.fires({"a": "2", "alertname": "There"})
    found = now.judge({"b": "1"})
    assert found.suppression is not None
    assert "There" in found.suppression.because
    assert (found.again, found.suppression.until) == (None, None)


@pytest.mark.parametrize(
    ("role", "is_source", "quiet"),
    [
        (Role.SOURCE, False, True),
        (Role.SOURCE, True, True),
        (Role.TWO_SIDED, False, True),
        (Role.TWO_SIDED, True, False),
        (Role.WATCHER, False, False),
    ],
)
def test_who_inhibits_whom(role: Role, is_source: bool, quiet: bool) -> None:
    found = inhibition.judge(
        case(NOON, targets=(Target(7, rule(), is_source),), inhibitors={7: (Inhibitor(1, role, "A"),)})
    )

    assert (found.suppression is not None) is quiet


INHIBITORS = st.builds(
    Inhibitor,
    st.integers(1, 5),
    st.sampled_from(Role),
    st.sampled_from("AB"),
    st.sampled_from([0, NOON - 2 * HOUR, NOON - 50 * MINUTE, NOON]),
)


@given(st.lists(INHIBITORS, max_size=12), st.booleans())
def test_a_handful_speaks_for_all_who_inhibit_at_a_key(there: list[Inhibitor], is_source: bool) -> None:
    asked = case(NOON, targets=(Target(7, rule(), is_source),))
    few = inhibition.strongest(there)

    assert len(few) <= 4
    assert few == inhibition.strongest(reversed(few))
    by_all, by_few = (inhibition.judge(asked._replace(inhibitors={7: tuple(some)})) for some in (there, few))
    assert by_few.again == by_all.again
    assert (by_few.suppression is None) is (by_all.suppression is None)


# Holds

HELD = Route("{}", "{}", 0, "r", hold_trigger=Hold({Severity.CRITICAL: 0}, 5 * MINUTE))
MAYBE = (Target(1, rule(name="quick", hold=Hold(default=SECOND)), False), Target(2, rule(name="slow"), False))


def waiting(seconds: int) -> tuple[Target, ...]:
    return (*MAYBE, Target(3, rule(name="long", hold=Hold({Severity.CRITICAL: 0}, seconds * SECOND)), False))


@pytest.mark.parametrize(
    ("route", "severity", "targets", "inhibited", "length"),
    [
        (Route("{}", "{}", 0, "r"), Severity.WARNING, (), False, 0),
        (HELD, Severity.WARNING, (), False, 5 * MINUTE),
        (HELD, Severity.CRITICAL, (), False, 0),
        (Route("{}", "{}", 0, "r"), Severity.WARNING, waiting(5), False, 5 * SECOND),
        (Route("{}", "{}", 0, "r"), Severity.WARNING, waiting(5), True, 0),
        (Route("{}", "{}", 0, "r"), Severity.CRITICAL, waiting(5), False, SECOND),
        (HELD, Severity.WARNING, waiting(5), False, 5 * MINUTE),
        (HELD, Severity.WARNING, waiting(600), False, 10 * MINUTE),
        (HELD, Severity.WARNING, waiting(600), True, 5 * MINUTE),
    ],
)
def test_an_alert_is_held_for_the_longest_that_counts(
    route: Route, severity: Severity, targets: tuple[Target, ...], inhibited: bool, length: int
) -> None:
    assert held_until(NOON, route, severity, targets, inhibited) == NOON + length


def test_a_hold_says_when_it_ends_and_ends_then() -> None:
    end = NOON + 5 * MINUTE
    held = case(NOON + SECOND, route=HELD, joined_at=NOON, held_until=end)
    because = "hold_trigger: pages if it still fires at 12:05:00 UTC"

    assert holds.judge(held) == Found(Suppression(SuppressionKind.HOLD, because, end), again=end)
    assert holds.judge(held._replace(now=end - 1)).again == end
    assert holds.judge(held._replace(now=end)) == NOTHING
    assert holds.judge(held._replace(held_until=0)) == NOTHING


def test_an_alert_waits_for_its_inhibitor_when_its_own_hold_is_over() -> None:
    end = NOON + 10 * MINUTE
    held = case(NOON, route=HELD, joined_at=NOON, held_until=end, targets=waiting(600))
    because = 'waits until 12:10:00 UTC for an alert that inhibit rule "long" may inhibit it with'

    assert holds.judge(held._replace(now=NOON + 5 * MINUTE)) == Found(
        Suppression(SuppressionKind.INHIBIT_HOLD, because, end), again=end
    )
    found = holds.judge(held._replace(now=NOON + 5 * MINUTE - 1)).suppression
    assert found is not None
    assert found.kind is SuppressionKind.HOLD


def test_a_hold_stands_when_its_rule_is_gone() -> None:
    found = holds.judge(case(NOON, held_until=NOON + SECOND)).suppression

    assert found is not None
    assert found.because == "waits until 12:00:01 UTC for an alert that may inhibit it"


def test_a_hold_that_ends_on_another_day_says_so() -> None:
    found = holds.judge(case(NOON, route=HELD, held_until=NOON + 13 * HOUR)).suppression

    assert found is not None
    assert found.because.endswith("2026-07-02 01:00:00 UTC")


def test_a_clock_that_is_set_back_holds_nothing_for_longer() -> None:
    assert holds.judge(case(NOON - 1, route=HELD, joined_at=NOON, held_until=NOON + 5 * MINUTE)) == NOTHING
