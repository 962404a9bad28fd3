"""Canaries: every secret that a test uses, and the search for them in whatever the test leaves behind.

Nobody has to plant them. What becomes a `Secret` in this process is one, and so is what stands as a routing key, token
or password in a configuration, a key file or a list of operators of the test. They may stand there and nowhere else.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from relay import logs
from relay.metrics import Metrics
from relay.secret import Secret

SHORTEST = 12
"""Characters; a shorter one would be found by accident."""
LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is searched."""
KEEPERS = (
    *("*.yml", "*.yaml", "*.key", "*.pem", "*.crt", "*.secret", "*.token", "*.password", "*.env"),
    *("operators*", "*secret*", "*key", "*password*", "*token*"),
)
"""Files that people keep secrets in: key files, and configurations with inline keys. `config.last-good.yml` is one of
them: a copy of the user's own file, for its owner alone, that holds inline keys as the original does."""
OF_THE_SANDBOX = ("*.jsonl",)
"""The sandbox plays PagerDuty, and may know the keys."""


@dataclass
class Heard:
    """What this process did since the last test: secrets it made, and texts that it let out."""

    secrets: set[str] = field(default_factory=set)
    texts: list[tuple[str, str | bytes]] = field(default_factory=list)
    """Where it was let out, and what."""


def listen(heard: Heard) -> None:
    """Note from now on every Secret that is made, every line of the log and every page of metrics."""
    made = Secret.__init__

    @wraps(made)
    def make(self: Secret, value: str) -> None:
        heard.secrets.add(value)
        made(self, value)

    Secret.__init__ = make  # type: ignore[method-assign]
    _note(heard, logs.Log, "_written", "the log", lambda line: line)
    _note(heard, Metrics, "render", "/metrics", lambda rendered: rendered[0])


def listen_to_answers(heard: Heard) -> None:
    """Note from now on every answer of the doors, if the tests at hand have any."""
    replies = sys.modules.get("relay.web.replies")
    if replies is not None and not hasattr(replies.encoded, "__wrapped__"):
        _note(heard, replies, "encoded", "an answer", lambda body: body)
        _note(heard, replies, "text", "an answer", lambda reply: reply.body)


def _note(heard: Heard, where: Any, name: str, place: str, text: Callable[[Any], str | bytes]) -> None:
    inner = getattr(where, name)

    @wraps(inner)
    def outer(*arguments: Any) -> Any:
        given = inner(*arguments)
        heard.texts.append((place, text(given)))
        return given

    setattr(where, name, outer)


def canaries(secrets: Iterable[str], folder: Path | None) -> frozenset[str]:
    """Collect what must not be seen: what became a Secret, and what stands in files that keep some."""
    found = set(secrets)
    for file in _files(folder) if folder is not None else ():
        if _is(file, KEEPERS):
            found |= set(_kept(file))
    return frozenset(one for one in found if len(one) >= SHORTEST and len(set(one)) > 4 and " " not in one)


_FIELD = re.compile(r"(?:routing_key|password|credentials|token|secret|proxy_url)[\"']?: *[\"']?([^\s\"',}\]]+)")
_BARE = re.compile(r"[!-~]{12,200}")


def _kept(file: Path) -> Iterator[str]:
    text = file.read_text(errors="replace")
    if file.suffix in (".yml", ".yaml"):
        yield from (value for value in _FIELD.findall(text) if not value.startswith(("/", "$")))
    elif file.suffix in (".key", ".token", ".secret", ".password") and _BARE.fullmatch(text.strip()):
        yield text.strip()


def leaks(wanted: frozenset[str], folder: Path | None, texts: Iterable[tuple[str, str | bytes]]) -> list[str]:
    """Name every place where a canary was seen; never the canary."""
    if not wanted:
        return []
    found = [place for place, text in texts if _holds(text if isinstance(text, bytes) else _bytes(text), wanted)]
    for file in _files(folder) if folder is not None else ():
        if not _is(file, (*KEEPERS, *OF_THE_SANDBOX)) and file.stat().st_size <= LARGEST:
            found += [str(file)] if _holds(file.read_bytes(), wanted) else []
    return sorted(set(found))


def _holds(content: bytes, wanted: frozenset[str]) -> bool:
    return any(_bytes(one) in content for one in wanted)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _is(file: Path, patterns: Iterable[str]) -> bool:
    return any(file.match(pattern) for pattern in patterns)


def places_of(sections: Iterable[tuple[str, str, str]]) -> Mapping[str, str]:
    """Lay out what pytest captured, by place."""
    return {f"captured {kind} of the {when}": text for when, kind, text in sections}
