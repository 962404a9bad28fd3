"""Receivers become targets and integrations; keys stay on the ring; templates are checked before anything fires."""

from pathlib import Path
from typing import Any

import pytest

from relay.alert import MINUTE, SECOND
from relay.config import examine
from relay.event import Severity
from relay.rules.ruleset import Budget, Storm
from relay.secret import Key, Secret, Tls, key_id
from tests.unit.configuring import KEY, OTHER_KEY, errors, loaded, paging, warnings, write

URL = "https://events.pagerduty.com/v2/enqueue"
AT = "5:5: receivers[0].pagerduty_configs[0]"


def test_an_entry_is_a_target_of_an_integration_whose_key_is_on_the_ring(tmp_path: Path) -> None:
    text = paging(
        "routing_key: KEY, severity: warning, description: '{{ default_summary }}', class: c, details: {n: 5, m: }"
    )

    found = loaded(tmp_path, text)

    (target,) = found.rules.receivers["r"].targets
    identity = key_id(URL, Secret(KEY))
    integration = found.rules.integrations[identity]
    assert (integration.id, integration.key_id, integration.name) == (identity, identity, "r")
    assert (integration.url, integration.budget) == (URL, Budget(120, 60 * SECOND))
    assert (target.receiver, target.index, target.integration) == ("r", 0, identity)
    assert (target.severity, target.send_resolved) == (Severity.WARNING, True)
    assert (target.texts.description, target.texts.class_) == ("{{ default_summary }}", "c")
    assert target.texts.details == {"n": "5", "m": ""}
    assert target.texts.links is None
    assert found.keys == {identity: Key(identity, URL, Secret(KEY), "r")}


@pytest.mark.parametrize("content", [KEY, f"{KEY}\n", f"  {KEY} \r\n"])
def test_a_key_file_stands_beside_the_file_and_is_trimmed(content: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(content)

    found = loaded(tmp_path, paging("routing_key_file: key"))

    assert found.keys[key_id(URL, Secret(KEY))].routing_key == Secret(KEY)


def test_previous_keys_are_on_the_ring_but_are_no_integration(tmp_path: Path) -> None:
    (tmp_path / "old").write_text(OTHER_KEY)
    text = paging(f"routing_key: KEY, previous_routing_key_files: [{tmp_path}/old]")

    found = loaded(tmp_path, text)

    assert set(found.keys) == {key_id(URL, Secret(KEY)), key_id(URL, Secret(OTHER_KEY))}
    assert set(found.rules.integrations) == {key_id(URL, Secret(KEY))}
    assert found.keys[key_id(URL, Secret(OTHER_KEY))].url == URL


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("severity: info", "missing routing key in PagerDuty config: set routing_key_file (or routing_key)"),
        ("routing_key: short", "not a routing key: 5 characters where an Events API v2 integration key has 32 letters"),
        ("routing_key: 0123456789abcdef-123456789abcdef", "not a routing key: 32 characters"),
        ("routing_key: ''", "not a routing key: 0 characters"),
        ("routing_key: '{{ .GroupLabels.key }}'", "templates are not evaluated in a routing key"),
        ("routing_key: KEY, routing_key_file: x", "at most one of routing_key & routing_key_file must be configured"),
        ("routing_key_file: gone", "cannot read the routing key from gone: No such file or directory"),
        ("routing_key_file: .", "cannot read the routing key from .: Is a directory"),
        ('routing_key_file: "a\\0b"', "cannot read the routing key from a\0b: its name is not one a file can have"),
        ("routing_key: KEY, previous_routing_key_files: [gone]", "cannot read the routing key from gone"),
        ("service_key: KEY", "service_key is not supported: it speaks PagerDuty's Events API v1. On the PagerDuty"),
        ("service_key_file: x", "service_key_file is not supported: it speaks PagerDuty's Events API v1. On the Pag"),
        ("routing_key: KEY, severity: page", '"page" is not a severity: write critical, error, warning or info'),
        ("routing_key: KEY, severity: Critical", '"Critical" is not a severity'),
        ("routing_key: KEY, url: 'https://user:pass@x/'", "a URL with a password in it is printed in too many places"),
        ("routing_key: KEY, url: x.example/v2", 'unsupported scheme "" for URL'),
        ("routing_key: KEY, url: 'https:///v2'", "missing host for URL"),
        ("routing_key: KEY, timeout: 5", "not a valid duration string"),
        ("routing_key: KEY, budget: {events: 0}", "must be a whole number of at least 1"),
        ("routing_key: KEY, budget: {within: 0s}", "must be longer than zero"),
        ("routing_key: KEY, send_resolved: maybe", "must be true or false"),
        ("routing_key: KEY, http_config: {basic_auth: {}}", "basic_auth is not supported: PagerDuty is told apart"),
        ("routing_key: KEY, http_config: {follow_redirects: true}", "follow_redirects is not supported for PagerDuty"),
        ("routing_key: KEY, http_config: {proxy_url: x}", "must be an http:// or https:// URL"),
        ("routing_key: KEY, http_config: {tls_config: {ca: x}}", "ca is not supported inline"),
        ("routing_key: KEY, http_config: {tls_config: {ca_file: gone}}", "cannot read gone: there is no such file"),
        (
            "routing_key: KEY, http_config: {proxy_url: 'http://x', proxy_from_environment: true}",
            "if proxy_from_environment is configured, proxy_url must not be configured",
        ),
        ("routing_key: KEY, descripshun: x", 'unknown field "descripshun"; did you mean "description"?'),
        ("routing_key: KEY, clientUrl: x", 'unknown field "clientUrl"; did you mean "client_url"?'),
        ("routing_key: KEY, links: [{url: x}]", 'unknown field "url"; known here: href, text'),
    ],
)
def test_what_an_entry_may_not_say_is_refused_by_name(entry: str, message: str, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, paging(entry))

    assert message in found
    assert ": receivers[0].pagerduty_configs[0]" in found
    assert KEY not in found


