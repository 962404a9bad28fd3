"""The front of the house: which doors are opened where, what is behind each, and whether anybody at all may enter."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from relay.alert import Instant
from relay.bell import Bell
from relay.config import Loaded
from relay.config.web import WebConfig
from relay.errors import RelayError
from relay.house import House
from relay.logs import Log
from relay.metrics import Metrics
from relay.reloading import Reloading
from relay.secret import Secret
from relay.settings import Settings
from relay.web import NO_CREDENTIALS, NO_SOURCES, Doors, Entrance, Side, WebFile, exposed, oddities
from relay.web.routing_keys import RoutingKeys


class Front:
    """Opens the doors, first of all those of commands; they say "not ready" until the house behind them is open."""

    def __init__(self, settings: Settings, config: Reloading, bell: Bell, log: Log) -> None:
        self._settings = settings
        self._config = config
        self._bell = bell
        self._log = log
        self.web = WebFile(
            settings.web_config_file,
            log=log,
            ring=bell.ring,
            quiet=bell.quiet,
            fault=lambda web: self._exposed(config.filed.loaded, web) if config.filed else "",
        )

    def exposed(self, loaded: Loaded) -> str:
        """Say where it would listen for anybody at all, and what to do; "" where it does not, or was told to."""
        return self._exposed(loaded, self.web.current)

    async def open(self, loaded: Loaded, doors: Doors, stack: AsyncExitStack) -> list[str]:
        """Listen, and return the URLs, the first one for commands. Raises RelayError where anybody could enter."""
        if why := self.exposed(loaded):
            raise RelayError(why)
        listen, admin = self._settings.listen, self._settings.admin_listen
        for odd in oddities(admin or listen, self.web.current, loaded.credentials):
            self._log.warning("doors", problem=odd)
        entrance = Entrance(doors)
        stack.push_async_callback(entrance.close)
        urls = await entrance.open(admin, Side.ADMIN) if admin else []
        return urls + await entrance.open(listen, Side.SENDERS if admin else Side.ALL)

    def doors(
        self,
        house: Callable[[], House | None],
        *,
        not_ready: Callable[[], str | None],
        refresh_metrics: Callable[[], Awaitable[None]],
        own_pass: Secret,
        clock: Callable[[], Instant],
        metrics: Metrics,
    ) -> Doors:
        """Say which room is behind each door; `house` is None, and `not_ready` says why, until they are open."""
        config = self._config

        def ready() -> House | None:
            return house() if not_ready() is None else None

        def trouble() -> str | None:
            there = house()
            return not_ready() or (there.intake.trouble if there else None)

        return Doors(
            intake=lambda: there.intake if (there := ready()) else None,
            answers=lambda: there.answers if (there := house()) else None,
            not_ready=trouble,
            pages_anyway=lambda: ready() is not None,
            reload=config.reload,
            metrics=metrics,
            refresh_metrics=refresh_metrics,
            log=self._log,
            operators=lambda: config.filed.operators if config.filed else None,
            silencer=lambda: there.silencer if (there := house()) else None,
            alerts=lambda: there.alerts if (there := house()) else None,
            pausing=lambda: there.pausing if (there := house()) else None,
            letters=lambda: there.letters if (there := house()) else None,
            reconciling=lambda: there.reconciling if (there := ready()) else None,
            changes=lambda: there.changes if (there := house()) else None,
            returns=lambda: there.returns if (there := ready()) else None,
            webhook_secrets=lambda: config.filed.loaded.account.webhook_secrets if config.filed else None,
            limits=self._settings.limits,
            web=lambda: self.web.current,
            sources=lambda: config.filed.loaded.rules.sources if config.filed else NO_SOURCES,
            credentials=lambda: config.filed.loaded.credentials if config.filed else NO_CREDENTIALS,
            routing_keys=RoutingKeys(lambda: config.filed.loaded if config.filed else None).find,
            own_pass=own_pass,
            ring=self._bell.ring,
            quiet=self._bell.quiet,
            clock=clock,
        )

    def _exposed(self, loaded: Loaded, web: WebConfig) -> str:
        if self._settings.allow_unauthenticated:
            return ""
        admin = self._settings.admin_listen
        served = ((self._settings.listen, Side.SENDERS if admin else Side.ALL), (admin, Side.ADMIN))
        found = [exposed(where, side, web, loaded.rules.sources, loaded.credentials) for where, side in served]
        return "; ".join(why for why in found if why)
