"""Whatever stands in a file, loading it ends in a configuration or in BadConfig, soon, and in nothing else."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.cli.config import shown
from relay.config import Loaded, load, schema
from relay.errors import BadConfig
from tests.unit.configuring import KEY, write

WHOLE = """\
global: {pagerduty_url: "https://events.pagerduty.com/v2/enqueue", budget: {events: 120, within: 60s}}
templates: ["*.j2"]
route: &root
  receiver: a
  group_by: [alertname, cluster]
  severity: {critical: critical, page: critical, none: info, default: error}
  routes:
  - matchers: ['severity="info"', "team=~'a|b'"]
    match: &m {code: 500, on: true}
    match_re: {x: "(a|b).*"}
    receiver: b
    hold_trigger: 5m
    hold_resolve: {critical: 30s, default: 5m}
    flap: {changes: 3, hold: 1m}
    regroup: {growth: 2.0}
    outside: hold
    mute_time_intervals: [nights]
    dedup_key: 'x {labels.a|lower}'
  - {receiver: b, continue: true, group_by: ['...'], on_mute: resolve, flap: off, on_stale: leave}
time_intervals:
- name: nights
  time_intervals: [{times: [{start_time: '22:00', end_time: '06:00'}], days_of_month: ['-3:-1'], location: UTC}]
inhibit_rules: [{source_matchers: [a=b], target_match: {c: d}, equal: [e], inhibit_hold: {info: 1m}}]
receivers:
- name: a
  pagerduty_configs:
  - routing_key: KEY
    description: '{{ common_annotations.summary }}'
    details: {a: '{{ num_firing }}', b: [1, {c: d}]}
    links: [{href: x, text: y}]
    http_config: {proxy_url: "http://x", tls_config: {server_name: y}}
- {name: b, slack_configs: [{channel: x}], webhook_configs: []}
sources: [{name: a, native_keys: true}, {name: b, native_keys: no, alertmanager_url: ["http://x"]}]
heartbeats: [{name: w, matchers: [a=b], within: 10m, receiver: a, source: a}]
"""

PIECES = st.sampled_from(
    [
        *(
            "\t",
            "  ",
            "\n",
            "- ",
            ": ",
            "{",
            "}",
            "[",
            "]",
            "&x ",
            "*x",
            "<<: ",
            "!!str ",
            "!x ",
            "|\n",
            ">-\n",
            "'",
            '"',
        ),
        *("#", "---\n", "...\n", "%YAML 1.1\n", "? ", "~", "null", "true", "*root", "&root ", "\0", "\ufeff", "\ud7ff"),
        *(
            "{{",
            "}}",
            "{% raw %}",
            "{{ .x }}",
            "\\",
            '"\\ud800"',
            "0x10",
            "1e9",
            "\u2028",
            "\x85",
            "\r",
            "🙂",
            "@",
            "`",
        ),
        *("route", "routes", "receiver", "matchers", "severity", "details", "group_by", "name", "continue", "5m"),
    ]
)
EDITS = st.lists(
    st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 40), PIECES | st.text(max_size=8)), min_size=1, max_size=6
)


def _words() -> set[str]:
    """List every field the schema knows."""
    sections = [
        value for value in vars(schema).values() if isinstance(value, type) and issubclass(value, schema.Section)
    ]
    fields = [(name, field) for section in sections for name, field in section.model_fields.items()]
    return {str(field.validation_alias or name) for name, field in fields}


VALUES = st.recursive(
    st.none() | st.text(max_size=6) | st.sampled_from(["a", "5m", "true", "...", "a=b", "{{ x }}", "critical", KEY]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(_words())), inner, max_size=4),
    max_leaves=25,
)


def outcome(folder: Path, text: str | bytes) -> Loaded | BadConfig:
    """Load a text; anything but a configuration or BadConfig is a failure of the test."""
    file = write(folder, "")
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        found = load(file, {})
    except BadConfig as error:
        refused = error
    else:
        assert all(warning.warning for warning in found.warnings)
        return found
    assert any(not problem.warning for problem in refused.problems)
    for problem in refused.problems:
        assert min(problem.line, problem.column) > 0
        assert KEY not in str(problem)
        assert str(problem) in shown(problem, file.read_bytes())
    return refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def test_the_file_that_is_mutated_loads(folder: Path) -> None:
    assert isinstance(outcome(folder, WHOLE.replace("KEY", KEY)), Loaded)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EDITS)
def test_mutated_files_load_or_are_refused(folder: Path, edits: list[tuple[int, int, str]]) -> None:
    text = WHOLE.replace("KEY", KEY)
    for at, length, piece in edits:
        text = text[:at] + piece + text[at + length :]

    outcome(folder, text)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, len(WHOLE)))
def test_bytes_that_are_no_text_load_or_are_refused(folder: Path, rubbish: bytes, at: int) -> None:
    text = WHOLE.encode()

    outcome(folder, text[:at] + rubbish + text[at:])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    VALUES,
    st.sampled_from(["", "route", "receivers", "inhibit_rules", "time_intervals", "sources", "heartbeats", "global"]),
)
def test_any_shape_loads_or_is_refused(folder: Path, value: object, place: str) -> None:
    document = value if not place else {"route": {"receiver": "a"}, "receivers": [{"name": "a"}], place: value}

    outcome(folder, json.dumps(document, ensure_ascii=False))
