"""What the command line of `pagerelay serve` says."""

from dataclasses import dataclass, field
from pathlib import Path

from relay.alert import DAY, Duration
from relay.web import Limits


@dataclass(frozen=True, slots=True)
class Settings:
    """One run of the relay. Addresses are (host, port)."""

    config_file: Path
    storage_path: Path
    listen: tuple[tuple[str, int], ...]
    external_url: str = ""
    retention: Duration = 7 * DAY
    log_level: str = "info"
    log_format: str = "logfmt"
    operators_file: Path | None = None
    web_config_file: Path | None = None
    admin_listen: tuple[tuple[str, int], ...] = ()
    """Where all doors but those of senders are served; (): beside them."""
    allow_unauthenticated: bool = False
    limits: Limits = field(default_factory=Limits)
    config_strict: bool = False
    """Whether a routing file that does not load ends the start, though there is a last good one."""
