"""What a page's severity is: the route's map over one label, with a default that is always said aloud."""

from collections.abc import Mapping

from relay.decision import Step
from relay.event import Severity
from relay.rules.ruleset import Route, SeverityMap

STANDARD = SeverityMap({severity.value: severity for severity in Severity})
"""The map of a tree that says nothing: PagerDuty's four words for themselves, all else error."""

_SHOWN = 80


def decide(route: Route, labels: Mapping[str, str]) -> tuple[Severity, Step | None]:
    """Look the alert's severity up, without regard to case and outer white space; a Step when the default was used."""
    value = labels.get(route.severity_label, "")
    words = route.severity.words
    severity = words.get(value) or words.get(fold(value))
    if severity is not None:
        return severity, None
    default = route.severity.default
    return default, Step("severity", f"{_what(route.severity_label, value)}: paged as {default} (default)")


def fold(word: str) -> str:
    """Bring a label value into the form that a SeverityMap's words have."""
    return word.strip().lower()


def _what(label: str, value: str) -> str:
    if not value.strip():
        return f"label {label} is missing"
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    return f'{label} "{shown}" is not in the severity map'
