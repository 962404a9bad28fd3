"""A ledger in memory that keeps plans as the store does, and refuses every row that the store could not write."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from msgspec.structs import replace

from relay.page import Member, Page
from relay.rules.ledger import Held, Inhibitor, Ledger, Lookup, Plan, Role
from relay.store import codec


class Memory:
    """What the intake asks of a store, without a disk. `room` is how many alerts it is to hold."""

    def __init__(self, room: int = 2_000) -> None:
        self._room = room
        self._alerts: dict[int, Held] = {}
        self._pages: dict[int, Page] = {}
        self._of_alert: defaultdict[int, dict[int, Member]] = defaultdict(dict)
        self._of_page: defaultdict[int, dict[int, Member]] = defaultdict(dict)
        self._links: defaultdict[int, dict[int, Inhibitor]] = defaultdict(dict)

    async def keep(self, lookup: Lookup, judge: Callable[[Ledger], Plan]) -> Plan:
        """Judge, check every row, write."""
        plan = judge(self._read(lookup))
        _check(plan)
        self._write(plan)
        return plan

    async def firing_events(self, dedup_key: str, integrations: Collection[str]) -> list[Held]:
        """List the events that fire under a dedup key."""
        named = [one for one in self._pages.values() if one.dedup_key == dedup_key]
        chains = self._chains(one.id for one in named if not integrations or one.integration in integrations)
        alerts = {member.alert for page in chains for member in self._of_page[page].values() if member.firing}
        return [one for one in map(self._alerts.__getitem__, alerts) if one.firing and one.sent is not None]

    def full(self) -> bool:
        """Say whether it is time to begin anew, with everything that remembers this ledger."""
        return len(self._alerts) > self._room

    def _read(self, lookup: Lookup) -> Ledger:
        members = {one: tuple(self._of_alert[one].values()) for one in lookup.alerts if self._of_alert.get(one)}
        whole = {one: tuple(self._of_page[one].values()) for one in lookup.whole if self._of_page.get(one)}
        wanted = {*lookup.pages, *lookup.whole}
        wanted.update(page for rows in members.values() for member in rows for page in (member.page, member.home))
        return Ledger(
            alerts={one: self._alerts[one] for one in lookup.alerts if one in self._alerts},
            pages=self._chains(wanted),
            members=members,
            whole=whole,
            inhibitors={key: tuple(self._links[key].values()) for key in lookup.keys},
        )

    def _chains(self, ids: Iterable[int]) -> dict[int, Page]:
        found: dict[int, Page] = {}
        waiting = list(ids)
        while waiting:
            page = self._pages.get(waiting.pop())
            if page is not None and page.id not in found:
                found[page.id] = page
                waiting += [page.successor] if page.successor is not None else []
        return found

    def _write(self, plan: Plan) -> None:
        for old, new in plan.moved:
            for member in list(self._of_page[old].values()):
                self._leave(old, member.alert)
                self._join(replace(member, page=new))
        for page in plan.cleared:
            for member in [one for one in self._of_page[page].values() if not one.firing]:
                self._leave(page, member.alert)
        for page, alert in plan.left:
            self._leave(page, alert)
        self._alerts.update((alert.id, alert) for alert in plan.alerts)
        self._pages.update((page.id, page) for page in plan.pages)
        for member in plan.members:
            self._join(member)
        for alert, link in plan.unlinked:
            self._links[link.key].pop(alert, None)
        for alert, link in plan.linked:
            if link.role is not Role.WATCHER:
                self._links[link.key][alert] = Inhibitor(alert, link.role, link.name, link.absent_at)

    def _join(self, member: Member) -> None:
        self._of_alert[member.alert][member.page] = member
        self._of_page[member.page][member.alert] = member

    def _leave(self, page: int, alert: int) -> None:
        self._of_page[page].pop(alert, None)
        self._of_alert[alert].pop(page, None)


def _check(plan: Plan) -> None:
    """Raise for a row that SQLite would not take."""
    rows = [codec.held_row(alert) for alert in plan.alerts]
    rows += [codec.page_row(page) for page in plan.pages]
    rows += [codec.member_row(member) for member in plan.members]
    rows += [codec.record_row(plan.record)] if plan.record is not None else []
    for row in rows:
        for value in row:
            if isinstance(value, str):
                value.encode()  # a lone surrogate has no place in a column
            elif isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise OverflowError(f"{value} is no 64-bit integer")
