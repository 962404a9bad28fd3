"""A relay with all its clockwork, a PagerDuty to talk to, and a clock that tests move: hours pass in milliseconds."""

import asyncio
import contextlib
import io
import json
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from relay.alert import SECOND, Instant, instant
from relay.answers import Answers
from relay.binding import rekeyed
from relay.changes import Changes
from relay.config import Loaded, load, recognise, remembered
from relay.dispatcher import Dispatcher
from relay.errors import Problem, RelayError
from relay.intake import Intake
from relay.letters import Letters
from relay.logs import Log
from relay.metrics import Metrics
from relay.page import Lane
from relay.pagerduty.events import EventSender
from relay.pausing import Pausing
from relay.recall import Recall
from relay.rendering import Renderer, read_sources
from relay.returns import Returns
from relay.rollcall import RollCall
from relay.rules.rulebook import Rulebook
from relay.rules.silences import Posted, Silence
from relay.sandbox.app import make_app
from relay.sandbox.state import Sandbox, Settings
from relay.scheduler import Scheduler
from relay.secret import Key
from relay.silencing import Silencer
from relay.store import SqliteStore
from relay.storms import Storms
from relay.web import Doors, make_runner
from relay.web import make_app as make_doors
from relay.web.routing_keys import RoutingKeys

KEY = "0123456789abcdef0123456789abcdef"
NOON = instant(datetime(2026, 11, 23, 12, tzinfo=UTC))
"""A Monday."""
PATIENCE = 20.0
"""Seconds of a real clock for anything that happens at one instant of the other."""


class Unknown(RelayError):
    """What PagerDuty's REST API answers for an incident that is not there."""

    reason = "not_found"


