"""What people and timers do at PagerDuty while hours pass: who has a page, who closed it, when it opens again."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pagerduty_news import SECRET, PagerDuty
from tests.integration.timelapse import PATIENCE, Relay, config, fires, hours, minutes, open_relay, resolved


def taking(*, api: bool = False, **route: Any) -> dict[str, Any]:
    """A routing file that takes webhooks; a page says all again after an hour."""
    account: dict[str, Any] = {"webhook_secrets": [SECRET]} | ({"api_token": "u+a-token-of-the-api"} if api else {})
    return config(top={"pagerduty": account}, repeat_interval="1h", group_interval="1m", **route)


RESTLESS = pytest.mark.parametrize("relay", [False, True], ids=["steady", "restarted before everything"], indirect=True)


@pytest.fixture
async def relay(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Relay]:
    async with open_relay(tmp_path, taking(), restless=getattr(request, "param", False)) as opened:
        yield opened


@pytest.fixture
def pagerduty(relay: Relay) -> PagerDuty:
    return PagerDuty(relay)


async def opened(relay: Relay, pagerduty: PagerDuty, *alerts: dict[str, Any]) -> None:
    """Have a page open at PagerDuty, with its incident known."""
    await relay.post(*(alerts or (fires("Down", "critical"),)))
    await pagerduty.tells()
    relay.sent()


async def heard(relay: Relay, *alerts: dict[str, Any]) -> None:
    """Have the relay hear a body once more, and write that down."""
    await relay.post(*alerts)
    await relay.wait(15)
    await relay.store.flush_heard()
    await relay.settle()


def done(page: dict[str, Any]) -> list[tuple[str, str]]:
    return [(act["kind"], act["who"]) for act in page["acts"] if not act["ignored"]]


@RESTLESS
async def test_a_page_knows_its_incident_and_who_has_it(relay: Relay, pagerduty: PagerDuty) -> None:
    await relay.post(fires("Down", "critical"))
    assert await pagerduty.tells() == ["placed"]
    await relay.wait(20)
    pagerduty.acknowledges("Down")
    await pagerduty.tells()

    page = await relay.page("Down")

    incident = pagerduty.incident("Down")
    assert (page["incident"], page["incident_number"]) == (incident.id, incident.number)
    assert page["incident_url"].endswith(f"/{incident.number}")
    assert page["confirmed_at"] == "2026-11-23T12:00:00.000Z"
    assert (page["acknowledged_by"], page["acknowledged_at"]) == (pagerduty.anna.name, "2026-11-23T12:00:20.000Z")
    assert page["assignees"]
    assert done(page) == [("triggered", page["acts"][0]["who"]), ("acknowledged", pagerduty.anna.name)]


async def test_what_is_said_and_who_it_is_given_to_stands_on_the_page(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    incidents, incident = relay.sandbox.incidents, pagerduty.incident("Down")
    incidents.annotate(incident, "restarting the switch", pagerduty.anna)
    incidents.reassign(incident, [pagerduty.ben], pagerduty.anna)
    await pagerduty.tells()

    page = await relay.page("Down")

    assert page["assignees"] == [pagerduty.ben.name]
    assert [(act["kind"], act["who"], act["words"]) for act in page["acts"][1:]] == [
        ("annotated", pagerduty.anna.name, "restarting the switch"),
        ("reassigned", pagerduty.anna.name, f"to {pagerduty.ben.name}"),
    ]


async def test_an_acknowledgement_that_ran_out_is_nobodys(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    pagerduty.acknowledges("Down")
    await relay.wait(30)
    relay.sandbox.incidents.unacknowledge(pagerduty.incident("Down"), None)
    await pagerduty.tells()

    page = await relay.page("Down")

    assert (page["acknowledged_by"], page["acknowledged_at"]) == ("", None)
    assert done(page)[1:] == [("acknowledged", pagerduty.anna.name), ("unacknowledged", "")]


@RESTLESS
async def test_a_page_that_a_person_closed_opens_again_at_the_next_repeat_that_is_heard(
    relay: Relay, pagerduty: PagerDuty
) -> None:
    await opened(relay, pagerduty)
    await relay.wait(minutes(10))
    pagerduty.resolves("Down")
    await pagerduty.tells()
    assert (await relay.pages()) == {"Down": "closed elsewhere"}
    closed = await relay.page("Down")
    assert (closed["elsewhere_by"], closed["elsewhere_at"]) == (pagerduty.anna.name, "2026-11-23T12:10:00.000Z")
    assert closed["why"].startswith(f"it fires, and {pagerduty.anna.name} closed its incident at PagerDuty")
    for _ in range(7):
        await relay.wait(minutes(10))
        await heard(relay, fires("Down", "critical"))
    await pagerduty.tells()

    assert relay.sent() == ["3600 s trigger Down critical"]
    assert relay.open_alerts == {"Down": "triggered"}
    page = await relay.page("Down")
    assert (page["state"], page["elsewhere_at"], page["elsewhere_by"]) == ("open", None, "")
    assert page["incident"] == pagerduty.incident("Down").id


async def test_nothing_is_sent_about_a_page_closed_elsewhere_that_is_not_heard_of(
    relay: Relay, pagerduty: PagerDuty
) -> None:
    await opened(relay, pagerduty)
    await relay.wait(minutes(10))
    pagerduty.resolves("Down")
    await pagerduty.tells()
    await relay.wait(hours(5))

    assert relay.sent() == []


async def test_a_body_heard_long_after_the_repeat_was_due_opens_it_at_once(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    pagerduty.resolves("Down")
    await pagerduty.tells()
    await relay.wait(hours(3))
    await heard(relay, fires("Down", "critical"))

    (sent,) = relay.sent()
    assert sent.endswith("s trigger Down critical")
    assert 10_800 <= float(sent.split()[0]) <= 10_815


@RESTLESS
async def test_an_alert_that_joins_opens_it_at_once(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty, fires("Down", "critical", instance="one"))
    await relay.wait(minutes(5))
    pagerduty.resolves("Down")
    await pagerduty.tells()
    await relay.wait(30)
    await relay.post(fires("Down", "critical", instance="one"), fires("Down", "critical", instance="two"))

    assert relay.sent() == ["330 s trigger Down critical"]


async def test_an_alert_that_fired_when_it_was_closed_and_fires_again_opens_nothing_at_once(
    relay: Relay, pagerduty: PagerDuty
) -> None:
    one, two = fires("Down", "critical", instance="one"), fires("Down", "critical", instance="two")
    await opened(relay, pagerduty, one, two)
    await relay.wait(minutes(5))
    pagerduty.resolves("Down")
    await pagerduty.tells()
    await relay.post(one, resolved("Down", "critical", instance="two"))
    await relay.wait(minutes(1))
    await relay.post(one, two)

    assert relay.sent() == []


@RESTLESS
async def test_an_alert_that_joins_before_it_is_heard_that_somebody_closed_it_opens_it_at_once(
    relay: Relay, pagerduty: PagerDuty
) -> None:
    await opened(relay, pagerduty)
    await relay.wait(10)
    pagerduty.resolves("Down")
    await relay.wait(5)
    await relay.post(fires("Down", "critical"), fires("Down", "critical", instance="b"))
    assert relay.sent() == []  # its update waits for the group interval

    await pagerduty.tells()

    assert relay.sent() == ["15 s trigger Down critical"]
    assert relay.open_alerts == {"Down": "triggered"}


async def test_an_alert_that_was_kept_quiet_until_then_opens_it_at_once(relay: Relay, pagerduty: PagerDuty) -> None:
    """Nobody was ever paged for it, though it fired when somebody closed the page."""
    await opened(relay, pagerduty)
    await relay.silence(("=", "instance", "b"), last=600)
    await relay.post(fires("Down", "critical", instance="b"))
    await relay.wait(60)
    pagerduty.resolves("Down")
    await pagerduty.tells()
    await relay.wait(539)
    assert relay.sent() == []

    await relay.wait(1)

    assert relay.sent() == ["600 s trigger Down critical"]


@RESTLESS
async def test_what_was_closed_under_a_key_of_before_says_nothing_of_its_next_incident(
    relay: Relay, pagerduty: PagerDuty
) -> None:
    await relay.reload(taking(on_mute="resolve"))
    await opened(relay, pagerduty)
    pagerduty.resolves("Down")
    await pagerduty.tells()
    rotated = taking(on_mute="resolve")
    rotated["receivers"][0]["pagerduty_configs"] = [{"routing_key": "f" * 32}]
    await relay.reload(rotated)
    await relay.wait(hours(1))
    await heard(relay, fires("Down", "critical"))
    await pagerduty.tells()
    assert relay.open_alerts == {"Down": "triggered"}
    await relay.silence(("=", "alertname", "Down"), last=600)
    await relay.wait(10)
    assert relay.open_alerts == {}

    await relay.wait(600)

    assert relay.open_alerts == {"Down": "triggered"}


async def test_updates_are_held_while_it_is_closed_elsewhere(relay: Relay, pagerduty: PagerDuty) -> None:
    """A trigger would open another incident, whatever has changed."""
    one, two = fires("Down", "critical", instance="one"), fires("Down", "critical", instance="two")
    await opened(relay, pagerduty, one, two)
    pagerduty.resolves("Down")
    await pagerduty.tells()
    await relay.wait(minutes(2))
    await relay.post(one, resolved("Down", "critical", instance="two"))
    await relay.wait(minutes(10))

    assert relay.sent() == []


async def test_nothing_is_resolved_that_a_person_closed(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    pagerduty.resolves("Down")
    await pagerduty.tells()
    await relay.wait(minutes(2))
    await relay.post(resolved("Down", "critical"))
    await relay.wait(hours(2))

    assert relay.sent() == []
    assert await relay.pages() == {"Down": "closed"}


@RESTLESS
async def test_the_next_episode_of_a_page_closed_elsewhere_pages_at_once(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    pagerduty.acknowledges("Down")
    pagerduty.resolves("Down")
    await pagerduty.tells()
    await relay.post(resolved("Down", "critical"))
    await relay.wait(minutes(2))
    await relay.post(fires("Down", "critical"))

    assert relay.sent() == ["120 s trigger Down critical"]
    page = await relay.page("Down")
    assert (page["acknowledged_by"], page["elsewhere_by"], page["state"]) == ("", "", "open")


async def test_our_own_resolve_coming_back_is_no_news(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    await relay.post(resolved("Down", "critical"))
    await relay.wait(5)
    assert await pagerduty.tells() == ["placed"]

    page = await relay.page("Down")
    assert (page["state"], page["elsewhere_at"]) == ("closed", None)
    assert done(page) == [("triggered", page["acts"][0]["who"])]


async def test_a_resolve_of_ours_that_comes_late_does_not_close_what_fires_again(
    relay: Relay, pagerduty: PagerDuty
) -> None:
    await opened(relay, pagerduty)
    await relay.post(resolved("Down", "critical"))
    await relay.wait(5)
    await relay.post(fires("Down", "critical"))
    await pagerduty.tells()

    page = await relay.page("Down")
    assert (page["state"], page["incident"]) == ("open", pagerduty.incident("Down").id)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1), (2, 0, 1)])
async def test_news_in_any_order_comes_to_the_same(tmp_path: Path, order: tuple[int, ...]) -> None:
    """Acknowledged, acknowledged no more, resolved: what happened last counts, and no repetition of it."""
    async with open_relay(tmp_path, taking()) as relay:
        pagerduty = PagerDuty(relay)
        await opened(relay, pagerduty)
        incidents, incident = relay.sandbox.incidents, pagerduty.incident("Down")
        await relay.wait(10)
        incidents.acknowledge(incident, pagerduty.anna)
        await relay.wait(10)
        incidents.unacknowledge(incident, None)
        await relay.wait(10)
        incidents.resolve(incident, pagerduty.anna)
        kept = [pagerduty.kept[place] for place in order]
        for event in (*kept, *kept):
            await pagerduty.tell(event)

        page = await relay.page("Down")

        assert (page["state"], page["acknowledged_by"]) == ("closed elsewhere", "")
        assert page["elsewhere_at"] == "2026-11-23T12:00:30.000Z"
        assert len(page["acts"]) == 4


@RESTLESS
async def test_an_event_that_comes_again_is_taken_and_changes_nothing(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    pagerduty.resolves("Down")
    (event,) = pagerduty.kept
    assert await pagerduty.tells() == ["placed"]
    await relay.wait(hours(2))
    await heard(relay, fires("Down", "critical"))
    assert relay.open_alerts == {"Down": "triggered"}

    assert await pagerduty.tell(event) == "seen"
    assert (await relay.page("Down"))["state"] == "open"


async def test_an_event_is_forgotten_after_three_days_and_is_too_old_then(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    pagerduty.resolves("Down")
    (event,) = pagerduty.kept
    await pagerduty.tells()
    await relay.wait(hours(2))
    await heard(relay, fires("Down", "critical"))
    await relay.wait(hours(80))

    assert await pagerduty.tell(event) == "placed"
    assert (await relay.page("Down"))["state"] == "open"


@RESTLESS
async def test_news_of_an_earlier_incident_is_kept_and_changes_nothing(relay: Relay, pagerduty: PagerDuty) -> None:
    """PagerDuty queues webhooks for each incident by itself: that of an old one may come after a new one's."""
    await opened(relay, pagerduty)
    pagerduty.resolves("Down")
    late = pagerduty.kept.pop()
    await relay.wait(minutes(2))
    await relay.post(fires("Down", "critical", instance="other"), fires("Down", "critical"))
    await relay.wait(minutes(2))
    assert len(pagerduty.kept) == 1, "the update opened another incident"
    await pagerduty.tells()
    await pagerduty.tell(late)

    page = await relay.page("Down")
    assert page["state"] == "open"
    assert [act["kind"] for act in page["acts"] if act["ignored"]] == ["resolved"]


