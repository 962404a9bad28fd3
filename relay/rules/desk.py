"""Where a judgement is worked out: the ledger's rows, changed one after the other, and the plan they come to."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from relay.alert import Instant
from relay.decision import Step, Verdict
from relay.event import Severity
from relay.page import Member, Page, State, Wanted, short_id
from relay.rules.chains import after, chain, first
from relay.rules.classify import Entry, Placement
from relay.rules.episodes import Settings, begun, closed, flapped, goes_on, resumed, revised
from relay.rules.ledger import Folded, Held, Ledger, Plan
from relay.rules.pages import done, outgrown, plan
from relay.rules.rulebook import Rulebook
from relay.rules.silences import NO_SILENCES, Silences
from relay.rules.staleness import DEAF, Listening
from relay.rules.storms import (
    CALM,
    StormBegins,
    Storming,
    counts,
    folded,
    folded_because,
    goes_on_until,
    storm_id,
    storm_page,
)
from relay.rules.suppressor import Suppressor, dropped
from relay.rules.tallies import Tallies
from relay.rules.turns import Turn, turn


class Join(NamedTuple):
    """What joining came to."""

    page: int
    opens: bool
    joins: bool


class Desk:
    """Rows of one judgement. Everything it is given is frozen; what it changes, it replaces."""

    def __init__(
        self,
        ledger: Ledger,
        book: Rulebook,
        now: Instant,
        silences: Silences = NO_SILENCES,
        listening: Listening = DEAF,
        *,
        alertmanager_url: str = "",
        storms: Storming = CALM,
    ) -> None:
        self.now = now
        self._book = book
        self._storms = storms
        self.suppressor = Suppressor(ledger, book, now, silences, listening)
        self.ledger = ledger
        self.alerts = dict(ledger.alerts)
        self.pages = dict(ledger.pages)
        self.notes: dict[int, tuple[Step, ...]] = {}
        self.dropped_groups: list[tuple[str, str]] = []
        self.noticed = False
        """Whether something was noted of an alert that its next body must undo, however unchanged it is."""
        self._settings = Settings(book, alertmanager_url)
        self._alertmanager_url = alertmanager_url
        self._members = {alert: {member.page: member for member in rows} for alert, rows in ledger.members.items()}
        for rows in ledger.whole.values():
            for member in rows:
                self._members.setdefault(member.alert, {})[member.page] = member
        self._held: dict[int, Held] = {}
        self._touched: dict[int, bool] = {}
        """Pages to write, and whether what they should show has changed."""
        self._places: dict[int, int] = {}
        """Where the alerts placed in a page go, until the pages' states change."""
        self._tallies = Tallies()
        self._written: dict[tuple[int, int], Member] = {}
        self._before: dict[int, dict[int, Member]] = {}
        """By alert and page, members as they were, of those that are written."""
        self._left: list[tuple[int, int]] = []
        self._moved: dict[int, int] = {}
        self._folded: dict[int, dict[int, int]] = {}
        """By alert: the pages it was folded out of, with the storm page it is in."""
        self._folds: list[Folded] = []
        self._cleared: list[int] = []
        self._judge: list[int] = []
        self._moved_on: set[int] = set()
        """Pages whose members are in another page that PagerDuty holds open: they close without a hold."""
        self._opened: set[int] = set()
        """Pages that an alert of this message has joined."""

    # Alerts

    def hold(self, held: Held) -> None:
        """Write an alert's row."""
        before = self.alerts.get(held.id)
        if before is not None:
            self.dropped_groups += [(held.source, key) for key in before.groups if key not in held.groups]
        self.alerts[held.id] = self._held[held.id] = held

    def meet(self, entry: Entry) -> None:
        """Take in whether an alert fires, before any alert is judged by which others do."""
        held = self.alerts.get(entry.id)
        if held is not None and (entry.sources or held.links):
            self.suppressor.meet(entry, held)

    def remember(self, entry: Entry) -> None:
        """Write down when an alert must be judged again, where it inhibits others, and what it waits for."""
        held = self.alerts.get(entry.id)
        if held is not None:
            remembered = self.suppressor.remember(entry, held)
            if remembered is not held:
                self.hold(remembered)

    def end(self, held: Held) -> tuple[int, ...]:
        """Let an alert count as over that nobody resolved; return the pages it fired in."""
        self.hold(replace(held, firing=False, ends_at=self.now, changed_at=self.now, absent_at=0, stale_at=0))
        return self.leave_firing(held.id)

    def leave_alone(self, alerts: Iterable[int]) -> None:
        """Take out of the calendar what no rule judges again."""
        for alert in alerts:
            if self.alerts[alert].judge_at is not None:
                self.hold(replace(self.alerts[alert], judge_at=None))

    # Members

    def waits_to_be_heard(self, alert: int) -> bool:
        """Say whether an alert is kept quiet until a body names it again after a window's end."""
        if self.suppressor.idle:
            return False
        return any(one.suppressions and dropped(one) for one in self._members.get(alert, {}).values() if one.firing)

    def turned(self, alert: int, verdict: Verdict) -> Turn:
        """Say what became of a firing alert by what keeps it quiet now and did before."""
        if self.suppressor.idle and alert not in self._before:
            return Turn(verdict, ())
        rows = {page: one for page, one in self._members.get(alert, {}).items() if one.firing}
        known = ((self.now_in(alert, page), one) for page, one in self._before.get(alert, {}).items() if one.firing)
        return turn(verdict, rows, {page: one for page, one in known if page in rows}, self.ledger.pages)

    def join(self, entry: Entry, place: Placement) -> Join:
        """Let a firing alert join the page it is placed in, or judge it again if it is there."""
        for member in self._members.get(entry.id, {}).values():
            if member.home == place.page and member.firing and member.leaving != place.page:
                self.keep(member, entry, place)
                return Join(member.page, opens=False, joins=False)
        storm = self._stays_folded(entry.id, place)
        if storm is not None:
            return Join(storm, opens=False, joins=False)
        page = self._current(place, entry.alert.source)
        member = Member(
            page=page.id,
            alert=entry.id,
            home=place.page,
            firing=True,
            severity=place.severity,
            route=place.route.id,
            order=place.route.order,
            receiver=place.receiver,
            target=place.target,
            never_loud=not self.suppressor.idle,
            joined_at=self.now,
            said=entry.alert.sent.said if entry.alert.sent is not None else 0,
        )
        if not self.suppressor.idle and not self._notified(page, place):
            member = replace(member, held_until=self.suppressor.held_until(entry, place))
        member = self.suppressor.judged(member, entry, place)
        self.put(member)
        opens = page.wanted is Wanted.CLOSED and page.id not in self._opened
        self._wait(page.id, place, begins=opens)
        self._opened.add(page.id)
        return Join(page.id, opens=opens, joins=not opens)

    def _stays_folded(self, alert: int, place: Placement) -> int | None:
        """Name the storm page that a firing alert is in for another page, if this one of the same key is folded too:
        it is in each page once."""
        home = self.pages.get(place.page)
        if home is None or home.folded is None:
            return None
        firing = [one.page for one in self._members.get(alert, {}).values() if one.firing and one.leaving is None]
        pages = [page for page in firing if self.pages[page].storm]
        return next((page for page in pages if self.pages[page].integration == place.integration), None)

    def keep(self, member: Member, entry: Entry, place: Placement) -> None:
        """Judge a member again that a body names where it is."""
        again = self.suppressor.judged(member, entry, place)
        if again != member:
            self.put(again)

    def judged(self, member: Member, entry: Entry, place: Placement) -> Member:
        """Judge a firing member again that no body names now."""
        held = self.alerts.get(entry.id)
        return self.suppressor.judged(member, entry, place, held.heard_at if held is not None else 0)

    def _notified(self, page: Page, place: Placement) -> bool:
        """Say whether people were told of a page already: one more alert in it pages nobody, so it needs no hold."""
        if page.delivered not in (State.OPEN, State.UNKNOWN_TRIGGER) or page.left_open or page.sent_severity is None:
            return False
        return page.sent_severity.urgent or not place.severity.urgent

    def _wait(self, number: int, place: Placement, *, begins: bool) -> None:
        """Let the first trigger of a page wait for `group_wait`; the shortest of those who join counts."""
        page, until = self.pages[number], self.now + place.group_wait
        if begins or until < page.trigger_after:
            self.pages[number] = replace(page, trigger_after=until if place.group_wait else 0)

    def leave_firing(self, alert: int) -> tuple[int, ...]:
        """Resolve an alert in every page that holds it firing; it stays listed there."""
        firing = [member for member in self._members.get(alert, {}).values() if member.firing]
        for member in firing:
            self.put(replace(member, firing=False, suppressions=(), lowered=""))
        return tuple(member.page for member in firing)

    def memberships(self, alert: int) -> tuple[Member, ...]:
        """Return every membership of an alert."""
        return tuple(self._members.get(alert, {}).values())

    def put(self, member: Member) -> None:
        """Write a membership, and count it in its page."""
        rows = self._members.setdefault(member.alert, {})
        before = rows.get(member.page)
        if before is not None:
            self._before.setdefault(member.alert, {}).setdefault(member.page, before)
        if before is not None:
            self._tallies.count(before, -1)
        rows[member.page] = self._written[member.page, member.alert] = member
        self._tallies.count(member, +1)
        if self.pages[member.page].lines and member.firing and not member.suppressions:
            self._note_joining(member, before)
        self._touch(member.page, changed=before is None or _shown(before) != _shown(member))

    def _note_joining(self, member: Member, before: Member | None) -> None:
        """Note that an alert begins to page in a page that was sent: it may have been closed elsewhere, or was and that
        was not heard yet. What fired when it was closed is nothing new, unless it was kept quiet ever since."""
        page, held = self.pages[member.page], self.ledger.alerts.get(member.alert)
        late = before is not None and before.firing and before.never_loud
        if not page.elsewhere_at:
            if late or before is None or not before.firing:
                self.pages[page.id] = replace(page, joined_at=self.now)
            return
        fired = before is not None and held is not None and before.joined_at <= page.elsewhere_at <= held.changed_at
        if late or (member.joined_at >= page.elsewhere_at and not fired):
            self.pages[page.id] = replace(page, joined_since=True)

    def wanted_again(self, alert: int) -> None:
        """An event that fires was triggered again: that is no repeat by the hour, its sender means it. Where its page
        was closed elsewhere it pages at once, as it would at PagerDuty."""
        for member in self._members.get(alert, {}).values():
            page = self.pages[member.page]
            if member.firing and not member.suppressions and page.elsewhere_at:
                self.write(replace(page, joined_since=True))

    def follow(self, member: Member) -> None:
        """Let a page do as the route says that brings a member by now, though nothing of the member has changed."""
        if member.suppressions:
            self._tallies.note_quiet(member)
        self._touch(member.page, changed=False)

    def moved_on(self, page: int) -> None:
        """Say that another page has taken over: if nothing fires here now, it will not fire here again."""
        self._moved_on.add(page)

    def drop(self, member: Member) -> None:
        """Take a membership out of its page altogether."""
        self._tallies.count(member, -1)
        self._members.get(member.alert, {}).pop(member.page, None)
        self._written.pop((member.page, member.alert), None)
        if member.page in self.ledger.pages:
            self._left.append((member.page, member.alert))
        self._touch(member.page, changed=member.firing)

    def _touch(self, page: int, *, changed: bool) -> None:
        self._touched[page] = changed or self._touched.get(page, False)

    def _tally(self) -> None:
        """Write what was counted into the pages' rows."""
        self.pages.update(self._tallies.take(self.pages))

    # Pages

    def now_in(self, alert: int, page: int) -> int:
        """Say in which page an alert is now that was or came in this one: its members may have moved."""
        if alert in self._folded:
            page = self._folded[alert].get(page, page)
        return self._moved.get(page, page)

    def folded_from(self, alert: int) -> tuple[int, ...]:
        """Name the pages that an alert was folded out of."""
        return tuple(self._folded.get(alert, ()))

    def _current(self, place: Placement, source: str) -> Page:
        """Find the page a placement means: the live one of its chain, else the first; never one that was left open."""
        known = self._places.get(place.page)
        if known is None:
            known = self._places[place.page] = self._found(place, source).id
        return self.pages[known]

    def _found(self, place: Placement, source: str) -> Page:
        base = self.pages.get(place.page)
        if base is None:
            base = self.pages[place.page] = first(place, source, self._alertmanager_url)
            return base
        return self._live(base)

    def _live(self, base: Page) -> Page:
        """Find the page of a chain that alerts join."""
        linked = chain(base, self.pages)
        live = [page for page in linked if not done(page) and not page.left_open]
        if live:
            return live[-1]
        left = [page for page in linked if page.left_open]
        return self._link(left[-1]) if left else base

    def _link(self, page: Page) -> Page:
        """Return the next page of a chain, making it if need be."""
        if page.successor is not None and page.successor in self.pages:
            return self.pages[page.successor]
        sent = any(rows[page.id].said for rows in self._members.values() if page.id in rows)
        fresh = after(page, sent=sent)
        self.pages[fresh.id] = fresh
        self.pages[page.id] = replace(page, successor=fresh.id)
        self._touch(page.id, changed=False)
        return fresh

    def write(self, page: Page) -> None:
        """Write a page's row as it is given, and look at it again."""
        self.pages[page.id] = page
        self._touch(page.id, changed=False)

    def transition(self) -> None:
        """Say what is wanted of each page that was touched, and when its next delivery is due."""
        self._places.clear()
        self._tally()
        fresh: list[int] = []
        for number in tuple(self._touched):
            if not self.pages[number].storm:
                self._turn(number)
                if counts(self.pages[number], self.ledger.pages.get(number)):
                    fresh.append(number)
        if fresh:
            self._fold(fresh)
        for number in [one for one in self._touched if self.pages[one].storm]:
            self._turn(number)
        for number in self._touched:
            self.pages[number] = plan(self.pages[number], self.now)

    def _turn(self, number: int) -> None:
        """Say what is wanted of a page that was touched."""
        page = self.pages[number] = self._transition(self.pages[number], changed=self._touched[number])
        because = outgrown(page)
        if because:
            self._hand_over(page, because)

    def _transition(self, page: Page, *, changed: bool) -> Page:
        if page.handed_over:
            return page
        wanted = Wanted.OPEN if page.tally else Wanted.QUIET if page.quiet else Wanted.CLOSED
        if (wanted is Wanted.CLOSED) is not (page.wanted is Wanted.CLOSED) and page.id not in self._moved_on:
            page = flapped(self._settings.with_flap(page), self.now)
        if wanted is Wanted.CLOSED:
            return self._closes(page)
        if page.wanted is Wanted.CLOSED or (page.muted and wanted is Wanted.OPEN and page.delivered is State.CLOSED):
            page = self._begins(page)
        if page.wanted is Wanted.QUIET and wanted is Wanted.OPEN and page.delivered is State.NEVER:
            page = replace(page, changed_at=self.now)
        if page.tally:
            page = self._settings.dressed(page)
        elif (route := self._tallies.muted_by(page.id)) is not None:
            page = self._settings.styled(page, route)
        page = replace(page, wanted=wanted, muted=page.muted and wanted is Wanted.QUIET, folded=None)
        return revised(page, self.now) if changed else page

    def _begins(self, page: Page) -> Page:
        """Something fires in a page that was closed: the same incident goes on, or a new episode begins."""
        if goes_on(page):
            page, because = resumed(page, self.now)
            self._note(page, because)
            return page
        if page.id in self.ledger.pages:
            self._cleared.append(page.id)
        return begun(page, self.now)

    def _closes(self, page: Page) -> Page:
        if page.wanted is Wanted.CLOSED:
            return page
        if page.predecessor is not None:
            self._judge.append(page.predecessor)
        page, because = closed(page, self.now, held=page.id not in self._moved_on)
        if because:
            self._note(page, because)
        if page.ack_asked_at and not page.ack_sent_at:
            self._note(page, "its acknowledgement was not sent before it closed: it is dropped")
            page = replace(page, ack_asked_at=0)
        return page

    # Storms

    def _fold(self, fresh: Iterable[int]) -> None:
        """Count new pages; during a storm, move what fires unsuppressed in them to their integration's storm page."""
        into: dict[int, int] = {}
        for number in fresh:
            integration = self._book.rules.integrations.get(self.pages[number].integration)
            if integration is not None and self._storms.folds(integration, self.pages[number], self.now):
                into[number] = self._storm_page(number)
        if not into:
            return
        alerts = self._fold_members(into)
        self._tally()
        for number, storm in into.items():
            self.pages[number] = folded(self.pages[number], storm)
        self._note_folds(into, alerts)

    def _storm_page(self, number: int) -> int:
        """Find or make the storm page that a page folds into."""
        page = self.pages[number]
        base = self.pages.get(storm_id(page.integration))
        if base is None:
            base = storm_page(page)
            if not self._storms.knows(base.id):
                raise StormBegins(base.id)
            self.pages[base.id] = base
        return self._live(base).id

    def _fold_members(self, into: Mapping[int, int]) -> Counter[int]:
        """Move members to storm pages; return how many each took. Those that a rule keeps quiet stay where they are."""
        rows = [one for some in self._members.values() for one in some.values() if one.page in into and one.firing]
        loud = [one for one in rows if not one.suppressions]
        for member in loud:
            self.drop(member)
            self.put(replace(member, page=into[member.page]))
            self._folded.setdefault(member.alert, {})[member.page] = into[member.page]
        for rows_of in self._members.values():  # who leaves another integration waits for the page it is in by now
            for member in [one for one in rows_of.values() if one.leaving in into and one.firing]:
                if member.leaving is not None and member.leaving not in rows_of:
                    self.put(replace(member, leaving=into[member.leaving]))
        return Counter(into[member.page] for member in loud)

    def _note_folds(self, into: Mapping[int, int], alerts: Mapping[int, int]) -> None:
        pages = Counter(into.values())
        for storm, count in pages.items():
            page = self.pages[storm]
            integration = self._book.rules.integrations[page.integration]
            lasts = integration.storm.within if integration.storm is not None else 0
            over_at = self._storms.over_at(integration, self.now)
            self.pages[storm] = goes_on_until(page, self.now + lasts, over_at, self.now)
            self._folds.append(Folded(integration.name, count, alerts[storm], begins=not page.storm_until))
        for number, storm in into.items():
            integration = self._book.rules.integrations[self.pages[number].integration]
            self._note(self.pages[number], folded_because(integration, storm))

    def unfold(self, member: Member) -> int:
        """Put a member of a storm page back where it came from; it leaves once PagerDuty has that page. Return it."""
        home = self._live(self.pages[member.home]).id
        there = self._members[member.alert].get(home)
        if there is None or not there.firing:
            self.put(replace(member, page=home))
        self.put(replace(member, leaving=home))
        return home

    def _hand_over(self, page: Page, because: str) -> None:
        """Move a page's members to a new, linked page: what opened this one fixed whom PagerDuty notified of it."""
        heir = self._link(page)
        page = self.pages[page.id]
        self._moved[page.id] = heir.id
        for rows in self._members.values():
            if page.id in rows:
                self._replace(rows, rows.pop(page.id), heir.id)
            for member in [one for one in rows.values() if one.leaving == page.id]:
                self._replace(rows, replace(member, leaving=heir.id), member.page)
        self._note(heir, f"{because}, so linked page {short_id(heir.id)} opens")
        self.pages[page.id] = replace(
            page, tally={}, quiet=0, waiting=0, shape=0, handed_over=True, sent_revision=page.revision, storm_until=0
        )
        heir = replace(
            heir,
            tally=page.tally,
            quiet=page.quiet,
            waiting=page.waiting,
            shape=page.shape,
            changes=page.changes,
            predecessor=page.id,
            storm_until=page.storm_until,
            judge_at=page.storm_until or heir.judge_at,
        )
        self._touch(heir.id, changed=True)
        self.pages[heir.id] = replace(self._transition(heir, changed=True), opened_because=because)

    def _replace(self, rows: dict[int, Member], member: Member, page: int) -> None:
        """Put a membership into another page, or another version of it; it is written if it was to be written."""
        written = self._written.pop((member.page, member.alert), None) is not None
        rows[page] = replace(member, page=page)
        if written:
            self._written[page, member.alert] = rows[page]

    def _note(self, page: Page, because: str) -> None:
        self.notes[page.id] = (*self.notes.get(page.id, ()), Step("page", because))

    def _hushed(self) -> tuple[str, ...]:
        """Say by what each member is kept quiet that was not before."""
        if self.suppressor.idle:
            return ()
        quiet = [one for one in self._written.values() if one.firing and one.suppressions]
        before = [self._before.get(one.alert, {}).get(one.page) for one in quiet]
        return tuple(
            [
                one.suppressions[0].kind.value
                for one, was in zip(quiet, before, strict=True)
                if was is None or not (was.firing and was.suppressions)
            ]
        )

    def _is_news(self, page: Page) -> bool:
        return page != self.ledger.pages.get(page.id)

    def plan(self) -> Plan:
        """Return everything that changed."""
        return Plan(
            alerts=tuple(self._held.values()),
            linked=tuple(self.suppressor.linked),
            unlinked=tuple(self.suppressor.unlinked),
            stirred=self.suppressor.stirred(),
            suppressed=self._hushed(),
            pages=tuple(page for page in map(self.pages.__getitem__, self._touched) if self._is_news(page)),
            members=tuple(self._written.values()),
            cleared=tuple(self._cleared),
            left=tuple(self._left),
            moved=tuple(self._moved.items()),
            folded=tuple(self._folds),
            judge=tuple(self._judge),
            judge_at=self.now if self._judge else 0,
        )


def _shown(member: Member) -> tuple[bool, bool, Severity, int]:
    return member.firing, bool(member.suppressions), member.severity, member.said
