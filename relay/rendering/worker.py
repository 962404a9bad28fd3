"""The template worker: a nursery process that reads the templates once, and a child of it that renders.

The kernel is the watchdog: before each field the child sets a timer whose signal kills it, wherever it is stuck.
The nursery then says which field it was and forks the next child, which takes a few milliseconds.
"""

import gc
import mmap
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import IntEnum

import msgspec

from relay.rendering.values import read_value
from relay.rendering.wire import Batch, Done, Job, Lost, Message, Ready, framed, read_frame, write_all
from relay.rules.render import render
from relay.rules.ruleset import Texts
from relay.rules.templates import Engine, TooMuch

MEMORY = 512 << 20
"""Bytes of address space."""

WALL = 0.5
"""Seconds of wall time for one field."""

PAGE_WALL = 1.0
"""Seconds of wall time for one page; the fields that are left then fall back without being tried."""

FLUSH = 1 << 18
"""Bytes of answers that are kept back at most."""

FLUSH_AFTER = 0.5
"""Seconds for which an answer is kept back at most."""

_DEFAULTS = ("description", "source", "class", "component", "group", "client", "client_url")


class _At(IntEnum):
    """What a child is doing."""

    IDLE = 0
    TALKING = 1
    RENDERING = 2


class _Mark:
    """Memory that nursery and child share: what the child is at."""

    _shape = struct.Struct("<BiH")
    _room = 512

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def set(self, at: _At, number: int = -1, field: str = "") -> None:
        name = field.encode("utf-8", "replace")[: self._room]
        self._memory[: self._shape.size + len(name)] = self._shape.pack(at, number, len(name)) + name

    def get(self) -> tuple[_At, int, str]:
        at, number, length = self._shape.unpack_from(self._memory)
        name = self._memory[self._shape.size : self._shape.size + length]
        return _At(at), number, name.decode("utf-8", "ignore")


def main() -> None:
    """Serve batches on standard input and output until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        # The relay decides when the worker ends, by closing the pipe.
        signal.signal(number, signal.SIG_IGN)
    source, sink = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # a stray print must not be taken for an answer
    sources = read_frame(source)
    if sources is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.exit(_nursery(_engine(msgspec.msgpack.decode(sources, type=dict[str, str])), source, sink))


def _engine(sources: Mapping[str, str]) -> Engine:
    engine = Engine(sources, read_value)
    for name in _DEFAULTS:
        with suppress(Exception):
            engine.compile_file(f"{name}.j2")
    gc.collect()
    gc.freeze()
    return engine


def _nursery(engine: Engine, source: int, sink: int) -> int:
    """Fork a child, and another one whenever it dies of a field; return the exit status."""
    mark, first = _Mark(), b""
    while True:
        child = os.fork()
        if child == 0:
            _child(engine, source, sink, mark, first)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return 0
        at, number, field = mark.get()
        if at != _At.RENDERING:
            # Half a frame may be in the pipe; or nobody asked, and the answer would be taken for one to the next batch:
            # only a new pipe helps.
            return 1
        first = _answer(Lost(number, field, _because(status)))


def _because(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return "it brought the worker down"
    match os.WTERMSIG(status):
        case signal.SIGALRM:
            return f"it took longer than {WALL} s"
        case signal.SIGXCPU:
            return "it took too much processor time"
        case signal.SIGKILL:
            return "its worker was killed, perhaps for want of memory"
        case number:
            return f"it crashed the worker (signal {number})"


def _child(engine: Engine, source: int, sink: int, mark: _Mark, first: bytes) -> None:
    try:
        _serve(engine, source, sink, mark, first)
    except BaseException:
        os._exit(1)
    os._exit(0)


def _serve(engine: Engine, source: int, sink: int, mark: _Mark, first: bytes) -> None:
    mark.set(_At.TALKING)
    write_all(sink, first or _answer(Ready()))
    mark.set(_At.IDLE)
    while (frame := read_frame(source)) is not None:
        mark.set(_At.TALKING)
        batch = msgspec.msgpack.decode(frame, type=Batch)
        _limit_processor(len(batch.jobs))
        _work(engine, batch, sink, mark)
        mark.set(_At.IDLE)


def _limit_processor(jobs: int) -> None:
    # The limit counts from the birth of the process, so it moves on with each batch; no single field gets near it.
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 10 + 2 * jobs
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


def _work(engine: Engine, batch: Batch, sink: int, mark: _Mark) -> None:
    waiting, size, flushed = [], 0, time.monotonic()
    for job in batch.jobs:
        answer = _answer(_done(engine, job, batch.texts[job.texts], mark))
        waiting.append(answer)
        size += len(answer)
        if size > FLUSH or time.monotonic() - flushed > FLUSH_AFTER:
            _flush(waiting, sink, mark)
            waiting, size, flushed = [], 0, time.monotonic()
    _flush(waiting, sink, mark)


def _done(engine: Engine, job: Job, texts: Texts, mark: _Mark) -> Done:
    end = time.monotonic() + PAGE_WALL

    def watch(field: str) -> None:
        if field != "event" and time.monotonic() > end:
            raise TooMuch(f"the templates of this page took longer than {PAGE_WALL:g} s")
        mark.set(_At.RENDERING, job.number, field)
        signal.setitimer(signal.ITIMER_REAL, WALL)

    watch("event")
    return Done(job.number, render(job.view, texts, engine, skip=job.skip, watch=watch))


def _flush(answers: list[bytes], sink: int, mark: _Mark) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)  # a slow reader is no fault of a template
    mark.set(_At.TALKING)
    write_all(sink, b"".join(answers))


_ENCODER = msgspec.msgpack.Encoder()


def _answer(message: Message) -> bytes:
    return framed(_ENCODER.encode(message))


if __name__ == "__main__":
    main()
