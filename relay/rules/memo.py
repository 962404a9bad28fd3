"""A bounded memory of answers that depend on nothing but a few label values."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

ENTRIES = 8192
WIDTH = 512
"""Characters of a key's text beyond which its answer is worked out anew each time."""


class Memo(Generic[Answer]):
    """At most `entries` answers; when full it starts over, which is cheaper per look-up than keeping an order.

    `get` is the dict's own, bound once: it is on the path of every alert.
    """

    __slots__ = ("_answers", "_entries", "get")

    def __init__(self, entries: int = ENTRIES) -> None:
        self._answers: dict[Hashable, Answer] = {}
        self._entries = entries
        self.get = self._answers.get

    def keep(self, key: Hashable, width: int, answer: Answer) -> Answer:
        """Remember an answer and hand it back; `width` is how much text its key holds."""
        if width <= WIDTH:
            if len(self._answers) >= self._entries:
                self._answers.clear()
            self._answers[key] = answer
        return answer

    def __len__(self) -> int:
        return len(self._answers)