async def test_news_older_than_the_event_sent_last_does_not_close_what_that_opened(
    relay: Relay, pagerduty: PagerDuty
) -> None:
    await opened(relay, pagerduty)
    await relay.wait(minutes(2))
    pagerduty.resolves("Down")
    await relay.wait(1)
    await relay.post(fires("Down", "critical", instance="other"), fires("Down", "critical"))
    await relay.wait(5)
    resolved_, triggered = pagerduty.kept
    await pagerduty.tell(resolved_)
    assert (await relay.page("Down"))["state"] == "open"
    await pagerduty.tell(triggered)

    page = await relay.page("Down")
    assert (page["state"], page["incident"]) == ("open", pagerduty.incident("Down").id)
    await relay.post(resolved("Down", "critical", instance="other"), resolved("Down", "critical"))
    await relay.wait(5)
    assert relay.open_alerts == {}


@RESTLESS
async def test_a_merge_is_no_resolve_and_the_other_incident_counts_from_then_on(
    relay: Relay, pagerduty: PagerDuty
) -> None:
    await opened(relay, pagerduty)
    await opened(relay, pagerduty, fires("Slow", "critical"))
    target = pagerduty.incident("Slow")
    await relay.wait(30)
    relay.sandbox.incidents.merge(target, [pagerduty.incident("Down")], pagerduty.anna)
    await pagerduty.tells()
    page = await relay.page("Down")
    assert (page["state"], page["incident"]) == ("open", target.id)
    assert done(page)[-1] == ("merged", pagerduty.anna.name)
    await relay.wait(30)
    relay.sandbox.incidents.resolve(target, pagerduty.anna)
    await pagerduty.tells()

    assert await relay.pages() == {"Down": "closed elsewhere", "Slow": "closed elsewhere"}


