"""Silences at one Alertmanager: lists ours, makes and extends them, and ends them."""

from collections.abc import Collection, Mapping
from datetime import datetime
from urllib.parse import quote

import msgspec

from relay.alert import Instant, instant, moment
from relay.alertmanager.client import AlertmanagerClient, Fault
from relay.rules.matchers import valid_label_name
from relay.rules.quieting import AUTHOR, Labels, Put, Standing, comment, page_of
from relay.rules.quoting import go_quote

_PATH = "/api/v2/silences"
_ONE = "/api/v2/silence"
_ALERTS = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"
_LONGEST = 16 * 1024
"""Characters of labels that fit into a question."""


async def ours(client: AlertmanagerClient, url: str) -> tuple[Standing, ...] | Fault:
    """List the silences that bear the relay's name, those included that ended; there may be another relay's."""
    return await client.exchange("GET", url, _PATH, lambda body: tuple(_standing(body, url)))


async def put(client: AlertmanagerClient, done: Put, absent: Collection[str]) -> Fault | None:
    """Make or extend a silence for exactly an alert's labels; `absent` are labels that it has not and others have."""
    known, target = done.extends, done.target
    matchers = [
        *({"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in sorted(target.labels)),
        *({"name": name, "value": "", "isRegex": False, "isEqual": True} for name in sorted(absent)),
    ]
    silence = {
        "matchers": matchers,
        "startsAt": known.starts if known is not None else _written(done.since),
        "endsAt": _written(done.until),
        "createdBy": AUTHOR,
        "comment": comment(target.page),
    } | ({"id": known.id} if known is not None else {})
    return await client.exchange("POST", done.url, _PATH, lambda body: None, msgspec.json.encode(silence))


async def end(client: AlertmanagerClient, silence: Standing) -> Fault | None:
    """End a silence now."""
    return await client.exchange("DELETE", silence.url, f"{_ONE}/{quote(silence.id, safe='')}", lambda body: None)


async def beside(client: AlertmanagerClient, url: str, fingerprint: str, labels: Labels) -> frozenset[str] | Fault:
    """Name the labels that other alerts have beside all of these: a silence for these would keep them quiet too."""
    filters = "".join(f"&filter={quote(_matcher(name, value), safe='')}" for name, value in sorted(labels))
    if len(filters) > _LONGEST:
        return Fault("the alert's labels are too long to ask which others have them")
    found = await client.exchange("GET", url, _ALERTS + filters, _decode_alerts)
    if isinstance(found, Fault):
        return found
    names = {name for name, _ in labels}
    return frozenset(name for one in found if one.fingerprint != fingerprint for name in one.labels.keys() - names)


def _matcher(name: str, value: str) -> str:
    return f"{name if valid_label_name(name) else go_quote(name)}={go_quote(value)}"


def _written(at: Instant) -> str:
    return moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# api/v2/openapi.yaml: gettableSilence and gettableAlert; what is not asked for is skipped.


class _Alert(msgspec.Struct, gc=False):
    fingerprint: str
    labels: Mapping[str, str]


class _Matcher(msgspec.Struct, gc=False, rename="camel"):
    name: str
    value: str
    is_regex: bool
    is_equal: bool = True


class _Status(msgspec.Struct, gc=False):
    state: str


class _Silence(msgspec.Struct, gc=False, rename="camel"):
    id: str
    matchers: list[_Matcher]
    starts_at: str
    ends_at: datetime
    created_by: str
    comment: str
    status: _Status


_decode_alerts = msgspec.json.Decoder(list[_Alert]).decode
_decode_silences = msgspec.json.Decoder(list[_Silence]).decode


def _standing(body: bytes, url: str) -> list[Standing]:
    """Read those of ours that name nothing but labels and what they are."""
    found = []
    for one in _decode_silences(body):
        page = page_of(one.created_by, one.comment)
        if page is None or not all(matcher.is_equal and not matcher.is_regex for matcher in one.matchers):
            continue
        found.append(
            Standing(
                url=url,
                id=one.id,
                page=page,
                labels=frozenset((matcher.name, matcher.value) for matcher in one.matchers if matcher.value),
                absent=frozenset(matcher.name for matcher in one.matchers if not matcher.value),
                starts=one.starts_at,
                starts_at=instant(datetime.fromisoformat(one.starts_at)),
                ends_at=instant(one.ends_at),
                over=one.status.state == "expired",
            )
        )
    return found
