"""What shows which side of a difference is wrong: its evidence, what would put it right, and what is in doubt."""

from collections.abc import Mapping
from typing import Any

from relay.alert import Instant
from relay.page import Page, State, Wanted
from relay.rules.drift import CLOCKS, Drift, Incident, Kind, Look, Named, OpenAlert, Repair, Suspect, stamp
from relay.rules.gone import named
from relay.rules.suppression.words import clock

_CLOSED_TO_EVENTS = {
    "maintenance": "its service is in maintenance: PagerDuty drops what is sent to it",
    "disabled": "its service is disabled: PagerDuty drops what is sent to it",
}


def drift(suspect: Suspect, look: Look) -> Drift | None:
    """Say what is shown of a suspected line of a page; None: it is in step after all."""
    if len(suspect.alerts) > 1:
        return _told(suspect, look, doubt="more than one alert of it is open there")
    match suspect.kind:
        case Kind.LOST_RESOLVE:
            return _lost_resolve(suspect, suspect.alerts[0], look)
        case Kind.MUTED_OPEN:
            return _muted_open(suspect, suspect.alerts[0], look)
        case Kind.KEY_GONE if suspect.alerts:
            return _open_under_gone_key(suspect, suspect.alerts[0], look)
        case Kind.KEY_GONE:
            return _closed_under_gone_key(suspect, look)
        case _:
            return _not_open(suspect, look)


def missed(source: str, fingerprint: str, title: str, since: Instant, receivers: tuple[str, ...], look: Look) -> Drift:
    """Tell of an alert that fires at a source's Alertmanager, goes to the relay there, and is not held here."""
    return Drift(
        kind=Kind.MISSED_WEBHOOK,
        title=title,
        dedup_key="",
        evidence=(
            f"an Alertmanager of source {source or 'default'} has it active since {clock(since, look.began)} "
            f"and routes it to {', '.join(receivers)}, which others came from (fingerprint {fingerprint})",
            "no body that was accepted said that it fires: a webhook was lost or is still to come, "
            "or a time interval mutes it there",
        ),
    )


# Open there


def _lost_resolve(suspect: Suspect, alert: OpenAlert, look: Look) -> Drift:
    page, line = suspect.page, suspect.line
    if page.left_open:
        return _told(suspect, look, expected="send_resolved: false")
    if line.state is State.ELSEWHERE:
        return _told(suspect, look, doubt="it was closed there by others than the relay, who may want it open again")
    said = f"nothing of it fires here, and PagerDuty accepted its resolve at {clock(line.at, look.began)}"
    doubt = _unsure_of(alert, suspect, look) or _too_late(alert, line.at) or _still_known(page, look)
    return _told(suspect, look, said, *_unknown_to(page, look), repair=Repair.RESOLVE, doubt=doubt)


def _muted_open(suspect: Suspect, alert: OpenAlert, look: Look) -> Drift | None:
    page, line = suspect.page, suspect.line
    if line.state is State.OPEN:
        if page.waiting >= page.quiet or (page.on_mute == "acknowledge" and alert.status == "acknowledged"):
            return None
        if page.on_mute == "acknowledge":
            return _told(suspect, look, doubt="its acknowledgement ended there by itself, or was lost")
        return _told(suspect, look, expected="on_mute")
    if line.state is State.ELSEWHERE:
        return _told(suspect, look, doubt="it was closed there by others than the relay, who may want it open again")
    said = f"all of it is kept quiet here, and PagerDuty accepted its resolve at {clock(line.at, look.began)}"
    doubt = _unsure_of(alert, suspect, look) or _too_late(alert, line.at)
    return _told(suspect, look, said, repair=Repair.RESOLVE, doubt=doubt)


