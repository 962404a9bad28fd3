"""The mail room between a real store, a real template worker and the real sandbox over HTTP."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from relay.alert import SECOND, Instant
from relay.config import load
from relay.dispatcher import Dispatcher
from relay.event import Event, Outcome, Rendered
from relay.intake import Intake
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Page, State
from relay.pagerduty.events import EventSender
from relay.recall import Recall
from relay.rendering import Renderer, read_sources
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Texts
from relay.rules.view import PageView
from relay.sandbox.app import SANDBOX, make_app
from relay.sandbox.faults import Fault
from relay.sandbox.state import Sandbox, Settings
from relay.scheduler import Scheduler
from relay.store import SqliteStore

KEY = "0123456789abcdef0123456789abcdef"


def now() -> Instant:
    return time.time_ns() // 1000


@dataclass
class Works:
    """A relay without its doors, and the PagerDuty it talks to."""

    store: SqliteStore
    intake: Intake
    dispatcher: Dispatcher
    sandbox: Sandbox

    async def fire(self, count: int, severity: str = "warning", name: str = "Down", status: str = "firing") -> None:
        """Post alerts that make a page each."""
        alerts = [
            {
                "status": status,
                "labels": {"alertname": f"{name}{n}", "severity": severity},
                "startsAt": "2026-01-01T00:00:00Z",
                "endsAt": "2026-02-01T00:00:00Z" if status == "resolved" else "0001-01-01T00:00:00Z",
            }
            for n in range(count)
        ]
        body = json.dumps({"version": "4", "groupKey": f"{name}{severity}", "alerts": alerts})
        await self.intake.accept(body.encode(), "")

    async def until(self, true: Callable[[list[Page]], bool], seconds: float = 20) -> list[Page]:
        """Wait until something holds of the pages."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pages = await self.store.pages(limit=1_000)
            if true(pages):
                return pages
            await asyncio.sleep(0.02)
        raise AssertionError([(page.dedup_key, page.wanted, page.delivered, page.last_error) for page in pages])


@contextlib.asynccontextmanager
async def works(
    folder: Path,
    *,
    budget: str = "{events: 10000, within: 60s}",
    sandbox: Settings | None = None,
    told_elsewhere: Callable[[int], bool] = lambda page: False,
    **entry: Any,
) -> AsyncIterator[Works]:
    port = unused_port()
    app = make_app(sandbox or Settings(rate_events=10_000))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    receivers = [{"name": "a", "pagerduty_configs": [{"routing_key": KEY, **entry}]}]
    file = folder / "relay.yml"
    file.write_text(
        f"global: {{pagerduty_url: 'http://127.0.0.1:{port}/v2/enqueue', budget: {budget}}}\n"
        f"route: {{receiver: a, group_by: [alertname], group_interval: 1s}}\nreceivers: {json.dumps(receivers)}\n"
    )
    loaded = load(file, {})
    book, metrics, log, recall = Rulebook(loaded.rules, loaded.keys), Metrics(), Log(now, level="error"), Recall()
    store = await SqliteStore.open(folder / "data")
    renderer, sender = Renderer(read_sources(loaded.template_files)), EventSender(loaded.keys.get)
    await asyncio.gather(renderer.start(), sender.start())
    nudges: list[Callable[[], None]] = []
    dispatcher = Dispatcher(
        store,
        book,
        renderer,
        sender,
        clock=now,
        steady=now,
        jitter=random.Random(1).random,
        timeout=lambda _: 2 * SECOND,
        external_url="http://relay.example",
        judged=lambda: nudges[0](),
        told_elsewhere=told_elsewhere,
        metrics=metrics,
        log=log,
    )
    scheduler = Scheduler(store, book, recall, clock=now, steady=now, wake=dispatcher.wake, metrics=metrics, log=log)
    nudges.append(scheduler.nudge)
    intake = Intake(store, book, recall, clock=now, wake=dispatcher.wake, metrics=metrics, log=log)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(dispatcher.run())
        tasks.create_task(scheduler.run())
        try:
            yield Works(store, intake, dispatcher, app[SANDBOX])
        finally:
            dispatcher.stop()
            scheduler.stop()
    await renderer.close()
    await sender.close()
    await store.close()
    await runner.cleanup()


def all_open(count: int) -> Callable[[list[Page]], bool]:
    return lambda pages: sum(page.delivered is State.OPEN for page in pages) == count


