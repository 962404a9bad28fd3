"""Alertmanager's own PagerDuty receiver, pointed at a relay: one event, one alert, one page."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from tests.acceptance.programs import Alertmanager, wait_for
from tests.clients.conftest import House
from tests.clients.programs import missing
from tests.clients.stories import opened

pytestmark = pytest.mark.acceptance

EXAMPLE = Path(__file__).parents[2] / "examples" / "alertmanager-native.yml"
QUICK = {"group_wait": "1s", "group_interval": "1s"}


class Native(Alertmanager):
    """A real Alertmanager whose receivers are those of the example, with the address and key put in."""

    def __init__(self, house: House, scheme: str, folder: Path, receiver: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, "http://127.0.0.1:9/", name=f"native-{scheme}")
        where = house.where(scheme)
        key = folder / "routing.key"
        key.write_text(where.key)
        document = yaml.safe_load(EXAMPLE.read_text())
        document["global"]["pagerduty_url"] = f"{where.url}/v2/enqueue"
        document["route"] |= QUICK
        for found in document["receivers"]:
            for config in found.get("pagerduty_configs", []):
                config["routing_key_file"] = str(key)
                if where.authority is not None:
                    config["http_config"] = {"tls_config": {"ca_file": str(where.authority)}}
                config |= receiver or {}
        self._config.write_text(yaml.safe_dump(document))


@contextmanager
def running(alertmanager: Native) -> Iterator[Native]:
    """Run it; skip where there is none."""
    if why := missing("alertmanager"):
        pytest.skip(why)
    alertmanager.start()
    try:
        yield alertmanager
    finally:
        alertmanager.put_away()


def native_key(alertname: str, cluster: str) -> str:
    """Compute the dedup key as Alertmanager does for the example's first route: sha256 of its group key."""
    labels = f'alertname="{alertname}", cluster="{cluster}", service="api"'
    return sha256(f"{{}}:{{{labels}}}".encode()).hexdigest()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_group_is_one_event_one_alert_and_one_page_until_all_of_it_resolved(
    house: House, scheme: str, tmp_path: Path
) -> None:
    one = {"alertname": "Down", "cluster": scheme, "service": "api", "severity": "critical", "pod": "a"}
    two = {**one, "pod": "b"}
    key = native_key("Down", scheme)

    with running(Native(house, scheme, tmp_path)) as alertmanager:
        alertmanager.fire(one, two, summary="the api is down")
        alert = opened(house.sandbox, key)
        alertmanager.resolve(one, two)
        wait_for(lambda: key not in house.sandbox.open(), "it is closed")

    assert (alert["severity"], alert["summary"]) == ("critical", "the api is down")
    calls = [line for line in house.sandbox.requests() if line["dedup_key"] == key]
    assert [line["result"] for line in calls] == ["triggered", "resolved"]
    assert calls[0]["event"]["payload"]["custom_details"]["num_firing"] == "2"
    [page] = house.get(scheme, f"/api/v1/pages?dedup_key={key}")["pages"]
    [member] = house.get(scheme, f"/api/v1/pages/{page['id']}")["members"]
    assert (member["alertname"], member["status"]) == ("Down", "resolved")


def test_the_summary_that_nothing_in_common_leaves_blank_is_refused_and_alertmanager_says_why(
    house: House, tmp_path: Path
) -> None:
    """Two alerts whose summaries differ have no common one; many guides write only that one."""
    blank = {"description": "{{ .CommonAnnotations.summary }}"}
    base = {"alertname": "Blank", "cluster": "x", "service": "api", "severity": "critical"}

    with running(Native(house, "http", tmp_path, blank)) as alertmanager:
        alertmanager.fire({**base, "pod": "a"}, summary="a is down")
        alertmanager.fire({**base, "pod": "b"}, summary="b is down")
        wait_for(lambda: "'payload.summary' is missing or blank" in alertmanager.output(), "it logs what is wrong")

    assert native_key("Blank", "x") not in house.sandbox.open()


def test_the_example_has_a_summary_where_the_alerts_have_none_in_common(house: House, tmp_path: Path) -> None:
    base = {"alertname": "Differs", "cluster": "x", "service": "api", "severity": "page"}
    key = native_key("Differs", "x")

    with running(Native(house, "http", tmp_path)) as alertmanager:
        alertmanager.fire({**base, "pod": "a"}, summary="a is down")
        alertmanager.fire({**base, "pod": "b"}, summary="b is down")
        alert = opened(house.sandbox, key)
        alertmanager.resolve({**base, "pod": "a"}, {**base, "pod": "b"})
        wait_for(lambda: key not in house.sandbox.open(), "it is closed")

    assert "Differs" in alert["summary"]
    assert alert["severity"] == "error"