@pytest.mark.parametrize(
    ("template", "naming"),
    [
        ("{{ .CommonLabels.severity }}", ""),
        ("{{ if eq .CommonLabels.priority `p1` }}critical{{ end }}", "severity_label: priority and "),
        ("{{ common_labels.sev }}", "severity_label: sev and "),
        ("{% if x %}info{% endif %}", ""),
    ],
)
def test_a_severity_template_is_refused_with_the_map_to_write(template: str, naming: str, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, paging(f"routing_key: KEY, severity: '{template}'"))

    shown = "severity: {critical: critical, error: error, warning: warning, info: info, default: error}"
    assert found.endswith(f"take it out and write on the route {naming}{shown}")


@pytest.mark.parametrize(
    ("go", "jinja"),
    [
        ("{{ .CommonLabels.alertname }}", "{{ common_labels.alertname }}"),
        ("{{.CommonAnnotations.x}} on {{- .GroupLabels.N -}}", "{{ common_annotations.x }} on {{ group_labels.N }}"),
        ("{{ .Status | toUpper }}", "{{ status | to_upper }}"),
        ("{{ .ExternalURL }}?r={{ .Receiver | urlquery }}", "{{ external_url }}?r={{ receiver | urlencode }}"),
        ("{{ .Alerts.Firing | len }} firing", "{{ alerts.firing | length }} firing"),
        ("{{ .CommonLabels.SortedPairs }}", "{{ common_labels.sorted_pairs }}"),
        ('{{ template "pagerduty.default.description" . }}', None),
        ("{{ range .Alerts }}{{ .Labels.x }}{{ end }}", None),
        ("{{ x := 5 }}", None),
        ("{{ $x }}", None),
        ("{{ if eq .Status \"firing\" }}x{{ end }}", None),
        ("{{ len .Alerts }}", None),
        ("{{ . }}", None),
        ("{{ .Unheard.of }}", None),
        ("{{ define \"x\" }}y{{ end }}", None),
    ],
)  # fmt: skip
def test_a_go_template_is_refused_with_the_jinja_to_write(go: str, jinja: str | None, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, _with_description(go))

    remedy = f"this is a Go template; templates are Jinja here: write {jinja}" if jinja else "here: write it in Jinja"
    assert found.startswith("6:18: receivers[0].pagerduty_configs[0].description: this is a Go template")
    assert found.endswith(remedy)
    if jinja:
        assert not errors(tmp_path, _with_description(jinja))


