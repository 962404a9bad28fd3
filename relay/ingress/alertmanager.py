"""Reads Alertmanager's webhook body, version 4, and salvages what other senders make of it."""

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from relay.alert import Alert, Instant, Status, WebhookMessage, fingerprint_of, instant
from relay.decision import Step
from relay.errors import BadBody
from relay.ingress import salvage
from relay.ingress.reading import digest_of, malformed, place, refuse_foreign, stopped_at, without_mark
from relay.ingress.salvage import YEAR_ONE, Envelope, note

_REMEDY = (
    "send the JSON body of Alertmanager's webhook_configs (version 4) as it comes, without a `payload:` of your own"
)
_HEX = "0123456789abcdef"
_NOTES = 20
"""How many left-out alerts a message lists one by one."""


def parse(body: bytes, source: str, known: Collection[bytes] = (), *, digest: bytes = b"") -> WebhookMessage:
    """Read one webhook body; each alert comes back once, with notes on what had to be salvaged.

    `known` holds the digests of alerts that the ledger already states for this source and this body's group key: those
    alerts are not decoded, only named in `repeated`. `digest` is body_digest(body) where it is at hand already.
    Times are 0 where the sender left them out or wrote nonsense; of equal names in one JSON object the last holds.
    Raises BadBody, and nothing else, for a body that says nothing of any alert.
    Fields: prometheus/alertmanager notify/webhook/webhook.go `Message`, template/template.go `Data`.
    """
    envelope, notes = _open(body)
    alerts, repeated = _alerts(envelope, source, known, notes)
    if envelope.version not in ("4", ""):
        notes.append(note(f"the body says version {envelope.version[:20]!r}, it was read as version 4"))
    return WebhookMessage(
        source=source,
        group_key=envelope.group_key,
        receiver=_unquoted(envelope.receiver),
        status=envelope.status,
        alerts=alerts,
        digest=digest or body_digest(body),
        repeated=repeated,
        truncated_alerts=envelope.truncated_alerts,
        group_labels=envelope.group_labels,
        common_labels=envelope.common_labels,
        common_annotations=envelope.common_annotations,
        external_url=envelope.external_url,
        notification_reason=envelope.notification_reason,
        route_labels=envelope.route_labels,
        notes=tuple(notes),
    )


def body_digest(body: bytes) -> bytes:
    """Name these exact bytes with 16 bytes; stable across processes."""
    return digest_of(body)


_GROUP_KEY = re.compile(rb'"groupKey"\s*:\s*("(?:[^"\\]|\\.)*+")')


