"""`pagerelay pagerduty test`: page a receiver, see the incident at PagerDuty, resolve it, and say each step."""

import asyncio
import sys
import time
import uuid
from dataclasses import dataclass

import click

from relay.cli.account import Who, account, asked
from relay.cli.reached import told_of
from relay.cli.send_test import Entry, entries_of, marked_page, resolved, said
from relay.cli.tables import print_lines
from relay.event import Delivered, Retry, Severity
from relay.pagerduty.events import EventSender
from relay.pagerduty.reaching import Reach, reach
from relay.pagerduty.records import Incident
from relay.pagerduty.rest import OPEN, Rest, RestError

_LOOK = 1.0
"""Seconds between two looks at PagerDuty."""


@click.command("test")
@click.argument("receiver", metavar="RECEIVER")
@click.option(
    "--severity",
    type=click.Choice([word.value for word in Severity]),
    default=Severity.INFO.value,
    show_default=True,
    help="What the page pretends to be; critical and error ring.",
)
@click.option(
    "--wait",
    type=click.FloatRange(1, 600),
    default=60.0,
    show_default=True,
    help="Seconds to look for the incident, and for its end.",
)
@account
def trial(who: Who, receiver: str, severity: str, wait: float) -> None:
    """Page each PagerDuty entry of RECEIVER for real, see the incident there, and resolve it.

    `send-test` sees PagerDuty accept the event, and that alone is no page: this sees the incident itself, and whom it
    is assigned to.

    Exit status 1 if one was not accepted, not seen, or may still be open.
    """
    entries = entries_of(who.config, receiver)

    async def run(rest: Rest) -> bool:
        sender = EventSender({entry.key.id: entry.key for entry in entries}.get)
        await sender.start()
        try:
            return all([await _Trial(rest, sender, entry, wait).run(Severity(severity)) for entry in entries])
        finally:
            await sender.close()

    sys.exit(0 if asked(who, run) else 1)


@dataclass(frozen=True, slots=True)
class _Trial:
    """The trial of one entry."""

    rest: Rest
    sender: EventSender
    entry: Entry
    wait: float

    async def run(self, severity: Severity) -> bool:
        """Say whether all of it went well."""
        self._say_way(await reach(self.rest, self.entry.key, self.entry.name))
        dedup_key = f"pagerelay-test-{uuid.uuid4()}"
        opened = await self.sender.send(marked_page(self.entry, dedup_key, severity), self.entry.key.id)
        self._say(f"trigger: {said(opened)} (dedup key {dedup_key})")
        if not isinstance(opened, Delivered) and not (isinstance(opened, Retry) and opened.ambiguous):
            return False
        incident: Incident | None = None
        try:
            incident = await self._confirmed(dedup_key)
        finally:
            closed = await resolved(self.sender, self.entry, dedup_key)
            self._say(f"resolve: {said(closed)}")
        ended = await self._ended(incident) if incident else isinstance(closed, Delivered)
        if not ended:
            self._say(f"the test page may still be open: resolve {dedup_key} at PagerDuty by hand")
        return incident is not None and ended

    def _say_way(self, way: Reach) -> None:
        if way.hooked is not None:
            called = ", ".join(one.who for one in way.first) if way.oncalls else "nobody"
            self._say(f"leads to service {way.hooked.service_name} ({way.hooked.status}); called first: {called}")
        print_lines(told_of([way]))

    async def _confirmed(self, dedup_key: str) -> Incident | None:
        """Look for the incident until it is there."""
        began = time.monotonic()
        while time.monotonic() - began < self.wait:
            found = await self.rest.incidents(statuses=(*OPEN, "resolved"), keys=[dedup_key], limit=1)
            if found:
                one, took = found[0], time.monotonic() - began
                to = f", assigned to {', '.join(one.assigned)}" if one.assigned else ""
                self._say(f"incident #{one.number} {one.id} is there after {took:.1f} s, {one.urgency} urgency{to}")
                self._say(f"look: {one.url}")
                return one
            await asyncio.sleep(_LOOK)
        self._say(f"no incident within {self.wait:.0f} s: the event was accepted, but nobody was paged")
        self._say("see `pagerelay pagerduty keys check`, and suppression and auto-pause at PagerDuty")
        return None

    async def _ended(self, incident: Incident) -> bool:
        """Look at the incident until it is resolved."""
        until = time.monotonic() + self.wait
        while time.monotonic() < until:
            try:
                found = await self.rest.incident(incident.id)
            except RestError as error:
                self._say(f"whether it is resolved is not known: {error}")
                return False
            if found.status == "resolved":
                self._say(f"incident #{found.number} is resolved")
                return True
            await asyncio.sleep(_LOOK)
        return False

    def _say(self, words: str) -> None:
        print_lines([f"{self.entry.name}: {words}"])