def _with_description(template: str) -> str:
    quoted = template.replace("'", "''")
    entry = f"  - routing_key: KEY\n    description: '{quoted}'\n"
    return f"route: {{receiver: r}}\nreceivers:\n- name: r\n  pagerduty_configs:\n{entry}"


@pytest.mark.parametrize(
    "template",
    [
        "plain text, with a $ and a . dot",
        "{{ common_annotations.summary or default_summary }}",
        "{% for alert in alerts %}{{ alert.labels.instance }}{{ ', ' if not loop.last }}{% endfor %}",
        "{{ '$x .y' }} {{ 1.5 }} {{ alerts[0].labels }} {{ (common_labels).job }} {{ \"a\".upper() }}",
        "{% set with = 1 %}{{ range(3) | join(',') }} {{ common_labels.end }}",
        "{% include 'description.j2' %}",
    ],
)
def test_jinja_is_not_mistaken_for_go(template: str, tmp_path: Path) -> None:
    assert errors(tmp_path, _with_description(template)) == []


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ common_labels.x", "not a template that can work: line 1: unexpected end of template"),
        ("{{ x | nosuch }}", "not a template that can work: line 1: No filter named 'nosuch'"),
        ("{{ common_label.x }}", "unknown name 'common_label' (did you mean 'common_labels'?)"),
        ("{% include 'gone.j2' %}", "there is no template file 'gone.j2'"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "not a template that can work: it is nested too deep"),
        (
            "{{ " + "9" * 6000 + " }}",
            "not a Jinja template: it is nested too deeply or holds a number that is too long",
        ),
    ],
    ids=lambda value: value[:20],
)
def test_a_template_that_cannot_work_is_refused_at_load(template: str, message: str, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, _with_description(template))

    assert found.startswith("6:18: ")
    assert message in found


def test_every_template_field_is_checked_at_its_own_place(tmp_path: Path) -> None:
    fields = "description: '{{ a', source: '{{ a', class: '{{ a', component: '{{ a', group: '{{ a', client: '{{ a', "
    fields += "client_url: '{{ a', details: {x: '{{ a', y: ['{{ a', {z: '{{ a'}]}, "
    fields += "links: [{href: '{{ a', text: '{{ a'}], images: [{src: '{{ a', href: '{{ a', alt: '{{ a'}]"

    found = errors(tmp_path, paging(f"routing_key: KEY, {fields}"))

    places = [error.split(": ")[1].removeprefix("receivers[0].pagerduty_configs[0].") for error in found]
    assert places == [
        *("description", "source", "class", "component", "group", "client", "client_url"),
        *("details.x", "details.y[0]", "details.y[1].z"),
        *("links[0].href", "links[0].text", "images[0].src", "images[0].href", "images[0].alt"),
    ]


def test_templates_may_include_the_files_of_the_globs(tmp_path: Path) -> None:
    (tmp_path / "own.j2").write_text("{{ whatever_the_includer_sets }}")

    text = paging("routing_key: KEY, description: \"{% include 'own.j2' %}\"", rest="templates: ['*.j2']\n")

    assert loaded(tmp_path, text).template_files == (tmp_path / "own.j2",)


SHARED = """\
global: {budget: {events: 60, within: 30s}}
route: {receiver: a}
receivers:
- name: a
  pagerduty_configs:
  - {routing_key: KEY, timeout: 1500ms}
  - {routing_key: OTHER_KEY, budget: {events: 10}}
- name: b
  pagerduty_configs:
  - {routing_key: KEY, timeout: 9s, severity: info}
  - {routing_key: KEY, url: "https://events.eu.pagerduty.com/v2/enqueue"}
"""


