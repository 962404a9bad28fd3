"""What a route says, what it inherits, and what it does not."""

from pathlib import Path

import pytest

from relay.alert import HOUR, MINUTE, SECOND
from relay.event import Severity
from relay.rules.routing import walk
from relay.rules.ruleset import Route, SeverityMap
from relay.rules.severity import decide
from tests.unit.configuring import errors, loaded

RECEIVERS = "receivers: [{name: a}, {name: b}]\ntime_intervals: [{name: t}]\n"


def tree(folder: Path, route: str) -> Route:
    return loaded(folder, f"route: {{receiver: a, {route}}}\n{RECEIVERS}").rules.root


def test_a_bare_root_has_the_relays_own_defaults(tmp_path: Path) -> None:
    root = loaded(tmp_path, f"route: {{receiver: a}}\n{RECEIVERS}").rules.root

    assert (root.group_wait, root.group_interval, root.repeat_interval) == (0, MINUTE, 4 * HOUR)
    assert (root.group_by, root.group_by_all, root.dedup_key) == (None, False, None)
    assert (root.severity_label, root.on_mute, root.regroup.urgency) == ("severity", "leave", True)
    assert decide(root, {"severity": "Warning"}) == (Severity.WARNING, None)
    assert decide(root, {})[0] is Severity.ERROR
    assert (root.id, root.key, root.order, root.line) == ("{}", "{}", 0, 1)


SETTINGS = """\
group_by: [z, b], group_wait: 1s, group_interval: 2m, repeat_interval: 3h, severity_label: prio,
severity: {P1: critical, default: warning}, regroup: {urgency: false}, on_mute: resolve,
routes: [{matchers: [a=b]}]
"""


def test_a_child_inherits_what_it_does_not_set(tmp_path: Path) -> None:
    (child,) = tree(tmp_path, SETTINGS).routes

    assert child.receiver == "a"
    assert (child.group_by, child.group_wait, child.group_interval, child.repeat_interval) == (
        ("b", "z"),
        SECOND,
        2 * MINUTE,
        3 * HOUR,
    )
    assert child.severity == SeverityMap({"p1": Severity.CRITICAL}, Severity.WARNING)
    assert (child.severity_label, child.regroup.urgency, child.on_mute) == ("prio", False, "resolve")


def test_a_child_may_set_everything_anew(tmp_path: Path) -> None:
    own = """\
    receiver: b, group_by: [c], group_wait: 0s, group_interval: 5s, repeat_interval: 6s, severity_label: sev,
    severity: {x: info}, regroup: {urgency: true}, on_mute: acknowledge
    """
    (child,) = tree(tmp_path, SETTINGS.replace("matchers: [a=b]", own)).routes

    assert (child.receiver, child.group_by, child.group_wait) == ("b", ("c",), 0)
    assert (child.group_interval, child.repeat_interval) == (5 * SECOND, 6 * SECOND)
    assert child.severity == SeverityMap({"x": Severity.INFO}, Severity.ERROR)
    assert (child.severity_label, child.regroup.urgency, child.on_mute) == ("sev", True, "acknowledge")


def test_continue_and_time_intervals_are_not_inherited(tmp_path: Path) -> None:
    inner = "routes: [{}], continue: true, mute_time_intervals: [t], active_time_intervals: [t]"

    (route,) = tree(tmp_path, f"routes: [{{{inner}}}]").routes

    assert (route.continue_, route.mute_time_intervals, route.active_time_intervals) == (True, ("t",), ("t",))
    (child,) = route.routes
    assert (child.continue_, child.mute_time_intervals, child.active_time_intervals) == (False, (), ())


def test_group_by_and_dedup_key_take_each_others_place(tmp_path: Path) -> None:
    first = "{dedup_key: 'x {labels.a}', routes: [{}, {group_by: [c]}]}"
    second = "{group_by: ['...'], routes: [{dedup_key: '{labels.a}'}]}"

    keyed, grouped = tree(tmp_path, f"group_by: [b], routes: [{first}, {second}]").routes

    assert keyed.dedup_key is not None
    assert keyed.dedup_key.evaluate({"a": "1"}, "", "", "") == "x 1"
    assert keyed.group_by is None
    assert keyed.routes[0].dedup_key is keyed.dedup_key
    assert (keyed.routes[1].dedup_key, keyed.routes[1].group_by) == (None, ("c",))
    assert grouped.group_by_all
    assert (grouped.routes[0].group_by_all, grouped.routes[0].group_by) == (False, None)


