"""Doubts: what loads, but cannot be meant. Asked by `config check` alone, since some of it takes its time."""

from relay.alert import Instant
from relay.config.doubts.inhibition import doubt_inhibition
from relay.config.doubts.look import Look, Traffic
from relay.config.doubts.receivers import doubt_receivers
from relay.config.doubts.routes import doubt_routes
from relay.config.doubts.severities import doubt_severities
from relay.config.doubts.sources import doubt_sources
from relay.config.doubts.times import doubt_times
from relay.config.doubts.traffic import doubt_traffic
from relay.config.load import Examined
from relay.errors import Problem

__all__ = ["RULES", "Look", "Traffic", "doubted"]

RULES = {
    "route-unreachable": "A route that earlier siblings leave nothing for.",
    "route-contradiction": "A route whose matchers no alert can satisfy together.",
    "route-duplicate": "A route that says again what the one before it says.",
    "severity-no-default": "A severity map that does not say what every other value means.",
    "receiver-unused": "A receiver that nothing names.",
    "interval-unused": "A time interval that nothing names.",
    "interval-never": "A time interval, or an entry of one, that no instant lies in.",
    "interval-always": "A time interval that every instant lies in.",
    "month-range": "A month that no year has.",
    "year-range": "A year that cannot be meant.",
    "inhibit-contradiction": "An inhibit rule with a side that no alert can be on.",
    "inhibit-apart": "An inhibit rule whose two sides never agree in a label of equal.",
    "inhibit-itself": "An inhibit rule with the same alerts on both sides, of which none inhibits another.",
    "inhibit-everything": "An inhibit rule without matchers on one side.",
    "equal-unknown": "A label of equal that no recorded alert has.",
    "equality-unknown": "A matcher that no recorded alert satisfies.",
    "stale-too-short": "Alerts count as stale before their Alertmanager speaks of them again.",
    "template-fails": "A template that fails on sample data.",
}
"""By the name that each has in reports: what it is about."""


def doubted(examined: Examined, now: Instant, traffic: Traffic | None = None) -> tuple[Problem, ...]:
    """Say everything that can be said of a file, doubts among it, in the order of the file.

    Of a file with errors the parts are doubted that have none. `traffic` is what was recorded of alerts.
    """
    if examined.config is None or examined.built is None or examined.notes is None:
        return examined.problems
    look = Look(examined.config, examined.built, examined.notes, now, traffic)
    for doubt in (
        doubt_routes,
        doubt_severities,
        doubt_receivers,
        doubt_times,
        doubt_inhibition,
        doubt_sources,
        doubt_traffic,
    ):
        doubt(look)
    return examined.notes.found
