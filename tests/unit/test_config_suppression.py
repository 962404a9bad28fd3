"""What the file says of delays, windows, inhibition, silence and heartbeats reaches the rule set, or is refused."""

from pathlib import Path

import pytest

from relay.alert import DAY, HOUR, MINUTE, SECOND
from relay.event import Severity
from relay.rules.matchers import Matcher
from relay.rules.ruleset import Flap, Hold, Regroup, Route, RuleSet
from tests.unit.configuring import errors, loaded, warnings

RECEIVERS = "receivers: [{name: a, pagerduty_configs: [{routing_key: KEY}]}, {name: b}]\n"


def text(route: str = "", rest: str = "") -> str:
    return f"route: {{receiver: a, {route}}}\n{RECEIVERS}{rest}"


def rules(folder: Path, route: str = "", rest: str = "") -> RuleSet:
    return loaded(folder, text(route, rest)).rules


def held(hold: Hold) -> list[int]:
    """List a hold in seconds, from critical to info."""
    return [hold.of(severity) // SECOND for severity in Severity]


@pytest.mark.parametrize(
    ("written", "trigger", "resolve"),
    [
        ("5m", [0, 300, 300, 300], [300, 300, 300, 300]),
        ("0", [0, 0, 0, 0], [0, 0, 0, 0]),
        ("{critical: 30s, default: 5m}", [30, 300, 300, 300], [30, 300, 300, 300]),
        ("{default: 5m}", [300, 300, 300, 300], [300, 300, 300, 300]),
        ("{warning: 1m, info: 0s}", [0, 0, 60, 0], [0, 0, 60, 0]),
        ("{error: , default: 1m}", [60, 60, 60, 60], [60, 60, 60, 60]),
    ],
)
def test_a_hold_is_one_duration_or_a_map_by_severity(
    written: str, trigger: list[int], resolve: list[int], tmp_path: Path
) -> None:
    root = rules(tmp_path, f"hold_trigger: {written}, hold_resolve: {written}").root

    assert held(root.hold_trigger) == trigger
    assert held(root.hold_resolve) == resolve


def plain(route: Route) -> tuple[object, ...]:
    return (
        *(held(route.hold_trigger), held(route.hold_resolve), route.flap, route.regroup, route.outside),
        *(route.on_mute, route.on_stale),
    )


def test_a_tree_that_says_nothing_of_time_waits_for_nothing(tmp_path: Path) -> None:
    nothing = [0, 0, 0, 0]

    assert plain(rules(tmp_path).root) == (nothing, nothing, None, Regroup(), "drop", "leave", "leave")


def test_children_inherit_delays_and_may_set_them_anew(tmp_path: Path) -> None:
    inherited = "hold_trigger: 1m, hold_resolve: 2m, flap: {}, regroup: {growth: 2}, outside: hold, on_mute: resolve"
    own = "hold_trigger: 0, hold_resolve: {default: 1s}, flap: off, regroup: {worse_severity: true}, outside: downgrade"
    sources = "sources: [{name: s, repeat_interval: 4h}]"

    root = rules(tmp_path, f"{inherited}, on_stale: resolve, routes: [{{}}, {{{own}, on_stale: leave}}]", sources).root
    same, anew = root.routes

    assert (
        plain(root)
        == plain(same)
        == (
            *([0, 60, 60, 60], [120] * 4, Flap(5, 30 * MINUTE, 15 * MINUTE), Regroup(growth=2.0), "hold"),
            *("resolve", "resolve"),
        )
    )
    assert plain(anew) == (
        *([0, 0, 0, 0], [1] * 4, None, Regroup(worse_severity=True), "downgrade"),
        *("resolve", "leave"),
    )


@pytest.mark.parametrize(
    ("route", "path", "message"),
    [
        ("hold_trigger: soon", "hold_trigger", "not a valid duration string"),
        ("hold_trigger: [5m]", "hold_trigger", "must be one duration (`5m`), or durations by severity"),
        ("hold_resolve: {critical: soon}", "hold_resolve.critical", "not a valid duration string"),
        ("hold_resolve: {crit: 5m}", "hold_resolve.crit", 'unknown field "crit"; did you mean "critical"?'),
        ("flap: on", "flap", "must be a mapping (`{changes: 5, within: 30m, hold: 15m}`), or off"),
        ("flap: [5]", "flap", "must be a mapping"),
        ("flap: {changes: none}", "flap.changes", "must be a whole number"),
        ("flap: {within: 0s}", "flap.within", "must be longer than zero"),
        ("flap: {hold_resolve: 5m}", "flap.hold_resolve", 'unknown field "hold_resolve"; known here: changes, within'),
        ("regroup: {growth: 1}", "regroup.growth", "must be a number over 1"),
        ("regroup: {growth: 0.5}", "regroup.growth", "must be a number over 1"),
        ("regroup: {growth: double}", "regroup.growth", "must be a number over 1"),
        ("regroup: {growth: -2}", "regroup.growth", "must be a number over 1"),
        ("regroup: {growth: inf}", "regroup.growth", "must be a number over 1"),
        ("outside: mute", "outside", "must be one of 'drop', 'hold' or 'downgrade'"),
        ("on_mute: close", "on_mute", "must be one of 'leave', 'acknowledge' or 'resolve'"),
        ("on_stale: close", "on_stale", "must be one of 'leave' or 'resolve'"),
    ],
)
def test_what_a_route_may_not_say_of_time_is_refused(route: str, path: str, message: str, tmp_path: Path) -> None:
    (error,) = errors(tmp_path, text(f"routes: [{{{route}}}]"))

    assert f": route.routes[0].{path}: {message}" in error


@pytest.mark.parametrize(("written", "growth"), [("2", 2.0), ("1.5", 1.5), ("0", 0.0), ("0.0", 0.0)])
def test_growth_is_a_number_over_one_or_never(written: str, growth: float, tmp_path: Path) -> None:
    assert rules(tmp_path, f"regroup: {{growth: {written}}}").root.regroup == Regroup(growth=growth)


STALE = "resolve needs to know how often each source is heard of: state repeat_interval"


@pytest.mark.parametrize(
    ("sources", "missing"),
    [
        ("", "; no sources are listed"),
        ("sources: [{name: s}]", '; source "s" does not'),
        ("sources: [{name: s, stale_after: 1h}]", '; source "s" does not'),
        ("sources: [{name: s, repeat_interval: 4h}]", None),
        ("sources: [{name: s, alertmanager_url: 'http://am:9093'}]", None),
        (
            "sources: [{name: s, native_keys: true, repeat_interval: 4h}, {name: t, native_keys: false}]",
            '; source "t" does not',
        ),
    ],
)
def test_stale_pages_are_resolved_only_where_silence_means_something(
    sources: str, missing: str | None, tmp_path: Path
) -> None:
    found = errors(tmp_path, text("routes: [{on_stale: resolve}]", sources))

    assert [STALE in error and error.endswith(missing or "") for error in found] == [True] * (missing is not None)


def test_what_sources_say_of_themselves_reaches_the_rules(tmp_path: Path) -> None:
    found = rules(
        tmp_path,
        rest="sources:\n"
        "- {name: a, native_keys: true, repeat_interval: 4h, alertmanager_url: 'http://a:9093'}\n"
        "- {name: b, native_keys: no, repeat_interval: 1h, stale_after: 90m, alertmanager_url: ['http://b', 'http://c']}\n"
        "- {name: c, native_keys: no}\n",
    )

    assert [source.repeat_interval for source in found.sources.values()] == [4 * HOUR, HOUR, None]
    assert [source.alertmanager_urls for source in found.sources.values()] == [
        ("http://a:9093",),
        ("http://b", "http://c"),
        (),
    ]
    assert [found.stale_after(name) for name in ("a", "b", "c", "", "unlisted")] == [
        *(8 * HOUR, 90 * MINUTE, DAY, DAY, DAY),
    ]


@pytest.mark.parametrize(
    ("source", "path", "message"),
    [
        ("alertmanager_url: am:9093", "alertmanager_url", "unsupported scheme"),
        ("alertmanager_url: ['http://a', 'ftp://b']", "alertmanager_url[1]", 'unsupported scheme "ftp" for URL'),
        ("alertmanager_url: {a: b}", "alertmanager_url", "must be one URL, or a list of them"),
        ("alertmanager_url: 'http://u:p@x'", "alertmanager_url", "a URL with a password in it"),
        ("repeat_interval: 0s", "repeat_interval", "must be longer than zero"),
        ("stale_after: 0s", "stale_after", "must be longer than zero"),
    ],
)
def test_what_a_source_may_not_say_is_refused(source: str, path: str, message: str, tmp_path: Path) -> None:
    (error,) = errors(tmp_path, text(rest=f"sources: [{{name: s, {source}}}]"))

    assert f": sources[0].{path}: {message}" in error


INHIBIT = """\
inhibit_rules:
- name: cluster
  source_matchers: [alertname=Down]
  target_match: {a: b}
  target_match_re: {c: 'd|e'}
  equal: [zone, cluster, zone]
  across_sources: true
- {source_match: {s: t}, inhibit_hold: 1m}
- {inhibit_hold: {critical: 10s, default: 0}}
"""


def test_inhibit_rules_reach_the_rules_in_the_order_of_the_file(tmp_path: Path) -> None:
    first, second, third = rules(tmp_path, rest=INHIBIT).inhibit_rules

    assert (first.name, first.title, first.line, first.across_sources) == ("cluster", 'inhibit rule "cluster"', 4, True)
    assert first.source == (Matcher("=", "alertname", "Down"),)
    assert first.target == (Matcher("=", "a", "b"), Matcher("=~", "c", "^(?:d|e)$"))
    assert first.equal == ("cluster", "zone")
    assert (second.title, second.across_sources, second.target) == ("the inhibit rule in line 10", False, ())
    assert [held(rule.hold) for rule in (first, second, third)] == [[0, 5, 5, 5], [0, 60, 60, 60], [10, 0, 0, 0]]


@pytest.mark.parametrize(("everywhere", "seconds"), [("1m", 60), ("0", 0)])
def test_the_wait_for_an_inhibitor_may_be_set_for_all_rules(everywhere: str, seconds: int, tmp_path: Path) -> None:
    found = rules(tmp_path, rest=f"global: {{inhibit_hold: {everywhere}}}\n{INHIBIT}").inhibit_rules

    assert [held(rule.hold)[1] for rule in found] == [seconds, 60, 0]


def test_resolve_timeout_is_alertmanagers(tmp_path: Path) -> None:
    assert rules(tmp_path).resolve_timeout == 5 * MINUTE
    assert rules(tmp_path, rest="global: {resolve_timeout: 10m}").resolve_timeout == 10 * MINUTE


def test_a_heartbeat_reaches_the_rules(tmp_path: Path) -> None:
    (beat, other) = rules(
        tmp_path,
        rest="sources: [{name: s}]\nheartbeats:\n"
        "- {name: w, matchers: ['alertname=\"Watchdog\"'], within: 10m, receiver: a, source: s}\n"
        "- {name: x, matchers: [a=b, c=~d], within: 1h, receiver: a}\n",
    ).heartbeats

    assert (beat.name, beat.matchers) == ("w", (Matcher("=", "alertname", "Watchdog"),))
    assert (beat.within, beat.receiver, beat.source, beat.line) == (10 * MINUTE, "a", "s", 5)
    assert (len(other.matchers), other.source) == (2, None)


GOOD = "{name: w, matchers: [a=b], within: 10m, receiver: a}"


@pytest.mark.parametrize(
    ("heartbeats", "expected"),
    [
        ("{matchers: [a=b], within: 10m, receiver: a}", ["[0]: missing name in heartbeat"]),
        (f"{GOOD}, {GOOD}", ['[1].name: heartbeat name "w" is not unique']),
        ("{name: w, within: 10m, receiver: a}", ["[0]: a heartbeat needs matchers"]),
        ("{name: w, matchers: ['a~b'], within: 10m, receiver: a}", ["[0].matchers[0]: bad matcher format: a~b"]),
        ("{name: w, matchers: [a=b], receiver: a}", ["[0]: a heartbeat needs within"]),
        ("{name: w, matchers: [a=b], within: 0s, receiver: a}", ["[0].within: must be longer than zero"]),
        ("{name: w, matchers: [a=b], within: 10m}", ["[0]: missing receiver in heartbeat"]),
        ("{name: w, matchers: [a=b], within: 10m, receiver: A}", ['[0].receiver: undefined receiver "A"']),
        (
            "{name: w, matchers: [a=b], within: 10m, receiver: b}",
            ['[0].receiver: receiver "b" has no pagerduty_configs'],
        ),
        (
            "{name: w, matchers: [a=b], within: 10m, receiver: a, source: s}",
            ['[0].source: undefined source "s" used in heartbeat'],
        ),
        (
            "{within: 1x}",
            [
                "[0]: a heartbeat needs matchers",
                "[0]: missing name in heartbeat",
                "[0]: missing receiver in heartbeat",
                '[0].within: not a valid duration string: "1x"',
            ],
        ),
    ],
)
def test_what_is_no_heartbeat_is_refused(heartbeats: str, expected: list[str], tmp_path: Path) -> None:
    found = sorted(
        error.split(": heartbeats", 1)[1] for error in errors(tmp_path, text(rest=f"heartbeats: [{heartbeats}]"))
    )

    assert len(found) == len(expected)
    assert all(error.startswith(start) for error, start in zip(found, sorted(expected), strict=True)), found


@pytest.mark.parametrize(
    "broken",
    [
        "receivers: [{name: a, pagerduty_configs: [{routing_key: short}]}]",
        "receivers: [{name: a, pagerduty_configs: 5}]",
        "receivers: 5",
    ],
)
def test_a_heartbeat_is_not_blamed_for_a_receiver_that_is_wrong(broken: str, tmp_path: Path) -> None:
    found = errors(tmp_path, f"route: {{receiver: a}}\n{broken}\nheartbeats: [{GOOD}]\n")

    assert [": receivers" in error for error in found] == [True]


def test_nothing_of_all_this_is_warned_about(tmp_path: Path) -> None:
    whole = text(
        "hold_trigger: 1m, hold_resolve: 1m, flap: {}, outside: hold, routes: [{mute_time_intervals: [t]}]",
        f"{INHIBIT}time_intervals: [{{name: t, time_intervals: [{{weekdays: [monday]}}]}}]\n"
        f"sources: [{{name: s, alertmanager_url: 'http://x:9093', repeat_interval: 1h}}]\nheartbeats: [{GOOD}]\n",
    )

    assert warnings(tmp_path, whole) == []


SILENCES = "pagerduty: {webhook_secrets: [a-secret-of-24-characters]}\nsources: "


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ("[{name: am, alertmanager_url: 'http://am:9093'}]", ""),
        ("[{name: am}]", "nothing is silenced: no source names its alertmanager_url"),
        (f"[{{name: ci, routing_keys: [{'a' * 32}]}}]", "nothing is silenced: no source names its alertmanager_url"),
        (
            "[{name: am, native_keys: true, alertmanager_url: 'http://am:9093'}, {name: other, native_keys: false}]",
            "alerts of these sources are not silenced, they name no alertmanager_url: other",
        ),
        (
            "[{name: am, native_keys: true, alertmanager_url: 'http://am:9093'}, "
            f"{{name: ci, native_keys: false, routing_keys: [{'a' * 32}]}}]",
            "",
        ),
    ],
    ids=["named", "untold", "events alone", "one untold", "one of events"],
)
def test_whose_alerts_are_not_silenced_on_acknowledge_is_told(tmp_path: Path, sources: str, told: str) -> None:
    found = warnings(tmp_path, text("on_acknowledge: silence", SILENCES + sources))

    assert [one.partition("route.on_acknowledge: ")[2] for one in found] == ([told] if told else [])
