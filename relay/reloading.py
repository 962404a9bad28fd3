"""The configuration in force: put into every room at once, read again when told to, or when a secret changes."""

import asyncio
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relay.alert import Instant
from relay.answers.words import pages
from relay.bell import Bell
from relay.binding import Bound, KeyRing, bind
from relay.config import Loaded
from relay.errors import BadConfig, Problem, StoreError
from relay.filing import Filed, FilingRoom
from relay.house import House
from relay.logs import Log
from relay.metrics import Metrics
from relay.rendering import read_sources
from relay.secret import Secret
from relay.store import SqliteStore

SECRETS_EVERY = 5.0
"""Seconds between two looks at the files that hold secrets."""


class Reloading:
    """Knows which configuration counts. One that cannot be used, or not be kept, leaves the one of before in force."""

    def __init__(
        self,
        files: FilingRoom,
        file: Path,
        keys: KeyRing,
        bell: Bell,
        *,
        fault: Callable[[Loaded], str],
        clock: Callable[[], Instant],
        metrics: Metrics,
        log: Log,
    ) -> None:
        """`file` is the routing file, to be named in problems; `fault` says what else keeps a configuration from
        being used, "" if nothing does."""
        self.filed: Filed | None = None
        """What is in force; None before the house is open."""
        self._files = files
        self._file = file
        self._keys = keys
        self._bell = bell
        self._fault = fault
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._house: House | None = None
        self._reloading = asyncio.Lock()

    # At the start

    async def start(self) -> Filed:
        """Read the file, or the last good copy of it, and say loudly where it is that. Raises BadConfig."""
        filed = await asyncio.to_thread(self._files.start)
        if not filed.instead_of:
            return filed
        for problem in filed.instead_of:
            print(problem, file=sys.stderr)  # noqa: T201 - for the person who started it
            self._log.error("configuration not loaded", problem=str(problem))
        errors = [problem for problem in filed.instead_of if not problem.warning]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        because = f"it runs on the last good configuration, since the file does not load: {errors[0]}{more}"
        self._bell.ring("config_last_good", because)
        return filed

    async def bind(self, filed: Filed, store: SqliteStore) -> Bound:
        """Bind a configuration to the store, hide its secrets and tell its warnings. Raises StoreError."""
        in_force = None if self._house is None else self._house.intake.book.rules
        bound = await bind(filed, store, self._keys.keys, self._bell.keys, in_force)
        self._log.hide(secret.reveal() for secret in (*_secrets(filed), *_routing_keys(bound)))
        rules = bound.book.rules
        self._metrics.initialise((one.name for one in rules.integrations.values()), rules.sources)
        for warning in (*filed.loaded.warnings, *filed.warnings):
            self._log.warning("configuration", problem=str(warning))
        if bound.staying:
            what = "open pages stay on routing keys that the file does not name any more"
            self._log.warning(what, pages=bound.staying)
        if bound.gone:
            self._log.warning("open pages whose routing key is not at hand", pages=bound.gone)
        return bound

    async def begin(self, house: House, filed: Filed, bound: Bound) -> None:
        """Take the configuration for the one in force that the house was opened with."""
        house.rekeyed(bound.rekeyed)
        await self._now_in_force(filed, house)
        if not filed.instead_of:
            self._bell.quiet("config_last_good")
        fingerprint = bound.book.rules.fingerprint
        self._metrics.reloaded(ok=not filed.instead_of, at=self._clock(), fingerprint=fingerprint)
        self._house = house

    # Again

    async def reload(self) -> tuple[Problem, ...]:
        """Read the configuration again; on any error the old one stays.

        Returns the errors; or, where it was read, warnings about pages that are open.
        """
        async with self._reloading:
            if self._house is None:
                return (self._problem("the relay is still starting; try again"),)
            try:
                filed = await asyncio.to_thread(self._files.read)
                if why := self._fault(filed.loaded):
                    self._files.forget()
                    return self._not_reloaded((self._problem(why, "sources"),))
                bound = await self._adopt(filed, self._house)
            except BadConfig as bad:
                return self._not_reloaded(bad.problems)
            except StoreError as error:
                self._files.forget()
                return self._not_reloaded((self._problem(str(error)),))
            fingerprint = bound.book.rules.fingerprint
            self._metrics.reloaded(ok=True, at=self._clock(), fingerprint=fingerprint)
            self._log.info("configuration reloaded", fingerprint=fingerprint)
            self._bell.quiet("config_last_good")
            return self._warnings(bound)

    async def watch_secrets(self) -> None:
        """Read the secrets again whenever one of their files is another one. Never ends."""
        while True:
            await asyncio.sleep(SECRETS_EVERY)
            try:
                async with self._reloading:
                    changed = await asyncio.to_thread(self._files.changed)
                    if changed and self.filed is not None and self._house is not None:
                        await self._take_secrets(self.filed, self._house)
            except Exception:  # whatever it is: pages must go on, with the secrets of before
                self._log.error("reading secrets again failed, it tries again", error=traceback.format_exc())

    async def _take_secrets(self, before: Filed, house: House) -> None:
        filed = await asyncio.to_thread(self._files.read_secrets, before)
        for why in filed.stale:
            self._log.error("a secret cannot be read, what it was before stays in use", problem=why)
        if filed.loaded.secrets == before.loaded.secrets:
            await self._now_in_force(filed, house)
            return
        try:
            bound = await self._adopt(filed, house)
        except StoreError as error:
            self._log.error("secrets that changed are not in use yet, it tries again", error=str(error))
            self._files.forget()
            return
        self._log.info("secrets read again", pages_on_older_keys=bound.staying)

    async def _adopt(self, filed: Filed, house: House) -> Bound:
        """Put a configuration in force, in every room at once. Raises StoreError, and then the old one stays."""
        bound = await self.bind(filed, house.store)
        await house.renderer.reload(template_sources(filed.loaded))
        self._keys.replace(bound.keys)
        self._bell.book = bound.book
        await house.adopt(bound.book)
        house.rekeyed(bound.rekeyed)
        await self._now_in_force(filed, house)
        return bound

    async def _now_in_force(self, filed: Filed, house: House) -> None:
        """Take over what a configuration says beside its rules, and keep a copy of it for a start that needs one."""
        self.filed = filed
        house.pulse.reloaded(filed.loaded.heartbeat_url)
        self._metrics.secrets_unreadable(len(filed.stale))
        self._bell.ring_while("secrets_unreadable", _unreadable(filed.stale))
        try:
            await asyncio.to_thread(self._files.keep, filed)
        except OSError as error:
            self._log.error("the last good configuration cannot be kept", error=str(error))

    # What is said of it

    def _not_reloaded(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        self._metrics.reloaded(ok=False, at=self._clock())
        for problem in problems:
            self._log.error("configuration not reloaded", problem=str(problem))
        return problems

    def _warnings(self, bound: Bound) -> tuple[Problem, ...]:
        """Say what a reload means for the pages that are open."""
        told = []
        if bound.staying:
            told.append(
                f"{pages(bound.staying)} open on a routing key that the file does not name any more: they stay there, "
                "and the key is kept until they are closed; to survive a restart it must stand in "
                "previous_routing_key_files of their receiver"
            )
        if bound.gone:
            told.append(
                f"{pages(bound.gone)} open that cannot be resolved: the routing key they were sent with is not at "
                "hand; name it in previous_routing_key_files of their receiver until they are closed"
            )
        return tuple(self._problem(what, warning=True) for what in told)

    def _problem(self, message: str, path: str = "", *, warning: bool = False) -> Problem:
        return Problem(str(self._file), 1, 1, path, message, warning=warning)


def template_sources(loaded: Loaded) -> Mapping[str, str]:
    """Put the user's templates in the places of the defaults; raises BadConfig where those cannot be read."""
    return {**read_sources(), **{file.name: text for file, text in loaded.templates.items()}}


def _secrets(filed: Filed) -> tuple[Secret, ...]:
    """List what must never be logged, beside routing keys."""
    operators = filed.operators.secrets if filed.operators is not None else ()
    pulse = filed.loaded.heartbeat_url
    shown = [password for held in filed.loaded.credentials.values() for _, password in held.users]
    virtual = [one.key for one in filed.loaded.virtual_keys]
    account = filed.loaded.account
    single = [one for one in (pulse, account.api_token) if one is not None]
    return (*filed.loaded.secrets.values(), *operators, *shown, *virtual, *account.webhook_secrets, *single)


def _routing_keys(bound: Bound) -> list[Secret]:
    return [key.routing_key for key in bound.keys.values()]


def _unreadable(stale: Sequence[str]) -> str:
    if not stale:
        return ""
    count = "a secret cannot" if len(stale) == 1 else f"{len(stale)} secrets cannot"
    return f"{count} be read, what they were before stays in use: {stale[0]}"
