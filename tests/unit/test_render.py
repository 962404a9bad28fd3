"""What people on call read: the default page, what falls back, and the bounds that every event keeps."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from relay.alert import DAY, Status
from relay.event import Action, Event, Link, Rendered, Severity
from relay.page import Lane, Member, Page
from relay.rendering import read_sources
from relay.rendering.values import read_value
from relay.rules.cleaning import address
from relay.rules.differences import parts, words
from relay.rules.ledger import Attempt, Claim, Held, Shown
from relay.rules.render import LONGEST_EVENT, plain, render
from relay.rules.ruleset import Texts
from relay.rules.templates import NAMES, Engine
from relay.rules.view import LONGEST_VALUE, MemberView, PageView, view
from tests.unit.pages import MINUTE, NOW, member, page

SOURCES = read_sources()
ENGINE = Engine(SOURCES, read_value)
SCHEMA = json.loads((Path(__file__).parent.parent / "data" / "pagerduty" / "alert-event.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def event(shown: PageView, **texts: Any) -> Event:
    """Render a page that must not fail anywhere."""
    rendered = render(shown, Texts(**texts), ENGINE)
    assert rendered.failed_fields == ()
    return rendered.event


def wire(one: Event) -> dict[str, Any]:
    """Write an event as PagerDuty documents it, from its own fields alone."""
    payload = {
        "summary": one.summary,
        "source": one.source,
        "severity": str(one.severity),
        "custom_details": one.custom_details,
        "class": one.class_,
        "component": one.component,
        "group": one.group,
        "timestamp": one.timestamp,
    }
    body = {
        "routing_key": "0" * 32,
        "event_action": str(one.event_action),
        "dedup_key": one.dedup_key,
        "payload": {name: value for name, value in payload.items() if value not in ("", {})},
        "links": msgspec.to_builtins(one.links),
        "images": msgspec.to_builtins(one.images),
        "client": one.client,
        **({"client_url": one.client_url} if one.client_url else {}),
    }
    return json.loads(msgspec.json.encode(body))  # type: ignore[no-any-return]


# The default page


@pytest.mark.parametrize(
    ("shown", "summary"),
    [
        (page(member("a")), "[critical] HighErrorRate: checkout (cluster=eu1, pod=a)"),
        (
            page(member("a"), member("b"), member("c"), member("d", resolved=True), member("e", resolved=True)),
            "[critical] HighErrorRate: checkout (cluster=eu1, 3 of 5 firing: pod a, b, c)",
        ),
        (
            page(*(member(pod, annotations={"summary": "Too many errors"}) for pod in "ab")),
            "[critical] HighErrorRate: Too many errors (cluster=eu1, service=checkout, 2 firing: pod a, b)",
        ),
        (
            page(*(member(pod, annotations={"summary": f"{pod} has too many errors"}) for pod in "ab")),
            "[critical] HighErrorRate: checkout (cluster=eu1, 2 firing: pod a, b)",
        ),
        (
            page(member(annotations={"summary": "checkout on eu1 fails 12 % of requests"})),
            "[critical] HighErrorRate: checkout on eu1 fails 12 % of requests (pod=a)",
        ),
        (
            page(member(annotations={"summary": "HighErrorRate in checkout"})),
            "[critical] HighErrorRate in checkout (cluster=eu1, pod=a)",
        ),
        (
            page(member(annotations={"description": "Half of all requests fail."}, instance="10.0.0.1:80", node="n1")),
            "[critical] HighErrorRate: Half of all requests fail (cluster=eu1, pod=a, service=checkout)",
        ),
        (
            page(*(MemberView(Status.FIRING, {"x": x}, {}, NOW, NOW) for x in "ab")),
            "[critical] HighErrorRate (2 firing: x a, b)",
        ),
        (
            page(member("a"), member("b", alertname="DiskFull")),
            "[critical] HighErrorRate, DiskFull: checkout (cluster=eu1, 2 firing: pod a, b)",
        ),
        (
            page(*(member("a", alertname=name) for name in ("A", "B", "C", "D"))),
            "[critical] A, B +2: checkout (cluster=eu1, 4 firing)",
        ),
        (
            page(*(member(f"p{n}") for n in range(9)), firing=1_200),
            "[critical] HighErrorRate: checkout (cluster=eu1, 1200 firing: pod p0, p1, p2, p3, p4 +4)",
        ),
        (
            page(member("a"), member("b", suppressed="silenced by ann")),
            "[critical] HighErrorRate: checkout (cluster=eu1, pod=a, 1 firing, 1 muted)",
        ),
        (
            page(member("a", resolved=True), member("b", resolved=True)),
            "[critical] HighErrorRate: checkout (cluster=eu1, 2 resolved: pod a, b)",
        ),
        (
            page(*(member("a", uid=str(n), device=f"sd{n % 2}") for n in range(4))),
            "[critical] HighErrorRate: checkout (cluster=eu1, 4 firing: device sd0, sd1; uid 0, 1, 2, 3)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_summary_names_the_alert_what_differs_and_how_many(shown: PageView, summary: str) -> None:
    assert event(shown).summary == summary


def test_a_page_without_any_label_still_says_which_it_is() -> None:
    bare = MemberView(Status.FIRING, {}, {}, NOW, NOW, fingerprint="00c0ffee00c0ffee")

    assert event(page(bare, group_labels={})).summary == "[critical] alert 00c0ffee00c0ffee"


def test_two_instances_that_differ_are_both_named() -> None:
    one, two = (MemberView(Status.FIRING, {"instance": name}, {}, NOW, NOW) for name in ("x:1", "y:1"))

    assert event(page(one, two, group_labels={})).summary == "[critical] instance=x:1 (2 firing: instance x:1, y:1)"


def test_the_defaults_fill_every_field_that_helps() -> None:
    result = event(page(member("a"), member("b")))

    assert result.event_action == Action.TRIGGER
    assert result.dedup_key == "d" * 64
    assert (result.source, result.class_, result.component, result.group) == (
        "checkout",
        "HighErrorRate",
        "checkout",
        "eu1",
    )
    assert (result.client, result.client_url) == ("Pagerelay", "https://relay.example/pages/aaaaaaaaaaaab")
    assert result.timestamp == "2026-11-23T07:50:00.000Z"
    assert result.severity == Severity.CRITICAL


def test_without_an_address_of_its_own_the_relay_leads_to_alertmanager() -> None:
    result = event(page(relay_url="", receiver="team a"))

    assert (result.client, result.client_url) == (
        "Alertmanager",
        "http://alertmanager.example:9093/#/alerts",
    )


def test_what_all_share_is_said_once_and_the_rest_per_alert_worst_first() -> None:
    shared = {"summary": "Too many errors", "runbook_url": "https://runbooks.example/errors"}
    result = event(
        page(
            member("a", annotations={**shared, "value": "12 %"}),
            member("b", annotations={**shared, "value": "7 %"}, severity=Severity.WARNING),
            member("c", annotations=shared, resolved=True),
            notes=("Fired again.",),
        )
    )

    assert result.custom_details == {
        "summary": "Too many errors",
        "notes": ["Fired again."],
        "num_firing": 2,
        "num_resolved": 1,
        "labels": {"alertname": "HighErrorRate", "cluster": "eu1", "service": "checkout"},
        "firing": [
            {
                "severity": "critical",
                "labels": {"pod": "a"},
                "annotations": {"value": "12 %"},
                "since": "2026-11-23T07:50:00Z",
            },
            {
                "severity": "warning",
                "labels": {"pod": "b"},
                "annotations": {"value": "7 %"},
                "since": "2026-11-23T07:50:00Z",
            },
        ],
        "resolved": [{"severity": "critical", "labels": {"pod": "c"}, "until": "2026-11-23T07:59:00Z"}],
    }


def test_muted_alerts_are_listed_with_the_reason_and_shape_nothing_else() -> None:
    result = event(page(member("a"), member("b", suppressed="ClusterDown is firing")))

    assert result.custom_details["num_muted"] == 1
    assert result.custom_details["muted"][0]["muted"] == "ClusterDown is firing"
    assert result.custom_details["labels"]["pod"] == "a"


def test_links_lead_to_runbook_graph_group_and_page() -> None:
    runbook = {"runbook_url": "https://runbooks.example/errors"}

    assert event(page(member("a", annotations=runbook), member("b", annotations=runbook))).links == (
        Link("https://runbooks.example/errors", "Runbook"),
        Link("http://prometheus.example:9090/graph?g0.expr=up", "Graph"),
        Link(
            "http://alertmanager.example:9093/#/alerts?filter=%7Balertname%3D%22HighErrorRate%22%2Ccluster%3D%22eu1%22"
            "%7D",
            "Alertmanager",
        ),
        Link("https://relay.example/pages/aaaaaaaaaaaab", "This page in Pagerelay"),
    )


def test_of_many_runbooks_three_are_linked() -> None:
    members = (member(str(n), annotations={"runbook_url": f"https://runbooks.example/{n}"}) for n in range(5))

    texts = [link.text for link in event(page(*members)).links]
    assert texts[:4] == ["Runbook 1", "Runbook 2", "Runbook 3", "Graph"]


@pytest.mark.parametrize("starts_at", [-62_135_596_800_000_000, 0, NOW + 2 * DAY, 9**20])
def test_an_absurd_start_gives_no_timestamp(starts_at: int) -> None:
    result = event(page(member(starts_at=starts_at)))

    assert result.timestamp == ""


def test_the_timestamp_is_the_earliest_start_of_what_fires() -> None:
    members = (
        member("a"),
        member("b", starts_at=NOW - 20 * MINUTE - 1),
        member("c", resolved=True, starts_at=NOW - DAY),
    )

    assert event(page(*members)).timestamp == "2026-11-23T07:39:59.999Z"


def test_rendering_the_same_page_later_gives_the_same_event() -> None:
    assert event(page(now=NOW)) == event(page(now=NOW + 5 * MINUTE))


# Texts of the configuration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{{ common_annotations.summary or default_summary }}",
            "[critical] HighErrorRate: checkout (cluster=eu1, pod=a)",
        ),
        ("{{ status }} {{ receiver }} {{ severity }} {{ page }}", "firing platform critical aaaaaaaaaaaab"),
        ("{{ num_firing }}/{{ num_resolved }} {{ alerts.firing | length }}", "1/0 1"),
        ("{{ group_labels.sorted_pairs }}", "alertname=HighErrorRate, cluster=eu1"),
        ("{{ common_labels.nothing }}{{ common_labels['no such'] }}x", "x"),
        ("{% for a in alerts %}{{ a.labels.pod }} {{ a.starts_at | date('15:04') }}{% endfor %}", "a 07:50"),
        ("{{ alerts[0].starts_at | since | humanize_duration }}", "10m 0s"),
        ("{{ alerts[0].ends_at }} {{ now }}", "0001-01-01 00:00:00 +0000 UTC 2026-11-23 08:00:00 +0000 UTC"),
        ("{{ alerts.resolved | length }}{{ alerts.muted | length }}", "00"),
        (
            "{{ external_url }} {{ relay_url }}",
            "http://alertmanager.example:9093 https://relay.example/pages/aaaaaaaaaaaab",
        ),
        ("{{ words.where }} | {{ words.name }}", "cluster=eu1, pod=a | HighErrorRate"),
        ("{{ route_labels.team }}{{ notification_reason }}{{ notes | length }}", "0"),
        ("  two\n  lines\t", "two lines"),
        ("no template at all", "no template at all"),
        ("{{ nothing_known | default('x') }}", "x"),
    ],
)
def test_texts_see_alertmanagers_data_under_our_names(text: str, expected: str) -> None:
    assert event(page(), description=text).summary == expected


def test_every_name_a_template_may_use_is_listed() -> None:
    shown = page()
    found = parts(shown)

    unlisted = ENGINE.data(shown, found, words(shown, found)).keys() - NAMES
    assert all(ENGINE.complaints(f"{{{{ {name} }}}}") == () for name in unlisted)
    assert event(shown, description="".join(f"{{{{ {name} }}}} " for name in NAMES))


def test_fields_of_the_configuration_win_over_the_defaults() -> None:
    result = event(
        page(),
        source="{{ common_labels.pod }}",
        class_="c",
        component="",
        group="g",
        client="Our monitoring",
        client_url="https://monitoring.example/{{ page }}",
        links=({"href": "https://wiki.example/{{ common_labels.pod }}", "text": "Wiki"}, {"href": "", "text": "no"}),
        images=({"src": "https://img.example/a b.png", "alt": "x"}, {"src": "http://img.example/insecure.png"}),
    )

    assert (result.source, result.class_, result.component, result.group) == ("a", "c", "", "g")
    assert (result.client, result.client_url) == ("Our monitoring", "https://monitoring.example/aaaaaaaaaaaab")
    assert result.links == (Link("https://wiki.example/a", "Wiki"),)
    assert [image.src for image in result.images] == ["https://img.example/a%20b.png"]


def test_own_details_are_merged_with_the_defaults_and_win() -> None:
    own = {
        "team": "{{ common_labels.service }}-team",
        "num_firing": "{{ num_firing }}",
        "firing": "{{ alerts.firing | to_json }}",
        "nested": {"{{ severity }}": ["{{ page }}", 3]},
    }
    details = event(page(), details=own).custom_details

    assert details["team"] == "checkout-team"
    assert details["num_firing"] == 1
    assert details["firing"][0]["startsAt"] == "2026-11-23T07:50:00Z"
    assert details["nested"] == {"critical": ["aaaaaaaaaaaab", 3]}
    assert details["labels"]["cluster"] == "eu1"


def test_a_users_file_can_be_imported_by_name_and_can_replace_a_default(tmp_path: Path) -> None:
    (tmp_path / "mine.j2").write_text("{% macro title(labels) %}<{{ labels.pod | upper }}>{% endmacro %}")
    (tmp_path / "client.j2").write_text("Ours")
    engine = Engine(read_sources([tmp_path / "mine.j2", tmp_path / "client.j2"]), read_value)

    texts = Texts(description='{% from "mine.j2" import title %}{{ title(common_labels) }} {% include "class.j2" %}')
    result = render(page(), texts, engine)
    assert (result.event.summary, result.event.client, result.failed_fields) == ("<A> HighErrorRate", "Ours", ())


# What falls back


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("{{ labls.pod }}", "'labls' is undefined"),
        ("{{ alerts[0].label }}", "no attribute 'label'"),
        ("{% if %}", "line 1: Expected an expression"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ alerts[7].status }}", ""),
        ("{% include 'nothing.j2' %}", "nothing.j2"),
        ("{{ 'x' * 99999 }}", "too long"),
        ("{% for i in range(70000) %}x{% endfor %}", "wrote more than 65,536"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls itself"),
    ],
)
def test_a_broken_description_falls_back_and_says_why(text: str, because: str) -> None:
    rendered = render(page(member("a"), member("b")), Texts(description=text), ENGINE)

    assert rendered.event.summary == '[critical] HighErrorRate: 2 firing (template "description" failed)'
    assert rendered.failed_fields == ("description",)
    assert rendered.steps[0].by == "template"
    assert because in rendered.steps[0].because
    assert rendered.event.component == "checkout"


def test_each_field_falls_back_by_itself() -> None:
    bad = "{{ nope }}"
    texts = Texts(
        source=bad,
        class_=bad,
        client_url=bad,
        details={"a": bad, "b": "fine"},
        links=({"href": bad}, {"href": "https://wiki.example", "text": bad}),
        images=({"src": bad},),
    )
    rendered = render(page(), texts, ENGINE)

    assert rendered.failed_fields == (
        "source",
        "class",
        "client_url",
        "links[0].href",
        "links[1].text",
        "images[0].src",
        "details.a",
    )
    assert rendered.event.summary == "[critical] HighErrorRate: checkout (cluster=eu1, pod=a)"
    assert (rendered.event.source, rendered.event.class_) == ("a", "HighErrorRate")
    assert rendered.event.links == (Link("https://wiki.example"),)
    assert rendered.event.custom_details["a"] == '(template "details.a" failed)'
    assert rendered.event.custom_details["b"] == "fine"


def test_a_field_that_failed_before_is_not_tried_again() -> None:
    seen: list[str] = []
    texts = Texts(description="{{ page }}", details={"x": "1"})
    rendered = render(page(), texts, ENGINE, skip={"description": "it took longer than 0.5 s"}, watch=seen.append)

    assert "description" not in seen
    assert seen[-2:] == ["details.x", "event"]
    assert rendered.failed_fields == ("description",)
    assert "0.5 s" in rendered.steps[0].because


def test_an_empty_description_gives_way_to_the_default() -> None:
    rendered = render(page(), Texts(description="{{ common_annotations.nothing }}"), ENGINE)

    assert rendered.event.summary == "[critical] HighErrorRate: checkout (cluster=eu1, pod=a)"
    assert "came out empty" in rendered.steps[0].because


def test_without_its_default_files_a_page_still_says_what_fires() -> None:
    rendered = render(page(member("a"), member("b")), Texts(), Engine({}))

    assert rendered.event.summary == '[critical] HighErrorRate: 2 firing (template "description" failed)'
    assert rendered.event.source == "default"


def test_a_plain_page_says_what_fires_and_why_it_is_plain() -> None:
    result = plain(page(member("a"), member("b", alertname="DiskFull")), "no worker")

    assert result.summary == "[critical] HighErrorRate, DiskFull: 2 firing (no worker)"
    assert len(result.custom_details["firing"]) == 2
    VALIDATOR.validate(wire(result))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ labls.x }}", ("unknown name 'labls'",)),
        ("{% if %}", ("line 1: Expected an expression, got 'end of statement block'",)),
        ('{% import "no.j2" as x %}', ("there is no template file 'no.j2'",)),
        ("{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}", ("it is nested too deep",)),
        ('{{ default_summary | upper }}{% include "class.j2" %}{{ to_upper(page) }}', ()),
    ],
)
def test_faults_that_show_without_an_alert_are_told_at_load(text: str, said: tuple[str, ...]) -> None:
    assert ENGINE.complaints(text) == said


# Bounds


def test_a_long_summary_is_cut_on_a_character() -> None:
    summary = event(page(), description="é" * 2_000).summary

    assert summary == "é" * 1_023 + "…"


def test_of_too_many_alerts_the_worst_are_kept_and_the_others_counted() -> None:
    members = [
        member(f"p{n}" + "x" * 900, severity=Severity.CRITICAL if n < 10 else Severity.INFO) for n in range(1_000)
    ]
    result = event(page(*members, firing=1_300))

    kept = result.custom_details["firing"]
    assert len(msgspec.json.encode(result)) <= LONGEST_EVENT
    assert len(msgspec.json.encode(result)) > 0.98 * LONGEST_EVENT
    assert [one["severity"] for one in kept[:11]] == ["critical"] * 10 + ["info"]
    assert result.custom_details["left_out"] == (
        f"{1_300 - len(kept)} firing not listed here, for want of room; all of them: "
        "https://relay.example/pages/aaaaaaaaaaaab"
    )


def test_details_that_are_too_large_by_themselves_are_cut() -> None:
    rendered = render(page(), Texts(details={str(n): "y" * 60_000 for n in range(30)}), ENGINE)

    assert len(msgspec.json.encode(rendered.event)) <= LONGEST_EVENT
    assert rendered.event.custom_details["num_firing"] == 1
    assert rendered.event.custom_details["0"].endswith("…")


def test_a_value_of_a_megabyte_is_cut() -> None:
    raw = json.dumps({"labels": {"alertname": "Big", "x": "z" * 1_000_000}, "annotations": {}}).encode()
    shown = view(claim(raw), now=NOW)

    assert len(shown.members[0].labels["x"]) == LONGEST_VALUE
    assert shown.members[0].labels["x"].endswith("z…")


def claim(raw: bytes, **changes: Any) -> Claim:
    """A page in hand with one alert."""
    fields: dict[str, Any] = {"id": 5, "integration": "i", "dedup_key": "k", "source": "s", "group_key": "g"}
    held_page = Page(**{**fields, "receiver": "r", "alertmanager_url": "http://am.example", **changes})
    alert = Held(
        id=1, source="s", fingerprint="00c0ffee00c0ffee", firing=True, starts_at=NOW, ends_at=0, digest=b"", raw=raw
    )
    shown = Shown(
        Member(page=5, alert=1, firing=True, severity=Severity.ERROR, route="{}", order=0, receiver="r", home=5), alert
    )
    attempt = Attempt(
        id=0, page=5, integration="i", key_id="k", lane=Lane.ERROR, action=Action.TRIGGER, revision=1, episode=1, at=NOW
    )
    return Claim(held_page, attempt, (shown,), 1, 0)


@pytest.mark.parametrize(
    ("raw", "labels"),
    [
        (b'{"labels":{"a":"1"},"annotations":{"s":"x"},"generatorURL":"http://p"}', {"a": "1"}),
        (b'{"labels":{"a":"\\ud800"}}', {"a": "?"}),
        (b'{"labels":{"a":1,"b":null}}', {"a": "1", "b": "None"}),
        (b"not json", {}),
        (b"[]", {}),
        (b"[" * 100_000, {}),
    ],
)
def test_any_stored_alert_can_be_shown(raw: bytes, labels: dict[str, str]) -> None:
    shown = view(claim(raw), now=NOW, external_url="https://relay.example/")

    assert shown.members[0].labels == labels
    assert shown.relay_url == "https://relay.example/pages/aaaaaaaaaaaak"
    VALIDATOR.validate(wire(render(shown, Texts(), ENGINE).event))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("https://x.example/a?b=c#d", "https://x.example/a?b=c#d"),
        ("HTTP://x.example/ä b", "http://x.example/%C3%A4%20b"),
        ("http://x.example/graph?q=sum(rate(x[5m]))&y={a}", "http://x.example/graph?q=sum(rate(x%5B5m%5D))&y=%7Ba%7D"),
        ("http://x.example/100%", "http://x.example/100%25"),
        ("http://x.example/#a#b", "http://x.example/#a%23b"),
        ("http://[2001:db8::1]:9090/", "http://[2001:db8::1]:9090/"),
        ("http://[zz]/", ""),
        ("javascript:alert(1)", ""),
        ("//x.example", ""),
        ("http://", ""),
        ("http://exa mple/", ""),
        ("http://x.example/" + "a" * 9_000, ""),
        ("ftp://x.example/", ""),
        ("runbook: see wiki", ""),
    ],
)
def test_only_real_addresses_become_links(text: str, result: str) -> None:
    assert address(text) == result


ODD = st.one_of(
    st.sampled_from([
        "",
        " ",
        "\n",
        "two\nlines\r\n",
        "<script>alert(1)</script>",
        "\x1b[31mred\x1b[0m",
        "\u202eevil\u2066",
        "👩\u200d👩\u200d👧",
        "\ud800",
        "nul\x00\x85",
        "javascript:alert(1)",
        "http://[::1",
        "https://x.example/ü?a=[1]#x#y",
        "{{ 7*7 }}",
        "x" * 5_000,
        "\ufeff",
        "%",
    ]),
    st.text(max_size=30),
)  # fmt: skip
LABELS = st.dictionaries(
    st.one_of(st.sampled_from(["alertname", "instance", "items", "__proto__", "", "runbook_url", "summary"]), ODD),
    ODD,
    max_size=6,
)
MEMBERS = st.builds(
    MemberView,
    status=st.sampled_from(list(Status)),
    labels=LABELS,
    annotations=LABELS,
    starts_at=st.integers(-(2**62), 2**62),
    ends_at=st.integers(-(2**62), 2**62),
    generator_url=ODD,
    fingerprint=st.just("00c0ffee00c0ffee"),
    severity=st.sampled_from(list(Severity)),
    suppressed=ODD,
)
TEXT = st.one_of(
    st.none(),
    ODD,
    st.sampled_from([
        "{{ common_labels.instance }}",
        "{{ common_annotations }}",
        "{{ alerts | to_json }}",
        "{% for a in alerts %}{{ a.labels }}{{ a.starts_at }}{% endfor %}",
        "{{ x",
    ]),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    members=st.lists(MEMBERS, max_size=4),
    group_labels=LABELS,
    odd=ODD,
    description=TEXT,
    source=TEXT,
    href=TEXT,
    detail=TEXT,
)
@example([], {}, "", None, None, None, None)
@example([], {}, "\ud800", None, None, None, None)
def test_every_event_is_one_that_pagerduty_documents(
    members: list[MemberView],
    group_labels: dict[str, str],
    odd: str,
    description: str | None,
    source: str | None,
    href: str | None,
    detail: str | None,
) -> None:
    shown = page(*members, group_labels=group_labels, source=odd, receiver=odd, alertmanager_url=odd, notes=(odd,))
    texts = Texts(
        description=description,
        source=source,
        client_url=href,
        details={"d": detail or "", odd: {odd: odd}},
        links=None if href is None else ({"href": href, "text": odd},),
        images=({"src": href or "", "href": odd},),
    )
    rendered = render(shown, texts, ENGINE)

    check(rendered)
    check(Rendered(plain(shown, odd)))


def check(rendered: Rendered) -> None:
    body = wire(rendered.event)
    VALIDATOR.validate(body)
    assert len(json.dumps(body, ensure_ascii=False).encode()) < LONGEST_EVENT + 5_000
    visible = rendered.event.summary + rendered.event.source
    assert not any(bad in visible for bad in "\x00\x1b\n\r\u202e\u2066\x85")
    assert (
        msgspec.msgpack.decode(msgspec.msgpack.encode(rendered), type=Rendered).event.summary == rendered.event.summary
    )
