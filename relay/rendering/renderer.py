"""The relay's side of the template worker: batches out, rendered pages back, and a fresh worker when one dies."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

import relay
from relay.decision import Step
from relay.event import Rendered
from relay.rendering.wire import HEAD, LARGEST_FRAME, Batch, Done, Job, Lost, Message, Ready, framed
from relay.rules.render import plain
from relay.rules.ruleset import Texts
from relay.rules.view import PageView

MOST_PAGES = 100
"""Pages in one round trip."""

MOST_BYTES = 4 << 20
"""Bytes of views in one round trip; a larger view travels alone."""

PATIENCE = 4.0
"""Seconds to wait for any answer; the worker's own bounds are far shorter."""

_MOST_LOSSES = 3
"""Fields of one page that may kill a worker before the page goes out plain."""

_STRIKES = 2
_REST = 60.0
_PAUSE = 1.0
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "PYTHONTZPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class WorkerLost(Exception):
    """The worker process cannot be talked to."""


class Renderer:
    """Render pages in a bounded process of its own; what cannot be rendered there goes out plain, never not at all."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Take the template files as `read_sources` gives them."""
        self._sources = dict(sources)
        self._worker: _Worker | None = None
        self._lock = asyncio.Lock()
        self._resting: dict[tuple[str, bytes], tuple[int, float]] = {}
        self._next_try = 0.0
        self.problem = ""
        """Why there is no worker; "" while there is one."""
        self.starts = 0
        """Worker processes started."""
        self.losses = 0
        """Times a worker died of a template or of itself."""

    @property
    def sources(self) -> Mapping[str, str]:
        """The template files in force, by file name."""
        return self._sources

    async def start(self) -> None:
        """Start the worker. Does not raise: where none can be started, pages go out plain and `problem` says why."""
        async with self._lock:
            await self._at_hand()

    async def render(self, jobs: Sequence[tuple[PageView, Texts]]) -> list[Rendered]:
        """Render the pages in one round trip or a few; one answer per job, in their order.

        Never raises for what a template does. A field that loops costs half a second and falls back by itself.
        """
        async with self._lock:
            rendered: dict[int, Rendered] = {}
            for trip in _trips(jobs):
                rendered.update(await self._trip(trip))
        return [rendered[number] for number in range(len(jobs))]

    async def reload(self, sources: Mapping[str, str]) -> None:
        """Go on with other template files; the worker that has the old ones ends when its batch is done."""
        async with self._lock:
            before, self._worker = self._worker, None
            self._sources = dict(sources)
            self._resting.clear()
            self._next_try = 0.0
            await self._at_hand()
            if before:
                await before.stop()

    async def close(self) -> None:
        """End the worker."""
        async with self._lock:
            before, self._worker = self._worker, None
            if before:
                await before.stop()

    async def _trip(self, trip: "_Trip") -> dict[int, Rendered]:
        lives = 2
        for number in list(trip.waiting):
            self._rest(trip, number)
        while trip.waiting and lives and (worker := await self._at_hand()):
            try:
                await self._round(worker, trip)
            except WorkerLost as error:
                lives -= 1
                await self._drop(str(error))
            except asyncio.CancelledError:
                # Its answers to this batch would be taken for those to the next.
                self._worker = None
                worker.abandon()
                raise
        for number in list(trip.waiting):
            trip.give_up(number, f"there is no template worker: {self.problem or 'it died twice'}")
        return trip.rendered

    async def _round(self, worker: "_Worker", trip: "_Trip") -> None:
        """Send what is waiting; take answers until all are there or a field has killed the worker."""
        await worker.send(trip.batch())
        while trip.waiting:
            match await worker.receive():
                case Done(number, rendered):
                    if not trip.asked(number, rendered):
                        raise WorkerLost("it answered what was not asked")
                    trip.done(number, rendered)
                case Lost(number, field, because):
                    self._lost(trip, number, field, because)
                    return
                case Ready():
                    raise WorkerLost("it started anew by itself")

    def _lost(self, trip: "_Trip", number: int, field: str, because: str) -> None:
        self.losses += 1
        if number not in trip.waiting:
            return
        trip.lost(number, field, because)
        name = (field, trip.texts_of(number))
        count, _ = self._resting.get(name, (0, 0.0))
        self._resting[name] = (count + 1, time.monotonic() + _REST)
        for other in list(trip.waiting):
            self._rest(trip, other)

    def _rest(self, trip: "_Trip", number: int) -> None:
        """Skip what killed a worker twice within a minute: a storm of such pages would stop all others."""
        if not self._resting:
            return
        now = time.monotonic()
        self._resting = {name: entry for name, entry in self._resting.items() if entry[1] > now}
        texts = trip.texts_of(number)
        for (field, whose), (count, _) in self._resting.items():
            if whose == texts and count >= _STRIKES:
                trip.skip(number, field, f"it broke its bounds {count} times in a minute and rests for one")

    async def _at_hand(self) -> "_Worker | None":
        if self._worker is None and time.monotonic() >= self._next_try:
            try:
                self._worker = await _Worker.start(self._sources)
                self.starts += 1
                self.problem = ""
            except (OSError, WorkerLost) as error:
                self.problem = str(error) or type(error).__name__
                self._next_try = time.monotonic() + _PAUSE
        return self._worker

    async def _drop(self, problem: str) -> None:
        before, self._worker = self._worker, None
        self.problem = problem
        self.losses += 1
        if before:
            await before.kill()


