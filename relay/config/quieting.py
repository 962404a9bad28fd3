"""Checks that what an acknowledgement is to bring about can come about: `on_acknowledge: silence`."""

from relay.config import schema
from relay.config.problems import Problems
from relay.config.yaml import Path


def check_quieting(
    route: schema.Route, config: schema.Config, problems: Problems, path: Path = ("route",), *, webhooks: bool
) -> None:
    """Warn of routes that silence alerts in an Alertmanager nobody named, or when somebody acknowledges unheard."""
    if route.on_acknowledge == "silence" and not problems.gone(("sources",)):
        here, untold = (*path, "on_acknowledge"), [one.name for one in config.sources if _has_untold(one)]
        if not webhooks:
            needs = "set pagerduty.webhook_secret_files, since PagerDuty's webhooks say who has acknowledged a page"
            problems.warn(here, f"nothing is silenced: {needs}", rule="no-effect")
        elif not any(one.alertmanager_url for one in config.sources):
            problems.warn(here, "nothing is silenced: no source names its alertmanager_url", rule="no-effect")
        elif untold:
            names = ", ".join(untold)
            message = f"alerts of these sources are not silenced, they name no alertmanager_url: {names}"
            problems.warn(here, message, rule="no-effect")
    for index, child in enumerate(route.routes):
        check_quieting(child, config, problems, (*path, "routes", index), webhooks=webhooks)


def _has_untold(source: schema.Source) -> bool:
    """Whether there may be an Alertmanager that a source does not name; behind virtual keys there need not be one."""
    return not (source.alertmanager_url or source.routing_keys or source.routing_key_files)
