"""The examples for who comes from PagerDuty's own integrations: Kubernetes, Helm values, native receivers, rules."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Command

from relay.alert import MINUTE
from relay.cli.serve import serve
from relay.config import Loaded, load
from relay.ingress.prometheus import parse as parse_alerts
from relay.rendering import read_sources
from relay.rendering.values import read_value
from relay.rules.classify import classify
from relay.rules.render import render
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Texts
from relay.rules.templates import Engine
from tests.docs.test_examples import EXAMPLES, SHIPPED, run, tool, with_secrets
from tests.unit.pages import member, page

NATIVE, HELM = EXAMPLES / "alertmanager-native.yml", EXAMPLES / "helm-values.yml"
RULES = Path(__file__).parents[1] / "data" / "clients"

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> dict[str, Manifest]:
    """Every object of the Kubernetes example by its kind."""
    found = list(yaml.safe_load_all((EXAMPLES / "kubernetes.yml").read_text()))
    assert len({one["kind"] for one in found}) == len(found)
    return {one["kind"]: one for one in found}


def pod(manifests: dict[str, Manifest]) -> Manifest:
    found: Manifest = manifests["Deployment"]["spec"]["template"]["spec"]
    return found


def container(manifests: dict[str, Manifest]) -> Manifest:
    [found] = pod(manifests)["containers"]
    assert isinstance(found, dict)
    return found


def in_the_cluster(manifests: dict[str, Manifest], tmp_path: Path) -> Loaded:
    return load(with_secrets(tmp_path, manifests["ConfigMap"]["data"]["relay.yml"]), {})


def test_the_configuration_of_the_kubernetes_example_loads(manifests: dict[str, Manifest], tmp_path: Path) -> None:
    loaded = in_the_cluster(manifests, tmp_path)

    assert loaded.warnings == ()
    assert [key.source for key in loaded.virtual_keys] == ["cluster"]


def test_every_key_that_the_kubernetes_example_names_is_in_its_secret_and_none_stands_elsewhere(
    manifests: dict[str, Manifest],
) -> None:
    named = set(re.findall(r"/run/secrets/([\w-]+)", manifests["ConfigMap"]["data"]["relay.yml"]))
    mounts = {mount["name"]: mount["mountPath"] for mount in container(manifests)["volumeMounts"]}

    assert named == set(manifests["Secret"]["stringData"])
    assert mounts["secrets"] == "/run/secrets"
    assert "env" not in container(manifests)
    assert re.findall(r"\b[0-9a-zA-Z]{32}\b", str(manifests)) == []


def test_the_kubernetes_example_starts_serve_as_serve_takes_it(manifests: dict[str, Manifest]) -> None:
    word, *flags = container(manifests)["args"]
    command: Command = serve
    given = command.make_context(word, list(flags), resilient_parsing=True).params

    assert word == "serve"
    assert {str(value) for value in given.values() if str(value).startswith("/")} == {
        "/etc/pagerelay/relay.yml",
        "/data",
    }
    known = {name for option in serve.params for name in option.opts}
    assert {flag.partition("=")[0] for flag in flags} <= known


def test_the_probes_of_the_kubernetes_example_ask_the_doors_that_are_for_them(manifests: dict[str, Manifest]) -> None:
    probes = {name: container(manifests)[f"{name}Probe"]["httpGet"] for name in ("liveness", "readiness")}
    [port] = container(manifests)["ports"]
    [service] = manifests["Service"]["spec"]["ports"]

    assert probes["liveness"] == {"path": "/-/healthy", "port": port["name"]}
    assert probes["readiness"] == {"path": "/-/ready", "port": port["name"]}
    assert f"0.0.0.0:{port['containerPort']}" in str(container(manifests)["args"])
    assert (service["port"], service["targetPort"]) == (port["containerPort"], port["name"])


def test_one_relay_has_the_volume_to_itself_and_nodes_can_be_drained(manifests: dict[str, Manifest]) -> None:
    deployment, budget = manifests["Deployment"]["spec"], manifests["PodDisruptionBudget"]["spec"]

    assert deployment["replicas"] == 1
    assert deployment["strategy"] == {"type": "Recreate"}
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


def test_all_selectors_of_the_kubernetes_example_find_the_relay(manifests: dict[str, Manifest]) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]

    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels


def test_every_volume_of_the_kubernetes_example_is_one_of_its_objects(manifests: dict[str, Manifest]) -> None:
    volumes = {volume["name"]: volume for volume in pod(manifests)["volumes"]}

    assert set(volumes) == {mount["name"] for mount in container(manifests)["volumeMounts"]}
    assert volumes["config"]["configMap"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    assert volumes["secrets"]["secret"]["secretName"] == manifests["Secret"]["metadata"]["name"]
    claim = volumes["data"]["persistentVolumeClaim"]["claimName"]
    assert claim == manifests["PersistentVolumeClaim"]["metadata"]["name"]


def test_the_relay_in_kubernetes_has_no_rights_in_the_cluster_and_is_the_user_of_the_image(
    manifests: dict[str, Manifest],
) -> None:
    image = (EXAMPLES.parent / "Dockerfile").read_text()

    assert not set(manifests) & {"ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
    assert pod(manifests)["automountServiceAccountToken"] is False
    assert f"USER {pod(manifests)['securityContext']['runAsUser']}:" in image
    assert pod(manifests)["securityContext"]["fsGroup"] == pod(manifests)["securityContext"]["runAsGroup"]


def helm() -> Manifest:
    values: Manifest = yaml.safe_load(HELM.read_text())["alertmanager"]
    return values


def test_amtool_accepts_the_configuration_in_the_helm_values(tmp_path: Path) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(yaml.safe_dump(helm()["config"]))

    run(tool("amtool"), "check-config", str(file))


def test_the_helm_values_point_at_the_service_of_the_kubernetes_example(manifests: dict[str, Manifest]) -> None:
    service = manifests["Service"]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    [port] = service["spec"]["ports"]

    url = helm()["config"]["global"]["pagerduty_url"]

    assert url == f"http://{name}.{namespace}.svc:{port['port']}/v2/enqueue"


def test_the_helm_values_mount_the_key_that_they_name() -> None:
    [mount] = helm()["extraSecretMounts"]
    keys = [
        config["routing_key_file"]
        for receiver in helm()["config"]["receivers"]
        for config in receiver.get("pagerduty_configs", [])
    ]

    assert mount["readOnly"] is True
    assert [str(Path(key).parent) for key in keys] == [mount["mountPath"]]


def test_amtool_accepts_the_example_of_native_receivers() -> None:
    run(tool("amtool"), "check-config", str(NATIVE))


@pytest.mark.parametrize(
    ("severity", "receiver"),
    [("critical", "pagerduty"), ("page", "pagerduty"), ("warning", "pagerduty-warning"), ("info", "null")],
)
def test_the_example_of_native_receivers_routes_by_severity(severity: str, receiver: str) -> None:
    flags = (f"--config.file={NATIVE}", f"--verify.receivers={receiver}")

    run(tool("amtool"), "config", "routes", "test", *flags, "alertname=Down", f"severity={severity}")


def test_no_example_for_alertmanager_uses_what_alertmanager_gives_up() -> None:
    """`match` and `match_re` are deprecated, and a `service_key` cannot be sent to a relay."""
    for file in (NATIVE, HELM, EXAMPLES / "alertmanager.yml"):
        assert re.findall(r"^\s*(?:- )?(match|match_re|service_key):", file.read_text(), re.MULTILINE) == [], file.name


def test_promtool_accepts_the_rules_and_they_fire_what_their_test_says() -> None:
    run(tool("promtool"), "check", "rules", str(RULES / "rules.yml"))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "rules-test.yml"], cwd=RULES, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr


def fired() -> list[dict[str, Any]]:
    """List the alerts that the rules fire, as Prometheus posts them."""
    tests = yaml.safe_load((RULES / "rules-test.yml").read_text())["tests"]
    return [
        {
            "labels": {"alertname": case["alertname"], **alert["exp_labels"]},
            "annotations": alert["exp_annotations"],
        }
        for test in tests
        for case in test["alert_rule_test"]
        for alert in case["exp_alerts"]
    ]


def test_what_the_rules_fire_pages_as_bad_as_its_label_says_where_the_shipped_configuration_says(
    tmp_path: Path,
) -> None:
    loaded = load(with_secrets(tmp_path, SHIPPED.read_text()), {})
    message = parse_alerts(json.dumps(fired()).encode(), "", 0, 5 * MINUTE)
    draft = classify(message, Rulebook(loaded.rules, loaded.keys))
    found = {
        entry.alert.labels["alertname"]: (placement.receiver, str(placement.severity))
        for entry in draft.entries
        for placement in entry.placements
    }

    assert found == {
        "CpuBusy": ("platform", "critical"),
        "DiskAlmostFull": ("platform-low", "warning"),
        "TargetDown": ("platform", "critical"),
    }


def test_what_the_rules_say_is_what_the_page_says_and_the_runbook_is_a_link() -> None:
    engine = Engine(read_sources(), read_value)
    for alert in fired():
        shown = page(member(annotations=alert["annotations"], **alert["labels"]), group_labels={})
        event = render(shown, Texts(), engine).event

        assert alert["annotations"]["summary"] in event.summary
        assert alert["annotations"]["description"] in str(event.custom_details)
        runbook = alert["annotations"].get("runbook_url")
        assert runbook is None or runbook in [link.href for link in event.links]
