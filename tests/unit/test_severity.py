"""An alert's severity is its route's map of one label, or a default that says why."""

import pytest

from relay.decision import Step
from relay.event import Severity
from relay.rules.ruleset import Route, SeverityMap
from relay.rules.severity import STANDARD, decide

PAGES = SeverityMap({"page": Severity.CRITICAL, "none": Severity.INFO}, default=Severity.WARNING)


def route(severity: SeverityMap = STANDARD, label: str = "severity") -> Route:
    return Route(id="{}", key="{}", order=0, receiver="r", severity=severity, severity_label=label)


@pytest.mark.parametrize(
    ("severity", "value", "expected"),
    [
        (STANDARD, "critical", Severity.CRITICAL),
        (STANDARD, "error", Severity.ERROR),
        (STANDARD, "warning", Severity.WARNING),
        (STANDARD, "info", Severity.INFO),
        (STANDARD, " Critical\n", Severity.CRITICAL),
        (PAGES, "PAGE", Severity.CRITICAL),
        (PAGES, "none", Severity.INFO),
    ],
)
def test_a_word_of_the_map_needs_no_explanation(severity: SeverityMap, value: str, expected: Severity) -> None:
    assert decide(route(severity), {"severity": value}) == (expected, None)


@pytest.mark.parametrize(
    ("severity", "labels", "expected", "because"),
    [
        (
            STANDARD,
            {"severity": "Page"},
            "error",
            'severity "Page" is not in the severity map: paged as error (default)',
        ),
        (STANDARD, {}, "error", "label severity is missing: paged as error (default)"),
        (STANDARD, {"severity": "  "}, "error", "label severity is missing: paged as error (default)"),
        (
            PAGES,
            {"severity": "critical"},
            "warning",
            'severity "critical" is not in the severity map: paged as warning (default)',
        ),
        (
            STANDARD,
            {"severity": "x" * 81},
            "error",
            f'severity "{"x" * 80}…" is not in the severity map: paged as error (default)',
        ),
    ],
)
def test_anything_else_pages_as_the_default_and_says_so(
    severity: SeverityMap, labels: dict[str, str], expected: str, because: str
) -> None:
    assert decide(route(severity), labels) == (Severity(expected), Step("severity", because))


def test_a_route_may_look_at_another_label() -> None:
    assert decide(route(label="priority"), {"severity": "info", "priority": "critical"}) == (Severity.CRITICAL, None)
    assert decide(route(label="priority"), {"severity": "info"})[1] == Step(
        "severity", "label priority is missing: paged as error (default)"
    )