class _Trip:
    """One round trip's pages: what is waiting, what is rendered, and what must not be tried again."""

    def __init__(self, jobs: Mapping[int, tuple[PageView, Texts]]) -> None:
        self._jobs = jobs
        self._texts: dict[int, bytes] = {}
        self._losses: dict[int, int] = {}
        self.waiting: dict[int, dict[str, str]] = {number: {} for number in jobs}
        """By job: the fields to skip and why."""
        self.rendered: dict[int, Rendered] = {}

    def batch(self) -> Batch:
        texts: dict[int, Texts] = {}
        for number in self.waiting:
            texts.setdefault(id(self._jobs[number][1]), self._jobs[number][1])
        index = {name: place for place, name in enumerate(texts)}
        jobs = (
            Job(number, self._jobs[number][0], index[id(self._jobs[number][1])], skip)
            for number, skip in self.waiting.items()
        )
        return Batch(tuple(texts.values()), tuple(jobs))

    def texts_of(self, number: int) -> bytes:
        """Name a job's texts by what they say, so that a strike outlives a reload of equal texts."""
        texts = self._jobs[number][1]
        if id(texts) not in self._texts:
            self._texts[id(texts)] = msgspec.msgpack.encode(texts)
        return self._texts[id(texts)]

    def asked(self, number: int, rendered: Rendered) -> bool:
        """Say whether an answer is about one of these pages: one to another batch would page for something else."""
        job = self._jobs.get(number)
        return job is not None and job[0].dedup_key == rendered.event.dedup_key

    def done(self, number: int, rendered: Rendered) -> None:
        if self.waiting.pop(number, None) is not None:
            self.rendered[number] = rendered

    def skip(self, number: int, field: str, because: str) -> None:
        if field == "event":
            self.give_up(number, because)
        elif number in self.waiting:
            self.waiting[number].setdefault(field, because)

    def lost(self, number: int, field: str, because: str) -> None:
        self._losses[number] = self._losses.get(number, 0) + 1
        if self._losses[number] >= _MOST_LOSSES:
            self.give_up(number, f"template {field!r} failed ({because}), and {_MOST_LOSSES - 1} before it")
        else:
            self.skip(number, field, because)

    def give_up(self, number: int, because: str) -> None:
        """Let a page go out plain."""
        if self.waiting.pop(number, None) is not None:
            step = Step(by="template", because=f"The page went out plain: {because}.")
            event = plain(self._jobs[number][0], "its templates failed")
            self.rendered[number] = Rendered(event, (step,), ("event",))


