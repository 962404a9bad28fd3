"""View models of page, decision, health and explain: the only thing screens, JSON and CLI print."""

from relay.answers.answers import Answers
from relay.answers.models import (
    ActAnswer,
    AttemptAnswer,
    DecisionAnswer,
    Decisions,
    ExplainAnswer,
    ExplainedAlert,
    MemberAnswer,
    PageAnswer,
    PageLine,
    Pages,
    PauseAnswer,
    PausesAnswer,
    PlaceAnswer,
    StatusAnswer,
)
from relay.answers.reconciled import DriftAnswer, ReconcileAnswer

__all__ = [
    "ActAnswer",
    "Answers",
    "AttemptAnswer",
    "DecisionAnswer",
    "Decisions",
    "DriftAnswer",
    "ExplainAnswer",
    "ExplainedAlert",
    "MemberAnswer",
    "PageAnswer",
    "PageLine",
    "Pages",
    "PauseAnswer",
    "PausesAnswer",
    "PlaceAnswer",
    "ReconcileAnswer",
    "StatusAnswer",
]
