"""PagerDuty's own clients, unmodified, work with a relay where they worked with PagerDuty, over http and https."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.conftest import House
from tests.clients.programs import EVENTS, TLS_ONLY, missing, sending
from tests.clients.stories import Story, played, words

pytestmark = pytest.mark.acceptance

SEVERITY = "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
PAIRS = [(name, scheme) for name in EVENTS for scheme in ("http", "https") if scheme == "https" or name not in TLS_ONLY]

Stories = Mapping[tuple[str, str], Future[Story]]


@pytest.fixture(scope="module")
def stories(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stories]:
    """Every client that there is here, all at work at once: each of them mostly waits."""
    with ThreadPoolExecutor(len(PAIRS)) as pool:
        yield {
            (name, scheme): pool.submit(_story, house, name, scheme, tmp_path_factory.mktemp(f"{name}-{scheme}"))
            for name, scheme in PAIRS
            if not missing(name)
        }


def _story(house: House, name: str, scheme: str, folder: Path) -> Story:
    with sending(name, house.where(scheme), folder) as client:
        return played(client, house.sandbox, f"{name}/{scheme}")


@pytest.fixture(params=PAIRS, ids=lambda pair: "-".join(pair))
def story(stories: Stories, request: pytest.FixtureRequest) -> Story:
    name, scheme = request.param
    if why := missing(name):
        pytest.skip(why)
    return stories[name, scheme].result()


def test_a_trigger_opens_an_alert_under_the_key_that_the_client_is_told(story: Story) -> None:
    assert story.trigger["dedup_key"] == story.key
    assert story.opened["dedup_key"] == story.key
    assert story.results.count("triggered") == 1


BUSY = {
    "summary": "The CPUs of web-server-01 are busy",
    "source": "monitoring-system",
    "severity": "critical",
    "custom_details": {"cpu_percent": 98.5, "hostname": "web-server-01", "datacenter": "us-east-1"},
}
WRITTEN: Mapping[str, Mapping[str, object]] = {
    "pdpyras": BUSY,
    "pagerduty": BUSY,
    "pdjs": {
        "summary": "The disk of srv01 is full",
        "source": "disk-monitor",
        "severity": "critical",
        "component": "storage",
        "group": "infrastructure",
        "class": "disk",
        "custom_details": {"disk_usage": "95%", "mount_point": "/data", "available_gb": 5},
    },
    "go-pagerduty": {
        "summary": "The server cannot be reached",
        "source": "srv01",
        "severity": "critical",
        "class": "reachability",
    },
    "curl": {"summary": "A test, please ignore", "source": "test-script", "severity": "info"},
}
"""The payload that each client's program gives."""


def test_the_payload_arrives_as_the_client_wrote_it(story: Story) -> None:
    name = story.key.partition("/")[0]
    links = [link["href"] for link in story.opened["event"].get("links", [])]

    assert story.opened["event"]["payload"] == WRITTEN[name]
    assert links == (["https://monitoring.example.com/srv01"] if name == "pdjs" else [])


def test_pagerduty_sees_the_receivers_own_key_whichever_the_client_has(story: Story) -> None:
    assert story.opened["routing_key"] == "team"


def test_an_acknowledge_is_seen_at_pagerduty(story: Story) -> None:
    assert story.acknowledge["dedup_key"] == story.key
    assert story.acknowledged


def test_a_resolve_closes_what_the_trigger_opened(story: Story) -> None:
    assert story.resolve["dedup_key"] == story.key
    assert story.resolved
    assert story.results == ["triggered", "acknowledged", "resolved"]


def test_a_trigger_without_a_key_is_told_the_key_that_pagerduty_holds(story: Story) -> None:
    assert story.minted["dedup_key"]
    assert story.minted_open


def test_what_pagerduty_would_refuse_is_refused_in_its_words_as_the_clients_own_error(story: Story) -> None:
    assert "error" in story.bad or story.bad["status"] == "invalid event"
    # go-pagerduty looks for words in the shape of the REST API's errors, finds none, and says the status alone.
    assert ("status code 400" if story.key.startswith("go-") else SEVERITY) in words(story.bad)
    assert not story.bad_sent


def test_a_change_event_arrives(story: Story) -> None:
    assert "error" not in story.change
    assert story.changed
