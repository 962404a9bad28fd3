"""View models of page, decision, health and explain: the only thing screens, JSON and CLI print."""

from relay.answers.answers import Answers
from relay.answers.explained import (
    EventAnswer,
    ExplainAnswer,
    ExplainedAlert,
    HoldAnswer,
    InhibitorAnswer,
    PlaceAnswer,
    WindowAnswer,
)
from relay.answers.explaining import Asking
from relay.answers.models import (
    ActAnswer,
    AttemptAnswer,
    DecisionAnswer,
    Decisions,
    MemberAnswer,
    PageAnswer,
    PageLine,
    Pages,
    PauseAnswer,
    PausesAnswer,
    StatusAnswer,
)
from relay.answers.reconciled import DriftAnswer, ReconcileAnswer

__all__ = [
    "ActAnswer",
    "Answers",
    "Asking",
    "AttemptAnswer",
    "DecisionAnswer",
    "Decisions",
    "DriftAnswer",
    "EventAnswer",
    "ExplainAnswer",
    "ExplainedAlert",
    "HoldAnswer",
    "InhibitorAnswer",
    "MemberAnswer",
    "PageAnswer",
    "PageLine",
    "Pages",
    "PauseAnswer",
    "PausesAnswer",
    "PlaceAnswer",
    "ReconcileAnswer",
    "StatusAnswer",
    "WindowAnswer",
]
