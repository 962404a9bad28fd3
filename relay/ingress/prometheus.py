"""Reads the list of alerts that Prometheus, vmalert and amtool post to Alertmanager's API, and salvages what it can."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from relay.alert import Alert, Duration, Instant, Status, WebhookMessage, fingerprint_of, instant
from relay.decision import Step
from relay.errors import BadBody
from relay.ingress import salvage
from relay.ingress.reading import digest_of, malformed, refuse_foreign, without_mark
from relay.ingress.salvage import YEAR_ONE, note

_REMEDY = "send a list of alerts as Prometheus does: [{labels, annotations, startsAt, endsAt, generatorURL}]"
_LISTED = 20
"""How many refused alerts are told of one by one."""


def parse(body: bytes, source: str, now: Instant, resolve_timeout: Duration) -> WebhookMessage:
    """Read one list of alerts; each label set comes back once, with what was said of it last.

    No Alertmanager has grouped these alerts: `group_key` is "". An alert without endsAt is taken to fire until `now` +
    `resolve_timeout`, one whose endsAt is not after `now` is resolved. `refused` says what had to be left out.
    Raises BadBody, and nothing else, where a body that is not empty holds nothing to be taken.
    As Alertmanager has it: api/v2/api.go `postAlertsHandler`, alert/alert.go `Validate`.
    """
    notes: list[Step] = []
    found: dict[str, Alert] = {}
    refused: list[str] = []
    for index, raw in enumerate(_list(body, notes)):
        alert = _alert(bytes(raw), source, now, resolve_timeout)
        if isinstance(alert, str):
            refused.append(f"alert {index} of the list: {alert}")
        else:
            found[alert.fingerprint] = _later(found.pop(alert.fingerprint, None), alert)
    if refused and not found:
        raise BadBody("; ".join(_bounded(refused)), "nothing_salvageable")
    firing = any(alert.status is Status.FIRING for alert in found.values())
    return WebhookMessage(
        source=source,
        group_key="",
        receiver="",
        status=Status.FIRING if firing else Status.RESOLVED,
        alerts=tuple(found.values()),
        digest=digest_of(body),
        notes=tuple(notes),
        refused=tuple(_bounded(refused)),
    )


def _later(before: Alert | None, alert: Alert) -> Alert:
    # A sender that could not send for a while sends what it saw in the order it saw it (notifier/notifier.go `queue`).
    if before is None:
        return alert
    said = note("the list names it more than once: what was said last counts")
    return msgspec.structs.replace(alert, notes=(*alert.notes, said))


def _bounded(refused: list[str]) -> Iterator[str]:
    yield from refused[:_LISTED]
    if len(refused) > _LISTED:
        yield f"{len(refused) - _LISTED} more alerts were refused"


# The list

_ENTRIES = msgspec.json.Decoder(list[Raw])


def _list(body: bytes, notes: list[Step]) -> list[Raw]:
    """Split the list into its alerts, which stay bytes."""
    unmarked = without_mark(body)
    if unmarked is not body:
        notes.append(note("a byte order mark was dropped"))
    body = unmarked
    refuse_foreign(body, _REMEDY)
    try:
        return _ENTRIES.decode(body)
    except msgspec.ValidationError:
        return _no_list(body, notes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        mended = salvage.mend(body)
        if mended == body:
            raise malformed(body, error, _REMEDY) from None
        notes.append(note("characters that are not UTF-8, or may not stand in JSON, were replaced"))
        return _list(mended, notes)


def _no_list(body: bytes, notes: list[Step]) -> list[Raw]:
    """Read what is JSON and no list: nothing, one alert, or a body for another door."""
    if body.strip() == b"null":
        return []  # as Go reads it, and so Alertmanager
    try:
        fields = salvage.fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(body, error, _REMEDY) from None
    if fields is not None and "alerts" in fields:
        raise BadBody(
            "this is the body of Alertmanager's webhook, not a list of alerts (it has `alerts`); post it to /webhook",
            "not_a_webhook",
        )
    if fields is None or "labels" not in fields:
        start = body.lstrip()[:20].decode(errors="replace")
        raise BadBody(f"expected a list of alerts, got {start!r}; {_REMEDY}", "not_a_webhook")
    notes.append(note("the body is one alert and was read as a list of one"))
    return [Raw(body)]


# One alert

_Time = Annotated[datetime, Meta(tz=True)]


class _Said(msgspec.Struct, gc=False, rename={"starts_at": "startsAt", "ends_at": "endsAt", "url": "generatorURL"}):
    """One alert as Prometheus and vmalert write it; anything else is salvaged."""

    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: _Time | None = None
    ends_at: _Time | None = None
    url: str = ""


class _Stated(msgspec.Struct, gc=False):
    """One alert as it was understood; times that were not said are 0."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: Instant
    ends_at: Instant
    url: str
    notes: list[Step]


