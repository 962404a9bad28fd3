"""Brings webhooks to their subscribers: in order, signed, and again after a failure that may pass."""

import asyncio
import contextlib
import ssl
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from relay.sandbox import outbound
from relay.sandbox.faults import WebhookFault
from relay.sandbox.incidents import Happened
from relay.sandbox.shapes import Shape, Shapes
from relay.sandbox.state import Sandbox
from relay.sandbox.subscriptions import Subscription

GIVE_UP = 48 * 3600.0
"""Seconds after which a webhook that was never taken is dropped."""
FIRST_GAP, WIDEST_GAP = 10.0, 3600.0
"""Seconds between two attempts. PagerDuty says that they grow, and not how."""
LARGEST = 256 * 1024
"""Bytes; larger webhooks are dropped."""
_KEPT = 5_000


@dataclass(slots=True)
class Webhook:
    """One event on its way to one subscriber."""

    event: Shape
    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    """Of the header X-Webhook-Id: the same at each attempt."""
    state: str = "waiting"
    """waiting, delivered, dropped or lost."""
    attempts: list[int] = field(default_factory=list)
    """The status of each answer, 0 where there was none."""

    def as_json(self, subscription: str) -> dict[str, Any]:
        """Return what the JSON list shows."""
        event = self.event
        incident = event["data"].get("incident", event["data"]).get("id", "")
        return {
            "webhook_id": self.id,
            "subscription": subscription,
            "event_id": event["id"],
            "event_type": event["event_type"],
            "incident": incident,
            "state": self.state,
            "attempts": self.attempts,
        }


class Courier:
    """One queue and one task per subscription: what is behind a failing webhook waits for it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._shapes = Shapes(sandbox.account)
        self._session: aiohttp.ClientSession | None = None
        self._queues: dict[str, deque[Webhook]] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._held: dict[str, Webhook] = {}
        self._told: deque[tuple[str, Webhook]] = deque(maxlen=_KEPT)

    async def start(self) -> None:
        """Begin to deliver."""
        settings = self._sandbox.settings
        trusted = None if settings.webhook_ca is None else ssl.create_default_context(cafile=settings.webhook_ca)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted or True),
            timeout=aiohttp.ClientTimeout(total=settings.webhook_timeout),
            headers={"User-Agent": "PagerDuty-Webhook/V3.0"},
        )
        self._sandbox.incidents.listeners.append(self._tell)
        self._sandbox.subscriptions.removed.append(self._forget)

    async def close(self) -> None:
        """End, whatever waits."""
        tasks = (*self._tasks.values(), *self._late)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def told(self) -> tuple[dict[str, Any], ...]:
        """Say what became of each webhook, in order; the last 5,000 are kept."""
        return tuple(webhook.as_json(subscription) for subscription, webhook in self._told)

    def ping(self, subscription: Subscription, event: Shape) -> None:
        """Send an event to one subscriber, whatever it subscribed to."""
        self._enqueue(subscription, event)

    def _tell(self, happened: Happened) -> None:
        now = self._sandbox.now()
        for subscription in self._sandbox.subscriptions:
            if subscription.wants(happened, now):
                self._enqueue(subscription, outbound.event(happened, self._shapes))

    def _enqueue(self, subscription: Subscription, event: Shape) -> None:
        webhook = Webhook(event, outbound.body(event))
        self._told.append((subscription.id, webhook))
        fault = self._sandbox.webhook_fault(event["event_type"])
        for each in self._befall(subscription, webhook, fault):
            self._push(subscription, each)

    def _befall(self, subscription: Subscription, webhook: Webhook, fault: WebhookFault | None) -> list[Webhook]:
        """Say what goes into the queue now, once a fault had its way."""
        if fault is not None and fault.lose:
            webhook.state = "lost"
            return []
        if fault is not None and fault.reorder:
            # It lets the next one past; without a next one it stays.
            before = self._held.pop(subscription.id, None)
            self._held[subscription.id] = webhook
            return [] if before is None else [before]
        copies = 1 + (fault.duplicate if fault else 0)
        ahead = [webhook] * copies
        if fault is not None and fault.delay:
            task = asyncio.create_task(self._later(subscription, ahead, fault.delay))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            return []
        held = self._held.pop(subscription.id, None)
        return ahead if held is None else [*ahead, held]

    async def _later(self, subscription: Subscription, webhooks: list[Webhook], delay: float) -> None:
        await asyncio.sleep(delay)
        for webhook in webhooks:
            self._push(subscription, webhook)

    def _push(self, subscription: Subscription, webhook: Webhook) -> None:
        name = subscription.id
        self._queues.setdefault(name, deque()).append(webhook)
        self._wakes.setdefault(name, asyncio.Event()).set()
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(self._serve(subscription))

    def _forget(self, subscription_id: str) -> None:
        self._queues.pop(subscription_id, None)
        self._held.pop(subscription_id, None)
        task = self._tasks.pop(subscription_id, None)
        if task is not None:
            task.cancel()

    async def _serve(self, subscription: Subscription) -> None:
        queue, wake = self._queues[subscription.id], self._wakes[subscription.id]
        while True:
            await wake.wait()
            while queue:
                await self._bring(subscription, queue.popleft())
                if not subscription.enabled(self._sandbox.now()):
                    self._empty(queue)
            wake.clear()

    def _empty(self, queue: deque[Webhook]) -> None:
        for webhook in queue:
            webhook.state = "dropped"
        queue.clear()

    async def _bring(self, subscription: Subscription, webhook: Webhook) -> None:
        """Try until it was taken, refused for good, or too old."""
        pace, now = self._sandbox.settings.webhook_pace, asyncio.get_running_loop().time
        began = now()
        while len(webhook.body) <= LARGEST:
            status = await self._post(subscription, webhook)
            webhook.attempts.append(status)
            if 200 <= status < 300:
                webhook.state, subscription.dropped = "delivered", 0
                return
            wait = gap(len(webhook.attempts)) * pace
            if not _may_pass(status) or now() - began + wait > GIVE_UP * pace:
                break
            await asyncio.sleep(wait)
        webhook.state = "dropped"
        subscription.count_dropped(self._sandbox.now(), pace)

    async def _post(self, subscription: Subscription, webhook: Webhook) -> int:
        headers = {
            **subscription.headers,
            "Content-Type": "application/json",
            "X-PagerDuty-Signature": subscription.signature(webhook.body),
            "X-Webhook-Id": webhook.id,
            "X-Webhook-Subscription": subscription.id,
        }
        if self._session is None:
            return 0
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._session.post(
                subscription.url, data=webhook.body, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status
        return 0


def gap(attempts: int) -> float:
    """Return the seconds between so many attempts and the next: they grow."""
    return min(FIRST_GAP * 2.0 ** min(attempts - 1, 20), WIDEST_GAP)


def _may_pass(status: int) -> bool:
    """Whether it is worth another attempt: no answer, 5xx and 429 are; other answers are final."""
    return status in (0, 429) or status >= 500
