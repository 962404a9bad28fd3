"""PagerDuty's V3 webhooks: whether one is signed by it, and what it says.

Source: developer.pagerduty.com, webhooks, "Verifying Signatures" and "Overview".
"""

import hmac
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256

from relay.alert import Instant, instant
from relay.errors import BadBody
from relay.rules.news import SOMEWHERE, Agent, News
from relay.secret import Secret

SIGNATURE = "X-PagerDuty-Signature"
"""The header: `v1=<64 hex digits>`, one for each signing secret while one takes the place of another."""
LARGEST = 320 * 1024
"""Bytes of a body. PagerDuty drops what is larger than 256 KB by itself (webhooks, "Behavior")."""
_WORDS = 1_000
"""Characters of a note that are kept."""
_NAME = 200
_OURS = "inbound_integration_reference"
"""How the type of an agent ends that is an integration: `events_api_v2_inbound_integration_reference` ..."""


def is_signed(headers: Iterable[str], body: bytes, secrets: Sequence[Secret]) -> bool:
    """Say whether a body is signed with one of the secrets: the raw bytes of it count, as they came.

    Takes the header as often as it came. However odd it is, no comparison ends before another by what is in it.
    """
    given = [one for header in headers for part in header.split(",") if (one := _given(part))]
    signed = [hmac.new(secret.reveal().encode(), body, sha256).hexdigest().encode() for secret in secrets]
    return sum(hmac.compare_digest(one, other) for one in given for other in signed) > 0


def _given(part: str) -> bytes:
    """Read one signature of a header; b"" for one of another version, or that is none."""
    version, _, digits = part.strip().partition("=")
    return digits.lower().encode("ascii", "replace") if version == "v1" else b""


def read(body: bytes) -> News:
    """Read the envelope of a signed body, as far as it can be. Raises BadBody only for what is no event at all.

    PagerDuty adds types of events and fields as it likes, and switches a subscription off after three answers of 4xx.
    """
    event = _map(_map(_json(body)).get("event"))
    if not event:
        raise BadBody("the body has no `event`: it is no V3 webhook of PagerDuty", "not_a_webhook")
    data = _map(event.get("data"))
    incident = _incident(str(event.get("event_type")), data)
    agent = _map(event.get("agent"))
    reason = _map(data.get("resolve_reason"))
    whole = incident is data
    return News(
        id=_text(event.get("id"), _NAME) or sha256(body).hexdigest(),
        type=_text(event.get("event_type"), _NAME),
        at=_instant(event.get("occurred_at")),
        incident=_text(incident.get("id"), _NAME),
        key=_text(incident.get("incident_key"), 255),
        number=_number(incident.get("number")),
        url=_url(incident.get("html_url")),
        service=_text(_map(incident.get("service")).get("id"), _NAME),
        agent=_agent(agent),
        who=_who(agent),
        assignees=_names(incident.get("assignees")) if whole and "assignees" in incident else None,
        merged_into=_merged_into(reason),
        words=_words(_text(event.get("event_type"), _NAME), data),
    )


def _json(body: bytes) -> object:
    try:
        return json.loads(body)  # takes half a surrogate pair, which stricter readers refuse with all that is around it
    except (ValueError, RecursionError) as error:
        raise BadBody(f"the body is no JSON: {error}") from error


def _incident(type_: str, data: dict[str, object]) -> dict[str, object]:
    """Find the incident that an event is about: its data, or what that refers to; {} for none."""
    if data.get("type") == "incident":
        return data
    within = _map(data.get("incident"))
    if within:
        return within
    return data if type_.startswith("incident.") and "type" not in data else {}


def _agent(agent: dict[str, object]) -> Agent:
    type_ = _text(agent.get("type"), _NAME)
    if type_.endswith(_OURS):
        return Agent.OURS
    return Agent.PERSON if type_ in ("user_reference", "user") else Agent.NOBODY


def _who(agent: dict[str, object]) -> str:
    """Name who did it; a person is never nobody."""
    named = _text(agent.get("summary"), _NAME) or _text(agent.get("id"), _NAME)
    return named or ("a person" if _agent(agent) is Agent.PERSON else "")


def _merged_into(reason: dict[str, object]) -> str:
    if reason.get("type") != "merge_resolve_reason":
        return ""
    return _text(_map(reason.get("incident")).get("id"), _NAME) or SOMEWHERE


def _words(type_: str, data: dict[str, object]) -> str:
    """Say what was said: the text of a note, an update or a request, or the priority it has."""
    for field in ("content", "message"):
        if said := _text(data.get(field), _WORDS):
            return said
    if type_ != "incident.priority_updated":
        return ""
    return _text(_map(data.get("priority")).get("summary"), _NAME) or "none"


def _names(value: object) -> tuple[str, ...]:
    people = map(_map, value if isinstance(value, list) else ())
    return tuple(name for one in people if (name := _text(one.get("summary") or one.get("id"), _NAME)))[:20]


def _map(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object, longest: int) -> str:
    """Take a text as far as it can be kept: half of a surrogate pair is in no encoding."""
    return value[:longest].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _url(value: object) -> str:
    text = _text(value, 2_000)
    return text if text.startswith(("https://", "http://")) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0


def _instant(value: object) -> Instant:
    """Read an ISO 8601 time; 0 for what is none."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None:
            return 0
        return instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return 0
