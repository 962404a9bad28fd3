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

__all__ = ["Look", "Traffic", "doubted"]


_NOTHING_TO_SAY = frozenset({"yaml", "no-route"})
"""Errors after which most doubts would only follow from them."""


def doubted(examined: Examined, now: Instant, traffic: Traffic | None = None) -> tuple[Problem, ...]:
    """Say everything that can be said of a file, doubts among it, in the order of the file.

    Of a file with errors the parts are doubted that have none. `traffic` is what was recorded of alerts.
    """
    if examined.config is None or examined.built is None or examined.notes is None:
        return examined.problems
    if any(problem.rule in _NOTHING_TO_SAY for problem in examined.problems):
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