def _trips(jobs: Sequence[tuple[PageView, Texts]]) -> Iterator[_Trip]:
    """Cut a batch into round trips that neither side has to wait long for."""
    chosen: dict[int, tuple[PageView, Texts]] = {}
    size = 0
    for number, (view, texts) in enumerate(jobs):
        weight = _weight(view)
        if chosen and (len(chosen) >= MOST_PAGES or size + weight > MOST_BYTES):
            yield _Trip(chosen)
            chosen, size = {}, 0
        chosen[number] = (view, texts)
        size += weight
    if chosen:
        yield _Trip(chosen)


def _weight(view: PageView) -> int:
    """Guess a view's bytes: exact enough, and far cheaper than to encode it twice."""
    return sum(
        200 + sum(map(len, member.labels.values())) + sum(map(len, member.annotations.values()))
        for member in view.members
    )


class _Worker:
    """One worker process and its pipes."""

    _decoder = msgspec.msgpack.Decoder(Message)
    _encoder = msgspec.msgpack.Encoder()

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._process, self._input, self._output = process, process.stdin, process.stdout

    @classmethod
    async def start(cls, sources: Mapping[str, str]) -> "_Worker":
        """Start a process and wait until it is ready. Raises OSError or WorkerLost."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the current directory is no place to import from
            "-m",
            "relay.rendering.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=_environment(),
            limit=1 << 20,
            start_new_session=True,  # Ctrl-C is for the relay: it still has pages to send
        )
        worker = cls(process)
        try:
            await worker._write(cls._encoder.encode(dict(sources)))
            first = await worker.receive()
        except BaseException:
            worker.abandon()
            raise
        if not isinstance(first, Ready):
            await worker.kill()
            raise WorkerLost(f"the template worker greeted with {type(first).__name__}")
        return worker

    async def send(self, batch: Batch) -> None:
        """Raises WorkerLost."""
        await self._write(self._encoder.encode(batch))

    async def receive(self) -> Message:
        """Take the next answer. Raises WorkerLost when there is none in time, at all, or that makes sense."""
        try:
            async with asyncio.timeout(PATIENCE):
                (length,) = HEAD.unpack(await self._output.readexactly(HEAD.size))
                if length > LARGEST_FRAME:
                    raise WorkerLost(f"the template worker sent a frame of {length} bytes")
                message: Message = self._decoder.decode(await self._output.readexactly(length))
                return message
        except TimeoutError:
            raise WorkerLost(f"the template worker was silent for {PATIENCE:g} s") from None
        except (asyncio.IncompleteReadError, OSError):
            raise WorkerLost("the template worker ended") from None
        except (msgspec.MsgspecError, RecursionError) as error:
            raise WorkerLost(f"the template worker made no sense: {error}") from None

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                self._input.write(framed(data))
                await self._input.drain()
        except (OSError, TimeoutError, RuntimeError):
            raise WorkerLost("the template worker takes no more work") from None

    async def stop(self) -> None:
        """End it by closing its input; kill it if it does not follow."""
        with suppress(OSError, RuntimeError):
            self._input.close()
        try:
            async with asyncio.timeout(1.0):
                await self._process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Kill nursery and child at once, and wait until they are gone."""
        self.abandon()
        await self._process.wait()

    def abandon(self) -> None:
        """Kill nursery and child, and wait for nothing."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(OSError, RuntimeError):
            self._input.close()


def _environment() -> dict[str, str]:
    # Routing keys may stand in the relay's environment; templates have no business there.
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    here = str(Path(relay.__file__).parent.parent)
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (here, kept.get("PYTHONPATH", ""))))}
