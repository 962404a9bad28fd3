"""Loads a routing file for its cases: secrets that are not here are made up, since nothing is sent anywhere."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from relay.alert import MINUTE
from relay.cases.case import CaseFile
from relay.config import Before, Loaded, load
from relay.config.reading import Unreadable, read_file
from relay.errors import BadConfig, Problem
from relay.rules.ruleset import Budget, RuleSet
from relay.secret import Secret

_NAMED = re.compile(rb"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_AT_ONCE = Budget(events=60_000_000, within=MINUTE)
"""No case waits for a budget: it says what is sent, not how fast."""


def load_for(file: CaseFile, environ: Mapping[str, str]) -> Loaded:
    """Load the routing file that cases are about. Raises BadConfig with every problem in it."""
    text = file.inline
    if text is None:
        try:
            text = read_file(file.config)
        except Unreadable as error:
            raise BadConfig((Problem(str(file.config), error.line, error.column, "", str(error)),)) from None
    made_up = {name.decode(): _made_up(name.decode()) for name in _NAMED.findall(text)}
    loaded = load(file.config, {**made_up, **environ}, before=Before(text, secrets=_Any()))
    return replace(loaded, rules=_unhurried(loaded.rules))


class _Any(Mapping[Path, Secret]):
    """A secret for every file: another one for each, and each time the same."""

    def __getitem__(self, file: Path) -> Secret:
        return Secret(_made_up(str(file)))

    def __iter__(self) -> Iterator[Path]:
        return iter(())

    def __len__(self) -> int:
        return 1  # what is asked for is there


def _made_up(name: str) -> str:
    """Make up what stands for a secret; 32 hex digits, as a routing key has."""
    if name.upper().endswith("URL"):
        return "https://example.com/"
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _unhurried(rules: RuleSet) -> RuleSet:
    integrations = {name: replace(one, budget=_AT_ONCE) for name, one in rules.integrations.items()}
    return replace(rules, integrations=integrations)
