"""What PagerDuty tells a relay: signed webhooks of what happens in the sandbox, by the clock that tests move."""

import hashlib
import hmac
import io
import json
from typing import Any

from relay.sandbox import outbound
from relay.sandbox.incident import Incident
from relay.sandbox.incidents import Happened
from relay.sandbox.shapes import Shapes
from tests.integration.timelapse import Relay

SECRET = "the-signing-secret-of-the-subscription"


def signed(body: bytes, *secrets: str) -> dict[str, str]:
    """The header that PagerDuty signs a body with."""
    digests = [hmac.new(one.encode(), body, hashlib.sha256).hexdigest() for one in secrets or (SECRET,)]
    return {"X-PagerDuty-Signature": ",".join(f"v1={one}" for one in digests)}


def _key_of(incident: Incident) -> str:
    return incident.alerts[0].dedup_key if incident.alerts else ""


class PagerDuty:
    """Holds what happens back until it is told, so that a test says in which order and how often."""

    def __init__(self, relay: Relay, *, key: bool = True) -> None:
        """`key`: incidents bear their incident_key."""
        self.relay = relay
        self.kept: list[dict[str, Any]] = []
        self._keys: dict[str, str] = {}
        """By incident, the dedup key that it was opened with."""
        self._key = key
        relay.sandbox.incidents.listeners.append(self._hear)
        self.anna, self.ben, *_ = relay.sandbox.account.users

    def _hear(self, happened: Happened) -> None:
        event = outbound.event(happened, Shapes(self.relay.sandbox.account))
        if "incident_key" in event["data"]:
            key = self._keys.setdefault(happened.incident.id, _key_of(happened.incident))
            event["data"]["incident_key"] = key if self._key else None
        self.kept.append(event)

    def incident(self, dedup_key: str) -> Incident:
        """The latest incident of a dedup key."""
        return [one for one in self.relay.sandbox.incidents.all if self._keys.get(one.id) == dedup_key][-1]

    def acknowledges(self, dedup_key: str) -> None:
        """Anna acknowledges it."""
        self.relay.sandbox.incidents.acknowledge(self.incident(dedup_key), self.anna)

    def resolves(self, dedup_key: str) -> None:
        """Anna resolves it."""
        self.relay.sandbox.incidents.resolve(self.incident(dedup_key), self.anna)

    def times_out(self, dedup_key: str) -> None:
        """Nobody resolves it: the service's timeout does."""
        self.relay.sandbox.incidents.resolve(self.incident(dedup_key), None)

    async def tells(self) -> list[str]:
        """Tell all that was held back, in its order; return what became of each."""
        events, self.kept = self.kept, []
        return [await self.tell(event) for event in events]

    async def tell(self, event: dict[str, Any]) -> str:
        """Tell one thing."""
        status, answer = await self.post(json.dumps({"event": event}).encode())
        assert status == 202, answer
        became: str = answer["outcome"]
        return became

    async def post(self, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Post a body, signed as it should be, and let the relay do what follows."""
        await self.relay._disturb()
        url = f"{self.relay.url}/pagerduty/webhook"
        async with self.relay.http.post(url, data=io.BytesIO(body), headers=headers or signed(body)) as reply:
            found = reply.status, await reply.json()
        await self.relay.settle()
        return found
