"""Every file in config/ and examples/ does what it says: it loads, its own program takes it, its alerts page."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay.alert import fingerprint_of
from relay.config import load
from relay.config.schema import PagerDuty, Route, Section
from relay.ingress import pagerduty
from relay.ingress.alertmanager import parse
from relay.metrics import Metrics
from relay.rules.classify import classify
from relay.rules.rulebook import Rulebook
from relay.web.routing_keys import RoutingKeys, Whose

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "relay.yml"
EXAMPLES = ROOT / "examples"
BODIES = sorted((EXAMPLES / "webhooks").glob("*.json"))


def with_secrets(tmp_path: Path, text: str) -> Path:
    """Write a routing file whose secrets lie in `tmp_path` instead of /run/secrets."""
    for number, name in enumerate(sorted(set(re.findall(r"/run/secrets/([\w-]+)", text)))):
        (tmp_path / name).write_text(f"{number:032}\n")
    file = tmp_path / "relay.yml"
    file.write_text(text.replace("/run/secrets/", f"{tmp_path}/"))
    return file


def rulebook(file: Path) -> Rulebook:
    loaded = load(file, {})
    return Rulebook(loaded.rules, loaded.keys)


def tool(name: str) -> str:
    """Find a program of Debian's prometheus packages, or skip so that one sees it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"!! {name} is not installed (make test installs it where it can): this example is NOT checked")
    return found


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_shipped_configuration_loads_without_a_warning(tmp_path: Path) -> None:
    loaded = load(with_secrets(tmp_path, SHIPPED.read_text()), {})

    assert loaded.warnings == ()
    assert len(loaded.rules.integrations) == 4


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({"alertname": "Watchdog", "severity": "none"}, ["null"]),
        ({"alertname": "A", "severity": "info", "team": "payments"}, ["null"]),
        ({"alertname": "A", "severity": "none"}, ["null"]),
        ({"alertname": "A", "severity": "critical", "team": "payments"}, ["payments"]),
        ({"alertname": "A", "severity": "warning", "team": "payments"}, ["payments-low"]),
        ({"alertname": "A", "severity": "warning"}, ["platform-low"]),
        ({"alertname": "A", "severity": "page"}, ["platform"]),
        ({"alertname": "A"}, ["platform"]),
    ],
)
def test_the_shipped_configuration_sends_alerts_where_its_comments_say(
    tmp_path: Path, labels: dict[str, str], receivers: list[str]
) -> None:
    book = rulebook(with_secrets(tmp_path, SHIPPED.read_text()))

    assert [route.receiver for route in book.router.match(labels)] == receivers


def additive(section: type[Section], known_to_alertmanager: set[str]) -> set[str]:
    return {str(field.validation_alias or name) for name, field in section.model_fields.items()} - known_to_alertmanager


