"""Reads what is broken or foreign in a webhook body as far as anyone can: a page with holes beats no page."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from relay.alert import Alert, Instant, Status, fingerprint_of, instant, moment
from relay.decision import Step

YEAR_ONE: Instant = instant(datetime.min.replace(tzinfo=UTC))
"""The endsAt of a firing alert (alert/alert.go `Alerts()`)."""
_LAST: Instant = instant(datetime.max.replace(tzinfo=UTC))
_LARGEST = 2**53


class Envelope(
    msgspec.Struct,
    rename={
        "group_key": "groupKey",
        "truncated_alerts": "truncatedAlerts",
        "group_labels": "groupLabels",
        "common_labels": "commonLabels",
        "common_annotations": "commonAnnotations",
        "route_labels": "routeLabels",
        "external_url": "externalURL",
    },
):
    """The body around the alerts, which stay bytes."""

    alerts: list[Raw]
    group_key: str = ""
    receiver: str = ""
    status: str = ""
    version: str = ""
    truncated_alerts: Annotated[int, Meta(ge=0, le=_LARGEST)] = 0
    group_labels: dict[str, str] = {}
    common_labels: dict[str, str] = {}
    common_annotations: dict[str, str] = {}
    route_labels: dict[str, str] = {}
    external_url: str = ""
    notification_reason: str = ""


def note(because: str) -> Step:
    """Say what had to be salvaged."""
    return Step("ingress", because)


_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)


def fields(text: bytes) -> dict[str, bytes] | None:
    """Split a JSON object into its fields, nulls left out; None where it is something else.

    Raises msgspec.DecodeError, UnicodeDecodeError or RecursionError where it is not JSON. Of equal names the last wins.
    """
    try:
        found = _FIELDS.decode(text)
    except msgspec.ValidationError:
        return None
    split = ((name, bytes(raw)) for name, raw in found.items())
    return {name: raw for name, raw in split if raw != b"null"}


# Broken text

_ESCAPES = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u(?P<lone>[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# A raw control character may stand between tokens, where a space means the same, or in a string, where JSON forbids it.
_CONTROL = dict.fromkeys(range(32), "�") | {ord(space): " " for space in "\t\n\r"}


_CONTROLS = re.compile(r"[\x00-\x1f]")
_PIECE = 64 * 1024
"""Bytes that are mended at a time: while one piece is worked on, no other thread gets a turn."""
# Behind a quote nothing is cut in two: neither an escape nor a character. Nor where for as long as the longest escape
# there was no backslash, before a byte that begins a character, or among bytes that cannot belong to one.
_JOINT = re.compile(rb'"|[^\\]{12}(?=[^\x80-\xbf])|[\x80-\xbf]{12}')


def mend(text: bytes) -> bytes:
    """Replace what is no UTF-8, lone surrogates and raw control characters; the same bytes where there is nothing."""
    return b"".join([_mended(piece) for piece in _pieces(text)])


def _pieces(text: bytes) -> Iterator[bytes]:
    """Cut a text where each piece can be mended for itself."""
    at = 0
    while at < len(text):
        end = _joint(text, at + _PIECE)
        yield text[at:end]
        at = end


def _joint(text: bytes, at: int) -> int:
    """Find where a text can be cut next; looks at a piece at a time as well."""
    for start in range(at, len(text), _PIECE):
        if found := _JOINT.search(text, start, start + _PIECE + 13):
            return found.end()
    return len(text)


def _mended(piece: bytes) -> bytes:
    mended = piece.decode("utf-8", "replace")
    if _CONTROLS.search(mended):
        mended = mended.translate(_CONTROL)
    if _SURROGATE.search(mended):
        mended = _ESCAPES.sub(lambda found: "�" if found["lone"] else found[0], mended)
    return mended.encode()


def readable(text: bytes, notes: list[Step]) -> bytes:
    """Mend text that is no UTF-8, and say so."""
    try:
        text.decode()
    except UnicodeDecodeError:
        notes.append(note("characters that are not UTF-8 were replaced"))
        return mend(text)
    return text


# The envelope


def envelope(found: Mapping[str, bytes], notes: list[Step]) -> Envelope | None:
    """Read an envelope whose fields have odd types; None where `alerts` is no list.

    Notes what it had to leave out.
    """
    alerts = _listed(found.get("alerts", b""), notes)
    if alerts is None:
        return None
    return Envelope(
        alerts,
        group_key=word(found, "groupKey"),
        receiver=word(found, "receiver"),
        status=word(found, "status"),
        version=word(found, "version"),
        truncated_alerts=_count(found.get("truncatedAlerts", b"0"), notes),
        group_labels=mapping(found, "groupLabels", notes),
        common_labels=mapping(found, "commonLabels", notes),
        common_annotations=mapping(found, "commonAnnotations", notes),
        route_labels=mapping(found, "routeLabels", notes),
        external_url=word(found, "externalURL"),
        notification_reason=word(found, "notification_reason"),
    )


def _listed(raw: bytes, notes: list[Step]) -> list[Raw] | None:
    if raw.startswith(b"{"):
        notes.append(note("`alerts` is one object and was read as a list of one"))
        return [Raw(raw)]
    return _LIST.decode(raw) if raw.startswith(b"[") else None


_WHOLE = re.compile(rb'"?(\d+)(?:\.0+)?"?')


def _count(raw: bytes, notes: list[Step]) -> int:
    if whole := _WHOLE.fullmatch(raw):
        return _LARGEST if len(whole[1]) > 15 else int(whole[1])
    notes.append(note("`truncatedAlerts` is no whole number; the body was taken as complete"))
    return 0


def word(found: Mapping[str, bytes], name: str) -> str:
    """Read a field as text; "" where it is missing."""
    return _value(found[name]) if name in found else ""


def _value(raw: bytes) -> str:
    """Read any JSON value as text: strings as they are, everything else as JSON wrote it."""
    return _TEXT.decode(raw) if raw.startswith(b'"') else raw.decode()


def mapping(found: Mapping[str, bytes], name: str, notes: list[Step]) -> dict[str, str]:
    """Read a map of strings; values of other types become their text, nulls are left out."""
    if name not in found:
        return {}
    values = fields(found[name])
    if values is None:
        notes.append(note(f"`{name}` is not an object and was left out"))
        return {}
    odd = ", ".join(sorted(key[:40] for key, raw in values.items() if not raw.startswith(b'"'))[:5])
    if odd:
        notes.append(note(f"values in `{name}` that are not strings were written as text: {odd}"))
    return {key: _value(raw) for key, raw in values.items()}


# One alert

_CLUES = frozenset(("status", "labels", "annotations", "fingerprint"))


def alert(raw: bytes, digest: bytes, source: str, around: Envelope) -> Alert | str:
    """Read one alert that is not as Alertmanager writes it; a sentence where it says nothing at all."""
    notes: list[Step] = []
    try:
        found = fields(readable(raw, notes))
        if found is None:
            return "is not an object"
        if not _CLUES & found.keys():
            return "has no status, labels, annotations or fingerprint"
        return _salvaged(found, notes, digest, source, around)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "cannot be read"


def _salvaged(found: Mapping[str, bytes], notes: list[Step], digest: bytes, source: str, around: Envelope) -> Alert:
    labels = mapping(found, "labels", notes)
    named = labels
    if not labels:
        labels, named, digest = _of_the_group(digest, around, notes)
    status = _status(found, notes)
    return restated(
        Alert(
            source=source,
            fingerprint=_fingerprint(found, named, notes),
            status=status,
            labels=labels,
            annotations=mapping(found, "annotations", notes),
            starts_at=time(found, "startsAt", notes),
            ends_at=time(found, "endsAt", notes) if status is Status.RESOLVED else YEAR_ONE,
            generator_url=word(found, "generatorURL"),
            digest=digest,
            raw=b"",
            notes=tuple(notes),
        )
    )


def _of_the_group(digest: bytes, around: Envelope, notes: list[Step]) -> tuple[dict[str, str], dict[str, str], bytes]:
    """Take labels from the group: what the alert has, what names it, and a digest that tells groups apart.

    The group's own labels name it where there are any, since the common ones change with the alerts in the body.
    """
    labels = {**around.common_labels, **around.group_labels}
    notes.append(note("it has no labels; those of its group were taken" if labels else "it has no labels"))
    context = msgspec.json.encode((around.group_key, sorted(labels.items())))
    return labels, around.group_labels or labels, sha256(digest + context).digest()[:16]


def _status(found: Mapping[str, bytes], notes: list[Step]) -> Status:
    if "status" not in found:
        notes.append(note("it has no status and counts as firing"))
        return Status.FIRING
    said = word(found, "status")
    try:
        return Status(said.strip().lower())
    except ValueError:
        notes.append(note(f"its status {said[:40]!r} is unknown and counts as firing"))
        return Status.FIRING


_FINGERPRINT = re.compile("[0-9a-f]{16}")


def _fingerprint(found: Mapping[str, bytes], labels: Mapping[str, str], notes: list[Step]) -> str:
    said = word(found, "fingerprint").lower()
    if _FINGERPRINT.fullmatch(said):
        return said
    computed = fingerprint_of(labels)
    why = "its fingerprint is not 16 hex digits" if said else "it has no fingerprint"
    notes.append(note(f"{why}; {computed} was computed from its labels"))
    return computed


# RFC 3339 as Go's time.Time.String() and others bend it: "2026-05-27 15:36:00.112013015 +0000 UTC m=+8560.28"
_BENT = re.compile(r"\s*(\d{4}-\d\d-\d\d)[ T_](\d\d:\d\d)(:\d\d(?:\.\d+)?)?\s*([+-]\d\d):?(\d\d)?")
_ZONELESS = re.compile(r"\s*(\d{4}-\d\d-\d\d)[ T_](\d\d:\d\d)(:\d\d(?:\.\d+)?)?(?:Z|\s|$)", re.ASCII)


def time(found: Mapping[str, bytes], name: str, notes: list[Step]) -> Instant:
    """Read a time; 0, which means unknown, where it is missing or no time."""
    if name not in found:
        notes.append(note(f"it has no `{name}`"))
        return 0
    said = word(found, name)
    when = _moment(said)
    if when is None:
        notes.append(note(f"its `{name}` {said[:40]!r} is no time (RFC 3339) and counts as unknown"))
        return 0
    return instant(when)


def _moment(said: str) -> datetime | None:
    bent = _BENT.match(said)
    plain = _ZONELESS.match(said)
    candidates = [said]
    if bent:
        candidates.append(f"{bent[1]}T{bent[2]}{bent[3] or ':00'}{bent[4]}:{bent[5] or '00'}")
    elif plain:
        candidates.append(f"{plain[1]}T{plain[2]}{plain[3] or ':00'}Z")
    for candidate in candidates:
        try:
            when = msgspec.convert(candidate, datetime)
        except msgspec.ValidationError:
            continue
        if when.tzinfo is not None:
            return when
    return None


def restated(said: Alert) -> Alert:
    """Write an alert out anew as clean JSON in Alertmanager's v4 form, so that what is kept is what was understood."""
    clean: dict[str, Any] = {
        "status": said.status,
        "labels": said.labels,
        "annotations": said.annotations,
        "startsAt": written(said.starts_at),
        "endsAt": written(said.ends_at),
        "generatorURL": said.generator_url,
        "fingerprint": said.fingerprint,
    }
    return msgspec.structs.replace(said, raw=msgspec.json.encode(clean))


def written(at: Instant) -> str:
    """Write a time as Alertmanager does."""
    return moment(min(max(at, YEAR_ONE), _LAST)).isoformat().replace("+00:00", "Z")
