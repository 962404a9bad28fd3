"""What a storm page says: how many pages were folded, by alertname, and the worst of their alerts. No templates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import nsmallest
from typing import Any

import msgspec

from relay.alert import Instant, moment
from relay.event import Action, Event, Link
from relay.page import Page, short_id
from relay.rules.cleaning import address, cut, line, prose
from relay.rules.details import EARLIEST, written
from relay.rules.ruleset import Integration
from relay.rules.storms import Stood, beyond
from relay.rules.view import read

NAMED = 30
"""Alertnames that are listed; the others are counted together."""
WORST = 20
"""Alerts that are listed."""
_IN_THE_SUMMARY = 3
_MOST_NAMES = 10_000
"""Different alertnames that are counted by themselves."""
_MOST_LABELS, _LONGEST_NAME, _LONGEST_VALUE = 20, 60, 150
"""Of an alert that is listed: 20 of them stay far below PagerDuty's 512,000 bytes."""

_NAMELESS = "(no alertname)"
_OTHERS = ""


class Census:
    """Counts what fires in a storm page, a slice at a time, in bounded memory but for one number per folded page."""

    def __init__(self) -> None:
        self.alerts = 0
        self.quiet = 0
        self.by_name: Counter[str] = Counter()
        """Pages by the alertname of the first of their alerts that was counted; "" for those beyond the bound."""
        self.worst: list[Stood] = []
        self._homes: set[int] = set()

    @property
    def pages(self) -> int:
        """Say how many pages are folded."""
        return len(self._homes)

    def add(self, rows: Sequence[Stood]) -> None:
        """Count some alerts more; a page counts once, whichever of its alerts comes first."""
        loud = [one for one in rows if not one.quiet]
        self.quiet += sum(1 for one in rows if one.quiet)
        self.alerts += len(loud)
        for one in loud:
            if one.home not in self._homes:
                self._homes.add(one.home)
                self.by_name[self._name(one)] += 1
        self.worst = nsmallest(WORST, (*self.worst, *loud), key=_worst_first)

    def _name(self, one: Stood) -> str:
        name = cut(line(_alertname(one.raw)), _LONGEST_VALUE) or _NAMELESS
        return name if name in self.by_name or len(self.by_name) < _MOST_NAMES else _OTHERS

    def names(self, most: int) -> tuple[list[tuple[str, int]], int]:
        """Return the most frequent alertnames with their counts, and how many pages are of others."""
        known = [(name, count) for name, count in self.by_name.items() if name != _OTHERS]
        ranked = sorted(known, key=lambda one: (-one[1], one[0]))
        if len(ranked) == most + 1 and not self.by_name[_OTHERS]:
            most += 1  # one other may as well be named
        return ranked[:most], sum(count for _, count in ranked[most:]) + self.by_name[_OTHERS]


class _Labels(msgspec.Struct):
    alertname: str = ""


class _Named(msgspec.Struct):
    """The little of an alert that is counted by."""

    labels: _Labels = msgspec.field(default_factory=_Labels)


_NAMED = msgspec.json.Decoder(_Named)


def _alertname(raw: bytes) -> str:
    try:
        return _NAMED.decode(raw).labels.alertname
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return read(raw).labels.get("alertname", "")


def _worst_first(one: Stood) -> tuple[int, int, Instant, int]:
    return one.severity.rank, one.order, one.starts_at, one.alert


def storm_event(page: Page, found: Census, integration: Integration | None, url: str) -> Event:
    """Write the event of a storm page; `url` is its address on the relay's own screens, "" if that is unknown.

    It says nothing that changes by itself, so that an update which says nothing new is not sent.
    """
    href = address(url)
    return Event(
        event_action=Action.TRIGGER,
        dedup_key=page.dedup_key,
        summary=f"[{page.severity}] {_headline(found)}",
        source=cut(line(page.source), 1_024) or "alertmanager",
        severity=page.severity,
        timestamp=moment(page.opened_at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if page.opened_at >= EARLIEST
        else "",
        custom_details=_details(found, integration, href),
        links=(Link(href=href, text="This page in Pagerelay"),) if href else (),
        client="Pagerelay",
        client_url=href,
    )


def _headline(found: Census) -> str:
    names, others = found.names(_IN_THE_SUMMARY - 1)
    said = [f"{count:,} {cut(name, 100)}" for name, count in names] + ([f"{others:,} others"] if others else [])
    pages = "1 page" if found.pages == 1 else f"{found.pages:,} pages"
    return f"Storm: {pages} folded ({', '.join(said)})" if said else f"Storm: {pages} folded"


def _details(found: Census, integration: Integration | None, href: str) -> dict[str, Any]:
    names, others = found.names(NAMED)
    limit = beyond(integration) if integration is not None else ""
    details: dict[str, Any] = {
        "storm": f"New pages that are not critical stand here instead of by themselves{limit}. "
        "This page closes when all of their alerts are resolved.",
        "pages_folded": found.pages,
        "alerts_firing": found.alerts,
    }
    if found.quiet:
        details["alerts_muted"] = found.quiet
    details["pages_by_alertname"] = dict(names)
    if others:
        details["pages_of_other_alertnames"] = others
    details["worst"] = [_entry(one) for one in found.worst]
    if href:
        details["all_of_them"] = href
    return details


def _entry(one: Stood) -> dict[str, Any]:
    said = read(one.raw)
    entry = {
        "severity": str(one.severity),
        "since": written(one.starts_at),
        "folded_page": short_id(one.home),
        "labels": _labels(said.labels),
    }
    summary = prose(said.annotations.get("summary", ""))
    return {**entry, "summary": cut(summary, 2 * _LONGEST_VALUE)} if summary else entry


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    names = sorted(labels, key=lambda name: (name != "alertname", name))[:_MOST_LABELS]
    return {cut(line(name), _LONGEST_NAME) or "?": cut(prose(labels[name]), _LONGEST_VALUE) for name in names}
