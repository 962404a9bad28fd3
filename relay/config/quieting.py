"""Checks that what an acknowledgement is to bring about can come about: `on_acknowledge: silence`."""

from relay.config import schema
from relay.config.problems import Problems
from relay.config.yaml import Path


def check_quieting(
    route: schema.Route, config: schema.Config, problems: Problems, path: Path = ("route",), *, webhooks: bool
) -> None:
    """Warn of routes that silence alerts in an Alertmanager nobody named, or when somebody acknowledges unheard."""
    if route.on_acknowledge == "silence" and not problems.gone(("sources",)):
        here, untold = (*path, "on_acknowledge"), [one.name for one in config.sources if not one.alertmanager_url]
        if not webhooks:
            needs = "set pagerduty.webhook_secret_files, since PagerDuty's webhooks say who has acknowledged a page"
            problems.warn(here, f"nothing is silenced: {needs}", rule="no-effect")
        elif len(untold) == len(config.sources):
            problems.warn(here, "nothing is silenced: no source names its alertmanager_url", rule="no-effect")
        elif untold:
            names = ", ".join(untold)
            message = f"alerts of these sources are not silenced, they name no alertmanager_url: {names}"
            problems.warn(here, message, rule="no-effect")
    for index, child in enumerate(route.routes):
        check_quieting(child, config, problems, (*path, "routes", index), webhooks=webhooks)
