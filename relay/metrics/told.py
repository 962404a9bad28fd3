"""What counting needs of the values it is told of: the cellar knows no floor above it."""

from collections.abc import Sequence
from typing import Protocol


class Placement(Protocol):
    @property
    def severity(self) -> str: ...


class Step(Protocol):
    @property
    def by(self) -> str: ...


class Alert(Protocol):
    @property
    def status(self) -> str: ...


class Entry(Protocol):
    @property
    def alert(self) -> Alert: ...
    @property
    def placements(self) -> Sequence[Placement]: ...
    @property
    def steps(self) -> Sequence[Step]: ...


class Draft(Protocol):
    @property
    def entries(self) -> Sequence[Entry]: ...
    @property
    def repeated(self) -> int: ...


class Message(Protocol):
    @property
    def source(self) -> str: ...
    @property
    def truncated_alerts(self) -> int: ...


class Decision(Protocol):
    @property
    def verdict(self) -> str: ...


class Folded(Protocol):
    @property
    def receiver(self) -> str: ...
    @property
    def pages(self) -> int: ...
    @property
    def alerts(self) -> int: ...


class Plan(Protocol):
    @property
    def decisions(self) -> Sequence[Decision]: ...
    @property
    def suppressed(self) -> Sequence[str]: ...
    @property
    def folded(self) -> Sequence[Folded]: ...


class Attempt(Protocol):
    @property
    def action(self) -> str: ...
    @property
    def at(self) -> int: ...
    @property
    def rung(self) -> str: ...


class Response(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def receiver(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def took(self) -> int: ...
    @property
    def hour(self) -> int: ...
    @property
    def after_hours(self) -> bool: ...