async def test_a_page_that_was_merged_is_resolved_like_any_other(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    await opened(relay, pagerduty, fires("Slow", "critical"))
    relay.sandbox.incidents.merge(pagerduty.incident("Slow"), [pagerduty.incident("Down")], pagerduty.anna)
    await pagerduty.tells()
    await relay.wait(5)
    await relay.post(resolved("Down", "critical"))
    await relay.wait(5)

    assert relay.open_alerts == {"Slow": "triggered"}


async def test_an_incident_opened_again_by_a_person_is_open(relay: Relay, pagerduty: PagerDuty) -> None:
    await opened(relay, pagerduty)
    pagerduty.resolves("Down")
    await pagerduty.tells()
    await relay.wait(30)
    relay.sandbox.incidents.reopen(pagerduty.incident("Down"), pagerduty.anna)
    await pagerduty.tells()
    assert (await relay.page("Down"))["state"] == "open"
    await relay.post(resolved("Down", "critical"))
    await relay.wait(5)

    assert relay.sent() == ["30 s resolve Down"]


class TestRespect:
    """`on_pd_resolve: respect`: who closes a page at PagerDuty has judged it."""

    @pytest.fixture
    async def relay(self, tmp_path: Path) -> AsyncIterator[Relay]:
        async with open_relay(tmp_path, taking(on_pd_resolve="respect")) as opened:
            yield opened

    async def fires_on(self, relay: Relay) -> None:
        for _ in range(8):
            await relay.wait(minutes(15))
            await heard(relay, fires("Down", "critical"))

    async def test_a_page_that_a_person_closed_stays_closed(self, relay: Relay, pagerduty: PagerDuty) -> None:
        await opened(relay, pagerduty)
        await relay.wait(minutes(1))
        pagerduty.resolves("Down")
        await pagerduty.tells()
        await self.fires_on(relay)
        await relay.post(fires("Down", "critical"), fires("Down", "critical", instance="other"))
        await relay.wait(hours(1))

        assert relay.sent() == []
        page = await relay.page("Down")
        assert page["state"] == "closed elsewhere"
        assert page["why"].endswith("on_pd_resolve: respect")

    async def test_its_next_episode_pages_as_ever(self, relay: Relay, pagerduty: PagerDuty) -> None:
        await opened(relay, pagerduty)
        pagerduty.resolves("Down")
        await pagerduty.tells()
        await relay.post(resolved("Down", "critical"))
        await relay.wait(minutes(10))
        await relay.post(fires("Down", "critical"))

        assert relay.sent() == ["600 s trigger Down critical"]

    @pytest.mark.parametrize("agent", ["nobody", "an automation"])
    async def test_a_timeout_is_no_judgement(self, relay: Relay, pagerduty: PagerDuty, agent: str) -> None:
        await opened(relay, pagerduty)
        await relay.wait(minutes(1))
        pagerduty.times_out("Down")
        if agent != "nobody":
            pagerduty.kept[-1]["agent"] = {"id": "PW", "type": "incident_workflow_reference", "summary": "night rule"}
        await pagerduty.tells()
        await self.fires_on(relay)

        assert relay.open_alerts == {"Down": "triggered"}
        assert done(await relay.page("Down"))[-1][0] in ("resolved", "triggered")


class TestWithoutAKey:
    """Incidents of the Events API have no incident_key: only the REST API says which page they stand for."""

    @pytest.fixture
    async def relay(self, tmp_path: Path) -> AsyncIterator[Relay]:
        async with open_relay(tmp_path, taking(api=True)) as opened:
            yield opened

    @pytest.fixture
    def pagerduty(self, relay: Relay) -> PagerDuty:
        return PagerDuty(relay, key=False)

    async def test_the_rest_api_is_asked_once_and_the_incident_known_from_then_on(
        self, relay: Relay, pagerduty: PagerDuty
    ) -> None:
        await relay.post(fires("Down", "critical"))
        assert await pagerduty.tells() == ["waiting"]
        await relay.settle()
        assert (await relay.page("Down"))["incident"] == pagerduty.incident("Down").id
        pagerduty.resolves("Down")

        assert await pagerduty.tells() == ["placed"]
        assert (await relay.page("Down"))["state"] == "closed elsewhere"

    async def test_news_that_waits_is_placed_in_its_order_also_after_a_restart(
        self, relay: Relay, pagerduty: PagerDuty, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tests.integration.timelapse import Unknown

        class Away(Unknown):
            reason = "unreachable"

        async def away(self: Relay, incident: str) -> list[str]:
            raise Away("PagerDuty cannot be reached")

        with monkeypatch.context() as patched:
            patched.setattr(Relay, "keys_of", away)
            await relay.restart()
            await relay.post(fires("Down", "critical"))
            await relay.wait(5)
            pagerduty.acknowledges("Down")
            await relay.wait(5)
            pagerduty.resolves("Down")
            assert await pagerduty.tells() == ["waiting"] * 3
            assert (await relay.page("Down"))["state"] == "open"
        await relay.restart()
        await relay.settle()

        page = await relay.page("Down")
        assert page["state"] == "closed elsewhere"
        assert [act["kind"] for act in page["acts"]] == ["triggered", "acknowledged", "resolved"]

    async def test_an_incident_that_pagerduty_gives_no_answer_about_keeps_no_other_waiting(
        self, relay: Relay, pagerduty: PagerDuty, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tests.integration.timelapse import Unknown

        class Failed(Unknown):
            reason = "server"

        asked = Relay.keys_of

        async def fails(self: Relay, incident: str) -> list[str]:
            if incident != pagerduty.incident("Disk").id:
                raise Failed("PagerDuty answered 500")
            return await asked(self, incident)

        with monkeypatch.context() as patched:
            patched.setattr(Relay, "keys_of", fails)
            await relay.restart()
            await relay.post(*(fires(name, "critical") for name in ("Down", "Net", "Cpu", "Fan")), group="four")
            await relay.post(fires("Disk", "critical"))
            assert await pagerduty.tells() == ["waiting"] * 5
            await relay.wait(minutes(1))  # after three failures in a row nobody is asked about for a while
            await relay.wait(minutes(1))
            assert (await relay.page("Disk"))["incident"] == pagerduty.incident("Disk").id
        await relay.restart()
        await relay.settle()

        assert (await relay.page("Down"))["incident"] == pagerduty.incident("Down").id

    async def test_an_incident_of_others_is_no_pages(self, relay: Relay, pagerduty: PagerDuty) -> None:
        await opened(relay, pagerduty)
        event = {**_of_another(), "id": "01OTHER"}

        assert await pagerduty.tell(event) == "waiting"
        await relay.settle()
        assert relay.counted("pagerelay_pagerduty_webhooks_total", outcome="unplaced") == 1


async def test_without_a_token_what_has_no_key_is_only_kept(tmp_path: Path) -> None:
    async with open_relay(tmp_path, taking()) as relay:
        pagerduty = PagerDuty(relay, key=False)
        await relay.post(fires("Down", "critical"))

        assert await pagerduty.tells() == ["unplaced"]
        assert await pagerduty.tell({**_of_another(), "id": "01OTHER"}) == "unplaced"


async def test_of_two_pages_with_one_key_that_of_the_incidents_service_is_meant(tmp_path: Path) -> None:
    """Receivers a and b are two services, and both have a page with this key."""
    routes = [{"matchers": ["team=both"], "receiver": "b", "continue": True}, {"receiver": "a"}]
    async with open_relay(tmp_path, taking() | {"route": {**taking()["route"], "routes": routes}}) as relay:
        pagerduty = PagerDuty(relay)
        await relay.post(fires("Alone", "critical"), group="1")
        await relay.post(fires("Also", "critical", team="both"), group="2")
        await pagerduty.tells()
        found = {one.service.id: one for one in relay.sandbox.incidents.all if one.title.count("Also")}
        assert len(found) == 2
        for incident in found.values():
            relay.sandbox.incidents.acknowledge(incident, pagerduty.anna)
        await pagerduty.tells()
        pages = (await relay._get("/api/v1/pages?dedup_key=Also"))["pages"]

        assert all(page["acknowledged_by"] for page in pages)
        assert {page["incident"] for page in pages} == {incident.id for incident in found.values()}


async def test_of_two_pages_with_one_key_the_rest_api_says_whose_service_it_is(tmp_path: Path) -> None:
    """Nothing was heard of a or b before: their services are known to nobody but PagerDuty."""
    routes = [{"matchers": ["team=both"], "receiver": "b", "continue": True}, {"receiver": "a"}]
    async with open_relay(tmp_path, taking(api=True) | {"route": {**taking()["route"], "routes": routes}}) as relay:
        pagerduty = PagerDuty(relay, key=False)
        await relay.post(fires("Also", "critical", team="both"))
        await pagerduty.tells()
        await relay.settle()
        first, second = relay.sandbox.incidents.all
        relay.sandbox.incidents.acknowledge(first, pagerduty.anna)
        await pagerduty.tells()
        await relay.settle()
        pages = (await relay._get("/api/v1/pages?dedup_key=Also"))["pages"]

        assert {page["incident"] for page in pages} == {first.id, second.id}
        assert {page["incident"]: page["acknowledged_by"] for page in pages} == {first.id: "Anna Adler", second.id: ""}


async def test_what_is_kept_of_a_page_is_bounded(tmp_path: Path) -> None:
    async with open_relay(tmp_path, taking()) as relay:
        pagerduty = PagerDuty(relay)
        await opened(relay, pagerduty)
        for number in range(60):
            relay.sandbox.incidents.annotate(pagerduty.incident("Down"), f"note {number}", pagerduty.anna)
        await pagerduty.tells()

        acts = (await relay.page("Down"))["acts"]

        assert len(acts) == 50
        assert acts[-1]["words"] == "note 59"


async def test_a_page_nothing_fires_in_is_forgotten_also_where_a_person_closed_it(tmp_path: Path) -> None:
    async with open_relay(tmp_path, taking()) as relay:
        pagerduty = PagerDuty(relay)
        await opened(relay, pagerduty)
        pagerduty.resolves("Down")
        await pagerduty.tells()
        await relay.post(resolved("Down", "critical"))
        await relay.wait(hours(24 * 8))

        assert await relay.pages() == {}


def _of_another() -> dict[str, Any]:
    data = {"id": "PNOTOURS", "type": "incident", "number": 999, "status": "triggered", "incident_key": None}
    return {"event_type": "incident.triggered", "occurred_at": "2026-11-23T12:00:00.000Z", "agent": None, "data": data}


async def test_what_a_person_does_on_pagerdutys_page_is_seen_here_within_a_second(tmp_path: Path) -> None:
    """The sandbox signs its webhooks and brings them itself; its incidents have no incident_key."""
    async with open_relay(tmp_path, taking(api=True)) as relay:
        relay.sandbox.subscriptions.add(f"{relay.url}/pagerduty/webhook", ("another-secret", SECRET))
        await relay.post(fires("Down", "critical"))
        incident = relay.sandbox.incidents.all[-1]
        took = []
        for act, seen in (("acknowledge", "acknowledged_by"), ("resolve", "elsewhere_by")):
            form = {"user": relay.sandbox.account.users[0].id}
            async with relay.http.post(f"{relay.pagerduty}/alerts/{incident.number}/{act}", data=form) as reply:
                assert reply.status == 200, await reply.text()
            began = time.monotonic()
            while not (page := await relay.page("Down"))[seen]:
                assert time.monotonic() - began < PATIENCE, [relay.log[-3:], page]
                await asyncio.sleep(0.02)
                await relay.returns.tick()

            took.append(time.monotonic() - began)
            assert page[seen] == relay.sandbox.account.users[0].name
        assert min(took) < 1, "a busy machine may be late once"
        assert page["state"] == "closed elsewhere"
