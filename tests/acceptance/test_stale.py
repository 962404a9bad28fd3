"""The installed relay tells of alerts nobody speaks of any more, and asks the Alertmanager its file names."""

from collections.abc import Callable

import pytest

from tests.acceptance.bodies import alert, body, labels
from tests.acceptance.conftest import Scene, base_key
from tests.acceptance.programs import Relay, wait_for

pytestmark = pytest.mark.acceptance


def speaking(relay: Relay, condition: Callable[[], bool]) -> Callable[[], bool]:
    """Ask while the source goes on speaking, since nothing is stale of a source that is silent."""

    def ask() -> bool:
        said = body("Other", alert(labels("Other")))
        assert relay.post(said, "/webhook/prod").status == 200
        return condition()

    return ask


def test_what_is_stale_is_counted_and_the_alertmanager_is_asked_about_it(scene: Scene) -> None:
    scene.stage()
    relay = scene.relay(start=False)
    alertmanager = scene.alertmanager(relay, "/webhook/prod")
    scene.config(top={"sources": [{"name": "prod", "stale_after": "2s", "alertmanager_url": alertmanager.url}]})
    relay.start()
    assert relay.post(body("Disk", alert(labels("Disk"))), "/webhook/prod").status == 200
    scene.shows(base_key("Disk"))

    wait_for(speaking(relay, lambda: relay.metric("pagerelay_stale_alerts", source="prod") == 1), "Disk is stale")
    assert relay.metric("pagerelay_stale_pages") == 1
    wait_for(
        speaking(relay, lambda: relay.metric("pagerelay_alertmanager_polls_total", source="prod") >= 1), "it is asked"
    )

    because = f'because="{alertmanager.url.removeprefix("http://")} runs for less than 15m"'
    wait_for(lambda: "alerts became stale" in relay.output() and because in relay.output(), "the log tells of it")
    assert relay.metric("pagerelay_alertmanager_poll_failures_total", source="prod") == 0
    assert base_key("Disk") in scene.sandbox.open()

    assert relay.stop() == 0