_SAID = msgspec.json.Decoder(_Said)


def _alert(raw: bytes, source: str, now: Instant, resolve_timeout: Duration) -> Alert | str:
    """Read one alert; a sentence where it cannot be taken."""
    stated = _stated(raw)
    if isinstance(stated, str):
        return stated
    labels = {name: value for name, value in stated.labels.items() if value}
    if not labels:
        return "at least one label pair required"
    if "" in labels:
        return 'invalid label set: invalid name ""'
    expires_at = stated.ends_at or now + resolve_timeout
    if expires_at > now:
        return _firing(stated, labels, source, now, expires_at)
    if stated.starts_at > stated.ends_at:
        return "start time must be before end time"
    return _resolved(stated, labels, source)


def _firing(stated: _Stated, labels: Mapping[str, str], source: str, now: Instant, expires_at: Instant) -> Alert:
    starts_at = stated.starts_at or now
    if starts_at > expires_at:
        stated.notes.append(note("it starts after it ends: it was taken to fire since now"))
        starts_at = now
    return salvage.restated(
        Alert(
            source=source,
            fingerprint=fingerprint_of(labels),
            status=Status.FIRING,
            labels=labels,
            annotations=stated.annotations,
            starts_at=starts_at,
            ends_at=YEAR_ONE,
            generator_url=stated.url,
            # Neither the times, which move with each sending, nor what tells two replicas of one Prometheus apart:
            # what is sent again and again must not look like a change.
            digest=_digest(Status.FIRING, labels, stated.annotations),
            raw=b"",
            notes=tuple(stated.notes),
            expires_at=expires_at,
        )
    )


def _resolved(stated: _Stated, labels: Mapping[str, str], source: str) -> Alert:
    starts_at = stated.starts_at or stated.ends_at
    return salvage.restated(
        Alert(
            source=source,
            fingerprint=fingerprint_of(labels),
            status=Status.RESOLVED,
            labels=labels,
            annotations=stated.annotations,
            starts_at=starts_at,
            ends_at=stated.ends_at,
            generator_url=stated.url,
            digest=_digest(Status.RESOLVED, labels, stated.annotations, starts_at, stated.ends_at),
            raw=b"",
            notes=tuple(stated.notes),
        )
    )


def _digest(status: Status, labels: Mapping[str, str], annotations: Mapping[str, str], *times: Instant) -> bytes:
    return digest_of(msgspec.json.encode((status, sorted(labels.items()), sorted(annotations.items()), times)))


def _stated(raw: bytes) -> _Stated | str:
    try:
        said = _SAID.decode(raw)
        if not raw.isascii():
            raw.decode()  # what is ignored here must be readable, too
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _salvaged(raw)
    return _Stated(said.labels, said.annotations, _known(said.starts_at), _known(said.ends_at), said.url, [])


def _known(when: datetime | None) -> Instant:
    """Turn a time into an Instant; Go's zero time, which means that none was said, into 0."""
    return 0 if when is None or instant(when) <= YEAR_ONE else instant(when)


def _salvaged(raw: bytes) -> _Stated | str:
    """Read one alert that is not as Prometheus writes it."""
    notes: list[Step] = []
    try:
        found = salvage.fields(salvage.readable(raw, notes))
        if found is None:
            return "it is not an object"
        return _Stated(
            labels=salvage.mapping(found, "labels", notes),
            annotations=salvage.mapping(found, "annotations", notes),
            starts_at=_time(found, "startsAt", notes),
            ends_at=_time(found, "endsAt", notes),
            url=salvage.word(found, "generatorURL"),
            notes=notes,
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "it cannot be read"


def _time(found: Mapping[str, bytes], name: str, notes: list[Step]) -> Instant:
    said = salvage.time(found, name, notes) if found.get(name, b'""') != b'""' else 0
    return said if said > YEAR_ONE else 0