@dataclass
class Relay:
    """Everything a test may turn or look at. `restless`: it is restarted before everything that happens."""

    directory: Path
    sandbox: Sandbox
    pagerduty: str
    restless: bool = False
    now: Instant = NOON
    log: list[str] = field(default_factory=list)
    rung: list[str] = field(default_factory=list)
    """What the pause had to say of itself; "" when there was none any more."""
    keys: dict[str, Key] = field(default_factory=dict)
    loaded: Loaded = field(init=False)
    store: SqliteStore = field(init=False)
    book: Rulebook = field(init=False)
    intake: Intake = field(init=False)
    scheduler: Scheduler = field(init=False)
    dispatcher: Dispatcher = field(init=False)
    silencer: Silencer = field(init=False)
    storms: Storms = field(init=False)
    pausing: Pausing = field(init=False)
    returns: Returns = field(init=False)
    changes: Changes = field(init=False)
    answers: Answers = field(init=False)
    recall: Recall = field(init=False)
    metrics: Metrics = field(init=False)
    renderer: Renderer = field(init=False)
    sender: EventSender = field(init=False)
    http: aiohttp.ClientSession = field(init=False)
    rekeyed: frozenset[str] = frozenset()
    """Integrations that have another key than before."""
    url: str = ""
    _told: int = 0
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    def write(self, text: str) -> int:
        """Take what the log writes."""
        self.log.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def clock(self) -> Instant:
        """The time it is."""
        return self.now

    # What happens

    async def post(self, *alerts: Mapping[str, Any], group: str = "", source_: str = "", **more: Any) -> list[str]:
        """Post a body that must be accepted, do all that is due, and return what became of each alert."""
        return [one["verdict"] for one in await self.decisions(*alerts, group=group, source_=source_, **more)]

    async def decisions(
        self, *alerts: Mapping[str, Any], group: str = "", source_: str = "", **more: Any
    ) -> list[dict[str, Any]]:
        """Post a body, and return the decisions of the answer."""
        await self._disturb()
        body = {"version": "4", "groupKey": group or alerts[0]["labels"]["alertname"], "alerts": list(alerts), **more}
        path = f"/webhook/{source_}" if source_ else "/webhook"
        async with self.http.post(self.url + path, data=io.BytesIO(json.dumps(body).encode())) as reply:
            assert reply.status == 200, await reply.text()
            answer = await reply.json()
        await self.settle()
        found: list[dict[str, Any]] = answer["decisions"]
        return found

    async def event(self, action: str, dedup_key: str = "", *, key: str = KEY, **rest: Any) -> str:
        """Send an Events API event that must be taken, do all that is due, and return its dedup key."""
        await self._disturb()
        event = {"routing_key": key, "event_action": action, **({"dedup_key": dedup_key} if dedup_key else {}), **rest}
        async with self.http.post(f"{self.url}/v2/enqueue", data=io.BytesIO(json.dumps(event).encode())) as reply:
            assert reply.status == 202, await reply.text()
            answer = await reply.json()
        assert answer == {"status": "success", "message": "Event processed", "dedup_key": answer["dedup_key"]}
        await self.settle()
        return str(answer["dedup_key"])

    async def wait(self, seconds: float) -> None:
        """Let time pass: whatever becomes due on the way is done at its own instant."""
        await self._disturb()
        until = self.now + int(seconds * SECOND)
        await self.settle()
        while (due := await self._due()) is not None and due <= until:
            assert due > self.now, "what was due was not done"
            self.now = due
            await self._disturb()
            await self.settle()
        self.now = until
        await self.settle()

    async def silence(self, *matchers: tuple[str, str, str], last: float, after: float = 0, **said: str) -> Silence:
        """Make a silence that begins `after` seconds from now, lasts so many, and is anna's."""
        posted = Posted(
            id=said.get("id_", ""),
            matchers=matchers,
            starts_at=self.now + int(after * SECOND),
            ends_at=self.now + int((after + last) * SECOND),
            created_by="anna",
            comment=said.get("comment", "disk swap"),
        )
        await self._disturb()
        made = await self.silencer.put(posted)
        await self.settle()
        return made

    async def expire(self, silence: Silence) -> None:
        """End a silence by hand."""
        await self._disturb()
        await self.silencer.expire(silence.id)
        await self.settle()

    async def reload(self, config: Mapping[str, Any]) -> None:
        """Read another configuration, as POST /-/reload does."""
        await self._disturb()
        self.configure(config)
        book = await self._bind()
        self.dispatcher.book = self.intake.book = self.changes.book = self.book = book
        self.dispatcher.rekeyed(self.rekeyed)
        await self.recall.clear()
        self.scheduler.reloaded(book)
        await self.settle()

    async def restart(self) -> None:
        """Close it and open it again on the same directory."""
        await self._open.aclose()
        await self.open()

    # What is seen of it

    def sent(self) -> list[str]:
        """List what PagerDuty was sent since this was asked last: `60 s trigger Down critical`, `90 s resolve Down`."""
        calls = self.sandbox.requests[self._told :]
        self._told += len(calls)
        return [_call(one) for one in calls]

    @property
    def open_alerts(self) -> dict[str, str]:
        """What is open at PagerDuty, by dedup key, with its status."""
        return {alert.dedup_key: alert.status for alert in self.sandbox.open_alerts}

    async def page(self, dedup_key: str) -> dict[str, Any]:
        """Show one page, as `/api/v1/pages/{id}` does."""
        (page,) = (await self._get(f"/api/v1/pages?dedup_key={dedup_key}"))["pages"]
        shown: dict[str, Any] = await self._get(f"/api/v1/pages/{page['id']}")
        return shown

    async def pages(self) -> dict[str, str]:
        """Say in a word how each page stands, by dedup key."""
        found = (await self._get("/api/v1/pages?limit=1000"))["pages"]
        return {page["dedup_key"]: page["state"] for page in found}

    async def quiet(self, dedup_key: str) -> dict[str, str]:
        """Say why each alert of a page that fires and is kept quiet is, by alertname (and instance)."""
        members = (await self.page(dedup_key))["members"]
        return {_name(one["labels"]): one["suppressed"] for one in members if one["suppressed"]}

    async def journal(self, **labels: str) -> list[tuple[str, str, str]]:
        """List what the journal says of an alert, oldest first: (`12:00:05`, verdict, why)."""
        found = (await self._get("/api/v1/decisions?limit=1000"))["decisions"]
        mine = [one for one in found if one["alertname"] == labels["alertname"]]
        return [(one["at"][11:19], one["verdict"], "; ".join(one["steps"])) for one in reversed(mine)]

    def counted(self, name: str, **labels: str) -> float:
        """Read a metric."""
        value = self.metrics.registry.get_sample_value(name, labels)
        return 0.0 if value is None else value

    async def explain(self, *alerts: Mapping[str, Any], source: str = "") -> list[dict[str, Any]]:
        """Ask what would become of alerts."""
        body = json.dumps(
            {"version": "4", "groupKey": alerts[0]["labels"]["alertname"], "alerts": list(alerts)}
        ).encode()
        url = f"{self.url}/api/v1/explain" + (f"?source={source}" if source else "")
        async with self.http.post(url, data=body) as reply:
            assert reply.status == 200, await reply.text()
            found: list[dict[str, Any]] = (await reply.json())["alerts"]
            return found

    async def _get(self, path: str) -> Any:
        async with self.http.get(self.url + path) as reply:
            assert reply.status == 200, (reply.status, await reply.text())
            return await reply.json()

    # How it runs

    async def settle(self) -> None:
        """Do everything that is due now."""
        while True:
            before = len(self.sandbox.requests)
            await self.scheduler.tick()
            await self.pausing.tick()
            await self.returns.tick()
            await self._delivered()
            await self.changes.tick()
            await self.changes.settled()
            due = await self._due()
            if len(self.sandbox.requests) == before and (due is None or due > self.now):
                return

    async def keys_of(self, incident: str) -> list[str]:
        """Say the dedup keys of an incident's alerts, as PagerDuty's REST API does."""
        found = self.sandbox.incidents.named(incident)
        if found is None:
            raise Unknown(f"there is no incident {incident}")
        return [alert.dedup_key for alert in found.alerts]

    async def leads(self) -> dict[str, str]:
        """Say in which service each integration's incidents are, as PagerDuty's REST API does."""
        found: dict[str, str] = {}
        for name, integration in self.book.rules.integrations.items():
            hook = self.sandbox.account.integration(self.keys[integration.key_id].routing_key.reveal())
            if hook is not None:
                found[name] = hook.service.id
        return found

    async def _disturb(self) -> None:
        if self.restless:
            await self.restart()

    async def _due(self) -> Instant | None:
        """Say when something is next due."""
        known = [await self.store.next_judgement(), self.silencer.current.next_change(self.now)]
        known += [pause.until for pause in self.pausing.current.values()]
        known += [
            max(due, self.now + SECOND // 2) if self._closed(integration, lane) else due
            for integration, lane, due in await self.store.heads(self.now)
            if not self.pausing.of(integration)
        ]
        known += [
            max(head.due_at, self.now + SECOND // 2)
            for integration, head in (await self.store.change_heads()).items()
            if not self.pausing.of(integration)
        ]
        return min((at for at in known if at is not None), default=None)

    async def _delivered(self) -> None:
        """Wait until the dispatcher has nothing to do at this instant."""
        deadline = time.monotonic() + PATIENCE
        while await self._busy():
            assert time.monotonic() < deadline, [line for line in self.log if "error" in line][-5:]
            await self._keep_pace()
            self.dispatcher.wake()
            await asyncio.sleep(0.001)

    async def _keep_pace(self) -> None:
        """Let the moment pass that a budget wants between two calls: after a burst they are paced."""
        due = [(one, lane) for one, lane, at in await self.store.heads(self.now) if at <= self.now]
        if not due or any((await self.store.counts()).in_flight.values()):
            return
        for integration in {one for one, _ in due}:
            lanes = {lane for one, lane in due if one == integration}
            window = self.dispatcher.windows().get(integration)
            if window is not None and not window.closed(self.now) and not window.allot(lanes, self.now, 1):
                self.now = max(self.now, window.next_chance(lanes, self.now) or self.now)

    async def _busy(self) -> bool:
        if self.dispatcher._rekeyed:
            return True
        for _ in range(2):  # what is on its way at the first look may be due again at the second
            heads = await self.store.heads(self.now)
            ready = [due for one, lane, due in heads if not self._closed(one, lane) and not self.pausing.of(one)]
            if any(due <= self.now for due in ready) or any((await self.store.counts()).in_flight.values()):
                return True
        return False

    def _closed(self, integration: str, lane: Lane) -> bool:
        """Say whether PagerDuty asked for a pause."""
        window = self.dispatcher.windows().get(integration)
        return (
            window is not None
            and window.closed(self.now)
            and not self.dispatcher.passes_over(integration, lane, self.now)
        )

    async def open(self) -> None:
        """Open it, as a start does."""
        self._open = AsyncExitStack()
        self.store = await SqliteStore.open(self.directory / "data")
        self._open.push_async_callback(self.store.close)
        await self.store.clock_back(self.now)
        self.book = await self._bind()
        self.metrics = metrics = Metrics("test")
        log = Log(self.clock, stream=self)  # type: ignore[arg-type]
        self.recall = recall = Recall()
        self.dispatcher = Dispatcher(
            self.store,
            self.book,
            self.renderer,
            self.sender,
            clock=self.clock,
            steady=self.clock,
            jitter=random.Random(1).random,
            timeout=lambda _: 10 * SECOND,
            external_url="http://relay.example",
            judged=lambda: None,
            paused=lambda integration: self.pausing.of(integration) is not None,
            metrics=metrics,
            log=log,
        )
        self.silencer = Silencer(
            self.store, clock=self.clock, log=log, began=lambda silence: self.scheduler.silence_changed(silence)
        )
        await self.silencer.open()
        self.pausing = Pausing(
            self.store,
            self.book,
            clock=self.clock,
            wake=self.dispatcher.wake,
            ring=lambda reason, because: self.rung.append(because),
            quiet=lambda reason: self.rung.append(""),
            metrics=metrics,
            log=log,
        )
        await self.pausing.open()
        clocks: dict[str, Any] = {"clock": self.clock, "wake": self.dispatcher.wake, "metrics": metrics, "log": log}
        clocks["silences"] = lambda: self.silencer.current
        clocks["rolls"] = RollCall()
        clocks["storms"] = self.storms = Storms()
        self.changes = Changes(
            self.store,
            self.book,
            self.sender,
            self.dispatcher,
            clock=self.clock,
            timeout=lambda _: 10 * SECOND,
            jitter=lambda: 1.0,
            metrics=metrics,
            log=log,
        )
        await self.storms.resume(self.store, self.book, self.now)
        self.scheduler = Scheduler(self.store, self.book, recall, steady=self.clock, **clocks)
        self.intake = Intake(self.store, self.book, recall, changed=self.changes.made, **clocks)
        self.returns = Returns(
            self.store,
            clock=self.clock,
            changed=self.dispatcher.wake,
            asks=lambda: self.book.rules.account.api,
            keys=self.keys_of,
            leads=self.leads,
            rules=lambda: self.book.rules,
            metrics=metrics,
            log=log,
        )
        self.answers = Answers(
            self.store,
            lambda: self.book,
            clock=self.clock,
            sources=recall.sources,
            silences=lambda: self.silencer.current,
            storms=self.storms,
            paused=self.pausing.why,
            barred=lambda integration: self.dispatcher.barred(integration),
            render=self.renderer.render,
            external_url="http://relay.example",
        )
        await self._open_doors(metrics, log)
        self.dispatcher.rekeyed(self.rekeyed)
        running = asyncio.ensure_future(self.dispatcher.run())
        self._open.push_async_callback(self._stop, running)
        await self.settle()

    async def _stop(self, running: "asyncio.Future[None]") -> None:
        self.dispatcher.stop()
        await running
        self.scheduler.stop()
        await self.scheduler.run()  # writes down what was heard

    async def _open_doors(self, metrics: Metrics, log: Log) -> None:
        async def nothing() -> None:
            """Gauges are not looked at here."""

        async def reload() -> tuple[Problem, ...]:
            return ()

        doors = Doors(
            intake=lambda: self.intake,
            answers=lambda: self.answers,
            not_ready=lambda: None,
            reload=reload,
            metrics=metrics,
            refresh_metrics=nothing,
            log=log,
            pausing=lambda: self.pausing,
            returns=lambda: self.returns,
            webhook_secrets=lambda: self.loaded.account.webhook_secrets,
            sources=lambda: self.loaded.rules.sources,
            routing_keys=RoutingKeys(lambda: self.loaded).find,
            letters=lambda: Letters(self.store, clock=self.clock, wake=self.dispatcher.wake, log=log),
            changes=lambda: self.changes,
        )
        runner = make_runner(make_doors(doors))
        await runner.setup()
        self._open.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the routing file."""
        ours = {"pagerduty_url": f"{self.pagerduty}/v2/enqueue", "budget": {"events": "100000", "within": "60s"}}
        (self.directory / "relay.yml").write_text(json.dumps({**config, "global": ours | config.get("global", {})}))

    async def _bind(self) -> Rulebook:
        self.loaded = loaded = load(self.directory / "relay.yml", {})
        known = await self.store.integrations()
        rules = recognise(loaded.rules, known)
        self.rekeyed = rekeyed(rules, known)
        await self.store.remember_integrations(remembered(rules))
        self.keys |= loaded.keys
        return Rulebook(rules, self.keys)


@contextlib.asynccontextmanager
async def open_relay(directory: Path, config: Mapping[str, Any], *, restless: bool = False) -> AsyncIterator[Relay]:
    """Open a relay and its PagerDuty; both share the clock."""
    relays: list[Relay] = []
    sandbox = Sandbox(Settings(rate_events=0), clock=lambda: (relays[0].now if relays else NOON) / SECOND)
    runner = web.AppRunner(make_app(sandbox=sandbox))
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        relay = Relay(directory, sandbox, f"http://127.0.0.1:{runner.addresses[0][1]}", restless)
        relays.append(relay)
        relay.configure(config)
        relay.renderer = Renderer(read_sources(load(directory / "relay.yml", {}).template_files))
        relay.sender = EventSender(lambda name: relay.keys.get(name))
        await asyncio.gather(relay.renderer.start(), relay.sender.start())
        stack.push_async_callback(relay.renderer.close)
        stack.push_async_callback(relay.sender.close)
        relay.http = await stack.enter_async_context(aiohttp.ClientSession())
        await relay.open()
        try:
            yield relay
        finally:
            await relay._open.aclose()


def config(
    *routes: Mapping[str, Any],
    rules: Sequence[Mapping[str, Any]] = (),
    top: Mapping[str, Any] | None = None,
    **rest: Any,
) -> dict[str, Any]:
    """A routing file: one page per alertname at `a` (`b` is another service), and what the root route says more."""
    root = {"receiver": "a", "dedup_key": "{labels.alertname}", "routes": list(routes), **rest}
    receivers = [
        {"name": name, "pagerduty_configs": [{"routing_key": key}]} for name, key in (("a", KEY), ("b", KEY[::-1]))
    ]
    return {
        "route": root,
        "receivers": [*receivers, {"name": "nobody"}],
        "inhibit_rules": list(rules),
        **(top or {}),
    }


def fires(name: str, severity: str = "warning", *, since: str = "11:59:00", **labels: str) -> dict[str, Any]:
    """An alert that fires."""
    return {
        "status": "firing",
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": f"{name} is bad"},
        "startsAt": f"2026-11-23T{since}Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
    }


def resolved(name: str, severity: str = "warning", *, since: str = "11:59:00", **labels: str) -> dict[str, Any]:
    """The same alert, resolved."""
    return {**fires(name, severity, since=since, **labels), "status": "resolved", "endsAt": "2026-11-23T23:59:00Z"}


def minutes(count: float) -> float:
    """So many minutes, in seconds."""
    return count * 60


def hours(count: float) -> float:
    """So many hours, in seconds."""
    return count * 3600


def _call(line: Mapping[str, Any]) -> str:
    at = line["at"] - NOON / SECOND
    words = [f"{at:g} s", line["event_action"], line["dedup_key"], line["severity"]]
    failed = "" if line["status"] == 202 else f"({line['status'] or 'no answer'})"
    return " ".join(word for word in (*words, failed) if word)


def _name(labels: Mapping[str, str]) -> str:
    return " ".join(labels[name] for name in ("alertname", "instance") if name in labels)
