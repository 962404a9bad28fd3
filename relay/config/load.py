"""Load the routing YAML: read the file and all it names, and answer with a RuleSet or with everything that is wrong."""

import glob
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relay.config import schema, yaml
from relay.config.build import build, rule_set
from relay.config.problems import Problems, problem_of
from relay.config.routes import Timers
from relay.config.shape import shaped
from relay.config.texts import TextCheck
from relay.errors import BadConfig, Problem
from relay.rules.ruleset import Route, RuleSet
from relay.secret import Key

MAX_TEMPLATE_BYTES = 1_000_000
_OURS = Timers()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be served."""

    rules: RuleSet
    keys: Mapping[str, Key]
    """By key id: the current key of every integration, and the previous ones that the file names."""
    template_files: tuple[Path, ...]
    warnings: tuple[Problem, ...]
    text: bytes = field(repr=False)
    """The file as it was read; it may hold routing keys."""


@dataclass(frozen=True, slots=True)
class Examined:
    """Everything that can be said of a file, whether it loads or not."""

    loaded: Loaded | None
    problems: tuple[Problem, ...]
    """Errors and warnings in the order of the file."""
    root: Route | None
    """The routing tree, if there is nothing wrong with that part of the file."""
    config: schema.Config | None = field(repr=False)
    text: bytes = field(repr=False)


def load(path: Path, environ: Mapping[str, str], *, timers: Timers = _OURS) -> Loaded:
    """Load a file; `timers` are for a root route that sets none. Raises BadConfig with every problem in it."""
    examined = examine(path, environ, timers=timers)
    if examined.loaded is None:
        raise BadConfig(examined.problems)
    return examined.loaded


def examine(path: Path, environ: Mapping[str, str], *, timers: Timers = _OURS) -> Examined:
    """Read a file as far as it can be read; never raises for what stands in it."""
    try:
        text = _read(path)
        root, faults = yaml.read(_decoded(text))
    except _Unreadable as error:
        return Examined(None, (Problem(str(path), error.line, error.column, "", str(error)),), None, None, error.text)
    except yaml.BadYaml as error:
        return Examined(None, tuple(problem_of(str(path), bad) for bad in error.faults), None, None, text)
    problems = Problems(str(path), root)
    for bad in faults:
        problems.fault(bad)
    return _examined(path, text, yaml.plain(root), problems, environ, timers)


def _examined(
    path: Path, text: bytes, data: object, problems: Problems, environ: Mapping[str, str], timers: Timers
) -> Examined:
    if data is None:
        problems.error((), "no route provided in config: the file is empty")
    config = shaped(data, problems) if data is not None else None
    if config is None:
        return Examined(None, problems.found, None, None, text)
    templates, texts = _templates(config.templates, path.parent, problems)
    built = build(config, path.parent, environ, timers, texts, problems)
    root = None if problems.failed(("route",)) else built.root
    if problems.failed(()):
        return Examined(None, problems.found, root, config, text)
    loaded = Loaded(rule_set(built, text), built.cast.keys, templates, problems.found, text)
    return Examined(loaded, problems.found, root, config, text)


class _Unreadable(Exception):
    """The file cannot even be looked at."""

    def __init__(self, message: str, text: bytes = b"", line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.text = text
        self.line = line
        self.column = column


def _read(path: Path) -> bytes:
    try:
        if path.is_fifo():
            raise _Unreadable("this is a pipe, which cannot be read again at a reload: write it to a file")
        with path.open("rb") as file:
            text = file.read(yaml.MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _Unreadable(f"cannot read the file: {getattr(error, 'strerror', None) or error}") from None
    if len(text) > yaml.MAX_BYTES:
        raise _Unreadable(f"larger than {yaml.MAX_BYTES // 1024 // 1024} MiB, which no routing tree is")
    return text


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        message = f"not UTF-8: the byte 0x{text[error.start]:02x}; save the file as UTF-8"
        raise _Unreadable(message, text, line, column) from None


def _templates(patterns: list[str], directory: Path, problems: Problems) -> tuple[tuple[Path, ...], TextCheck]:
    """Resolve the globs, relative to the configuration, and check each file once."""
    places: dict[Path, yaml.Path] = {}
    for index, pattern in enumerate(patterns):
        names = [] if "\0" in pattern else sorted(glob.glob(str(Path(glob.escape(str(directory))) / pattern)))
        if not names:
            message = f"no file matches {pattern}: relative names begin at {directory}"
            problems.warn(("templates", index), message)
        for name in names:
            places.setdefault(Path(name), ("templates", index))
    sources = {file: _source(file, place, problems) for file, place in places.items() if file.is_file()}
    readable = {file: text for file, text in sources.items() if text is not None}
    texts = TextCheck({file.name: text for file, text in readable.items()})
    for file, source in readable.items():
        if fault := texts.file_fault(file.name, source):
            problems.error(places[file], f"{file}: {fault}")
    return tuple(sources), texts


def _source(file: Path, place: yaml.Path, problems: Problems) -> str | None:
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_TEMPLATE_BYTES + 1)
        if len(text) <= MAX_TEMPLATE_BYTES:
            return text.decode()
        why = f"larger than {MAX_TEMPLATE_BYTES:,} bytes"
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        why = "not UTF-8"
    problems.error(place, f"{file}: {why}")
    return None
