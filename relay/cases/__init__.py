"""Unit tests for routing files: reads cases, plays them through the real engine by a moved clock, says what differs."""

from relay.cases.case import Case, CaseFile
from relay.cases.checking import Failure, since
from relay.cases.coverage import Coverage, percent
from relay.cases.junit import junit
from relay.cases.reader import read_cases
from relay.cases.running import Report, Result, run

__all__ = [
    "Case",
    "CaseFile",
    "Coverage",
    "Failure",
    "Report",
    "Result",
    "junit",
    "percent",
    "read_cases",
    "run",
    "since",
]
