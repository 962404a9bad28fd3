"""A plain model of the delivery ladder: on which rung the next event of a page stands, from the answers alone.

It knows what PagerDuty answered, what the file says of fallbacks and keys, and the time; nothing of the rows.
"""

from dataclasses import dataclass

from relay.alert import MINUTE, Instant
from relay.event import Delivered, Outcome, Rejected, Retry
from relay.page import Lane, Page
from relay.rules.ledger import Attempt
from relay.rules.rulebook import Rulebook

PATIENCE = 2 * MINUTE


@dataclass
class Climb:
    """How far one page has come in one episode."""

    episode: int
    refused: bool = False
    """Its content was, so that it goes out as a minimal event."""
    at: str = ""
    """The receiver that it goes to in place of its own."""
    held: bool = False
    """Whether that one may have it open."""
    key_refused_at: Instant | None = None
    key: str = ""
    """The key that was refused then."""
    tried_with: object = None
    """What the file said of its keys and fallback when the last trigger was started."""
    died: tuple[int, object] | None = None
    """The revision of the dead letter, and what it was refused with."""

    @property
    def rung(self) -> str:
        return " ".join(word for word in ("fallback" if self.at else "", "minimal" if self.refused else "") if word)


class Ladder:
    """What is known of every page."""

    def __init__(self) -> None:
        self._climbs: dict[int, Climb] = {}

    def of(self, page: int, episode: int) -> Climb:
        known = self._climbs.get(page)
        if known is None or known.episode < episode:
            known = self._climbs[page] = Climb(episode)
        return known

    def started(self, page: Page, attempt: Attempt, book: Rulebook) -> str:
        """Say on which rung a trigger that is started now must stand."""
        climb = self.of(page.id, attempt.episode)
        if climb.died is not None:
            assert attempt.revision > climb.died[0], "a dead letter is sent again, and nothing has changed"
            self._anew(climb)
        self._turn(climb, page, attempt.at, book)
        climb.tried_with = self._refused_with(page, book)
        return climb.rung

    def turned(self, page: Page, to: str, book: Rulebook, now: Instant) -> None:
        """Note that a page turned to another receiver before anything was started."""
        climb = self.of(page.id, page.episode)
        self._turn(climb, page, now, book)
        assert climb.at == to, "it turns to another receiver than it should"

    def _turn(self, climb: Climb, page: Page, now: Instant, book: Rulebook) -> None:
        receiver = book.rules.receivers.get(climb.at)
        if climb.at and not climb.held and not (receiver and receiver.targets):
            climb.at, climb.key_refused_at = "", None
        late = climb.key_refused_at is not None and now >= climb.key_refused_at + PATIENCE
        if late and climb.key == self._key(page, climb, book) and self._beyond(page, climb, book):
            self._move(climb, self._beyond(page, climb, book))

    def answered(self, page: Page, attempt: Attempt, outcome: Outcome, book: Rulebook, now: Instant) -> None:
        """Note what became of a trigger; `page` is its row as it was before that was known."""
        climb = self.of(page.id, page.episode)
        elsewhere = attempt.rung.startswith("fallback")
        match outcome:
            case Delivered():
                climb.key_refused_at = None
                climb.held = climb.held or elsewhere
            case Retry(configuration=True):
                self._key_refused(climb, page, attempt, book, now)
            case Retry(ambiguous=True):
                climb.held = climb.held or elsewhere
            case Rejected() if attempt.episode == page.episode:
                self._rejected(climb, page, attempt, book)

    def lost(self, attempt: Attempt) -> None:
        """Note that nobody will ever know what became of an attempt."""
        climb = self.of(attempt.page, attempt.episode)
        climb.held = climb.held or attempt.rung.startswith("fallback")

    def resolved(self, page: Page, attempt: Attempt) -> None:
        """Note that a resolve was taken."""
        if attempt.rung == "fallback":
            self.of(page.id, page.episode).held = False
        self.of(page.id, page.episode).key_refused_at = None

    def reloaded(self, page: Page, book: Rulebook) -> bool:
        """Say whether a dead letter must be tried again by the rules that count now."""
        climb = self.of(page.id, page.episode)
        if climb.died is None or climb.died[1] == self._refused_with(page, book):
            return False
        self._anew(climb)
        return True

    def _rejected(self, climb: Climb, page: Page, attempt: Attempt, book: Rulebook) -> None:
        if "minimal" not in attempt.rung:
            climb.refused = True
        elif attempt.lane is not Lane.REFRESH and (beyond := self._beyond(page, climb, book)):
            self._move(climb, beyond)
        elif attempt.revision == page.revision:
            climb.died = page.revision, climb.tried_with
            if climb.tried_with != self._refused_with(page, book):
                self._anew(climb)

    def _key_refused(self, climb: Climb, page: Page, attempt: Attempt, book: Rulebook, now: Instant) -> None:
        if climb.at and attempt.rung.startswith("fallback") and not climb.held and not self._beyond(page, climb, book):
            climb.at, climb.key_refused_at = "", None
            return
        climb.key = attempt.key_id
        if climb.key_refused_at is None:
            climb.key_refused_at = now

    def _anew(self, climb: Climb) -> None:
        climb.died, climb.refused, climb.key_refused_at = None, False, None
        climb.at = climb.at if climb.held else ""

    def _move(self, climb: Climb, to: str) -> None:
        climb.at, climb.held, climb.key_refused_at = to, False, None

    def _beyond(self, page: Page, climb: Climb, book: Rulebook) -> str:
        receiver = book.rules.receivers.get(climb.at or page.receiver)
        return receiver.fallback if receiver else ""

    def _key(self, page: Page, climb: Climb, book: Rulebook) -> str:
        receiver = book.rules.receivers.get(climb.at)
        integration = receiver.targets[0].integration if receiver else page.integration
        known = book.rules.integrations.get(integration)
        return known.key_id if known else climb.key

    def _refused_with(self, page: Page, book: Rulebook) -> object:
        receiver = book.rules.receivers.get(page.receiver)
        known = book.rules.integrations.get(page.integration)
        return page.receiver, receiver.fallback if receiver else "", known.key_id if known else ""
