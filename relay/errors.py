"""Every error the relay raises on purpose, and the HTTP answer each one means."""

from dataclasses import dataclass


class RelayError(Exception):
    """Something went wrong that the relay has words for."""

    status_hint = 503


class BadBody(RelayError):
    """This body can never work: say where and why."""

    status_hint = 400

    def __init__(self, message: str, reason: str = "malformed") -> None:
        super().__init__(message)
        self.reason = reason
        """For the metric: empty, encoding, malformed, not_a_webhook or nothing_salvageable."""


class TooLarge(RelayError):
    """This body is over the size limit."""

    status_hint = 413


class NotTaken(RelayError):
    """The relay cannot keep this right now; the sender should come again."""

    status_hint = 503


class StoreError(NotTaken):
    """The store cannot be read or written."""


class StoreAway(StoreError):
    """The store cannot be used now, and may be later: locked, full, an error of the disk."""


class PageGone(StoreError):
    """A page is not in the store any more: what was to be written of it has no place."""


class StoreBusy(StoreError):
    """Another process holds the store."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong (or odd) in a configuration file."""

    file: str
    line: int
    column: int
    path: str
    """Dotted place in the document: `route.routes[2].matchers[0]`."""
    message: str
    """What is wrong and what to do."""
    warning: bool = False
    rule: str = "invalid"
    """Which kind of problem: a name that stays the same from version to version."""

    def __str__(self) -> str:
        kind = "warning: " if self.warning else ""
        place = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {kind}{place}{self.message}"


class BadConfig(RelayError):
    """The configuration does not load; carries every problem at once."""

    status_hint = 500

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