def peek_group_key(body: bytes) -> str | None:
    """Guess the body's groupKey without reading the body; None where there is none to be seen.

    Use it only to look something up that names the whole body (its digest): a guess can be wrong, so answers that
    hang on the group (`known`) need the key that `parse` found.
    """
    # Alertmanager writes groupKey last but one, so this looks at the tail only. Inside a JSON string the name's closing
    # quote would be escaped: what matches is a field.
    at = body.rfind(b'"groupKey"')
    found = _GROUP_KEY.match(body, at) if at >= 0 else None
    if found is None:
        return None
    try:
        return msgspec.json.decode(found[1], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_GLIMPSED = {
    "group key": re.compile(rb'"groupKey"\s*:\s*("(?:[^"\\]|\\.){0,2000}+")'),
    "receiver": re.compile(rb'"receiver"\s*:\s*("(?:[^"\\]|\\.){0,200}+")'),
    "first alert": re.compile(rb'"alertname"\s*:\s*("(?:[^"\\]|\\.){0,200}+")'),
}


def glimpse(start: bytes) -> str:
    """Say what can be seen of whose body this is, from how it begins; "" if nothing can.

    Alertmanager writes groupKey last but one, so that a long body is known by its receiver and its first alert.
    """
    seen = {what: pattern.search(start) for what, pattern in _GLIMPSED.items()}
    return ", ".join(f"{what} {found[1].decode(errors='replace')}" for what, found in seen.items() if found)


# The envelope


_ENVELOPE = msgspec.json.Decoder(Envelope)


def _open(body: bytes) -> tuple[Envelope, list[Step]]:
    """Read the envelope and leave the alerts as bytes."""
    notes: list[Step] = []
    unmarked = without_mark(body)
    if unmarked is not body:
        notes.append(note("a byte order mark was dropped"))
    body = unmarked
    refuse_foreign(body, _REMEDY)
    try:
        return _ENVELOPE.decode(body), notes
    except RecursionError:
        raise BadBody(f"the body is nested too deeply to be read; {_REMEDY}", "malformed") from None
    except msgspec.ValidationError:
        return _loose(body, notes), notes
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _mended(body, error, notes), notes


def _mended(body: bytes, error: Exception, notes: list[Step]) -> Envelope:
    """Read a body whose text is broken (bad UTF-8, lone surrogates, raw control characters) once more, mended."""
    mended = salvage.mend(body)
    if mended == body:
        raise malformed(body, error, _REMEDY) from None
    try:
        envelope = _ENVELOPE.decode(mended)
    except RecursionError:
        raise BadBody(f"the body is nested too deeply to be read; {_REMEDY}", "malformed") from None
    except msgspec.ValidationError:
        envelope = _loose(mended, notes)
    except (msgspec.DecodeError, UnicodeDecodeError) as again:
        raise (
            malformed(body, error, _REMEDY) if stopped_at(error) is not None else malformed(mended, again, _REMEDY)
        ) from None
    notes.append(note("characters that are not UTF-8, or may not stand in JSON, were replaced"))
    return envelope


def _loose(body: bytes, notes: list[Step]) -> Envelope:
    """Read an envelope whose fields have other types than Alertmanager's."""
    body = salvage.readable(body, notes)
    try:
        fields = salvage.fields(body)
    except (msgspec.DecodeError, RecursionError) as error:
        mended = salvage.mend(body)
        if mended == body:
            raise malformed(body, error, _REMEDY) from None
        return _mended(body, error, notes)
    if fields is None:
        raise BadBody(_not_an_object(body), "not_a_webhook")
    if fields.get("alerts") is None:
        raise BadBody(_no_alerts(fields), "not_a_webhook")
    envelope = salvage.envelope(fields, notes)
    if envelope is None:
        at = body.find(b'"alerts"')
        raise BadBody(f"`alerts` is not a list {place(body, at)}; {_REMEDY}", "not_a_webhook")
    return envelope


def _not_an_object(body: bytes) -> str:
    start = body.lstrip()
    if not start.startswith(b"["):
        return f"expected an object with `alerts`, got {start[:20].decode(errors='replace')!r} at byte 0; {_REMEDY}"
    if b'"labels"' in start and b'"receiver' not in start:
        return (
            "this is the list of alerts that Prometheus posts to Alertmanager's API, not a webhook body (byte 0); "
            "post it to /api/v2/alerts: name the relay in Prometheus's `alerting`, as if it were an Alertmanager"
        )
    return f"expected an object with `alerts`, got a list at byte 0; {_REMEDY}"


def _no_alerts(fields: Iterable[str]) -> str:
    names = ", ".join(name[:30] for name in list(fields)[:6])
    if "event_action" in fields:
        return "this is an event for PagerDuty's Events API, not a webhook body (no `alerts`); post it to /v2/enqueue"
    return f"no `alerts` in it (it has: {names or 'nothing'}); {_REMEDY}"


# QuoteMeta's alphabet: Alertmanager sends the receiver `web.hook` as `web\.hook` (template/template.go `Data()`)
_QUOTED = re.compile(r"\\([\\.+*?()|\[\]{}^$])")


def _unquoted(receiver: str) -> str:
    return _QUOTED.sub(r"\1", receiver) if "\\" in receiver else receiver


# The alerts

_Time = Annotated[datetime, Meta(tz=True)]


class _Said(msgspec.Struct, gc=False, rename={"starts_at": "startsAt", "ends_at": "endsAt", "url": "generatorURL"}):
    """One alert exactly as Alertmanager writes it; anything else is salvaged."""

    status: Status
    labels: dict[str, str]
    starts_at: _Time
    fingerprint: str
    ends_at: _Time | None = None
    annotations: dict[str, str] = {}
    url: str = ""


_SAID = msgspec.json.Decoder(_Said)


def _alerts(
    envelope: Envelope, source: str, known: Collection[bytes], notes: list[Step]
) -> tuple[tuple[Alert, ...], tuple[bytes, ...]]:
    """Read the alerts that are not known, each statement once and each identity once."""
    seen: set[bytes] = set()
    repeated: dict[bytes, Raw] = {}
    alerts: list[Alert] = []
    lost: list[str] = []
    for index, raw in enumerate(envelope.alerts):
        digest = digest_of(raw)
        if digest in known:
            repeated[digest] = raw
        elif digest not in seen:
            seen.add(digest)
            alert = _alert(bytes(raw), digest, source, envelope)
            if isinstance(alert, Alert):
                alerts.append(alert)
            else:
                lost.append(f"alerts[{index}] {alert}")
    if lost and not alerts and not repeated:
        raise BadBody(f"nothing in `alerts` can be read: {lost[0]}; {_REMEDY}", "nothing_salvageable")
    _note_lost(lost, notes)
    return _told_apart(alerts, repeated, source, envelope), tuple(repeated)


def _alert(raw: bytes, digest: bytes, source: str, envelope: Envelope) -> Alert | str:
    """Read one alert; a sentence where there is nothing to be read."""
    try:
        said = _SAID.decode(raw)
        if not raw.isascii():
            raw.decode()  # what is kept must be readable whole, also in fields that are ignored here
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return salvage.alert(raw, digest, source, envelope)
    fingerprint, status = said.fingerprint, said.status
    if len(fingerprint) != 16 or fingerprint.strip(_HEX) or not said.labels:
        return salvage.alert(raw, digest, source, envelope)
    ends_at = _ended(said.ends_at) if status is Status.RESOLVED else YEAR_ONE
    starts_at = instant(said.starts_at)
    return Alert(source, fingerprint, status, said.labels, said.annotations, starts_at, ends_at, said.url, digest, raw)


def _ended(ends_at: datetime | None) -> Instant:
    return 0 if ends_at is None else instant(ends_at)


def _note_lost(lost: list[str], notes: list[Step]) -> None:
    notes.extend(note(f"{what}: it was left out") for what in lost[:_NOTES])
    if len(lost) > _NOTES:
        notes.append(note(f"{len(lost) - _NOTES} more entries of `alerts` were left out"))


# Two statements under one fingerprint


def _told_apart(alerts: list[Alert], repeated: dict[bytes, Raw], source: str, envelope: Envelope) -> tuple[Alert, ...]:
    """Give each label set of one body its own fingerprint, and each fingerprint one statement.

    Known alerts take part where a new one claims their fingerprint: they are read after all and leave `repeated`.
    """
    claims = {alert.fingerprint for alert in alerts}
    if alerts and repeated:
        alerts = _known_with(claims, repeated, source, envelope) + alerts
    if len(claims) == len(alerts):
        return tuple(alerts)
    if disputed := _disputed(alerts):
        alerts = [_renamed(alert) if alert.fingerprint in disputed else alert for alert in alerts]
    if _disputed(alerts):  # a computed name was claimed by yet another: trust none
        alerts = [_renamed(alert) for alert in alerts]
    single: dict[str, Alert] = {}
    for alert in alerts:
        single[alert.fingerprint] = _stronger(single.get(alert.fingerprint), alert)
    return tuple(single.values())


def _disputed(alerts: list[Alert]) -> set[str]:
    """Name the fingerprints that stand for more than one label set."""
    first: dict[str, Alert] = {}
    return {alert.fingerprint for alert in alerts if first.setdefault(alert.fingerprint, alert).labels != alert.labels}


def _known_with(claims: set[str], repeated: dict[bytes, Raw], source: str, envelope: Envelope) -> list[Alert]:
    found = []
    for digest, raw in list(repeated.items()):
        if _claim(raw) in claims:
            alert = _alert(bytes(raw), digest, source, envelope)
            if isinstance(alert, Alert):
                found.append(alert)
                del repeated[digest]
    return found


_CLAIM = re.compile(rb'"fingerprint"\s*:\s*"([0-9A-Fa-f]{16})"')


def _claim(raw: Raw) -> str:
    """See which fingerprint an alert claims without reading it."""
    text = bytes(raw)
    # Alertmanager writes the fingerprint last (template/template.go `Alert`).
    if text[-34:-18] == b',"fingerprint":"':
        return text[-18:-2].decode()
    found = _CLAIM.search(text, max(0, text.rfind(b'"fingerprint"')))
    return found[1].decode().lower() if found else ""


def _renamed(alert: Alert) -> Alert:
    """Name an alert by its labels, since its own fingerprint is used for other labels in the same body."""
    fingerprint = fingerprint_of(alert.labels)
    if fingerprint == alert.fingerprint:
        return alert
    said = (
        f"its fingerprint {alert.fingerprint} stands for other labels too; {fingerprint} was computed from its labels"
    )
    return salvage.restated(msgspec.structs.replace(alert, fingerprint=fingerprint, notes=(*alert.notes, note(said))))


def _stronger(one: Alert | None, other: Alert) -> Alert:
    """Choose between two statements of one alert in one body: firing before resolved, then the later one."""
    if one is None:
        return other
    # The digest settles ties, so that the same body, part of it known, says the same again.
    ranks = [(alert.status is Status.FIRING, alert.starts_at, alert.ends_at, alert.digest) for alert in (one, other)]
    taken = other if ranks[1] >= ranks[0] else one
    said = f"the body says two things of this alert; the {taken.status} one was taken"
    return msgspec.structs.replace(taken, notes=(*taken.notes, note(said)))
