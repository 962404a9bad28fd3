"""What a case says: alerts and silences at times, and what is expected of them; frozen values with their places."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay.alert import HOUR, Duration, Instant
from relay.rules.matcher_syntax import Triple

REPEATED: Duration = 4 * HOUR
"""How often an Alertmanager says again what still fires, unless it is told otherwise (its own default)."""


@dataclass(frozen=True, slots=True)
class Stated:
    """One alert as a case states it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fires:
    """These alerts fire, or still fire and say something else."""

    alerts: tuple[Stated, ...]
    group: str = ""
    """The groupKey they come under; "": that of an Alertmanager that groups by alertname."""


@dataclass(frozen=True, slots=True)
class Resolves:
    """These alerts stop firing."""

    alerts: tuple[Stated, ...]


@dataclass(frozen=True, slots=True)
class Silenced:
    """Somebody makes a silence."""

    matchers: tuple[Triple, ...]
    lasts: Duration
    name: str = ""


@dataclass(frozen=True, slots=True)
class Expires:
    """Somebody ends the silence of that name."""

    name: str


@dataclass(frozen=True, slots=True)
class Given:
    """One thing that happens."""

    at: Duration
    line: int
    what: Fires | Resolves | Silenced | Expires


@dataclass(frozen=True, slots=True)
class Value:
    """Something expected, as it stands in the file: text, None, a list, or a mapping."""

    says: Any
    line: int
    column: int


Fields = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class OfAlert:
    """What is expected of one alert."""

    alert: Stated
    named: str
    """As the case names it."""
    fields: Fields


@dataclass(frozen=True, slots=True)
class Sends:
    """Every event that is sent since the `sent` before, in order."""

    events: tuple[Fields, ...]


@dataclass(frozen=True, slots=True)
class Stands:
    """Every page that PagerDuty has open, in any order."""

    pages: tuple[Fields, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """One expectation, true at a time."""

    at: Duration
    line: int
    column: int
    what: OfAlert | Sends | Stands


@dataclass(frozen=True, slots=True)
class Case:
    """One case."""

    name: str
    line: int
    start: Instant
    source: str
    repeat_interval: Duration | None
    """None: what still fires is not said again."""
    given: tuple[Given, ...]
    then: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One file of cases, and the routing file they are about."""

    path: Path
    config: Path
    """The routing file; the case file itself where it holds one."""
    inline: bytes | None = field(repr=False)
    """The routing file that the case file holds, at its own lines and columns; None: it names one."""
    text: bytes = field(repr=False)
    cases: tuple[Case, ...]
