"""The list of everything wrong with one file, each entry at its line and column."""

import re

from relay.config.yaml import Fault, Node, Path, place
from relay.errors import Problem

MOST_PROBLEMS = 1000
"""How many are told one by one."""

_KEY_LIKE = re.compile("[A-Za-z0-9]{32,}")


class Problems:
    """Collect problems of one document; what follows only from an earlier one is left out."""

    def __init__(self, file: str, root: Node) -> None:
        self._file = file
        self._root = root
        self._found: dict[Problem, None] = {}
        self._unsaid = 0
        self._spoilt: set[Path] = set()
        self._failed: set[Path] = set()

    def error(self, path: Path, message: str, *, key: bool = False, rule: str = "invalid") -> None:
        """Note an error about the value at a path (`key`: about its key)."""
        if self.gone(path):
            return
        self._failed.add(path)
        self._add(path, message, key=key, warning=False, rule=rule)

    def warn(self, path: Path, message: str, *, key: bool = False, rule: str = "odd") -> None:
        """Note something odd that does not keep the file from loading."""
        self._add(path, message, key=key, warning=True, rule=rule)

    def fault(self, fault: Fault) -> None:
        """Note what is wrong with the YAML itself."""
        self._failed.add(())
        self._keep(problem_of(self._file, fault))

    def spoil(self, path: Path) -> None:
        """Say that the value at a path was taken out because of an error already noted."""
        self._spoilt.add(path)

    def gone(self, *paths: Path) -> bool:
        """Say whether the value at one of these paths was taken out."""
        return any(path[:length] in self._spoilt for path in paths for length in range(len(path) + 1))

    def failed(self, path: Path) -> bool:
        """Say whether there is an error at or under a path."""
        return any(other[: len(path)] == path for other in self._failed)

    def line(self, path: Path) -> int:
        """Give the line of the value at a path."""
        return place(self._root, path)[0]

    @property
    def found(self) -> tuple[Problem, ...]:
        """Everything noted, in the order of the file."""
        found = sorted(self._found, key=lambda problem: (problem.line, problem.column))
        if self._unsaid:
            last = found[-1]
            message = f"and {self._unsaid:,} more: mend these first"
            found.append(Problem(self._file, last.line, last.column, "", message, warning=not self._failed))
        return tuple(found)

    def _add(self, path: Path, message: str, *, key: bool, warning: bool, rule: str) -> None:
        line, column = place(self._root, path, key=key)
        problem = Problem(self._file, line, column, hidden(dotted(path)), hidden(message), warning, rule)
        self._keep(problem)

    def _keep(self, problem: Problem) -> None:
        if len(self._found) < MOST_PROBLEMS:
            self._found.setdefault(problem)
        elif problem not in self._found:
            self._unsaid += 1


def problem_of(file: str, fault: Fault) -> Problem:
    """Write down what is wrong with the YAML itself."""
    return Problem(file, fault.line, fault.column, "", hidden(fault.message), rule="yaml")


def hidden(text: str) -> str:
    """Leave out what looks like a routing key: one may stand where a name should."""
    return _KEY_LIKE.sub("<secret>", text)


def dotted(path: Path) -> str:
    """Write a path as people read it: `route.routes[2].matchers[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
