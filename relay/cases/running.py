"""Runs case files: each case on an engine and a store of its own, several at once."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from relay.cases.case import Case, CaseFile
from relay.cases.checking import Failure
from relay.cases.coverage import Coverage
from relay.cases.engine import open_engine
from relay.cases.player import play
from relay.cases.routing_file import load_for
from relay.config import Loaded
from relay.errors import RelayError
from relay.metrics import Metrics
from relay.rendering import Renderer, read_sources

AT_ONCE = 6
"""Cases that are played at once: mostly they wait for their stores."""
_MEMORY = "/dev/shm"  # noqa: S108
_ROOM = 256 << 20
"""Bytes that must be free there."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one case."""

    file: Path
    case: Case
    failures: tuple[Failure, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all of it was as it says."""
        return not self.failures


@dataclass(frozen=True, slots=True)
class Report:
    """What came of all cases."""

    results: tuple[Result, ...]
    covered: tuple[Coverage, ...]
    """One for each routing file."""
    seconds: float


async def run(
    files: Sequence[CaseFile],
    environ: Mapping[str, str],
    *,
    wanted: Callable[[Case], bool] = lambda _: True,
    done: Callable[[Result], None] = lambda _: None,
) -> Report:
    """Run the wanted cases of files; `done` is told of each as it ends. Raises BadConfig for a routing file."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        runner = _Runner(environ, stack)
        some = [(file, runner.load(file), [case for case in file.cases if wanted(case)]) for file in files]
        waiting = [runner.run(file, loaded, case, done) for file, loaded, cases in some for case in cases]
        results = await asyncio.gather(*waiting)
    return Report(tuple(results), tuple(runner.covered.values()), time.monotonic() - began)


class _Runner:
    """Holds what cases share: routing files, template workers, places at work."""

    def __init__(self, environ: Mapping[str, str], stack: AsyncExitStack) -> None:
        self.covered: dict[Path, Coverage] = {}
        self._environ = environ
        self._stack = stack
        self._loaded: dict[Path, Loaded] = {}
        self._renderers: dict[tuple[tuple[str, str], ...], Renderer] = {}
        self._metrics = Metrics("test")
        self._places = asyncio.Semaphore(AT_ONCE)

    def load(self, file: CaseFile) -> Loaded:
        """Load the routing file of some cases, once. Raises BadConfig."""
        name = file.config.resolve()
        if name not in self._loaded:
            self._loaded[name] = loaded = load_for(file, self._environ)
            self.covered[name] = Coverage(file.config, loaded.rules)
        return self._loaded[name]

    async def run(self, file: CaseFile, loaded: Loaded, case: Case, done: Callable[[Result], None]) -> Result:
        """Run one case."""
        async with self._places:
            began = time.monotonic()
            failures = await self._played(case, loaded, self.covered[file.config.resolve()])
            result = Result(file.path, case, tuple(failures), time.monotonic() - began)
        done(result)
        return result

    async def _played(self, case: Case, loaded: Loaded, coverage: Coverage) -> list[Failure]:
        sources = loaded.rules.sources
        if case.source and sources and case.source not in sources:
            named = f"one of the sources of {coverage.file}: {', '.join(sources)}"
            return [Failure(case.line, 1, 0, "source", named, case.source)]
        renderer = await self._renderer(loaded)
        with tempfile.TemporaryDirectory(prefix="pagerelay-test-", dir=_quick_place()) as directory:
            try:
                async with open_engine(Path(directory), loaded, renderer, self._metrics, case.start) as engine:
                    return await play(case, engine, coverage.hits)
            except RelayError as error:
                return [Failure(case.line, 1, 0, "the case", "it can be played", str(error))]

    async def _renderer(self, loaded: Loaded) -> Renderer:
        """Find the template worker for the template files of a routing file."""
        sources = read_sources(loaded.template_files)
        key = tuple(sorted(sources.items()))
        if key not in self._renderers:
            self._renderers[key] = renderer = Renderer(sources)
            self._stack.push_async_callback(renderer.close)
            await renderer.start()
        return self._renderers[key]


def _quick_place() -> str | None:
    """Name a directory in memory, if there is one with room: a store waits for the disk at every commit."""
    try:
        free = os.statvfs(_MEMORY)
    except OSError:
        return None
    roomy = free.f_bavail * free.f_frsize > _ROOM and os.access(_MEMORY, os.W_OK | os.X_OK)
    return _MEMORY if roomy else None
