"""What differs between pages and PagerDuty is found, told, and ends converged; by a clock that tests move."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relay.alertmanager import AlertmanagerClient
from relay.logs import Log
from relay.pagerduty.rest import Limits, Rest
from relay.reconciling import CannotReconcile, Reconciling, Report
from relay.rules.ruleset import Account
from relay.sandbox.faults import Fault
from relay.sandbox.incident import Incident
from relay.secret import Secret
from relay.surveying import Surveyor
from tests.integration.timelapse import KEY, Relay, config, fires, hours, minutes, open_relay, resolved

NEW_KEY = "fedcba98765432100123456789abcdef"
TOKEN = "a-token-of-the-rest-api"
LIMITS = Limits(timeout=5.0, whole=15.0, throttled=0, failed=0, unconnected=0, sleep=0.01)


@dataclass
class Scene:
    """A relay whose pages are compared."""

    relay: Relay
    token: str = TOKEN
    rest: Rest = field(init=False)
    reconciling: Reconciling = field(init=False)
    client: AlertmanagerClient = field(init=False)

    def begin(self) -> None:
        """Open the room, as a start does: nothing was seen before."""
        relay = self.relay
        log = Log(relay.clock, stream=relay)  # type: ignore[arg-type]
        surveyor = Surveyor(relay.store, self.rest, self.client, keys=lambda: relay.keys, clock=relay.clock)
        self.reconciling = Reconciling(
            relay.store,
            relay.book,
            self.rest,
            surveyor,
            clock=relay.clock,
            steady=relay.clock,
            wake=relay.dispatcher.wake,
            metrics=relay.metrics,
            log=log,
        )

    def account(self) -> Account:
        """The account as the file says it, at the sandbox."""
        return Account(api=True, api_url=self.relay.pagerduty, from_email="anna@example.com")

    async def look(self, after: float = 0.0, *, fix: bool = True) -> list[str]:
        """Let minutes pass, compare, do what follows, and say what differed and what was done."""
        await self.relay.wait(minutes(after))
        report = await self.reconciling.reconcile(fix=fix)
        assert not report.failed, report.failed
        await self.relay.settle()
        return said(report)

    def incident(self, dedup_key: str) -> Incident:
        """The latest incident of a dedup key."""
        alerts = [*self.relay.sandbox.past_alerts[::-1], *self.relay.sandbox.open_alerts[::-1]]
        return [one for one in alerts if one.dedup_key == dedup_key][-1].incident

    async def rotate(self, new: str) -> None:
        """Start with another routing key at `a`; the one before is not at hand any more."""
        said: dict[str, Any] = config()
        said["receivers"][0]["pagerduty_configs"] = [{"routing_key": new}]
        self.relay.keys.clear()
        self.relay.configure(said)
        await self.relay.restart()
        await self.relay.store.mark_keys(self.relay.keys)
        self.begin()
        await self.relay.reload(said)


def said(report: Report) -> list[str]:
    """Say what differed and what was done, a line for each."""
    return [f"{one.drift.kind.value} {one.drift.dedup_key}: {one.outcome}" for one in report.found]


@contextlib.asynccontextmanager
async def stage(folder: Path, **root: Any) -> AsyncIterator[Scene]:
    """Start everything."""
    async with open_relay(folder, config(**root)) as relay:
        scene = Scene(relay)
        scene.rest = Rest(lambda: Secret(scene.token) if scene.token else None, scene.account, limits=LIMITS)
        scene.client = AlertmanagerClient()
        await asyncio.gather(scene.rest.start(), scene.client.start())
        scene.begin()
        try:
            yield scene
        finally:
            await asyncio.gather(scene.rest.close(), scene.client.close())


def lose(relay: Relay, action: str) -> None:
    """Have PagerDuty answer the next such event with 202, and lose it."""
    relay.sandbox.faults.add(Fault(forget=True, action=action, count=1))


ONCE = "seen once: what is certain must be seen twice, 5m apart"
FIXED = "put right"


async def test_a_resolve_that_pagerduty_lost_is_sent_again_once_that_was_seen_twice(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        lose(relay, "resolve")
        await relay.wait(minutes(1))
        await relay.post(resolved("Down"))
        await relay.wait(minutes(1))
        relay.sent()
        assert await relay.pages() == {"Down": "closed"}

        assert await scene.look() == [], "PagerDuty may take its time"
        assert await scene.look(2) == [f"lost_resolve Down: {ONCE}"]
        assert await scene.look(4) == [f"lost_resolve Down: {ONCE}"]
        assert relay.sent() == []
        assert await scene.look(1) == [f"lost_resolve Down: {FIXED}"]

        assert relay.sent() == ["540 s resolve Down"]
        assert relay.open_alerts == {}
        assert await scene.look(5) == []
        assert relay.counted("pagerelay_drift_repaired_total", kind="lost_resolve") == 1
        assert relay.counted("pagerelay_drift", kind="lost_resolve") == 0


async def test_the_evidence_and_the_journal_say_what_was_seen(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.relay.post(fires("Down"))
        lose(scene.relay, "resolve")
        await scene.relay.wait(minutes(1))
        await scene.relay.post(resolved("Down"))
        await scene.look(3)
        await scene.look(5)

        report = scene.reconciling.last
        assert report is not None
        evidence = report.found[0].drift.evidence

        assert evidence == (
            "PagerDuty has it open since 12:00:00 UTC in incident #1, which is triggered",
            "nothing of it fires here, and PagerDuty accepted its resolve at 12:01:00 UTC",
        )
        told = (await scene.relay.store.decisions(limit=1))[0].record.decisions[0]
        assert told.verdict == "reconciled"
        assert told.steps[0].because.startswith("its resolve is sent again: PagerDuty has it open since 12:00:00 UTC")


async def test_a_report_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.relay.post(fires("Down"))
        lose(scene.relay, "resolve")
        await scene.relay.post(resolved("Down"))
        await scene.relay.wait(minutes(1))
        scene.relay.sent()
        for _ in range(3):
            found = await scene.look(5, fix=False)

        assert found == ["lost_resolve Down: certain: --fix, or pagerduty.reconcile: fix, would send its resolve again"]
        assert scene.relay.sent() == []
        assert scene.relay.open_alerts == {"Down": "triggered"}


async def test_what_goes_on_being_lost_is_left_to_people_after_three_times(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.relay.post(fires("Down"))
        scene.relay.sandbox.faults.add(Fault(forget=True, action="resolve"))
        await scene.relay.post(resolved("Down"))
        await scene.relay.wait(minutes(1))
        scene.relay.sent()
        for _ in range(10):
            found = await scene.look(6)

        assert found == [
            "lost_resolve Down: left: it was put right before in this episode, and PagerDuty lost it again"
        ]
        assert len(scene.relay.sent()) == 3


async def test_what_a_person_closed_unheard_counts_as_closed_elsewhere_and_opens_again_at_the_next_repeat(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, repeat_interval="1h") as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        await relay.wait(minutes(10))
        anna = relay.sandbox.account.users[0]
        relay.sandbox.incidents.resolve(scene.incident("Down"), anna)
        relay.sent()

        assert await scene.look(3) == [f"closed_elsewhere Down: {ONCE}"]
        assert await scene.look(5) == [f"closed_elsewhere Down: {FIXED}"]

        assert relay.sent() == []
        page = await relay.page("Down")
        assert (page["state"], page["delivered"]) == ("closed elsewhere", "closed elsewhere")
        (act,) = await relay.store.acts((await relay.store.page_ids("Down"))[0])
        assert (act.kind, act.who, act.words) == ("resolved", "Anna Adler", "found by comparing")
        assert await scene.look(5) == []

        await relay.wait(hours(1))
        assert relay.sent() == [], "it was not heard since"
        await relay.post(fires("Down"))
        await relay.wait(minutes(1))
        await relay.store.flush_heard()
        await relay.settle()

        assert [line.split(" s ")[1] for line in relay.sent()] == ["trigger Down warning"]
        assert relay.open_alerts == {"Down": "triggered"}
        assert await scene.look(5) == []


async def test_a_trigger_that_pagerduty_lost_is_sent_again_once_in_an_episode(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Other"))
        lose(relay, "trigger")
        await relay.post(fires("Down"))
        relay.sent()
        assert relay.open_alerts == {"Other": "triggered"}

        assert await scene.look(3) == [f"lost_trigger Down: {ONCE}"]
        lose(relay, "trigger")
        assert await scene.look(5) == [f"lost_trigger Down: {FIXED}"]
        assert relay.sent() == ["480 s trigger Down warning"]

        assert await scene.look(3) == [f"lost_trigger Down: {ONCE}"]
        left = "left: it was put right before in this episode, and PagerDuty lost it again"
        assert await scene.look(5) == [f"lost_trigger Down: {left}"]
        assert relay.sent() == []


async def test_a_trigger_is_not_sent_again_where_pagerduty_never_showed_one_of_ours(tmp_path: Path) -> None:
    """Rules there may suppress them, or the token may not see them."""
    async with stage(tmp_path) as scene:
        scene.relay.sandbox.account.adopt(KEY, "a service", 0)
        lose(scene.relay, "trigger")
        await scene.relay.post(fires("Down"))
        scene.relay.sent()

        for _ in range(3):
            (found,) = await scene.look(5)

        assert found.startswith("lost_trigger Down: left: no alert that the relay sent to this integration was ever")
        assert scene.relay.sent() == []


async def test_a_page_that_changes_between_two_looks_is_left(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        lose(relay, "resolve")
        await relay.post(resolved("Down"))
        assert await scene.look(3) == [f"lost_resolve Down: {ONCE}"]
        await relay.post(fires("Down", since="12:02:00"))
        relay.sent()

        assert await scene.look(5) == []
        assert relay.sent() == []
        assert relay.open_alerts == {"Down": "triggered"}


async def test_what_was_seen_before_counts_no_more_once_pagerduty_did_not_say_everything(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        lose(relay, "resolve")
        await relay.post(resolved("Down"))
        await relay.wait(minutes(1))
        relay.sent()
        assert await scene.look(3) == [f"lost_resolve Down: {ONCE}"]
        relay.sandbox.faults.add(Fault(status=500, path="/incidents", count=1))
        await relay.wait(minutes(5))
        report = await scene.reconciling.reconcile(fix=True)
        assert "has trouble of its own (500" in report.failed

        assert await scene.look(5) == [f"lost_resolve Down: {ONCE}"]
        assert relay.sent() == []
        assert await scene.look(5) == [f"lost_resolve Down: {FIXED}"]
        assert relay.counted("pagerelay_reconciliations_total", outcome="failed") == 1


MUTED = {"on_mute": "resolve"}


async def test_a_muted_page_whose_resolve_was_lost_is_resolved_again(tmp_path: Path) -> None:
    async with stage(tmp_path, **MUTED) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        lose(relay, "resolve")
        await relay.wait(minutes(1))
        await relay.silence(("=", "alertname", "Down"), last=hours(2))
        assert relay.open_alerts == {"Down": "triggered"}
        relay.sent()

        assert await scene.look(3) == [f"muted_open Down: {ONCE}"]
        assert await scene.look(5) == [f"muted_open Down: {FIXED}"]

        assert relay.open_alerts == {}
        assert [line.split(" s ")[1] for line in relay.sent()] == ["resolve Down"]
        assert await scene.look(5) == []


async def test_a_muted_page_that_is_left_open_as_configured_is_told_and_not_counted(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        await relay.silence(("=", "alertname", "Down"), last=hours(2))

        for _ in range(3):
            assert await scene.look(5) == ["muted_open Down: as configured: on_mute"]

        assert relay.counted("pagerelay_drift", kind="muted_open") == 0
        assert relay.open_alerts == {"Down": "triggered"}


async def test_a_page_that_still_fires_when_its_key_is_replaced_ends_open_under_the_new_one_alone(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        assert await scene.look(3) == [], "where that key leads is remembered from now on"
        old = scene.incident("Down")
        await scene.rotate(NEW_KEY)
        await relay.wait(minutes(1))
        new = next(one.incident for one in relay.sandbox.open_alerts if one.incident is not old)
        assert (old.status, new.status) == ("triggered", "triggered")

        assert await scene.look(3, fix=False) == [f"key_gone Down: {ONCE}"]
        assert await scene.look(5, fix=False) == [f"key_gone Down: {FIXED}"]

        assert (old.status, new.status) == ("resolved", "triggered")
        assert old.notes[0].content.startswith("Resolved by pagerelay")
        assert await scene.look(5) == []
        await relay.post(resolved("Down"))
        assert relay.open_alerts == {}
        assert await relay.pages() == {"Down": "closed"}


async def test_a_page_that_is_over_when_its_key_is_gone_is_closed_over_the_rest_api(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        await scene.look(3)
        relay.sandbox.faults.add(Fault(status=503, action="resolve"))
        await relay.post(resolved("Down"))
        relay.sandbox.faults.clear()
        await scene.rotate(NEW_KEY)
        assert await relay.pages() == {"Down": "key gone"}
        relay.sent()

        assert await scene.look(3) == [f"key_gone Down: {ONCE}"]
        assert await scene.look(5) == [f"key_gone Down: {FIXED}"]

        assert relay.open_alerts == {}
        assert relay.sent() == []
        assert await relay.pages() == {"Down": "closed"}


async def test_what_people_closed_under_a_key_that_is_gone_counts_as_closed(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        await scene.look(3)
        relay.sandbox.faults.add(Fault(status=503, action="resolve"))
        await relay.post(resolved("Down"))
        relay.sandbox.faults.clear()
        await scene.rotate(NEW_KEY)
        await relay.wait(minutes(1))
        relay.sandbox.incidents.resolve(scene.incident("Down"), relay.sandbox.account.users[0])

        await scene.look(3)
        assert await scene.look(5) == [f"key_gone Down: {FIXED}"]

        assert await relay.pages() == {"Down": "closed"}


async def test_an_incident_that_holds_other_open_alerts_is_not_closed_for_one_of_them(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        await relay.post(fires("Other"))
        await scene.look(3)
        anna = relay.sandbox.account.users[0]
        relay.sandbox.incidents.merge(scene.incident("Down"), [scene.incident("Other")], anna)
        relay.sandbox.faults.add(Fault(status=503, action="resolve"))
        await relay.post(resolved("Down"))
        relay.sandbox.faults.clear()
        await scene.rotate(NEW_KEY)
        await relay.wait(minutes(1))

        await scene.look(3)
        found = await scene.look(5)

        why = "left: its incident has other open alerts, which would be closed with it"
        assert f"key_gone Down: {why}" in found
        assert scene.incident("Down").status == "triggered"


async def test_where_a_gone_key_led_must_have_been_learnt_while_it_was_there(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.relay.post(fires("Down"))
        await scene.rotate(NEW_KEY)

        for _ in range(3):
            found = await scene.look(5)

        assert found == ["key_gone Down: left: which integration that key led to was never learnt"]
        assert len(scene.relay.sandbox.open_alerts) == 2


async def test_what_others_opened_is_counted_and_never_touched(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        await relay.post(resolved("Down"))
        strangers: Mapping[str, str] = {"Strange": KEY, "Down": KEY[::-1]}
        for dedup_key, key in strangers.items():
            payload = {"summary": "s", "source": "s", "severity": "error"}
            event = {"routing_key": key, "event_action": "trigger", "dedup_key": dedup_key, "payload": payload}
            async with relay.http.post(f"{relay.pagerduty}/v2/enqueue", json=event) as reply:
                assert reply.status == 202
        await relay.wait(minutes(1))
        relay.sent()

        for _ in range(3):
            assert await scene.look(5) == []

        assert scene.reconciling.last is not None
        assert scene.reconciling.last.not_ours == 2
        assert relay.counted("pagerelay_drift_not_ours") == 2
        assert relay.open_alerts == {"Strange": "triggered", "Down": "triggered"}
        assert relay.sent() == []


async def test_what_somebody_else_opened_under_our_dedup_key_after_our_resolve_is_left(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        await relay.post(resolved("Down"))
        await relay.wait(minutes(1))
        payload = {"summary": "s", "source": "s", "severity": "error"}
        event = {"routing_key": KEY, "event_action": "trigger", "dedup_key": "Down", "payload": payload}
        async with relay.http.post(f"{relay.pagerduty}/v2/enqueue", json=event):
            relay.sent()

        for _ in range(3):
            found = await scene.look(5)

        why = "left: it was opened there after the relay's resolve, so perhaps by somebody else"
        assert found == [f"lost_resolve Down: {why}"]
        assert relay.open_alerts == {"Down": "triggered"}


async def test_what_is_merged_is_where_its_incident_went(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        await scene.relay.post(fires("Down"))
        await scene.relay.post(fires("Other"))
        anna = scene.relay.sandbox.account.users[0]
        scene.relay.sandbox.incidents.merge(scene.incident("Down"), [scene.incident("Other")], anna)

        assert await scene.look(5) == []


async def test_without_a_token_nothing_is_compared_and_it_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        scene.token = ""
        await scene.relay.wait(hours(1))
        await scene.reconciling.tick()

        assert scene.reconciling.last is None
        with pytest.raises(CannotReconcile, match=r"pagerduty\.api_token_file"):
            await scene.reconciling.reconcile(fix=False)


@pytest.mark.parametrize(("mode", "looks", "left"), [("off", 0, 1), ("report", 1, 1), ("fix", 1, 0)])
async def test_it_compares_by_itself_as_often_as_the_file_says(
    tmp_path: Path, mode: str, looks: int, left: int
) -> None:
    said = {"top": {"pagerduty": {"reconcile": mode, "reconcile_every": "10m"}}}
    async with stage(tmp_path, **said) as scene:
        relay = scene.relay
        await relay.post(fires("Down"))
        lose(relay, "resolve")
        await relay.post(resolved("Down"))
        await relay.wait(minutes(5))
        await scene.reconciling.tick()
        await scene.reconciling.tick()
        first = relay.counted("pagerelay_reconciliations_total", outcome="ok")
        await relay.wait(minutes(10))
        await scene.reconciling.tick()
        await relay.settle()

        assert first == looks
        assert relay.counted("pagerelay_reconciliations_total", outcome="ok") == 2 * looks
        assert len(relay.open_alerts) == left
