"""Doubts about severity maps: what they leave unsaid."""

from relay.config.doubts.look import Look
from relay.rules.severity import fold


def doubt_severities(look: Look) -> None:
    """Warn of maps that say nothing of other values, and of none."""
    for here in look.routes():
        if here.spec.severity is not None and all(fold(word) != "default" for word in here.spec.severity):
            message = "no default: an alert with another value, or none, pages as error; say so with default: error"
            look.problems.warn((*here.path, "severity"), message, key=True, rule="severity-no-default")
