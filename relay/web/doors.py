"""What the doors need from the house behind them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from relay.alert import Instant
from relay.answers import Answers
from relay.answers.alerts import AlertAnswers
from relay.changes import Changes
from relay.config.operators import Operators
from relay.config.senders import Credentials
from relay.config.web import WebConfig
from relay.errors import Problem
from relay.intake import Intake
from relay.letters import Letters
from relay.logs import Log
from relay.metrics import Metrics
from relay.pausing import Pausing
from relay.reconciling import Reconciling
from relay.returns import Returns
from relay.rules.ruleset import Source
from relay.secret import Secret
from relay.silencing import Silencer
from relay.web.routing_keys import Whose

_ASKS_NOBODY = WebConfig()
NO_SOURCES: Mapping[str, Source] = {}
NO_CREDENTIALS: Mapping[str, Credentials] = {}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the doors take in hand."""

    body_bytes: int = 64 * 1024 * 1024
    """The largest body; 20,000 alerts are about 20 MB."""
    body_seconds: float = 15.0
    """How long a sender may take over its body."""
    header_seconds: float = 10.0
    """How long a sender may take over the headers of a request, once it has begun or connected."""
    unread_seconds: float = 30.0
    """How long an answer may lie unread before the connection is dropped."""
    connections: int = 2048
    """Connections at once; the limit of open files may allow fewer."""
    connections_per_peer: int = 1024
    """Of one address: a proxy in front of the relay is one."""
    requests: int = 256
    """Webhook bodies that may be judged at once."""
    bytes_in_hand: int = 192 * 1024 * 1024
    """Bytes of all bodies that are read or judged at once."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The house as the doors see it; front.py fills it. Rooms that are not open yet are None."""

    intake: Callable[[], Intake | None]
    answers: Callable[[], Answers | None]
    not_ready: Callable[[], str | None]
    """None: a page would be accepted; else why not, in words."""
    pages_anyway: Callable[[], bool] = field(default=lambda: False, kw_only=True)
    """Whether bodies are read although nothing is accepted: the store cannot be written, they are paged past it."""
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
    pausing: Callable[[], Pausing | None] = lambda: None
    letters: Callable[[], Letters | None] = lambda: None
    reconciling: Callable[[], Reconciling | None] = lambda: None
    returns: Callable[[], Returns | None] = lambda: None
    webhook_secrets: Callable[[], Sequence[Secret] | None] = lambda: ()
    """With which PagerDuty signs its webhooks; (): they are not taken; None: that is not known yet."""
    changes: Callable[[], Changes | None] = lambda: None
    web: Callable[[], WebConfig] = lambda: _ASKS_NOBODY
    """What the file of --web.config.file says."""
    sources: Callable[[], Mapping[str, Source]] = lambda: NO_SOURCES
    """The sources that the configuration lists."""
    credentials: Callable[[], Mapping[str, Credentials]] = lambda: NO_CREDENTIALS
    """What those of them show that must show something. Another mapping means that something changed."""
    routing_keys: Callable[[str], Whose | None] = lambda shown: None
    """Whose a routing key is that the sender of an event shows; None: nobody's."""
    own_pass: Secret | None = None
    """By which commands on this machine are known: it lies beside the store, for the relay's own user to read."""
    ring: Callable[[str, str], None] = lambda reason, because: None
    """Page about the relay itself."""
    quiet: Callable[[str], None] = lambda reason: None
    """Say that a reason to is over."""
    clock: Callable[[], Instant] = lambda: 0
