"""What the doors for events answer, in PagerDuty's words."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.sandbox.faults import Fault


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer, and how badly."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    latency: float = 0.0
    drip: float = 0.0
    drop: bool = False
    """Reset the connection in place of answering."""


def accepted(dedup_key: str) -> Answer:
    """Say that an event was taken."""
    return written(202, {"status": "success", "message": "Event processed", "dedup_key": dedup_key})


def unknown_key() -> Answer:
    """Refuse a key that is nobody's: in plain text, as people have seen it (robusta-dev/robusta#571)."""
    return Answer(400, b"Invalid routing key", "text/plain")


def throttled() -> Answer:
    """Refuse what comes too often."""
    words = "Requests for this service are arriving too quickly.  Please retry later."
    return said(429, "throttle exceeded", words)


def said(status: int, word: str, message: str, errors: list[str] | None = None) -> Answer:
    """Answer with a status word, a message and what is wrong."""
    answer: dict[str, Any] = {"status": word, "message": message}
    return written(status, answer | ({"errors": errors} if errors else {}))


def written(status: int, answer: Mapping[str, Any]) -> Answer:
    """Answer with JSON."""
    return Answer(status, json.dumps(answer).encode())


def spoilt(answer: Answer, fault: Fault) -> Answer:
    """Answer as the fault says, whatever the judgement was."""
    headers = {"Retry-After": fault.retry_after, "Location": fault.location}
    return Answer(
        status=fault.status or answer.status,
        body=answer.body if fault.body is None else fault.body.encode(errors="replace"),
        content_type=answer.content_type if fault.body is None else "text/plain",
        headers={name: str(value) for name, value in headers.items() if value is not None},
        latency=fault.latency,
        drip=fault.drip,
        drop=fault.drop is not None,
    )
