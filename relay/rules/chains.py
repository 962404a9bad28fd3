"""Linked pages: the first one carries the dedup key itself, those that take its members over `/2`, `/3` ...

Where senders of events give the keys it is `/linked-2`, `/linked-3` ..., which none of them gives by itself.
"""

from collections.abc import Mapping
from hashlib import sha256

from relay.alert import stable_id
from relay.page import Page, Wanted
from relay.rules.classify import Placement


def first(place: Placement, source: str, alertmanager_url: str) -> Page:
    """Make the first page of a chain; nothing fires in it yet."""
    return Page(
        id=place.page,
        integration=place.integration,
        dedup_key=place.dedup_key,
        source=source,
        group_key=place.group_key,
        receiver=place.receiver,
        target=place.target,
        group_labels=place.group_labels,
        alertmanager_url=alertmanager_url,
        wanted=Wanted.CLOSED,
        severity=place.severity,
        episode=0,
        revision=0,
        send_resolved=place.send_resolved,
    )


def after(page: Page, *, sent: bool) -> Page:
    """Make the page that follows another; nothing fires in it yet. `sent`: senders of events name it as they like."""
    base, _, last = page.dedup_key.rpartition("/") if page.seq > 1 else (page.dedup_key, "", "")
    key = linked_key(base, page.seq + 1, sent=sent or last.startswith(_LINKED))
    return Page(
        id=stable_id(page.integration, key),
        integration=page.integration,
        dedup_key=key,
        source=page.source,
        group_key=page.group_key,
        receiver=page.receiver,
        target=page.target,
        seq=page.seq + 1,
        group_labels=page.group_labels,
        alertmanager_url=page.alertmanager_url,
        wanted=Wanted.CLOSED,
        severity=page.severity,
        episode=0,
        revision=0,
        send_resolved=page.send_resolved,
        storm=page.storm,
    )


def chain(base: Page, pages: Mapping[int, Page]) -> list[Page]:
    """List a page and, over and over, its successors, as far as they are known."""
    found = [base]
    while found[-1].successor is not None and found[-1].successor in pages:
        found.append(pages[found[-1].successor])
    return found


_LINKED = "linked-"
"""Before the number where a sender of events gave the key: it may have given one as `base/2` too."""


def linked_key(base: str, seq: int, *, sent: bool = False) -> str:
    """Return the dedup key of the seq-th page of a chain: `base`, `base/2`, `base/3` ...; never over 255.

    `sent`: `base/linked-2` ..., since `base/2` may be another event of the same sender.
    """
    if seq == 1:
        return base
    end = f"/{_LINKED}{seq}" if sent else f"/{seq}"
    key = f"{base}{end}"
    return key if len(key) <= 255 else f"{base[:170]}-{sha256(base.encode()).hexdigest()}{end}"
