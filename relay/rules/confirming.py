"""Confirmed pages: a 202 says that PagerDuty took an event; that it has an incident for it comes back later, or not."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from relay.alert import DAY, MINUTE, Duration, Instant
from relay.page import Page, State, Wanted
from relay.rules.ledger import Ledger, Plan
from relay.rules.pages import plan
from relay.rules.ruleset import Account

LOOK_BACK: Duration = DAY
"""How long ago a trigger may have been taken that is still looked after: the relay may have been down."""
_CLOCKS: Duration = MINUTE
"""How far PagerDuty's clock may be behind ours."""


class Proof(NamedTuple):
    """When an integration's pages were confirmed: without that nobody knows that it works there."""

    first: Instant
    last: Instant


class Incident(NamedTuple):
    """What PagerDuty has for a page, as far as that matters here."""

    id: str
    number: int
    url: str
    created_at: Instant
    open: bool


class Confirmation(NamedTuple):
    """Whether triggers of an integration are awaited to be confirmed."""

    since: Instant | None
    """Those that were taken from then on; None: it is off."""
    because: str
    """In words: by what, or why not."""


def unconfirmed(page: Page) -> Instant | None:
    """Say since when it is awaited that a page is confirmed; 0: its trigger is on its way; below 0: it was doubted, and
    is not confirmed yet; None: there is nothing to know."""
    if page.confirmed_at or not page.lines:
        return None
    if not page.triggered_at:
        return 0 if page.delivered is State.UNKNOWN_TRIGGER else None
    return -page.triggered_at if page.doubted_at else page.triggered_at


def confirmation(account: Account, proof: Proof | None) -> Confirmation:
    """Say whether an integration's triggers are awaited. `proof` None: none was ever confirmed."""
    if not account.confirm_within:
        return Confirmation(None, "off: pagerduty.confirm_within is 0")
    if account.api:
        return Confirmation(0, "on: PagerDuty's REST API is asked for the incident of a page that no webhook named")
    if not account.webhooks:
        return Confirmation(None, f"off: {NEITHER}")
    if proof is None:
        return Confirmation(None, f"off: no webhook has named a page of it yet. {NO_KEY}")
    return Confirmation(proof.first, "on: PagerDuty's webhooks name its pages")


def planned(account: Account) -> str:
    """Say for a file as such whether triggers are awaited to be confirmed."""
    if account.confirm_within and account.webhooks and not account.api:
        return f"on for each integration of which a webhook has named a page. {NO_KEY}"
    return confirmation(account, None).because


NEITHER = (
    "nothing says whether PagerDuty has an incident for a trigger that it took: "
    "set pagerduty.webhook_secret_files or pagerduty.api_token_file"
)
NO_KEY = (
    "PagerDuty's webhooks name a page only where its incidents have an incident_key, which most have not: "
    "with pagerduty.api_token_file they can be looked up"
)


def doubtable(page: Page | None, now: Instant, account: Account) -> bool:
    """Say whether a page was awaited to be confirmed for too long, and nothing was said of that yet."""
    since = unconfirmed(page) if page is not None else None
    return since is not None and 0 < since <= now - account.confirm_within


def doubt(pages: Iterable[int], ledger: Ledger, now: Instant, account: Account, proven: Callable[[str], bool]) -> Plan:
    """Note which of these pages were awaited for too long; where that is wanted, and works, they are sent again.

    `proven` says of an Integration.id whether a page of it was ever confirmed.
    """
    found = (ledger.pages.get(page) for page in pages)
    doubted = [replace(page, doubted_at=now) for page in found if page is not None and doubtable(page, now, account)]
    again = account.resend_unconfirmed
    return Plan(
        pages=tuple(plan(_unsure(one), now) if again and proven(one.carrier) else one for one in doubted),
    )


def _unsure(page: Page) -> Page:
    """Treat an open page like one whose trigger was never answered: the table says what to do, and it does it once."""
    if page.wanted is not Wanted.OPEN or page.delivered is not State.OPEN or page.in_flight or page.handed_over:
        return page
    lines = (replace(line, state=State.UNKNOWN_TRIGGER) if line.state is State.OPEN else line for line in page.lines)
    return replace(page, lines=tuple(lines))


def confirm(found: Mapping[int, Incident], ledger: Ledger, now: Instant) -> Plan:
    """Note which incidents PagerDuty turned out to have, by page id, unless that is known by now."""
    return Plan(
        pages=tuple(
            replace(
                page,
                confirmed_at=now,
                incident=incident.id,
                incident_number=incident.number,
                incident_url=incident.url,
            )
            for number, incident in found.items()
            if (page := ledger.pages.get(number)) is not None and unconfirmed(page) is not None
        )
    )


def incident_of(page: Page, incidents: Iterable[Incident]) -> Incident | None:
    """Choose the incident that a page's trigger began, of those with its dedup key: one that is open, or one that was
    made since this episode began; None: there is none."""
    fitting = [one for one in incidents if one.open or one.created_at >= page.opened_at - _CLOCKS]
    return max(fitting, key=lambda one: (one.open, one.created_at), default=None)