ROUTE = {
    *("receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "match", "match_re", "matchers"),
    *("continue", "mute_time_intervals", "active_time_intervals", "labels", "routes"),
}
PAGERDUTY = {
    *("routing_key", "routing_key_file", "url", "client", "client_url", "description", "details", "images", "links"),
    *("source", "severity", "class", "component", "group", "send_resolved", "timeout", "http_config"),
}


def test_the_shipped_configuration_shows_every_key_that_alertmanager_does_not_have() -> None:
    text = SHIPPED.read_text()
    keys = additive(Route, ROUTE) | additive(PagerDuty, PAGERDUTY) | {"sources", "native_keys"}

    assert {key for key in keys if f"{key}:" not in text} == set()


def commented_routes() -> Iterator[str]:
    """List the route keys of the shipped configuration that stand in comments."""
    for line in SHIPPED.read_text().splitlines():
        found = re.match(r"  # (\w+: .*)", line)
        if found and found[1].partition(":")[0] in additive(Route, set()):
            yield found[1]


@pytest.mark.parametrize("line", list(commented_routes()))
def test_each_commented_route_key_loads_when_the_comment_sign_is_taken_away(tmp_path: Path, line: str) -> None:
    key = line.partition(":")[0]
    text = SHIPPED.read_text().replace(f"  # {line}", f"  {line}")
    text = text.replace("  group_by: [alertname, cluster] #", "  #") if key == "dedup_key" else text

    if key == "mute_time_intervals":  # an empty list is no list
        assert yaml.safe_load(line) == {"mute_time_intervals": []}
    assert load(with_secrets(tmp_path, text), {}).rules


def test_the_example_configuration_loads_as_it_is() -> None:
    loaded = load(EXAMPLES / "relay.yml", {})

    assert loaded.warnings == ()
    assert {integration.url for integration in loaded.rules.integrations.values()} == {
        "http://127.0.0.1:9999/v2/enqueue"
    }


@pytest.mark.parametrize("file", BODIES, ids=lambda file: file.stem)
def test_each_example_body_is_one_alertmanager_could_have_sent(file: Path) -> None:
    message = parse(file.read_bytes(), "")
    stated: dict[str, Any] = json.loads(file.read_bytes())

    assert message.notes == ()
    assert all(alert.notes == () for alert in message.alerts)
    assert [a["fingerprint"] for a in stated["alerts"]] == [fingerprint_of(a["labels"]) for a in stated["alerts"]]
    for name in ("commonLabels", "groupLabels"):
        assert all(set(stated[name].items()) <= set(alert["labels"].items()) for alert in stated["alerts"])
    assert stated["status"] == ("firing" if any(a["status"] == "firing" for a in stated["alerts"]) else "resolved")


@pytest.mark.parametrize("file", BODIES, ids=lambda file: file.stem)
def test_each_example_body_pages_somebody_by_the_example_configuration(file: Path) -> None:
    draft = classify(parse(file.read_bytes(), ""), rulebook(EXAMPLES / "relay.yml"))

    assert draft.entries
    assert all(entry.placements for entry in draft.entries)


def test_the_example_bodies_show_a_group_that_fires_changes_resolves_and_one_that_was_cut() -> None:
    stated = {file.stem: {alert.status.value for alert in parse(file.read_bytes(), "").alerts} for file in BODIES}
    cut = {file.stem for file in BODIES if parse(file.read_bytes(), "").truncated_alerts}

    assert stated == {
        "critical": {"firing"},
        "critical-update": {"firing", "resolved"},
        "critical-resolved": {"resolved"},
        "warning-truncated": {"firing"},
    }
    assert cut == {"warning-truncated"}


def test_amtool_accepts_the_example_alertmanager_configuration() -> None:
    run(tool("amtool"), "check-config", str(EXAMPLES / "alertmanager.yml"))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=HighErrorRate", "severity=critical"], "pagerelay"),
        (["alertname=Watchdog", "severity=none"], "pagerelay"),
        (["alertname=PagerelayDown", "severity=critical"], "pagerduty-directly"),
        (["alertname=PagerelayReloadFailed", "severity=warning"], "pagerelay"),
        (["alertname=AlertmanagerFailedToSendAlerts", "severity=critical"], "pagerduty-directly"),
    ],
)
def test_the_relays_own_failure_takes_the_second_path(labels: list[str], receiver: str) -> None:
    file = str(EXAMPLES / "alertmanager.yml")

    run(tool("amtool"), "config", "routes", "test", f"--config.file={file}", f"--verify.receivers={receiver}", *labels)


def test_the_example_alertmanager_configuration_loads_here_too_but_for_what_is_not_ours(tmp_path: Path) -> None:
    """Whoever starts from alertmanager.yml can hand it to the relay."""
    loaded = load(EXAMPLES / "alertmanager.yml", {})

    assert [problem.path for problem in loaded.warnings] == ["receivers[0].webhook_configs"]


def test_promtool_accepts_the_example_rules() -> None:
    run(tool("promtool"), "check", "rules", str(EXAMPLES / "prometheus-rules.yml"))


def rules() -> list[dict[str, Any]]:
    groups: dict[str, Any] = yaml.safe_load((EXAMPLES / "prometheus-rules.yml").read_text())
    return [rule for group in groups["groups"] for rule in group["rules"]]


def test_every_metric_in_the_example_rules_is_one_the_relay_has() -> None:
    families = Metrics().registry.collect()
    exposed = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    named = {name for rule in rules() for name in re.findall(r"\bpagerelay_\w+", rule["expr"])}

    assert named
    assert named - exposed == set()


def test_every_example_rule_says_how_bad_it_is_and_what_is_wrong() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "none"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["alert"] == "Watchdog" or rule["annotations"]["runbook_url"], rule["alert"]


def test_the_compose_file_mounts_files_that_are_there_and_the_secrets_the_configuration_names() -> None:
    compose: dict[str, Any] = yaml.safe_load((EXAMPLES / "docker-compose.yml").read_text())
    mounts = [mount for service in compose["services"].values() for mount in service["volumes"]]
    files = [mount.partition(":")[0] for mount in mounts if mount.startswith(".")]

    assert len(files) == 2
    assert all((EXAMPLES / name).is_file() for name in files)
    assert set(compose["services"]["pagerelay"]["secrets"]) == set(compose["secrets"])
    assert set(compose["secrets"]) == set(re.findall(r"/run/secrets/([\w-]+)", SHIPPED.read_text()))


def test_the_example_event_pages_the_platform_team_of_the_example_configuration() -> None:
    loaded = load(EXAMPLES / "relay.yml", {})
    event = pagerduty.read((EXAMPLES / "event.json").read_bytes())

    assert RoutingKeys(lambda: loaded).find(event.routing_key.reveal()) == Whose("", "platform")
