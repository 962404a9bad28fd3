"""Plain words for what a row holds: states, waits, and the sentence that says what a page is waiting for."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from relay.alert import HOUR, MINUTE, SECOND, Duration, Instant, moment
from relay.page import Do, Lane, Page, State, Wanted, short_id
from relay.rules.ladder import FALLBACK_AFTER, Barred
from relay.rules.pages import CARRIES, LIVE, NEVER, SPACING, next_step, reopens_at, respected


class PageState(StrEnum):
    """One word for a page as a whole; the first that fits."""

    DEAD = "dead letter"
    """PagerDuty rejected its event for good, on every rung of the ladder."""
    DISCARDED = "discarded"
    """The same, and a person let go of it."""
    KEY_GONE = "key gone"
    """PagerDuty may hold it open under a routing key that is no longer at hand."""
    HANDED_OVER = "handed over"
    """Its alerts moved to a linked page, since PagerDuty would have notified nobody of an update."""
    FOLDED = "folded"
    """Its alerts fire, or fired, in the storm page: too many pages were new at once."""
    LEFT_OPEN = "left open"
    """Closed here; PagerDuty is not told, since send_resolved is false."""
    MUTED = "muted"
    """Something fires, and all of it is suppressed."""
    WAITING = "waiting"
    """It should be open, and PagerDuty has not accepted it yet."""
    OPEN = "open"
    CLOSED_ELSEWHERE = "closed elsewhere"
    """It fires, and was closed at PagerDuty by a person or a timer."""
    CLOSING = "closing"
    """It should be closed, and PagerDuty may still hold it open."""
    SUPERSEDED = "superseded"
    """It resolved before it was ever sent: nobody was paged."""
    CLOSED = "closed"


def state(page: Page) -> PageState:
    """Sum a page up in a word."""
    if page.dead and page.wanted is Wanted.OPEN:
        return PageState.DISCARDED if page.discarded else PageState.DEAD
    if any(line.gone and line.state in LIVE for line in page.lines):
        return PageState.KEY_GONE
    if page.handed_over:
        return PageState.HANDED_OVER if page.delivered in LIVE else PageState.CLOSED
    if page.left_open:
        return PageState.LEFT_OPEN
    if page.folded is not None and page.wanted is Wanted.CLOSED and page.delivered not in LIVE:
        return PageState.FOLDED
    if page.wanted is Wanted.QUIET:
        return PageState.MUTED
    if page.wanted is Wanted.OPEN:
        return _FIRING.get(page.delivered, PageState.WAITING)
    if page.delivered in LIVE:
        return PageState.CLOSING
    sent = any(line.state is not State.NEVER for line in page.lines)  # also under a key that is gone
    return PageState.CLOSED if sent else PageState.SUPERSEDED


_FIRING = {State.OPEN: PageState.OPEN, State.ELSEWHERE: PageState.CLOSED_ELSEWHERE}

_ACTS = {
    Do.TRIGGER: "the trigger",
    Do.UPDATE: "an update",
    Do.RESOLVE: "the resolve",
    Do.REOPEN: "a new trigger",
    Do.ACKNOWLEDGE: "the acknowledgement that its sender asked for",
    Do.MUTE: "the event that `on_mute` asks for",
}


class Standing(NamedTuple):
    """What is known of a page besides its row: how its integration stands, and what the configuration says of it."""

    barred: Barred | None = None
    """What keeps the integration of its next call from being called."""
    fallback: str = ""
    """The receiver that gets it where PagerDuty goes on refusing the key; "" for none, or where that is not known."""
    beyond: str = ""
    """What makes a storm of its integration, as the end of a sentence."""


UNKNOWN = Standing()


def why(page: Page, now: Instant, standing: Standing = UNKNOWN) -> str:
    """Say what a page is waiting for, or how it stands, as a sentence."""
    kind = state(page)
    if kind is PageState.DEAD:
        return (
            f"PagerDuty rejected {_refused(page)}: {page.dead}. It is tried anew when its alerts, its receiver's texts "
            f"or a routing key change, or by `pagerelay page retry {short_id(page.id)}`"
        )
    if kind is PageState.DISCARDED:
        return (
            f"let go of by {page.discarded}: PagerDuty rejected it, {page.dead}. A change of its alerts is tried anew"
        )
    if kind is PageState.KEY_GONE:
        return (
            "PagerDuty may hold it open under a routing key that is no longer at hand: "
            f"name that key in previous_routing_key_files of receiver {page.receiver}"
        )
    if page.in_flight:
        since = max((line.at for line in page.lines), default=0)
        return f"an event is on its way to PagerDuty, since {clock(since)}"
    if page.lane is not None:
        said = (
            _waits(page, now, standing),
            _acknowledged(page),
            doubts(page),
            rungs(page),
            _hindrance(page, now, standing),
        )
        return "; ".join(filter(None, said))
    if kind is PageState.HANDED_OVER:
        heir = f"page {short_id(page.successor)}" if page.successor is not None else "a linked page"
        return f"its alerts moved to {heir}; this one is resolved once PagerDuty has accepted that one"
    if kind is PageState.FOLDED and page.folded is not None:
        because = standing.beyond or ", since too many pages were new at once"
        return f"folded into page {short_id(page.folded)}{because}; its alerts stand there"
    if kind is PageState.SUPERSEDED and page.last_error:
        return f"it resolved before PagerDuty took its page ({page.last_error}): nobody was paged"
    if kind is PageState.CLOSED_ELSEWHERE:
        return _closed_elsewhere(page)
    return "; ".join(
        filter(None, (_STANDS[kind], _acknowledged(page), doubts(page), rungs(page), _hindrance(page, now, standing)))
    )


def _acknowledged(page: Page) -> str:
    """Say what became of the acknowledgement that the sender of an event asked for; "" where it asked for none."""
    if not page.ack_asked_at or page.wanted is Wanted.CLOSED:
        return ""
    if page.ack_sent_at:
        return f"acknowledged there at {clock(page.ack_sent_at)}, as its sender asked"
    if next_step(page) is Do.ACKNOWLEDGE:
        return ""
    return f"its sender asked at {clock(page.ack_asked_at)} to have it acknowledged: that follows its trigger"


def doubts(page: Page) -> str:
    """Say that PagerDuty took a page and seems to have made no incident of it; "" where that is not so."""
    if page.confirmed_at or not page.doubted_at or page.delivered not in LIVE:
        return ""
    said = f"PagerDuty took its trigger at {clock(page.triggered_at)} and showed no incident for it"
    if page.last_sent_at >= page.doubted_at:
        return f"{said}, so that it was sent again at {clock(page.last_sent_at)}: look whether anybody was called"
    return f"{said} by {clock(page.doubted_at)}: look whether anybody was called"


def _closed_elsewhere(page: Page) -> str:
    by = page.elsewhere_by or "a timer or an automation"
    closed = f"it fires, and {by} closed its incident at PagerDuty at {clock(page.elsewhere_at)}"
    if respected(page):
        return f"{closed}: it stays closed until all of it is resolved, since its route says on_pd_resolve: respect"
    at = reopens_at(page)
    if at == NEVER:
        at = page.last_sent_at + page.repeat_interval
        return f"{closed}; it is opened again when it is next heard of, not before {clock(at)}, or when an alert joins"
    return f"{closed}; it is opened again at {clock(at)}"


def rungs(page: Page) -> str:
    """Say how far down the delivery ladder a page is, and what comes next; "" while it is at the top."""
    if page.wanted is not Wanted.OPEN:
        return ""
    return ", and ".join(_rungs(page))


def _rungs(page: Page) -> Iterator[str]:
    if page.fallback:
        yield f"it goes to {page.fallback}, the fallback of {page.receiver}, until it closes"
    if page.minimal:
        yield "it goes out as a minimal event, since PagerDuty rejected the full one"


def _hindrance(page: Page, now: Instant, standing: Standing) -> str:
    """Say what keeps the next call of a page back that is none of its own doing, and what happens next."""
    barred = standing.barred if page.lane is not None else None
    refused = barred is not None and barred.refused_since
    known = (page.refused_at if page.wanted is Wanted.OPEN else 0, refused or 0)
    since = min(filter(None, known), default=0)
    if since:
        said = f"its routing key is refused since {clock(since)}"
        return f"{said}; {after}" if (after := _after_refusal(page, now, since, standing)) else said
    if barred is None or not barred.throttled:
        return ""
    said = "PagerDuty answered 429, too many events under this routing key"
    return f"{said}: until {clock(barred.until)} only a probe is sent"


def _after_refusal(page: Page, now: Instant, since: Instant, standing: Standing) -> str:
    turn, barred = since + FALLBACK_AFTER, standing.barred
    if standing.fallback and next_step(page) in CARRIES and page.lane is not Lane.REFRESH:
        to = f"{standing.fallback}, the fallback of {page.fallback or page.receiver}"
        return f"it goes to {to}, at {clock(turn)} unless the key is taken before" if turn > now else f"it goes to {to}"
    return f"the key is tried again at {clock(max(barred.until, now))}" if barred is not None else ""


def _refused(page: Page) -> str:
    """Say what was tried of a dead letter."""
    tried = "the full event and the minimal one"
    return f"{tried}, also at {page.fallback}" if page.fallback else tried


_STANDS = {
    PageState.LEFT_OPEN: "closed here; PagerDuty is not told, since send_resolved is false for this receiver",
    PageState.MUTED: "all that fires is suppressed, so nothing is sent; each alert says by what",
    PageState.WAITING: "something fires; it is not queued, and is looked at again with the next message",
    PageState.OPEN: "open at PagerDuty, which shows what fires",
    PageState.CLOSING: "nothing fires; its resolve is not queued",
    PageState.SUPERSEDED: "it resolved before its page was ever sent: nobody was paged",
    PageState.CLOSED: "nothing fires, and PagerDuty knows it is over",
}


def _waits(page: Page, now: Instant, standing: Standing) -> str:
    what = "a refresh" if page.lane is Lane.REFRESH else _ACTS.get(next_step(page), "its next event")
    if page.due_at <= now:
        waits = "waits" if standing.barred is not None else "waits for its turn"
        turn = f"{what} is due since {clock(page.due_at)} and {waits} in lane {lane(page.lane)}"
        return f"{turn}; {_failed(page)}" if page.failures else turn
    return f"{what} is due {span(page.due_at - now)} from now, at {clock(page.due_at)}: {_reason(page)}"


def _reason(page: Page) -> str:
    if page.failures:
        return _failed(page)
    do = next_step(page)
    if do in (Do.RESOLVE, Do.MUTE) and any(line.state is State.UNKNOWN_TRIGGER for line in page.lines):
        return "PagerDuty never answered the trigger, which may still be on its way"
    if do is Do.RESOLVE and page.wanted is Wanted.CLOSED and page.resolve_after >= page.due_at:
        return "it flaps, and may fire again" if page.flapping else "hold_resolve waits whether it fires again"
    if do is Do.TRIGGER and page.trigger_after >= page.due_at:
        return "group_wait waits for more alerts of its group"
    if page.lane is Lane.REFRESH:
        return f"refreshes wait for repeat_interval, {span(page.repeat_interval)}"
    if do is Do.UPDATE and page.due_at - page.last_sent_at > SPACING:
        return f"updates wait for group_interval, {span(page.group_interval)}"
    if page.last_sent_at and page.due_at - page.last_sent_at <= SPACING:
        return "two events of one page are at least 1 s apart"
    return "that is when it was put off to"


def _failed(page: Page) -> str:
    times = "the last attempt" if page.failures == 1 else f"each of the last {page.failures} attempts"
    return f"{times} failed, {page.last_error}"


def lane(lane: Lane | None) -> str | None:
    """Name a lane."""
    return None if lane is None else lane.name.lower()


def clock(at: Instant) -> str | None:
    """Write an instant as RFC3339 in UTC with milliseconds; None for one that is unknown."""
    return None if at == 0 else moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def span(length: Duration) -> str:
    """Write a length of time as people say it: `0.4 s`, `42 s`, `4 min`, `3 h 20 min`."""
    if length < 10 * SECOND:
        return f"{length / SECOND:.1f} s"
    if length < 2 * MINUTE:
        return f"{length // SECOND} s"
    if length < HOUR:
        return f"{length // MINUTE} min"
    minutes = length % HOUR // MINUTE
    return f"{length // HOUR} h {minutes} min" if minutes else f"{length // HOUR} h"


def pages(count: int) -> str:
    """Write a number of pages: `1 page`, `5 pages`."""
    return "1 page" if count == 1 else f"{count} pages"
