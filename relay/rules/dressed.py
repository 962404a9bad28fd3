"""Say by which texts a page is shown, with which notes, and how a fallback is told whose page it gets."""

from collections.abc import Iterator

from relay.alert import Instant
from relay.page import Page, short_id
from relay.rules.cleaning import cut, line
from relay.rules.render import LONGEST_SUMMARY
from relay.rules.rulebook import Rulebook
from relay.rules.ruleset import Texts
from relay.rules.suppression.words import span

REFUSED = "PagerDuty refused the full event"
"""Why a minimal event says so little."""


def texts_of(page: Page, book: Rulebook) -> Texts:
    """Find the texts of the receiver that a page goes to: its own, or its fallback's."""
    receiver = book.rules.receivers.get(page.fallback or page.receiver)
    targets = receiver.targets if receiver else ()
    if page.fallback:
        return targets[0].texts if targets else Texts()
    return next((one.texts for one in targets if one.index == page.target), Texts())


def notes_of(page: Page, now: Instant) -> tuple[str, ...]:
    """Say what a person should know of a page beyond its alerts."""
    return (*_fired_again(page), *_flaps(page, now), *_takes_over(page))


def addressed(summary: str, receiver: str) -> str:
    """Say to a fallback receiver whose page it gets."""
    return cut(f"[fallback from {line(receiver)}] {summary}", LONGEST_SUMMARY)


def _fired_again(page: Page) -> Iterator[str]:
    if page.again:
        times = "once" if page.again == 1 else f"{page.again} times"
        yield f"Fired again {times} before its resolve was sent."


def _flaps(page: Page, now: Instant) -> Iterator[str]:
    if not page.flapping or page.flap is None or not page.changes:
        return
    _, _, hold = page.flap
    if now - page.changes[-1] < hold:
        took = span(page.changes[-1] - page.changes[0])
        closes = f"It closes once nothing fires and it was quiet for {span(hold)}."
        yield f"Flaps: {len(page.changes)} changes in {took}. {closes}"


def _takes_over(page: Page) -> Iterator[str]:
    if page.predecessor is not None and page.opened_because:
        yield f"Replaces page {short_id(page.predecessor)}: {page.opened_because}."
