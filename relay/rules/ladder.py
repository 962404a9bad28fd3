"""The delivery ladder: full event, minimal event, the receiver's fallback, dead letter; and what takes a page back up.

full event ---400---> minimal event ---400---> fallback receiver ---400---> ... ---400---> dead letter
    `------- key refused for 2 min ---------------^
"""

from typing import NamedTuple

from msgspec.structs import replace

from relay.alert import MINUTE, Duration, Instant
from relay.page import Lane, Line, Page, State, Wanted
from relay.rules.ledger import Attempt
from relay.rules.pages import CARRIES, SPACING, in_step, next_step
from relay.rules.rulebook import Rulebook

FALLBACK_AFTER: Duration = 2 * MINUTE
"""How long a key may be refused until what it should have carried goes to the fallback."""

MINIMAL, FALLBACK = "minimal", "fallback"


class Barred(NamedTuple):
    """What keeps an integration from being called now, whatever waits for it."""

    until: Instant
    """When it is called again; a critical may be tried before."""
    refused_since: Instant = 0
    """Since when PagerDuty refuses its key; 0: it does not."""
    throttled: bool = False
    """PagerDuty answered 429."""


def rung(page: Page, *, elsewhere: bool, content: bool) -> str:
    """Name the rung that an attempt stands on; "" for the full event to the page's own receiver."""
    words = (FALLBACK if elsewhere else "", MINIMAL if page.minimal and content else "")
    return " ".join(word for word in words if word)


def refused(page: Page, attempt: Attempt, why: str, book: Rulebook, now: Instant) -> Page:
    """PagerDuty refused an event for good: take the next rung, or call the page a dead letter."""
    page = replace(page, last_error=why, failures=page.failures + 1, due_at=now + SPACING, delay=SPACING)
    if attempt.episode != page.episode:
        return page
    if MINIMAL not in attempt.rung:
        return replace(page, minimal=True)
    beyond = book.fallback(page.fallback or page.receiver)
    if beyond is not None and attempt.lane is not Lane.REFRESH:  # a refresh is no news: nobody else is paged by it
        return _sent_to(page, beyond.receiver, beyond.integration)
    if attempt.revision != page.revision:
        return page  # what it should say is another thing by now
    if page.dead_by != configured(page, book):
        return rearmed(page)
    return replace(page, dead=why)


def key_refused(page: Page, attempt: Attempt, since: Instant, book: Rulebook) -> Page:
    """A key is refused, since then or for longer: where there is a fallback, it is its turn after FALLBACK_AFTER."""
    if attempt.rung.startswith(FALLBACK) and not _told(page) and book.fallback(page.fallback) is None:
        return _at_home(page)  # neither key is taken: each is tried again in turn
    page = replace(page, refused_at=page.refused_at or since)
    if book.fallback(page.fallback or page.receiver) is None:
        return page
    due = min(page.due_at, page.refused_at + FALLBACK_AFTER)
    return replace(page, due_at=due, delay=min(page.delay, FALLBACK_AFTER))


def stepped_aside(page: Page, now: Instant, book: Rulebook) -> Page:
    """Send a page to the fallback whose key was refused for too long; back home where that receiver is no more."""
    if page.fallback and not _told(page) and book.current_key(page.fallback_to) is None:
        page = _at_home(page)
    current = book.current_key(page.fallback_to or page.integration)
    still = current is None or any(line.refused and line.key_id == current[0] for line in page.lines)
    waited = page.refused_at and now >= page.refused_at + FALLBACK_AFTER
    return _aside(page, book) if waited and still else page


def passed_over(page: Page, now: Instant, book: Rulebook) -> Page:
    """Take a page to the fallback that waits for a key which was refused to others for too long; else let it wait."""
    aside = _aside(page, book)
    if aside is not page:
        return replace(aside, via=aside.fallback_to)
    return replace(page, due_at=now + FALLBACK_AFTER // 4, delay=FALLBACK_AFTER // 4)


def rekeyed(page: Page, book: Rulebook) -> Page:
    """Take back what failures said of a page: its integration has another key now, which refused nothing yet."""
    if page.dead or not page.failures:
        return page
    key_id, _ = book.current_key(page.carrier) or ("", "")
    lines = tuple(replace(line, refused=False) if line.key_id == key_id else line for line in page.lines)
    return replace(page, lines=lines, refused_at=0, failures=0)


def _aside(page: Page, book: Rulebook) -> Page:
    beyond = book.fallback(page.fallback or page.receiver)
    if beyond is None or next_step(page) not in CARRIES or _is_shown(page):
        return page
    return _sent_to(page, beyond.receiver, beyond.integration)


def _is_shown(page: Page) -> bool:
    """Say whether an open page would be sent only to say again what it says."""
    return page.wanted is Wanted.OPEN and page.delivered is State.OPEN and in_step(page)


def _sent_to(page: Page, receiver: str, integration: str) -> Page:
    elsewhere = "" if integration == page.integration else integration
    return replace(page, fallback=receiver, fallback_to=elsewhere, refused_at=0)


def _at_home(page: Page) -> Page:
    return replace(page, fallback="", fallback_to="", refused_at=0)


def _told(page: Page) -> bool:
    """Say whether the receiver it goes to may hold it open."""
    return any(line.integration == page.fallback_to and _holds(line) for line in page.lines)


def _holds(line: Line) -> bool:
    return line.state in (State.OPEN, State.UNKNOWN_TRIGGER, State.UNKNOWN_RESOLVE)


def rearmed(page: Page) -> Page:
    """Let a dead letter begin at the first rung again; it stays at a fallback that holds it open."""
    page = replace(page, dead="", dead_by="", discarded="", failures=0, minimal=False, refused_at=0)
    return page if _told(page) else _at_home(page)


def configured(page: Page, book: Rulebook) -> str:
    """Name everything of the configuration that decides whether PagerDuty takes a page: keys, texts, fallbacks."""
    return book.ladder(page.receiver, page.integration)


def revived(page: Page, book: Rulebook) -> Page:
    """Re-arm a dead letter that another configuration may deliver; one that a person let go of stays so."""
    if not page.dead or page.discarded or page.dead_by == configured(page, book):
        return page
    return rearmed(page)
