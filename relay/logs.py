"""Writes the log: one line per message and per delivery, to stderr, as logfmt or JSON, without secrets."""

import atexit
import json
import math
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any, TextIO

import structlog

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
"""By the words of --log.level."""
FORMATS = ("logfmt", "json")
"""The words of --log.format."""
QUIET = 5 * 60 * 1_000_000
"""Microseconds for which the same failure of the same delivery is not logged again."""

_LONGEST = 2_000
"""Characters of one value; a log is read by people."""
_LINES_WAITING = 10_000
"""Lines that may wait to be written."""
_GATHERED = 0.02
"""Seconds of lines that are written at once: to wake a thread for each would cost more than to make it up."""
_KIND_A_SECOND = 100
"""Warnings of one kind, and errors of one kind, in a second: who sends rubbish without end does not fill the disk."""
_SHORTEST_SECRET = 6
"""Hiding shorter strings would blank out half of every line."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT = MutableMapping[str, Any]


class Repeats:
    """Remembers what was logged of each delivery, to say it again only when it changes or after five minutes.

    Alertmanager does the same (notify/retry_stage.go: logs an error again only when its text changed).
    """

    def __init__(self, quiet: int = QUIET, room: int = 10_000) -> None:
        self._quiet = quiet
        self._room = room
        self._said: dict[object, int] = {}

    def worth_saying(self, what: object, now: int) -> bool:
        """Say whether `what` was not said within the quiet time; `now` in microseconds. Remembers that it is now."""
        before = self._said.pop(what, None)
        fresh = before is None or not 0 <= now - before < self._quiet
        self._said[what] = now if fresh or before is None else before
        if len(self._said) > self._room:
            del self._said[next(iter(self._said))]
        return fresh


class Log:
    """The relay's log. `clock` gives the time in microseconds since 1970."""

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        level: str = "info",
        form: str = "logfmt",
        stream: TextIO | None = None,
    ) -> None:
        self._clock = clock
        self._repeats = Repeats()
        self._crowd = _Crowd(clock)
        self._hidden: tuple[str, ...] = ()
        self._form = _as_json if form == "json" else _as_logfmt
        self._second = -1
        self._shown = ""
        self._logger = structlog.wrap_logger(
            _Lines(stream) if stream else _Behind(sys.stderr),
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
            processors=[structlog.processors.add_log_level, self._written],
            cache_logger_on_first_use=True,
        )

    def hide(self, values: Iterable[str]) -> None:
        """Replace these strings in every line from now on, whatever brings them there."""
        more = {value for value in values if len(value) >= _SHORTEST_SECRET}
        self._hidden = tuple(sorted({*self._hidden, *more}, key=len, reverse=True))

    def debug(self, event: str, **words: object) -> None:
        """Log what only someone looking for a fault in the relay wants to read."""
        self._logger.debug(event, **words)

    def info(self, event: str, **words: object) -> None:
        """Log what happened, in the past tense."""
        self._logger.info(event, **words)

    def warning(self, event: str, **words: object) -> None:
        """Log what someone should look at."""
        if (left_out := self._crowd.admit(event)) is not None:
            self._logger.warning(event, **words, **left_out)

    def error(self, event: str, **words: object) -> None:
        """Log what someone must mend."""
        if (left_out := self._crowd.admit(event)) is not None:
            self._logger.error(event, **words, **left_out)

    def delivery_failed(self, what: object, event: str, **words: object) -> None:
        """Log a failed delivery, unless `what` (whose, and its error) was logged in the last five minutes."""
        if self._repeats.worth_saying((event, what), self._clock()):
            self._logger.warning(event, **words)

    def _written(self, _logger: object, _method: str, event: _EVENT) -> str:
        """Make the line: time, level and what happened first, the rest as it was given. One step, for it is often."""
        words: dict[str, object] = {"ts": self._now(), "level": event.pop("level"), "msg": event.pop("event")}
        words.update((_name(name), value) for name, value in event.items())
        return self._hide(self._form({name: self._cleaned(value) for name, value in words.items()}))

    def _hide(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "<secret>")
        return text

    def _now(self) -> str:
        at = self._clock()
        if at // 1_000_000 != self._second:
            self._second = at // 1_000_000
            self._shown = (_EPOCH + timedelta(seconds=self._second)).isoformat().removesuffix("+00:00")
        return f"{self._shown}.{at // 1000 % 1000:03}Z"

    def _cleaned(self, value: object) -> object:
        if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        text = str(value)
        if len(text) > _LONGEST:
            text = self._hide(text)[:_LONGEST] + "…"
        return clean(text)


class _Crowd:
    """Counts the lines of each kind in the second at hand, and says with the next one how many were left out."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._second = -1
        self._lines: dict[str, int] = {}
        self._left_out: dict[str, int] = {}

    def admit(self, event: str) -> Mapping[str, int] | None:
        """Return what to add to a line; None: leave it out."""
        second = self._clock() // 1_000_000
        if second != self._second:
            self._second = second
            self._lines.clear()
        count = self._lines[event] = self._lines.get(event, 0) + 1
        if count > _KIND_A_SECOND:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return None
        missing = self._left_out.pop(event, 0)
        return {"left_out_before": missing} if missing else {}


class _Lines:
    """Writes lines to a stream. A log that cannot be written (disk full, pipe closed) never stops a page."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass

    debug = info = warning = error = msg


class _Behind(_Lines):
    """Writes lines from a thread of its own: who reads the log slowly, or not at all, never stops a page.

    With too many lines waiting, new ones are left out and counted.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: SimpleQueue[str | None] = SimpleQueue()
        self._left_out = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def msg(self, line: str) -> None:
        if self._waiting.qsize() >= _LINES_WAITING:
            self._left_out += 1
            return
        if self._left_out:
            line, self._left_out = f"{line} lines_left_out_before={self._left_out}", 0
        self._waiting.put(line)

    debug = info = warning = error = msg

    def close(self) -> None:
        """Write what waits, as far as somebody reads it."""
        self._waiting.put(None)
        self._thread.join(1.0)

    def _write(self) -> None:
        line = self._waiting.get()
        while line is not None:
            time.sleep(_GATHERED)
            lines = [line]
            with suppress(Empty):
                while (line := self._waiting.get_nowait()) is not None:
                    lines.append(line)
            super().msg("\n".join(lines))
            line = self._waiting.get() if line is not None else None


_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_LONE_SURROGATES = range(0xD800, 0xE000)
_SWEPT = dict.fromkeys((*_CONTROLS, *_DIRECTIONS, *_LONE_SURROGATES), "�") | dict.fromkeys(map(ord, "\t\n\r"), " ")


def clean(text: str) -> str:
    """Replace what could forge a line or repaint a terminal: controls, ESC, bidirectional marks, lone surrogates."""
    return text if text.isascii() and text.isprintable() else text.translate(_SWEPT)


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_./-]+", re.ASCII)
_PLAIN_VALUE = re.compile(r"[^\s\"=\\]*")


def _name(name: str) -> str:
    """Make a name of logfmt: spaces, quotes and equals signs would break the line."""
    if _PLAIN_NAME.fullmatch(name):
        return name
    return "".join(letter if letter.isalnum() or letter in "_.-/" else "_" for letter in name)


def _as_logfmt(words: Mapping[str, object]) -> str:
    return " ".join(f"{name}={_quoted(value)}" for name, value in words.items())


def _quoted(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if _PLAIN_VALUE.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _as_json(words: Mapping[str, object]) -> str:
    return json.dumps(words, ensure_ascii=False, allow_nan=False, default=str)
