"""Lays values out as YAML, each perhaps with a comment that says where it comes from."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

_BARE = re.compile(r"[A-Za-z0-9_/.<][A-Za-z0-9_/.<>@+-]*|https?://[A-Za-z0-9_/.-]+")
_NOT_TEXT = re.compile(r"null|~|\.\.\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value on one line, as it is written."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Block:
    """A mapping, a line or more for each name."""

    fields: Sequence[tuple[str, "Node"]]


@dataclass(frozen=True, slots=True)
class Items:
    """A list of mappings."""

    items: Sequence["Node"]


Node = Leaf | Block | Items


def laid_out(node: Node, *, origins: bool, indent: str = "") -> Iterator[str]:
    """Write a node line by line."""
    match node:
        case Leaf(text, origin):
            yield f"{indent}{text}{f'  # {origin}' if origins else ''}"
        case Block(fields):
            for name, value in fields:
                yield from _field(f"{indent}{flow(name)}:", value, origins, indent)
            if not fields:
                yield f"{indent}{{}}"
        case Items(items):
            for item in items:
                first, *rest = laid_out(item, origins=origins, indent=f"{indent}  ")
                yield f"{indent}- {first[len(indent) + 2 :]}"
                yield from rest


def _field(name: str, value: Node, origins: bool, indent: str) -> Iterator[str]:
    if isinstance(value, Leaf):
        yield f"{name} {next(laid_out(value, origins=origins))}"
    elif isinstance(value, Block) and not value.fields:
        yield f"{name} {{}}"
    else:
        yield name
        yield from laid_out(value, origins=origins, indent=f"{indent}  ")


def flow(value: Any) -> str:
    """Write texts, lists and mappings on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(name)}: {flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if _BARE.fullmatch(value) and not _NOT_TEXT.fullmatch(value):
        return str(value)
    quoted = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return str(quoted).strip()