def test_entries_with_one_url_and_key_are_one_integration(tmp_path: Path) -> None:
    found = loaded(tmp_path, SHARED)

    names = [integration.name for integration in found.rules.integrations.values()]
    assert names == ["a", "a/2", "b/2"]
    assert [integration.budget for integration in found.rules.integrations.values()] == [
        Budget(60, 30 * SECOND),
        Budget(10, 60 * SECOND),
        Budget(60, 30 * SECOND),
    ]
    first, second = found.rules.receivers["a"].targets[0], found.rules.receivers["b"].targets[0]
    assert first.integration == second.integration
    assert found.keys[first.integration].timeout == 1.5
    assert [warning.message for warning in found.warnings] == [
        "has the url and routing key of receivers[0].pagerduty_configs[0]: both are one integration, with one budget; "
        "budget, storm, timeout and http_config of the first one hold"
    ]


def test_resolves_that_are_not_sent_are_warned_about(tmp_path: Path) -> None:
    text = paging("routing_key: KEY, send_resolved: false")

    (warning,) = warnings(tmp_path, text)

    assert "resolves are not sent to PagerDuty: its incidents stay open until a person closes them" in warning
    assert not loaded(tmp_path, text).rules.receivers["r"].targets[0].send_resolved


KINDS = (
    *("discord", "email", "incidentio", "jira", "mattermost", "msteams", "msteamsv2", "opsgenie", "pushover"),
    *("rocketchat", "slack", "sns", "telegram", "victorops", "webex", "webhook", "wechat"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_integrations_that_are_not_ours_load_and_are_warned_about(kind: str, tmp_path: Path) -> None:
    text = f"route: {{receiver: r}}\nreceivers:\n- name: r\n  {kind}_configs: [{{any: [thing]}}]\n"

    found = loaded(tmp_path, text)

    assert found.rules.receivers["r"].others == (f"{kind}_configs",)
    assert found.rules.receivers["r"].targets == ()
    (warning,) = found.warnings
    assert (warning.line, warning.column) == (4, 3)
    assert warning.message == f'not ours: alerts for "r" are not sent to its {kind}_configs, only to PagerDuty'


def test_an_empty_list_of_foreign_integrations_is_none(tmp_path: Path) -> None:
    found = loaded(tmp_path, "route: {receiver: r}\nreceivers: [{name: r, slack_configs: [], email_configs: }]")

    assert found.rules.receivers["r"].others == ()


def test_how_an_integration_is_called_is_on_its_key(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    tls = "{ca_file: ca.pem, server_name: pd, insecure_skip_verify: yes}"
    http = f"{{proxy_url: 'http://u:p@proxy:3128', tls_config: {tls}}}"

    found = loaded(tmp_path, paging(f"routing_key: KEY, timeout: 3s, http_config: {http}"))

    (key,) = found.keys.values()
    assert (key.timeout, key.proxy_url, key.proxy_from_environment) == (3.0, Secret("http://u:p@proxy:3128"), False)
    assert key.tls == Tls(str(tmp_path / "ca.pem"), "", "", "pd", True)
    assert "u:p" not in repr(found)


def test_the_global_http_config_holds_where_an_entry_has_none(tmp_path: Path) -> None:
    rest = (
        "global: {http_config: {proxy_url: 'http://proxy:3128', follow_redirects: false, basic_auth: {username: u}}}\n"
    )

    (inherited,) = loaded(tmp_path, paging("routing_key: KEY", rest=rest)).keys.values()
    (own,) = loaded(tmp_path, paging("routing_key: KEY, http_config: {}", rest=rest)).keys.values()

    assert (inherited.proxy_url, own.proxy_url) == (Secret("http://proxy:3128"), None)
    assert warnings(tmp_path, paging("routing_key: KEY", rest=rest)) == [
        "6:10: global.http_config: not used for PagerDuty: basic_auth"
    ]
    assert warnings(tmp_path, paging("routing_key: KEY, http_config: {}", rest=rest)) == []


@pytest.mark.parametrize(("environ", "count"), [({}, 1), ({"HTTPS_PROXY": "http://proxy"}, 0)])
def test_a_proxy_from_an_environment_without_one_is_warned_about(
    environ: dict[str, str], count: int, tmp_path: Path
) -> None:
    file = write(tmp_path, paging("routing_key: KEY, http_config: {proxy_from_environment: true}"))

    found = examine(file, environ)

    assert len(found.problems) == count
    assert found.loaded is not None
    assert all(key.proxy_from_environment for key in found.loaded.keys.values())


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("routing_key: KEY", "https://events.eu.pagerduty.com/v2/enqueue"),
        ("routing_key: KEY, url: 'http://127.0.0.1:9/v2/enqueue'", "http://127.0.0.1:9/v2/enqueue"),
    ],
)
def test_the_address_is_the_entrys_or_the_global_one(entry: str, url: str, tmp_path: Path) -> None:
    rest = "global: {pagerduty_url: 'https://events.eu.pagerduty.com/v2/enqueue'}\n"

    (key,) = loaded(tmp_path, paging(entry, rest=rest)).keys.values()

    assert key.url == url


def test_links_and_images_keep_the_fields_that_are_set(tmp_path: Path) -> None:
    fields: Any = "links: [{href: 'https://x', text: t}, {href: y}], images: [{src: 'https://i', alt: a}]"

    (target,) = loaded(tmp_path, paging(f"routing_key: KEY, {fields}")).rules.receivers["r"].targets

    assert target.texts.links == ({"href": "https://x", "text": "t"}, {"href": "y"})
    assert target.texts.images == ({"src": "https://i", "alt": "a"},)


STORMS = [
    ("", "", Storm(60, MINUTE)),
    ("global: {storm: off}\n", "", None),
    ("global: {storm: {pages: 5, within: 2m}}\n", "", Storm(5, 2 * MINUTE)),
    ("global: {storm: {pages: 5, within: 2m}}\n", ", storm: off", None),
    ("global: {storm: off}\n", ", storm: {pages: 7}", Storm(7, MINUTE)),
]


@pytest.mark.parametrize(("top", "entry", "storm"), STORMS)
def test_an_entry_says_what_a_storm_is_else_the_file_does(
    tmp_path: Path, top: str, entry: str, storm: Storm | None
) -> None:
    found = loaded(tmp_path, top + paging(f"routing_key: KEY{entry}"))

    assert [one.storm for one in found.rules.integrations.values()] == [storm]


def test_of_two_entries_with_one_key_the_first_says_what_a_storm_is(tmp_path: Path) -> None:
    text = paging("routing_key: KEY, storm: {pages: 3}") + "  - {routing_key: KEY, storm: off}\n"

    found = loaded(tmp_path, text)

    assert [one.storm for one in found.rules.integrations.values()] == [Storm(3, MINUTE)]
    assert any("storm, timeout and http_config of the first one hold" in str(one) for one in found.warnings)


@pytest.mark.parametrize(
    ("storm", "error"),
    [
        ("on", "must be a mapping (`{pages: 60, within: 1m}`), or off"),
        ("{pages: 0}", "must be a whole number of at least 1"),
        ("{within: 0s}", "must be longer than zero"),
        ("{page: 3}", 'unknown field "page"; did you mean "pages"?'),
        ("[1]", "must be a mapping (`{pages: 60, within: 1m}`), or off"),
    ],
)
def test_a_storm_is_a_number_of_pages_within_a_time_or_off(tmp_path: Path, storm: str, error: str) -> None:
    (found,) = errors(tmp_path, f"global: {{storm: {storm}}}\n" + paging("routing_key: KEY"))

    assert error in found
