"""The web configuration that counts: read at the start, and again whenever one of its files changes."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from relay.config.web import WebConfig, read_web, stamps
from relay.errors import BadConfig, Problem
from relay.logs import Log

EVERY = 2.0
"""Seconds between two looks at the files."""
REASON = "web_config"


class WebFile:
    """Holds what the file of --web.config.file says. A file that cannot be used leaves what was read before."""

    def __init__(
        self,
        path: Path | None,
        *,
        log: Log,
        ring: Callable[[str, str], None],
        quiet: Callable[[str], None],
        fault: Callable[[WebConfig], str] = lambda config: "",
    ) -> None:
        """`fault` says what else keeps a configuration from being used; "" if nothing does."""
        self.current = WebConfig()
        self._path = path
        self._log = log
        self._ring = ring
        self._quiet = quiet
        self._fault = fault
        self._seen: tuple[tuple[int, int, int], ...] = ()

    async def open(self) -> None:
        """Read the file for the first time. Raises BadConfig with every problem in it."""
        if self._path is not None:
            self.current = await asyncio.to_thread(self._read, self._path)

    async def watch(self) -> None:
        """Read the file again whenever it changes. Never ends."""
        self._quiet(REASON)  # it was loaded at the start, whatever was said of it before
        while True:
            await asyncio.sleep(EVERY)
            await self.refresh()

    async def refresh(self) -> None:
        """Read the file again if it, or a file that it names, has changed."""
        if self._path is None or await asyncio.to_thread(self._look) == self._seen:
            return
        try:
            config = await asyncio.to_thread(self._read, self._path)
            self._check(config, self._path)
        except BadConfig as bad:
            for problem in bad.problems:
                self._log.error("web configuration not read again", problem=str(problem))
            first = next((one for one in bad.problems if not one.warning), bad.problems[0])
            self._ring(REASON, f"the web configuration cannot be used, the one before stays in force: {first}")
            return
        self.current = config
        self._quiet(REASON)
        self._log.info("web configuration read again", users=len(config.users), tls=config.tls is not None)

    def _check(self, config: WebConfig, path: Path) -> None:
        why = self._fault(config)
        if (config.tls is None) != (self.current.tls is None):
            why = why or "TLS is turned on or off by a restart only: whoever connects must know which it is"
        if why:
            raise BadConfig((Problem(str(path), 1, 1, "", why),))

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        assert self._path is not None
        return stamps(self.current.files or (self._path,))

    def _read(self, path: Path) -> WebConfig:
        # The stamps are those from before: what changes while it is read is read once more.
        self._seen = self._look()
        config, warnings = read_web(path)
        self._log.hide(secret.reveal() for secret in config.users.values())
        for warning in warnings:
            self._log.warning("web configuration", problem=str(warning))
        if config.files != self.current.files:
            self._seen = stamps(config.files)
        return config
