"""A file loads, or is refused with every problem in it at its place."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from relay.alert import DAY, HOUR, MINUTE, SECOND
from relay.config import examine, load
from relay.config.schema import duration, go_duration
from relay.errors import BadConfig
from tests.unit.configuring import KEY, errors, examined, loaded, paging, write

TABLE = json.loads((Path(__file__).parent.parent / "data/conformance/config_load.json").read_text(encoding="utf-8"))
SMALL = "route: {receiver: r}\nreceivers: [{name: r}]\n"


@pytest.mark.parametrize("row", TABLE["good"], ids=lambda row: row["name"])
def test_what_alertmanager_loads_is_loaded(row: dict[str, Any], tmp_path: Path) -> None:
    assert loaded(tmp_path, row["yaml"]).rules.root.receiver


@pytest.mark.parametrize("row", TABLE["bad"], ids=lambda row: row["name"])
def test_what_alertmanager_refuses_is_refused_in_its_words(row: dict[str, Any], tmp_path: Path) -> None:
    found = errors(tmp_path, row["yaml"])

    if "valid label name in fallback" in row.get("note", ""):
        assert found == []
    else:
        assert any((row.get("error") or row["error_contains"]) in error for error in found), found


def test_group_by_is_read_as_alertmanager_reads_it(tmp_path: Path) -> None:
    everything = next(row for row in TABLE["good"] if row["name"] == "conf.group-by-all")
    nothing = next(row for row in TABLE["good"] if row["name"] == "TestGroupByEmptyOverride")

    assert loaded(tmp_path, everything["yaml"]).rules.root.group_by_all
    root = loaded(tmp_path, nothing["yaml"]).rules.root
    assert (root.group_by, root.routes[0].group_by) == (("alertname", "cluster"), ())


# What amtool 0.25 says of each, recorded.
DAYS = {
    **dict.fromkeys(("3:-25", "-5:-3", "27:-1", "3:3", "+3", "1:31", "-31:-1"), ""),
    "4:-25": "end day -25 is always before start day 4",
    "28:-1": "end day -1 is always before start day 28",
    "-3:-5": "end day -5 is always before start day -3",
    "5:3": "end day 3 is always before start day 5",
    "1:2:3": "couldn't parse range 1:2:3, invalid format",
    "-0": "0 is not a valid day of the month: out of range",
    "3-": '"3-" is not a valid day of the month',
    "": '"" is not a valid day of the month',
}


@pytest.mark.parametrize(("days", "message"), DAYS.items())
def test_days_of_the_month_are_counted_as_alertmanager_counts(days: str, message: str, tmp_path: Path) -> None:
    text = f"{SMALL}time_intervals: [{{name: t, time_intervals: [{{days_of_month: ['{days}']}}]}}]"

    found = errors(tmp_path, text)

    assert message in "".join(found)
    assert len(found) == bool(message)


def test_a_time_zone_must_exist(tmp_path: Path) -> None:
    text = SMALL + "time_intervals: [{name: t, time_intervals: [{location: %s}]}]"

    assert errors(tmp_path, text % "Europe/Berlin") == errors(tmp_path, text % "Local") == []
    (found,) = errors(tmp_path, text % "Europe/Berln")
    assert found.startswith("3:56: time_intervals[0].time_intervals[0].location: unknown time zone Europe/Berln")
    assert len(errors(tmp_path, text % "../../etc/passwd")) == 1


EVERYTHING_WRONG = """\
global: {pagerduty_url: ftp://x, smtp_fro: a, resolve_timeout: 5m}
route:
  receivr: r
  group_by: [a, {b: c}]
  group_wait: 5x
  routes:
  - 5
  - groupWait: 5
    matchers: a=b
  - on_mute: shout
    receiver: gone
    matchers: ['a~"b"']
    severity: {page: sev1, PAGE: error}
    hold_trigger: soon
    regroup: {urgncy: true}
    group_interval: 0s
receivers:
- name: r
  slack_configs: [{channel: x}]
  pagerduty_configs:
  - service_key: x
    http_config: {oauth2: {}, tls_config: {ca: 1}}
- name: r
inhibit_rules:
- source_matchers: ['a=~"("']
  equals: [x]
time_intervals:
- {name: t, time_intervals: [{weekdays: [someday]}]}
route: {receiver: r}
"""


def test_every_error_of_a_file_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    assert errors(tmp_path, EVERYTHING_WRONG) == [
        '1:25: global.pagerduty_url: unsupported scheme "ftp" for URL: it begins with http:// or https://',
        '1:34: global.smtp_fro: unknown field "smtp_fro"; did you mean "smtp_from"?',
        "2:1: route: root route must specify a default receiver",
        '3:3: route.receivr: unknown field "receivr"; did you mean "receiver"?',
        "4:17: route.group_by[1]: must be text, not a list or a mapping",
        '5:15: route.group_wait: not a valid duration string: "5x"; write 30s, 5m, 4h or 1h30m',
        "7:5: route.routes[0]: must be a mapping (`key: value` lines)",
        '8:5: route.routes[1].groupWait: unknown field "groupWait"; did you mean "group_wait"?',
        "9:15: route.routes[1].matchers: must be a list (`- item` lines)",
        "10:14: route.routes[2].on_mute: must be one of 'leave', 'acknowledge' or 'resolve'",
        '11:15: route.routes[2].receiver: undefined receiver "gone" used in route',
        '12:16: route.routes[2].matchers[0]: bad matcher format: a~"b"',
        '13:22: route.routes[2].severity.page: "sev1" is not a severity at PagerDuty: '
        "write critical, error, warning or info",
        '14:19: route.routes[2].hold_trigger: not a valid duration string: "soon"; write 30s, 5m, 4h or 1h30m',
        '15:15: route.routes[2].regroup.urgncy: unknown field "urgncy"; did you mean "urgency"?',
        "16:21: route.routes[2].group_interval: group_interval cannot be zero",
        "21:5: receivers[0].pagerduty_configs[0].service_key: service_key is not supported: it speaks PagerDuty's "
        "Events API v1. On the PagerDuty service create an Events API v2 integration and use its key in routing_key",
        "22:19: receivers[0].pagerduty_configs[0].http_config.oauth2: oauth2 is not supported: "
        "PagerDuty is told apart by the routing key alone, take it out",
        "22:44: receivers[0].pagerduty_configs[0].http_config.tls_config.ca: ca is not supported inline: "
        "put it in a file and name that in ca_file",
        '23:9: receivers[1].name: notification config name "r" is not unique',
        "25:21: inhibit_rules[0].source_matchers[0]: error parsing regexp: missing closing ): `^(?:()$`",
        '26:3: inhibit_rules[0].equals: unknown field "equals"; did you mean "equal"?',
        "28:42: time_intervals[0].time_intervals[0].weekdays[0]: someday is not a valid weekday; did you mean sunday?",
        '29:1: key "route" is already set in line 2',
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (b"", "1:1: no route provided in config: the file is empty"),
        (b"# nothing\n", "1:1: no route provided in config: the file is empty"),
        (b"- a\n- b\n", "1:1: must be a mapping (`key: value` lines)"),
        (b"just text", "1:1: must be a mapping (`key: value` lines)"),
        (b"route: [", "1:9: not YAML: did not find expected node content"),
        (b"a: 1\nb: \xff", "2:4: not UTF-8: the byte 0xff; save the file as UTF-8"),
        (b"route:\n\treceiver: x", "2:1: not YAML: a tab: indent with spaces"),
        (b"#" * 5_000_000, "1:1: larger than 4 MiB, which no configuration is"),
        (b"a: " + b"[" * 100_000, "1:123: nested more than 120 levels deep"),
        (b"route: " + b"{routes: [" * 100 + b"]}" * 100, "1:607: nested more than 120 levels deep"),
        (b"{a: b\x00}", "1:6: the character U+0000 may not stand in YAML"),
        (b"receivers: []", "1:1: no routes provided"),
    ],
    ids=lambda value: repr(value[:16]),
)
def test_what_is_no_configuration_is_refused_in_plain_words(text: bytes, first: str, tmp_path: Path) -> None:
    file = tmp_path / "relay.yml"
    file.write_bytes(text)

    with pytest.raises(BadConfig) as refused:
        load(file, {})

    assert str(refused.value).startswith(f"{file}:{first}")


def test_a_tree_as_deep_as_yaml_may_be_loads(tmp_path: Path) -> None:
    text = "route: {receiver: r, routes: [" + "{routes: [" * 57 + "]}" * 57 + "]}\nreceivers: [{name: r}]"

    assert loaded(tmp_path, text).rules.root.routes


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert loaded(tmp_path, "\ufeff" + SMALL).rules.root.receiver == "r"


@pytest.mark.parametrize("name", ["missing.yml", "", "nul\0byte"])
def test_a_file_that_cannot_be_read_is_a_problem_not_a_crash(name: str, tmp_path: Path) -> None:
    (problem,) = examine(tmp_path / name, {}).problems

    assert problem.message.startswith("cannot read the file: ")


def test_scalars_are_text(tmp_path: Path) -> None:
    text = "route: {receiver: r, routes: [{match: {code: 500, on: true, ver: 1.10, n: ~}}]}\nreceivers: [{name: r}]"

    (route,) = loaded(tmp_path, text).rules.root.routes

    assert route.key == '{}/{code="500",n="",on="true",ver="1.10"}'


def test_anchors_and_merge_keys_save_typing(tmp_path: Path) -> None:
    text = """\
route: {receiver: &r r, routes: [{<<: &x {matchers: [a=b], continue: true}, receiver: *r}, {<<: *x, continue: no}]}
receivers: [{name: *r}]
"""
    first, second = loaded(tmp_path, text).rules.root.routes

    assert (first.continue_, second.continue_) == (True, False)
    assert first.matchers == second.matchers


def test_an_empty_global_and_empty_lists_are_as_good_as_none(tmp_path: Path) -> None:
    text = SMALL + "global:\ntemplates:\ninhibit_rules:\ntime_intervals: []\ntracing: {endpoint: x}\n"

    assert not loaded(tmp_path, text).warnings


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0", 0),
        ("0s", 0),
        ("250ms", SECOND // 4),
        ("30s", 30 * SECOND),
        ("1m500ms", MINUTE + SECOND // 2),
        ("1h30m", 90 * MINUTE),
        ("4h", 4 * HOUR),
        ("2d", 2 * DAY),
        ("1w", 7 * DAY),
        ("1y", 365 * DAY),
    ],
)
def test_durations_are_prometheus_durations(text: str, length: int) -> None:
    assert duration(text) == length == go_duration(text)


@pytest.mark.parametrize("text", ["", "5", "1.5m", "-1s", "1m1h", "1 m", "m", "300y", "9" * 300 + "s", "\u0665s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)


def test_timeouts_are_go_durations_as_well() -> None:
    assert [go_duration(text) for text in ("1.5s", "1500ms", "1m1.5s", "0s")] == [1_500_000, 1_500_000, 61_500_000, 0]


def test_matchers_that_the_two_parsers_read_differently_are_warned_about(tmp_path: Path) -> None:
    text = "route: {receiver: r, routes: [{matchers: ['foo=\"\\xf0\\x9f\\x99\\x82\"']}]}\nreceivers: [{name: r}]"

    assert loaded(tmp_path, text).warnings[0].path == "route.routes[0].matchers[0]"


def test_template_globs_begin_at_the_file_and_may_not_match_nothing(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "b.j2").write_text("{{ b }}")
    (tmp_path / "t" / "a.j2").write_text("{{ a }}")
    text = SMALL + f"templates: ['t/*.j2', '{tmp_path}/t/a.j2', 'u/*.j2']"

    found = loaded(tmp_path, text)

    assert [file.name for file in found.template_files] == ["a.j2", "b.j2"]
    assert [warning.message for warning in found.warnings] == [
        f"no file matches u/*.j2: relative names begin at {tmp_path}"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{% if x %}", "not a Jinja template: Unexpected end of template"),
        (b'{{ define "x" }}{{ end }}', "this is a Go template"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_template_files_are_read_at_load(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_bytes(content)

    (error,) = errors(tmp_path, SMALL + "templates: [a.j2]")

    assert error.startswith(f"3:13: templates[0]: {tmp_path}/a.j2: {message}")


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("[{name: a}]", []),
        ("[{name: a, native_keys: true}, {name: b, native_keys: false}]", []),
        ("[{name: a, native_keys: false}, {name: b, native_keys: false}]", []),
        ("[{name: a, native_keys: true}, {name: b}]", ["sources[1]: with two or more sources each must say"]),
        ("[{name: a, native_keys: true}, {name: b, native_keys: flase}]", ["sources[1].native_keys: "]),
        ("[{name: a}, {name: b}]", ["sources[0]: with two", "sources[1]: with two"]),
        ("[{name: a, native_keys: true}, {name: b, native_keys: true}]", ["sources[1].native_keys: native_keys: true"]),
        ("[{name: a/b}]", ["sources[0].name: a source needs a name of letters"]),
        ("[{native_keys: true}]", ["sources[0]: a source needs a name"]),
        (
            "[{name: a, native_keys: true}, {name: a, native_keys: false}]",
            ['sources[1].name: source name "a" is not unique'],
        ),
    ],
)
def test_two_sources_must_settle_whose_keys_are_native(sources: str, expected: list[str], tmp_path: Path) -> None:
    found = [error.split(": ", 1)[1] for error in errors(tmp_path, SMALL + f"sources: {sources}")]

    assert len(found) == len(expected)
    assert all(error.startswith(start) for error, start in zip(found, expected, strict=True))


def test_sources_reach_the_rule_set(tmp_path: Path) -> None:
    text = SMALL + "sources: [{name: a, native_keys: true}, {name: b, native_keys: false}]"

    rules = loaded(tmp_path, text).rules

    assert [rules.namespace(name) for name in ("a", "b")] == ["", "b"]


@pytest.mark.parametrize(("said", "namespace"), [("", ""), (", native_keys: true", ""), (", native_keys: false", "a")])
def test_a_single_source_has_native_keys_unless_it_says_no(said: str, namespace: str, tmp_path: Path) -> None:
    rules = loaded(tmp_path, SMALL + f"sources: [{{name: a{said}}}]").rules

    assert [rules.namespace(name) for name in ("", "a", "other")] == ["", namespace, "other"]


def test_errors_outside_the_routes_leave_the_tree_to_be_asked(tmp_path: Path) -> None:
    found = examined(tmp_path, paging("routing_key: short", route=", routes: [{matchers: [a=b]}]"))

    assert found.loaded is None
    assert found.root is not None
    assert examined(tmp_path, SMALL.replace("receiver: r", "receiver: q")).root is None


def test_a_loaded_file_has_its_fingerprint_and_its_bytes(tmp_path: Path) -> None:
    found = loaded(tmp_path, SMALL)

    assert found.text == SMALL.encode()
    assert found.rules.fingerprint == loaded(tmp_path, SMALL).rules.fingerprint
    assert found.rules.fingerprint != loaded(tmp_path, SMALL + "#").rules.fingerprint


def test_no_routing_key_is_ever_printed(tmp_path: Path) -> None:
    good = loaded(tmp_path, paging("routing_key: KEY"))
    bad = [paging("routing_key: [KEY]"), paging("routing_key: {KEY: 1}"), paging("routing_key: KEYx"), "KEY", "[KEY"]
    bad += [
        paging("routing_key: KEY, url: 'https://KEY@x/'"),
        paging("routing_key: KEY, http_config: {proxy_url: KEY}"),
    ]

    assert KEY not in repr(good)
    for text in bad:
        found = examine(write(tmp_path, text), {})
        assert found.loaded is None
        assert KEY not in repr(found) + "".join(map(str, found.problems))


@pytest.mark.parametrize(
    "text",
    [
        "route:\n  receiver: r\n  routes:\n" + "".join(f"  - field{number}: x\n" for number in range(5_000)),
        "route: {receiver: r" + ", a: b" * 20_000 + "}",
        "route: {receiver: r, matchers: [" + "{a: b}," * 10_000 + "]}",
        paging("routing_key: KEY, description: '" + "{{ a." * 100_000 + "'"),
        "route: {receiver: r, routes: [" + "{match_re: {a: '(x{1000}){1000}'}}," * 1_000 + "]}",
    ],
    ids=["fields", "keys", "items", "template", "regex"],
)
def test_a_file_with_thousands_of_errors_is_refused_soon_and_briefly(text: str, tmp_path: Path) -> None:
    before = time.monotonic()

    found = examined(tmp_path, text).problems

    assert 0 < len(found) <= 1_001
    assert time.monotonic() - before < 20
    assert len(found) < 1_001 or found[-1].message.endswith("more: mend these first")


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "relay.yml")
    os.mkfifo(tmp_path / "key")
    (tmp_path / "with-key.yml").write_text(
        "route: {receiver: a}\nreceivers: [{name: a, pagerduty_configs: [{routing_key_file: key}]}]\n"
    )

    with pytest.raises(BadConfig, match="this is a pipe"):
        load(tmp_path / "relay.yml", {})
    with pytest.raises(BadConfig, match="it is a pipe, not a file"):
        load(tmp_path / "with-key.yml", {})


def test_a_receiver_with_a_slip_of_the_pen_is_guessed(tmp_path: Path) -> None:
    text = "route: {receiver: serach}\nreceivers: [{name: search}]\n"

    assert any('did you mean "search"?' in problem for problem in errors(tmp_path, text))
