"""A 202 is no page: what the relay makes of triggers that PagerDuty took and shows no incident for."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relay.confirming import Confirming
from relay.logs import Log
from relay.pagerduty.rest import Rest
from relay.secret import Secret
from tests.integration.pagerduty_news import SECRET, PagerDuty
from tests.integration.timelapse import Relay, config, fires, minutes, open_relay, resolved

WEBHOOKS: dict[str, Any] = {"webhook_secrets": [SECRET]}
TOKEN = "a-token-of-the-rest-api"


@dataclass
class Scene:
    """A relay, a PagerDuty that says what it did when it is told to, and who calls the roll."""

    relay: Relay
    pagerduty: PagerDuty
    rest: Rest = field(init=False)

    async def later(self, minutes_: float) -> list[str]:
        """Let time pass, call the roll, and return what PagerDuty is sent then."""
        await self.relay.wait(minutes(minutes_))
        self.relay.sent()
        relay = self.relay
        self.roll = Confirming(
            relay.store,
            relay.book,
            rest=self.rest,
            find_key=relay.keys.get,
            clock=relay.clock,
            wake=relay.dispatcher.wake,
            metrics=relay.metrics,
            log=Log(relay.clock, stream=relay),  # type: ignore[arg-type]
        )
        await self.roll.tick()
        await relay.settle()
        return relay.sent()

    async def confirmed(self, name: str) -> None:
        """Have an alert page and PagerDuty say that there is an incident, and that it is over."""
        await self.relay.post(fires(name))
        assert await self.pagerduty.tells() == ["placed"]
        await self.relay.post(resolved(name))
        await self.relay.wait(1)
        await self.pagerduty.tells()

    def status(self) -> str:
        """Say whether triggers of the receiver are awaited."""
        (integration,) = (one for one in self.relay.book.rules.integrations.values() if one.name == "a")
        return self.roll.of(integration.id)

    def counted(self, name: str) -> float:
        """Read a counter of the receiver."""
        return self.relay.counted(f"pagerelay_pages_{name}_total", receiver="a")


@contextlib.asynccontextmanager
async def stage(folder: Path, *, restless: bool = False, **account: Any) -> AsyncIterator[Scene]:
    """Open them."""
    async with open_relay(folder, config(top={"pagerduty": account}), restless=restless) as relay:
        if "api_token" in account:
            account["api_url"] = relay.pagerduty
            await relay.reload(config(top={"pagerduty": account}))
        scene = Scene(relay, PagerDuty(relay))
        scene.rest = Rest(lambda: Secret(TOKEN), lambda: relay.book.rules.account)
        await scene.rest.start()
        try:
            yield scene
        finally:
            await scene.rest.close()


async def test_a_trigger_that_was_confirmed_is_not_doubted(tmp_path: Path) -> None:
    async with stage(tmp_path, **WEBHOOKS) as scene:
        await scene.relay.post(fires("Disk"))
        await scene.pagerduty.tells()

        assert await scene.later(6) == []
        assert scene.counted("unconfirmed") == 0
        assert "no incident" not in (await scene.relay.page("Disk"))["why"]
        assert scene.status() == "on: PagerDuty's webhooks name its pages"


@pytest.mark.parametrize("restless", [False, True])
async def test_a_trigger_that_nobody_confirms_is_counted_and_shown_once(tmp_path: Path, restless: bool) -> None:
    async with stage(tmp_path, restless=restless, **WEBHOOKS) as scene:
        await scene.confirmed("First")
        await scene.relay.post(fires("Disk"))

        await scene.later(4)
        early = scene.counted("unconfirmed")
        sent = await scene.later(2)
        late = scene.counted("unconfirmed")

        assert (early, late, sent) == (0, 1, [])
        why = (await scene.relay.page("Disk"))["why"]
        assert "PagerDuty took its trigger at 2026-11-23T12:00:01.000Z and showed no incident for it by" in why
        assert "look whether anybody was called" in why
        await scene.later(10)
        assert scene.counted("unconfirmed") == (late if not restless else 0)  # a restart begins to count anew


async def test_it_is_sent_again_once_where_that_is_wanted(tmp_path: Path) -> None:
    async with stage(tmp_path, resend_unconfirmed="true", **WEBHOOKS) as scene:
        await scene.confirmed("First")
        await scene.relay.post(fires("Disk", "critical"))
        scene.relay.sandbox.incidents.forget()  # taken, and nothing came of it
        scene.pagerduty.kept.clear()

        first = await scene.later(5)
        second = await scene.later(6)

        assert (first, second) == (["301 s trigger Disk critical"], [])
        assert (scene.counted("unconfirmed"), scene.counted("resent")) == (1, 1)
        assert "so that it was sent again at 2026-11-23T12:05:01.000Z" in (await scene.relay.page("Disk"))["why"]
        assert await scene.pagerduty.tells() == ["placed"]
        assert "no incident" not in (await scene.relay.page("Disk"))["why"]
        await scene.relay.post(resolved("Disk", "critical"))
        assert scene.relay.open_alerts == {}


async def test_what_is_muted_or_over_by_then_is_not_sent_again(tmp_path: Path) -> None:
    async with stage(tmp_path, resend_unconfirmed="true", **WEBHOOKS) as scene:
        await scene.confirmed("First")
        await scene.relay.post(fires("Disk"))
        await scene.relay.post(fires("Over"))
        await scene.relay.wait(2)
        await scene.relay.post(resolved("Over"))
        await scene.relay.silence(("=", "alertname", "Disk"), last=3600)

        sent = await scene.later(6)

        assert sent == []
        assert (scene.counted("unconfirmed"), scene.counted("resent")) == (2, 0)


async def test_where_no_webhook_ever_named_a_page_nothing_is_doubted_and_the_status_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path, resend_unconfirmed="true", **WEBHOOKS) as scene:
        scene.pagerduty = PagerDuty(scene.relay, key=False)
        await scene.relay.post(fires("Disk"))
        await scene.pagerduty.tells()

        sent = await scene.later(60)

        assert (sent, scene.counted("unconfirmed")) == ([], 0)
        assert scene.status().startswith("off: no webhook has named a page of it yet. PagerDuty's webhooks name")


async def test_pages_of_before_the_first_confirmation_are_not_doubted(tmp_path: Path) -> None:
    async with stage(tmp_path, **WEBHOOKS) as scene:
        await scene.relay.post(fires("Old"))
        scene.pagerduty.kept.clear()
        await scene.relay.wait(1)
        await scene.confirmed("First")

        await scene.later(10)

        assert scene.counted("unconfirmed") == 0


async def test_with_a_token_pagerduty_is_asked_and_only_what_has_no_incident_is_doubted(tmp_path: Path) -> None:
    async with stage(tmp_path, resend_unconfirmed="true", api_token=TOKEN) as scene:
        await scene.relay.post(fires("Lost"))
        scene.relay.sandbox.incidents.forget()
        await scene.relay.post(fires("Disk"))

        sent = await scene.later(5.1)

        assert sent == []  # nothing was ever confirmed here before: perhaps it cannot be
        assert scene.counted("unconfirmed") == 1
        (incident,) = scene.relay.sandbox.incidents.all
        page = await scene.relay.store.page(await page_id(scene.relay, "Disk"))
        assert page is not None
        assert (page.page.incident, page.page.incident_number) == (incident.id, incident.number)
        assert "showed no incident" in (await scene.relay.page("Lost"))["why"]
        await scene.relay.post(fires("Next"))
        scene.relay.sandbox.incidents.forget()
        assert await scene.later(5.1) == ["612 s trigger Next warning"]


async def test_a_page_that_pagerduty_put_into_the_incident_of_another_is_closed_with_it(tmp_path: Path) -> None:
    """PagerDuty groups alerts: then no webhook says that the second has an incident."""
    async with stage(tmp_path, api_token=TOKEN, webhook_secrets=[SECRET]) as scene:
        scene.pagerduty = PagerDuty(scene.relay, key=False)
        await scene.relay.post(fires("Disk"))
        await scene.pagerduty.tells()
        await scene.relay.post(fires("Net"))
        incidents = scene.relay.sandbox.incidents
        disk, net = incidents.all
        incidents.merge(disk, [net], None)
        scene.pagerduty.kept.clear()
        await scene.later(5.1)

        incidents.resolve(disk, scene.pagerduty.anna)
        await scene.pagerduty.tells()

        assert await scene.relay.pages() == {"Disk": "closed elsewhere", "Net": "closed elsewhere"}


async def test_without_an_answer_nobody_knows_so_nothing_is_doubted(tmp_path: Path) -> None:
    async with stage(tmp_path, api_token=TOKEN) as scene:
        await scene.relay.post(fires("Disk"))
        account = {"api_token": TOKEN, "api_url": "http://127.0.0.1:1"}
        await scene.relay.reload(config(top={"pagerduty": account}))

        await scene.later(6)

        assert scene.counted("unconfirmed") == 0
        assert [line for line in scene.relay.log if "does not say which incidents it has" in line]


@pytest.mark.parametrize(
    ("account", "says"),
    [
        ({}, "off: nothing says whether PagerDuty has an incident"),
        ({**WEBHOOKS, "confirm_within": "0s"}, "off: pagerduty.confirm_within is 0"),
    ],
)
async def test_where_it_is_off_it_says_why(tmp_path: Path, account: dict[str, Any], says: str) -> None:
    async with stage(tmp_path, **account) as scene:
        await scene.relay.post(fires("Disk"))

        await scene.later(60)

        assert scene.status().startswith(says)
        assert scene.counted("unconfirmed") == 0


async def test_a_new_incident_is_awaited_anew(tmp_path: Path) -> None:
    async with stage(tmp_path, **WEBHOOKS) as scene:
        await scene.relay.post(fires("Disk"))
        await scene.pagerduty.tells()
        await scene.relay.post(resolved("Disk"))
        await scene.relay.wait(5)
        await scene.relay.post(fires("Disk", since="12:00:04"))

        await scene.later(6)

        assert scene.counted("unconfirmed") == 1


async def page_id(relay: Relay, dedup_key: str) -> int:
    """Find a page."""
    (number,) = await relay.store.page_ids(dedup_key)
    return number
