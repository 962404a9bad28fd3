"""Load the routing YAML: read the file and all it names, and answer with a RuleSet or with everything that is wrong."""

import glob
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relay.config import schema, yaml
from relay.config.account import NO_SECRETS, AccountSecrets
from relay.config.build import Built, build, rule_set
from relay.config.problems import Problems, problem_of
from relay.config.reading import Unreadable, decoded, read_file
from relay.config.routes import Timers
from relay.config.secrets import SecretReader, Stamp
from relay.config.senders import Credentials
from relay.config.shape import shaped
from relay.config.texts import TextCheck
from relay.config.virtual_keys import VirtualKey
from relay.errors import BadConfig, Problem
from relay.rules.ruleset import Route, RuleSet
from relay.secret import Key, Secret

MAX_TEMPLATE_BYTES = 1_000_000
_OURS = Timers()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be served."""

    rules: RuleSet
    keys: Mapping[str, Key]
    """By key id: the current key of every integration, and the previous ones that the file names."""
    templates: Mapping[Path, str] = field(repr=False)
    """The user's template files, as they were read."""
    warnings: tuple[Problem, ...]
    text: bytes = field(repr=False)
    """The file as it was read; it may hold routing keys."""
    secrets: Mapping[Path, Secret] = field(default_factory=dict)
    """What the files that it names as secrets hold; where one cannot be used, what it held before."""
    stamps: Mapping[Path, Stamp | None] = field(default_factory=dict)
    """Those files as they were when they were read; None: it was not there."""
    stale: tuple[str, ...] = ()
    """Which of those files cannot be used now, and why."""
    heartbeat_url: Secret | None = None
    """What is told each minute that the relay is alive."""
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    """By name, what those sources show that must show something."""
    account: AccountSecrets = NO_SECRETS
    """What PagerDuty's webhooks are signed with, and the token of its REST API."""
    virtual_keys: tuple[VirtualKey, ...] = ()
    """The routing keys that sources may send Events API events with, in place of a real one."""

    @property
    def template_files(self) -> tuple[Path, ...]:
        """The user's template files, in order."""
        return tuple(self.templates)

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """Every file that is read as a secret."""
        return tuple(self.stamps)


@dataclass(frozen=True, slots=True)
class Before:
    """A configuration that was loaded once, to be loaded again with secrets that have changed since."""

    text: bytes = field(repr=False)
    templates: Mapping[Path, str] | None = field(default=None, repr=False)
    """Taken in place of the files; None: the files are read."""
    secrets: Mapping[Path, Secret] = field(default_factory=dict)
    """What stands in for a secret's file that cannot be used."""


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
    built: Built | None = field(default=None, repr=False)
    """What could be made of it, though it may not load."""
    notes: Problems | None = field(default=None, repr=False)
    """Where everything stands in it."""
    templates: Mapping[Path, str] = field(default_factory=dict, repr=False)
    """The user's template files, as far as they can be read."""


def load(
    path: Path,
    environ: Mapping[str, str],
    *,
    timers: Timers = _OURS,
    before: Before | None = None,
    stand_ins: bool = False,
) -> Loaded:
    """Load a file; `timers` are for a root route that sets none. Raises BadConfig with every problem in it.

    With `before` it is that text, as if it stood at `path`: relative names begin there. With `stand_ins` a secret that
    is not at hand is a warning, and something made up stands in for it: for those who ask, and send nothing.
    """
    examined = examine(path, environ, timers=timers, before=before, stand_ins=stand_ins)
    if examined.loaded is None:
        raise BadConfig(examined.problems)
    return examined.loaded


def examine(
    path: Path,
    environ: Mapping[str, str],
    *,
    timers: Timers = _OURS,
    before: Before | None = None,
    stand_ins: bool = False,
) -> Examined:
    """Read a file as far as it can be read; never raises for what stands in it."""
    try:
        text = read_file(path) if before is None else before.text
        root, faults = yaml.read(decoded(text))
    except Unreadable as error:
        return Examined(None, (Problem(str(path), error.line, error.column, "", str(error)),), None, None, error.text)
    except yaml.BadYaml as error:
        return Examined(None, tuple(problem_of(str(path), bad) for bad in error.faults), None, None, text)
    problems = Problems(str(path), root)
    for bad in faults:
        problems.fault(bad)
    return _examined(path, text, yaml.plain(root), problems, environ, timers, before, stand_ins)


def _examined(
    path: Path,
    text: bytes,
    data: object,
    problems: Problems,
    environ: Mapping[str, str],
    timers: Timers,
    before: Before | None,
    stand_ins: bool,
) -> Examined:
    if data is None:
        problems.error((), "no route provided in config: the file is empty", rule="no-route")
    config = shaped(data, problems) if data is not None else None
    if config is None:
        return Examined(None, problems.found, None, None, text)
    if before is None or before.templates is None:
        templates, texts = _templates(config.templates, path.parent, problems)
    else:
        templates, texts = before.templates, _text_check(before.templates)
    last_good = before.secrets if before is not None else {}
    secrets = SecretReader(path.parent, environ, problems, last_good, stand_ins=stand_ins)
    built = build(config, path.parent, environ, timers, texts, problems, secrets)
    root = None if problems.failed(("route",)) else built.root
    if problems.failed(()):
        return Examined(None, problems.found, root, config, text, built, problems, templates)
    loaded = Loaded(
        rule_set(built, text),
        built.cast.keys,
        templates,
        problems.found,
        text,
        secrets.good,
        secrets.stamps,
        tuple(secrets.stale),
        built.heartbeat_url,
        built.credentials,
        built.account_secrets,
        built.virtual_keys,
    )
    return Examined(loaded, problems.found, root, config, text, built, problems, templates)


def _templates(patterns: list[str], directory: Path, problems: Problems) -> tuple[Mapping[Path, str], TextCheck]:
    """Resolve the globs, relative to the configuration, and check each file once."""
    places: dict[Path, yaml.Path] = {}
    for index, pattern in enumerate(patterns):
        names = [] if "\0" in pattern else sorted(glob.glob(str(Path(glob.escape(str(directory))) / pattern)))
        if not names:
            message = f"no file matches {pattern}: relative names begin at {directory}"
            problems.warn(("templates", index), message, rule="no-template-file")
        for name in names:
            places.setdefault(Path(name), ("templates", index))
    sources = {file: _source(file, place, problems) for file, place in places.items() if file.is_file()}
    readable = {file: text for file, text in sources.items() if text is not None}
    texts = _text_check(readable)
    for file, source in readable.items():
        if fault := texts.file_fault(file.name, source):
            problems.error(places[file], f"{file}: {fault}", rule="template")
    return readable, texts


def _text_check(templates: Mapping[Path, str]) -> TextCheck:
    return TextCheck({file.name: text for file, text in templates.items()})


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