async def test_what_another_mail_room_told_of_waits_until_that_is_written_down(tmp_path: Path) -> None:
    """Else PagerDuty hears of a page twice within a moment, as the store takes writes again."""
    told: set[int] = set()
    async with works(tmp_path, told_elsewhere=lambda page: page in told) as relay:
        await relay.fire(1)
        (page,) = await relay.until(all_open(1))
        told.add(page.id)
        await relay.fire(1, status="resolved")
        await relay.fire(1, name="Other")
        await relay.until(all_open(2))
        assert [line["event_action"] for line in relay.sandbox.requests] == ["trigger", "trigger"]

        told.clear()
        await relay.until(all_open(1))


async def test_what_fires_is_open_and_what_resolves_is_closed(tmp_path: Path) -> None:
    async with works(tmp_path) as relay:
        await relay.fire(20)
        await relay.until(all_open(20))
        assert len(relay.sandbox.open_alerts) == 20

        await relay.fire(20, status="resolved")
        await relay.until(lambda pages: all(page.delivered is State.CLOSED for page in pages))

        assert relay.sandbox.open_alerts == ()
        assert len(relay.sandbox.past_alerts) == 20
        assert len(relay.sandbox.requests) == 40


async def test_an_outage_costs_retries_and_no_page(tmp_path: Path) -> None:
    async with works(tmp_path) as relay:
        relay.sandbox.faults.add(Fault(status=503, count=12))
        await relay.fire(5, "critical")

        await relay.until(all_open(5))

        assert [len(alert.log) for alert in relay.sandbox.open_alerts] == [1] * 5


async def test_an_outage_coalesces_what_happens_meanwhile(tmp_path: Path) -> None:
    """Fired and resolved while nothing was taken: nobody is paged. Grown meanwhile: one event."""
    async with works(tmp_path) as relay:
        relay.sandbox.faults.add(Fault(status=429, count=3))
        await relay.fire(2, name="Brief")
        await relay.fire(2, name="Brief", status="resolved")
        await relay.fire(1, "critical", name="Real")

        await relay.until(all_open(1))

        (alert,) = relay.sandbox.open_alerts
        assert "Real0" in alert.summary


async def test_the_budget_is_kept_so_that_pagerduty_never_says_429(tmp_path: Path) -> None:
    settings = Settings(rate_events=12, rate_within=1.0)
    async with works(tmp_path, budget="{events: 12, within: 1s}", sandbox=settings) as relay:
        await relay.fire(40)

        await relay.until(all_open(40))

        assert [one["status"] for one in relay.sandbox.requests] == [202] * 40


async def test_after_a_429_none_but_a_critical_asks_before_the_time_is_over(tmp_path: Path) -> None:
    async with works(tmp_path) as relay:
        relay.sandbox.faults.add(Fault(status=429, retry_after=3600, count=1))
        relay.sandbox.faults.add(Fault(status=429, count=1))
        await relay.fire(1, name="First")
        await relay.until(lambda pages: any(page.failures for page in pages))

        await relay.fire(20, name="Later")
        await relay.fire(1, "critical", name="Urgent")
        await relay.until(lambda pages: any(page.delivered is State.OPEN for page in pages))

        asked = [one["summary"] for one in relay.sandbox.requests[:3]]
        assert asked == ["[warning] First0", "[critical] Urgent0", "[critical] Urgent0"]


async def test_a_critical_overtakes_a_backlog_of_warnings(tmp_path: Path) -> None:
    async with works(tmp_path, budget="{events: 20, within: 2s}") as relay:
        await relay.fire(60)
        await relay.until(lambda pages: sum(page.delivered is State.OPEN for page in pages) >= 10)
        began = time.monotonic()

        await relay.fire(1, "critical", name="Urgent")
        await relay.until(lambda pages: any(p.group_key and "Urgent" in p.group_key and p.last_sent_at for p in pages))

        assert time.monotonic() - began < 1.0
        assert len(relay.sandbox.open_alerts) < 60


async def test_pagerdutys_refusal_is_a_dead_letter_with_its_own_words(tmp_path: Path) -> None:
    async with works(tmp_path) as relay:
        relay.sandbox.faults.add(Fault(status=400, body='{"errors": ["made up"]}', count=2))
        await relay.fire(1)

        (page,) = await relay.until(lambda pages: any(page.dead for page in pages))

        assert page.dead.startswith("clientError")
        attempts = await relay.store.attempts(page.id)
        assert [(one.rung, one.outcome) for one in attempts] == [("minimal", "rejected"), ("", "rejected")]