def test_severity_maps_are_total_and_know_no_case(tmp_path: Path) -> None:
    root = tree(tmp_path, "severity: {CRITICAL: critical, ' Page ': critical, none: info, DEFAULT: warning}")

    assert [decide(root, {"severity": value})[0] for value in ("critical", "PAGE", "None", "other")] == [
        *(Severity.CRITICAL, Severity.CRITICAL, Severity.INFO, Severity.WARNING),
    ]


def test_lines_and_order_follow_the_file(tmp_path: Path) -> None:
    text = "route:\n  receiver: a\n  routes:\n  - matchers: [a=b]\n    routes:\n    - {receiver: b}\n  - receiver: b\n"

    found = list(walk(loaded(tmp_path, text + RECEIVERS).rules.root))

    assert [(route.order, route.line, route.id) for route in found] == [
        (0, 2, "{}"),
        (1, 4, '{}/{a="b"}/0'),
        (2, 6, '{}/{a="b"}/0/{}/0'),
        (3, 7, "{}/{}/1"),
    ]


def test_match_match_re_and_matchers_must_all_hold(tmp_path: Path) -> None:
    (route,) = tree(
        tmp_path, "routes: [{match: {a: 1}, match_re: {b: x.*, c: ''}, matchers: ['d!=\"\", e=~f', g=h]}]"
    ).routes

    assert route.key == '{}/{a="1",b=~"^(?:x.*)$",c=~"^(?:)$",d!="",e=~"f",g="h"}'


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("severity: {critical: fatal}", '"fatal" is not a severity at PagerDuty'),
        ("severity: {a: info, A: error}", '"A" is there twice: values compare without case'),
        ("severity: {a: }", '"" is not a severity at PagerDuty'),
        ("severity: critical", "must be a mapping"),
        ("severity_label: ''", 'invalid label name ""'),
        ("group_by: [a], dedup_key: '{labels.a}'", "group_by and dedup_key both say what becomes one page"),
        ("dedup_key: '{{ labels.a }}'", "dedup_key names no field of the alert"),
        ("dedup_key: '{labels.a'", "dedup_key"),
        ("group_by: [a, a]", 'duplicated label "a" in group_by'),
        ("group_by: ['']", 'invalid label name "" in group_by list'),
        ("group_by: a", "must be a list"),
        ("routes: {}", "must be a list"),
        ("labels: {'': x}", 'invalid label name "" in route labels'),
        ("routes: [{match: {a-b: x}}]", 'invalid label name "a-b"'),
        ("routes: [{match_re: {a-b: x}}]", 'invalid label name "a-b"'),
        ("routes: [{match_re: {a: '('}}]", "error parsing regexp: missing closing )"),
        ("routes: [{matchers: ['a=~\"[\"']}]", "error parsing regexp: missing closing ]"),
        ("routes: [{matchers: ['a']}]", "bad matcher format: a"),
        ("routes: [{matchers: [{a: b}]}]", "must be text, not a list or a mapping"),
        ("routes: [{receiver: c}]", 'undefined receiver "c" used in route'),
        ("routes: [{active_time_intervals: [u]}]", 'undefined time interval "u" used in route'),
        ("continue: perhaps", "must be true or false"),
        ("group_interval: 1d1y", "not a valid duration string"),
    ],
)
def test_what_a_route_may_not_say_is_refused(route: str, message: str, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, f"route: {{receiver: a, {route}}}\n{RECEIVERS}")

    assert message in found
    assert ": route." in found


def test_an_empty_severity_label_cannot_hide(tmp_path: Path) -> None:
    assert tree(tmp_path, "severity_label: , group_by: , routes: ").severity_label == "severity"
