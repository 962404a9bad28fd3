"""Turns rows of the store into view models."""

from collections.abc import Sequence
from typing import Any

import msgspec

from relay.alert import Instant
from relay.answers.models import ActAnswer, AttemptAnswer, DecisionAnswer, MemberAnswer, PageAnswer, PageLine
from relay.answers.words import UNKNOWN, Standing, clock, lane, state, why
from relay.decision import Decision
from relay.page import Page, short_id
from relay.rules.classify import CUT_OFF, TRUNCATED
from relay.rules.ladder import rung
from relay.rules.ledger import Attempt, Shown
from relay.rules.news import Returned
from relay.rules.view import member
from relay.store import Entry, Known, Seen

GONE = "gone"
"""The name of an integration that nobody remembers."""


def line(page: Page, integration: str, now: Instant, standing: Standing = UNKNOWN) -> PageLine:
    """Show a page as a line of a list."""
    return PageLine(**_line(page, integration, now, standing))


def page(
    seen: Seen,
    attempts: Sequence[Attempt],
    integration: str,
    now: Instant,
    standing: Standing = UNKNOWN,
    acts: Sequence[Returned] = (),
) -> PageAnswer:
    """Show a page with everything that is known of it."""
    firing = [one for one in seen.members if one.member.firing]
    event = next((attempt.event for attempt in attempts if attempt.event), None)
    return PageAnswer(
        **_line(seen.page, integration, now, standing) | _titled(seen.page, attempts),
        resolved=seen.resolved,
        stale=bool(firing) and all(one.alert.stale_at for one in firing),
        members=tuple(map(_member, seen.members)),
        attempts=tuple(map(_attempt, attempts)),
        event=None if event is None else msgspec.json.decode(event),
        confirmed_at=clock(seen.page.confirmed_at),
        acts=tuple(map(_act, acts)),
    )


def decision(entry: Entry, decision: Decision) -> DecisionAnswer:
    """Show what became of one alert."""
    return DecisionAnswer(
        at=clock(entry.record.at),
        source=decision.source,
        group_key=entry.record.group_key,
        alertname=decision.alertname,
        fingerprint=decision.fingerprint,
        status=decision.status,
        verdict=decision.verdict.value,
        pages=decision.pages,
        steps=tuple(step.because for step in decision.steps),
    )


def integration_name(known: Known) -> str:
    """Name an integration by the receiver that used it last: `platform`, `platform/2` ..."""
    return known.receiver if known.position == 0 else f"{known.receiver}/{known.position + 1}"


def storm_title(attempts: Sequence[Attempt]) -> str:
    """Name a storm page by what it said last, without severity and detours: `Storm: 40 pages folded (40 NodeDown)`."""
    event = next((attempt.event for attempt in attempts if attempt.event), b"{}")
    summary = msgspec.json.decode(event, type=_Sent).payload.summary
    return summary[max(0, summary.find(_STORM)) :] or _STORM


_STORM = "Storm"


class _Payload(msgspec.Struct):
    summary: str = ""


class _Sent(msgspec.Struct):
    """The little of an event that a title is made of."""

    payload: _Payload = msgspec.field(default_factory=_Payload)


def _titled(page: Page, attempts: Sequence[Attempt]) -> dict[str, str]:
    return {"title": storm_title(attempts) if page.storm else _title(page)}


def _title(page: Page) -> str:
    if page.group_key.endswith(CUT_OFF):
        return TRUNCATED  # its group has a name of its own, and a page of that name
    return _STORM if page.storm else page.group_labels.get("alertname", "") or page.dedup_key[:40]


def _line(page: Page, integration: str, now: Instant, standing: Standing) -> dict[str, Any]:
    return {
        "id": short_id(page.id),
        "title": _title(page),
        "state": state(page).value,
        "why": why(page, now, standing),
        "severity": page.severity.value,
        "receiver": page.receiver,
        "integration": integration,
        "dedup_key": page.dedup_key,
        "source": page.source,
        "group_key": page.group_key,
        "group_labels": page.group_labels,
        "wanted": page.wanted.value,
        "delivered": page.delivered.value,
        "firing": page.firing + page.quiet,
        "suppressed": page.quiet,
        "lane": lane(page.lane),
        "due_at": clock(page.due_at) if page.lane is not None else None,
        "in_flight": page.in_flight,
        "failures": page.failures,
        "last_error": page.last_error,
        "rung": rung(page, elsewhere=bool(page.fallback), content=True),
        "fallback": page.fallback or None,
        "dead": page.dead,
        "discarded": page.discarded,
        "episode": page.episode,
        "revision": page.revision,
        "sent_revision": page.sent_revision,
        "opened_at": clock(page.opened_at),
        "changed_at": clock(page.changed_at),
        "last_sent_at": clock(page.last_sent_at),
        "heard_at": clock(page.heard_at),
        "closed_at": clock(page.closed_at),
        "successor": None if page.successor is None else short_id(page.successor),
        "storm": page.storm,
        "folded": None if page.folded is None else short_id(page.folded),
        "incident": page.incident or None,
        "incident_number": page.incident_number or None,
        "incident_url": page.incident_url or None,
        "acknowledged_by": page.acknowledged_by,
        "acknowledged_at": clock(page.acknowledged_at),
        "assignees": page.assignees,
        "elsewhere_at": clock(page.elsewhere_at),
        "elsewhere_by": page.elsewhere_by,
    }


def _member(shown: Shown) -> MemberAnswer:
    alert, row, stated = shown.alert, shown.member, member(shown)
    return MemberAnswer(
        alertname=stated.labels.get("alertname", ""),
        fingerprint=alert.fingerprint,
        source=alert.source,
        status=stated.status.value,
        severity=row.severity.value,
        lowered=row.lowered,
        labels=stated.labels,
        annotations=stated.annotations,
        route=row.route,
        receiver=row.receiver,
        suppressed=row.suppressed,
        absent_since=clock(alert.absent_at) if row.firing else None,
        stale_since=clock(alert.stale_at) if row.firing else None,
        since=clock(alert.starts_at),
        joined_at=clock(row.joined_at),
        ended_at=None if row.firing else clock(alert.ends_at),
    )


def _act(act: Returned) -> ActAnswer:
    return ActAnswer(
        at=clock(act.at),
        kind=act.kind,
        who=act.who,
        incident=act.incident,
        url=act.url,
        words=act.words,
        ignored=act.ignored,
    )


def _attempt(attempt: Attempt) -> AttemptAnswer:
    return AttemptAnswer(
        at=clock(attempt.at),
        action=attempt.action.value,
        rung=attempt.rung,
        lane=attempt.lane.name.lower(),
        outcome=attempt.outcome or "in flight",
        reason=attempt.reason,
        message=attempt.message,
        revision=attempt.revision,
        took_ms=(attempt.ended_at - attempt.at) / 1_000 if attempt.ended_at else None,
    )