def _open_under_gone_key(suspect: Suspect, alert: OpenAlert, look: Look) -> Drift:
    page, line = suspect.page, suspect.line
    held = [one for one in page.lines if one.key_id in look.at_hand and one.state is State.OPEN]
    if page.wanted is Wanted.CLOSED:
        said, doubt = "nothing of it fires here", _still_known(page, look)
    elif page.wanted is Wanted.OPEN and held:
        said, doubt = "it is open under the routing key that took the place of that one", ""
    elif page.wanted is Wanted.QUIET and page.on_mute == "resolve":
        said, doubt = "all of it is kept quiet here (on_mute: resolve)", ""
    else:
        said, doubt = "it still counts", "it waits to be open under another routing key, or is left open while muted"
    doubt = (
        doubt or _unsure_of(alert, suspect, look) or (_too_late(alert, line.at) if line.state is State.CLOSED else "")
    )
    because = "its routing key is not at hand any more"
    incident = Incident(alert.incident, alert.number, alert.url, alert.service, True, 0, "", by_us=False)
    return _told(suspect, look, because, said, repair=Repair.CLOSE, doubt=doubt, incident=incident)


# Not open there


def _not_open(suspect: Suspect, look: Look) -> Drift | None:
    page = suspect.page
    found = look.incidents.get(page.dedup_key)
    if found is None:
        return _told(suspect, look, doubt="PagerDuty was not asked what became of it: too much differs")
    known = look.known[suspect.line.key_id]
    fitting = [one for one in found if one.service == known.service or one.id == page.incident]
    if any(one.open for one in found):
        return None if any(one.open for one in fitting) else _told(suspect, look, doubt="it is open in another service")
    since = page.triggered_at or page.opened_at
    ended = [one for one in fitting if not one.by_us and one.ended_at >= since - CLOCKS]
    if ended:
        return _closed_elsewhere(suspect, max(ended, key=lambda one: one.ended_at), look)
    return _lost_trigger(suspect, look) if page.wanted is Wanted.OPEN else None


def _closed_elsewhere(suspect: Suspect, last: Incident, look: Look) -> Drift:
    who = last.by or "a timer or an automation"
    said = f"{_numbered(last.number)} was closed there at {clock(last.ended_at, look.began)} by {who}"
    doubt = "that time lies ahead of the relay's clock" if last.ended_at > look.began + CLOCKS else ""
    joined = any(one.firing and one.joined_at > last.ended_at for one in look.members.get(suspect.page.id, ()))
    found = Suspect(Kind.CLOSED_ELSEWHERE, *suspect[1:])
    certain: dict[str, Any] = {"repair": Repair.ELSEWHERE, "doubt": doubt, "joined_since": joined}
    return _told(found, look, said, _fires_here(suspect.page), incident=last, **certain)


def _lost_trigger(suspect: Suspect, look: Look) -> Drift:
    page, known = suspect.page, look.known[suspect.line.key_id]
    taken = page.triggered_at or suspect.line.at
    said = f"PagerDuty accepted its trigger at {clock(taken, look.began)}, and has had no incident for it since"
    doubt = _CLOSED_TO_EVENTS.get(known.status, "")
    if not known.proven:
        doubt = doubt or (
            "no alert that the relay sent to this integration was ever seen open there: "
            "the token may not see them, or rules there may suppress them"
        )
    return _told(suspect, look, said, _fires_here(page), repair=Repair.TRIGGER, doubt=doubt or _not_firing(page, look))


def _closed_under_gone_key(suspect: Suspect, look: Look) -> Drift:
    page, known = suspect.page, look.known.get(suspect.line.key_id)
    because = "its routing key is not at hand any more"
    if known is None and not page.incident:
        return _told(suspect, look, because, doubt="which integration that key led to was never learnt")
    found = look.incidents.get(page.dedup_key, ())
    if any(one.open for one in found):
        return _told(suspect, look, because, doubt="it is open there, in another integration than that key led to")
    fitting = (one for one in found if one.id == page.incident or (known and one.service == known.service))
    ended = [one for one in fitting if one.ended_at >= suspect.line.at - CLOCKS]
    if not ended:
        return _told(
            suspect, look, because, doubt="it is not open there, and no incident of it that was closed is found"
        )
    last = max(ended, key=lambda one: one.ended_at)
    said = f"{_numbered(last.number)} was closed there at {clock(last.ended_at, look.began)}"
    return _told(suspect, look, because, said, repair=Repair.CLOSED, incident=last)


# What is in doubt