async def test_a_template_that_fails_still_pages_and_says_so(tmp_path: Path) -> None:
    async with works(tmp_path, description="{{ common_labels.alertname | date('2006') }}") as relay:
        await relay.fire(1, "critical")

        (page,) = await relay.until(all_open(1))

        (alert,) = relay.sandbox.open_alerts
        assert "Down0" in alert.summary
        (attempt,) = await relay.store.attempts(page.id)
        assert "description" in attempt.message


async def test_an_update_that_renders_equal_is_not_sent(tmp_path: Path) -> None:
    same: dict[str, Any] = {
        "description": "the same",
        "details": {"num_firing": "1", "num_resolved": "0", "firing": "x", "resolved": ""},
    }
    async with works(tmp_path, **same, links=[]) as relay:
        body = {"version": "4", "groupKey": "g"}
        one = {"status": "firing", "labels": {"alertname": "Down", "instance": "a"}, "startsAt": "2026-01-01T00:00:00Z"}
        two = {**one, "labels": {"alertname": "Down", "instance": "b"}}
        await relay.intake.accept(json.dumps({**body, "alerts": [one]}).encode(), "")
        await relay.until(all_open(1))
        await relay.intake.accept(json.dumps({**body, "alerts": [one, two]}).encode(), "")

        (page,) = await relay.until(lambda pages: pages[0].revision == 2 and pages[0].sent_revision == 2)

        outcomes = [attempt.outcome for attempt in await relay.store.attempts(page.id)]
        assert outcomes in (["unchanged", "delivered"], ["delivered", "delivered"])
        assert len(relay.sandbox.requests) == outcomes.count("delivered")


async def test_whatever_breaks_in_sending_or_rendering_the_page_still_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"send": 2, "render": 1}
    send, render = EventSender.send, Renderer.render

    async def sends(self: EventSender, event: Event, key_id: str) -> Outcome:
        broken["send"] -= 1
        if broken["send"] >= 0:
            raise OverflowError("made up")
        return await send(self, event, key_id)

    async def renders(self: Renderer, jobs: Any) -> list[Rendered]:
        broken["render"] -= 1
        if broken["render"] >= 0:
            raise OverflowError("made up")
        return await render(self, jobs)

    monkeypatch.setattr(EventSender, "send", sends)
    monkeypatch.setattr(Renderer, "render", renders)
    async with works(tmp_path) as relay:
        await relay.fire(2, "critical")

        await relay.until(all_open(2))

        assert len(relay.sandbox.open_alerts) == 2
        assert broken["send"] < 0
        assert broken["render"] < 0


async def test_a_critical_waits_for_no_slow_templates_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = Renderer.render

    async def slow(self: Renderer, jobs: Any) -> list[Rendered]:
        await asyncio.sleep(0.1 * len(jobs))
        return await render(self, jobs)

    monkeypatch.setattr(Renderer, "render", slow)
    async with works(tmp_path) as relay:
        await relay.fire(60)
        await asyncio.sleep(0.3)
        began = time.monotonic()

        await relay.fire(1, "critical", name="Urgent")
        await relay.until(lambda pages: any("Urgent" in page.group_key and page.last_sent_at for page in pages))

        assert time.monotonic() - began < 3
        assert len(relay.sandbox.open_alerts) < 60


@pytest.mark.parametrize("fault", [Fault(drop="before", count=1), Fault(drop="after", count=1)])
async def test_a_connection_that_breaks_costs_at_most_one_extra_call(tmp_path: Path, fault: Fault) -> None:
    async with works(tmp_path) as relay:
        relay.sandbox.faults.add(fault)
        await relay.fire(1, "critical")

        await relay.until(all_open(1))

        assert len(relay.sandbox.open_alerts) == 1
        assert len(relay.sandbox.past_alerts) == 0


async def test_a_page_that_cannot_be_rendered_takes_no_other_ones_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together: list[int] = []
    render = Renderer.render

    async def fails(self: Renderer, jobs: Sequence[tuple[PageView, Texts]]) -> list[Rendered]:
        together.append(len(jobs))
        if any("Bad" in view.group_key for view, _ in jobs):
            raise OverflowError
        return await render(self, jobs)

    monkeypatch.setattr(Renderer, "render", fails)
    async with works(tmp_path) as it:
        named = [{"status": "firing", "labels": {"alertname": name}} for name in ("Good", "Bad", "Better")]
        await it.intake.accept(json.dumps({"version": "4", "groupKey": "g", "alerts": named}).encode(), "")
        await it.until(all_open(3))
        shown = {one.latest["payload"]["summary"] for one in it.sandbox.open_alerts}

    assert max(together) > 1
    assert len([one for one in shown if "OverflowError" in one]) == 1
