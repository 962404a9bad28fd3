"""What the doors need from the house behind them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from relay.answers import Answers
from relay.answers.alerts import AlertAnswers
from relay.config.operators import Operators
from relay.errors import Problem
from relay.intake import Intake
from relay.logs import Log
from relay.metrics import Metrics
from relay.silencing import Silencer


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the doors take in hand."""

    body_bytes: int = 64 * 1024 * 1024
    """The largest body; 20,000 alerts are about 20 MB."""
    body_seconds: float = 15.0
    """How long a sender may take over its body."""
    requests: int = 256
    """Webhook bodies that may be judged at once."""
    bytes_in_hand: int = 192 * 1024 * 1024
    """Bytes of all bodies that are read or judged at once."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The house as the doors see it; app.py fills it. Rooms that are not open yet are None."""

    intake: Callable[[], Intake | None]
    answers: Callable[[], Answers | None]
    not_ready: Callable[[], str | None]
    """None: a page would be accepted; else why not, in words."""
    reload: Callable[[], Awaitable[tuple[Problem, ...]]]
    """Read the configuration again; everything that is wrong. Warnings alone: it was read."""
    metrics: Metrics
    refresh_metrics: Callable[[], Awaitable[None]]
    """Bring the gauges up to date; called before they are shown."""
    log: Log
    limits: Limits = field(default_factory=Limits)
    operators: Callable[[], Operators | None] = lambda: None
    """Who may change things from afar; None: nobody."""
    silencer: Callable[[], Silencer | None] = lambda: None
    alerts: Callable[[], AlertAnswers | None] = lambda: None