def _unsure_of(alert: OpenAlert, suspect: Suspect, look: Look) -> str:
    """Say why an open alert may be no business of ours, or cannot be acted on; "" if it can."""
    known = look.known.get(suspect.line.key_id)
    if known is None:
        return ""  # it was found by its incident
    if alert.service != known.service:
        return "it is open in another service than the one its routing key leads to"
    return _CLOSED_TO_EVENTS.get(known.status, "")


def _too_late(alert: OpenAlert, resolved_at: Instant) -> str:
    """Say why an alert may be another's: it was opened after our resolve. PagerDuty writes whole seconds."""
    if alert.created_at and alert.created_at <= resolved_at + CLOCKS:
        return ""
    return "it was opened there after the relay's resolve, so perhaps by somebody else"


def _still_known(page: Page, look: Look) -> str:
    """Say which Alertmanager speaks against its being over, or says nothing; "" if there is none.

    What is over was resolved here, alert by alert: an Alertmanager need not be familiar to confirm that.
    """
    members = look.members.get(page.id)
    if members is None:
        return "its alerts were not looked up: it has too many, or too much differs"
    for source, fingerprints in _by_source(members).items():
        poll = look.polls.get(source)
        for url in poll.asked if poll else ():
            answer = poll.answers.get(url) if poll else None
            if answer is None:
                return f"{named(url)} did not answer"
            if not answer.known.isdisjoint(fingerprints):
                return f"{named(url)} knows an alert of it still"
    return ""


def _not_firing(page: Page, look: Look) -> str:
    """Say why it may not fire any more; "" if one alert of it does, as far as anybody can be asked."""
    members = look.members.get(page.id)
    if members is None:
        return "its alerts were not looked up: it has too many, or too much differs"
    firing = [one for one in members if one.firing and not one.stale]
    if not firing:
        return "nothing of it was heard of for long"
    for source, fingerprints in _by_source(firing).items():
        poll = look.polls.get(source)
        if poll is None:
            return ""
        if silent := next((url for url in poll.asked if url not in poll.answers), None):
            return f"{named(silent)} did not answer"
        if all(not answer.known.isdisjoint(fingerprints) for answer in poll.answers.values()):
            return ""
    return "not every Alertmanager of its source knows an alert of it"


def _by_source(members: tuple[Named, ...] | list[Named]) -> Mapping[str, frozenset[str]]:
    sources = {one.source for one in members}
    return {source: frozenset(one.fingerprint for one in members if one.source == source) for source in sorted(sources)}


# In words


def _told(suspect: Suspect, look: Look, *said: str, incident: Incident | None = None, **more: Any) -> Drift:
    page, line = suspect.page, suspect.line
    opens = (_open_there(alert, look) for alert in suspect.alerts)
    alert = suspect.alerts[0] if suspect.alerts else None
    return Drift(
        kind=suspect.kind,
        evidence=(*opens, *(one for one in said if one)),
        page=page.id,
        key_id=line.key_id,
        dedup_key=page.dedup_key,
        title=page.group_labels.get("alertname", "") or (alert.title if alert else ""),
        stamp=stamp(page, line),
        incident_url=alert.url if alert else incident.url if incident else "",
        integration=alert.integration if alert else "",
        incident=incident,
        **more,
    )


def _open_there(alert: OpenAlert, look: Look) -> str:
    since = f" since {clock(alert.created_at, look.began)}" if alert.created_at else ""
    return f"PagerDuty has it open{since} in {_numbered(alert.number)}, which is {alert.status}"


def _numbered(number: int) -> str:
    return f"incident #{number}" if number else "its incident"


def _fires_here(page: Page) -> str:
    alerts = "1 alert of it fires" if page.firing + page.quiet == 1 else f"{page.firing + page.quiet} alerts of it fire"
    return f"{alerts} here"


def _unknown_to(page: Page, look: Look) -> tuple[str, ...]:
    """Say which Alertmanagers know nothing of it."""
    members = look.members.get(page.id, ())
    urls = [url for source in _by_source(members) if source in look.polls for url in look.polls[source].asked]
    knows = "knows" if len(urls) == 1 else "know"
    return (f"{', '.join(map(named, urls))} {knows} none of its alerts",) if urls else ()
