"""The operators' file: who may change things from afar, and the secret each of them is known by."""

import hmac
import re
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from relay.errors import BadConfig, Problem
from relay.secret import Secret

SHORTEST = 16
"""Characters of a secret: nobody is kept from guessing, so there must be too much to guess."""
MAX_BYTES = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MAKE_ONE = "`openssl rand -hex 24` makes a good one"


class Operators:
    """Knows operators by their secrets; how long it takes tells nothing of them."""

    def __init__(self, secrets: Mapping[str, Secret]) -> None:
        """By name."""
        self.secrets = tuple(secrets.values())
        self._digests = {name: _digest(secret.reveal()) for name, secret in secrets.items()}

    def known(self, secret: str, name: str | None = None) -> str | None:
        """Name the operator with this secret, who must be `name` where one is given; None if there is none."""
        digest, found = _digest(secret), None
        for one, expected in self._digests.items():
            same = hmac.compare_digest(digest, expected)
            if same and name in (None, one):
                found = one
        return found


def read_operators(path: Path) -> tuple[Operators, tuple[Problem, ...]]:
    """Read `name:secret` lines; blank lines and those that begin with # do not count. Answer warnings as well.

    Raises BadConfig with every problem, none of which shows a secret.
    """
    try:
        with path.open("rb") as file:
            mode, data = path.stat().st_mode, file.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        remedy = "name a file that the relay can read with --web.operators-file"
        raise _bad(path, 1, f"cannot read the operators' file: {error.strerror}; {remedy}") from None
    except UnicodeDecodeError:
        raise _bad(path, 1, "the operators' file is not UTF-8: save it as UTF-8") from None
    if len(data) > MAX_BYTES:
        raise _bad(path, 1, "the operators' file is larger than 1 MiB: it holds one `name:secret` per line")
    secrets, problems = _read(path, text)
    if not secrets and not problems:
        problems = [_problem(path, 1, "there is no operator in this file: write one `name:secret` per line")]
    if problems:
        raise BadConfig(tuple(problems))
    return Operators(secrets), tuple(_warnings(path, mode))


def _read(path: Path, text: str) -> tuple[dict[str, Secret], list[Problem]]:
    secrets: dict[str, Secret] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, _, secret = stripped.partition(":")
        fault = _fault(name, secret, secrets)
        if fault:
            problems.append(_problem(path, number, fault))
        else:
            secrets[name] = Secret(secret)
    return secrets, problems


def _fault(name: str, secret: str, others: Mapping[str, Secret]) -> str:
    """Say what is wrong with a line, never what stands in it: without its colon a line may be all secret."""
    if not secret:
        return "no `name:secret`: write the operator's name, a colon and the secret"
    if not _NAME.fullmatch(name):
        return "the name before the colon is none: use 1 to 64 of A-Z a-z 0-9 . _ @ -, a letter or digit first"
    if name in others:
        return f"operator {name} stands above already: give each a name of their own"
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        return f"the secret of {name} holds a blank or what is not ASCII: {_MAKE_ONE}"
    if len(secret) < SHORTEST:
        return f"the secret of {name} is shorter than {SHORTEST} characters: {_MAKE_ONE}"
    if Secret(secret) in others.values():
        return f"the secret of {name} is that of an operator above: give each a secret of their own"
    return ""


def _warnings(path: Path, mode: int) -> Iterator[Problem]:
    if mode & stat.S_IROTH:
        what = "every user of this machine can read the operators' secrets"
        yield Problem(str(path), 1, 1, "", f"{what}: chmod o-r {path}", warning=True)


def _problem(path: Path, line: int, message: str) -> Problem:
    return Problem(str(path), line, 1, "", message)


def _bad(path: Path, line: int, message: str) -> BadConfig:
    return BadConfig((_problem(path, line, message),))


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
