"""What a Go template is made of, once read: frozen values that say nothing of how they are written."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Dot:
    """`.`"""


@dataclass(frozen=True, slots=True)
class Variable:
    """`$x`; the name is "" for `$`."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """`.Alerts.Firing`: a field or method of what stands before it."""

    of: "Operand"
    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal."""

    value: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it stands there."""

    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """`true`, `false` or `nil`."""

    name: str


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands joined by `|`; each is its operands, the first perhaps a function or method."""

    commands: tuple[tuple["Operand", ...], ...]


Operand: TypeAlias = Dot | Variable | Field | Function | Text | Number | Word | Pipe


@dataclass(frozen=True, slots=True)
class Written:
    """Text between actions."""

    text: str


@dataclass(frozen=True, slots=True)
class Print:
    """`{{ pipe }}`"""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Assign:
    """`{{ $x := pipe }}`, or `=` where `declares` is false."""

    name: str
    pipe: Pipe
    declares: bool


@dataclass(frozen=True, slots=True)
class If:
    """`{{ if $name := pipe }}`; the name is "" where there is none."""

    name: str
    pipe: Pipe
    then: "Body"
    otherwise: "Body"


@dataclass(frozen=True, slots=True)
class With:
    """`{{ with $name := pipe }}`"""

    name: str
    pipe: Pipe
    then: "Body"
    otherwise: "Body"


@dataclass(frozen=True, slots=True)
class Range:
    """`{{ range $key, $value := pipe }}`; names that are not there are ""."""

    key: str
    value: str
    pipe: Pipe
    then: "Body"
    otherwise: "Body"


@dataclass(frozen=True, slots=True)
class Call:
    """`{{ template "name" pipe }}`"""

    name: str
    pipe: Pipe | None


Node: TypeAlias = Written | Print | Assign | If | With | Range | Call
Body: TypeAlias = tuple[Node, ...]
