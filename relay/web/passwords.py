"""Compares passwords with bcrypt hashes: in a thread, one at a time, and each only once.

As exporter-toolkit does (web/handler.go, web/cache.go), and who is refused often cannot keep others waiting.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from hashlib import blake2b

import bcrypt

from relay.errors import NotTaken
from relay.secret import Secret

_NOBODY = b"$2b$10$ruvD.516CGuw8GK5d0pRturM8cLBziUpJNB9QV2U0kh.yYGKEQSd."
"""For names that nobody has: to look one up takes as long as to compare."""
_REMEMBERED = 1_000
_IN_LINE = 128
"""Comparisons that may wait for one user at one address: some seconds of them with hashes as htpasswd makes them."""
_IN_ALL = 512
"""Beyond so many in all, only the first of a user at an address may wait."""
_READ = 72
"""Bytes of a password that bcrypt looks at."""


class Passwords:
    """Knows which passwords were right, and finds out about others. One per process."""

    def __init__(self) -> None:
        self._salt = os.urandom(32)
        self._right: dict[bytes, None] = {}
        self._wrong: dict[bytes, None] = {}
        self._one_at_a_time = asyncio.Lock()
        self._lines: defaultdict[tuple[str, ...], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._in_all = 0

    async def right(self, users: Mapping[str, Secret], name: str, password: str, peer: str) -> bool:
        """Say whether this user has this password; `users` are bcrypt hashes. Raises NotTaken where too many ask."""
        hashed = users[name].reveal().encode() if name in users else _NOBODY
        digest = blake2b(repr((name, hashed, password)).encode(), digest_size=16, key=self._salt).digest()
        known = self._known(digest)
        if known is not None:
            return known
        async with self._turn(peer, name if name in users else ""):
            known = self._known(digest)  # somebody may have shown the same meanwhile
            if known is not None:
                return known
            found = await asyncio.to_thread(_same, password.encode()[:_READ], hashed) and name in users
            self._remember(digest, found)
        return found

    def _known(self, digest: bytes) -> bool | None:
        return True if digest in self._right else False if digest in self._wrong else None

    def _remember(self, digest: bytes, found: bool) -> None:
        # What is wrong never takes the place of what is right: guesses cannot make the right one wait again.
        remembered = self._right if found else self._wrong
        remembered[digest] = None
        if len(remembered) > _REMEMBERED:
            del remembered[next(iter(remembered))]

    @asynccontextmanager
    async def _turn(self, peer: str, user: str) -> AsyncIterator[None]:
        """Wait in the line of this user at this address; each line has one in that of its address, and that one in the
        line of all. So guesses at one user keep no other waiting, nor those of one address another."""
        line = peer, user
        if self._waiting[line] >= (_IN_LINE if self._in_all < _IN_ALL else 1):
            raise NotTaken("too many passwords wait to be compared; send it again in a moment")
        with self._place(line), self._place((peer,)):
            self._in_all += 1
            try:
                async with self._lines[line], self._lines[(peer,)], self._one_at_a_time:
                    yield
            finally:
                self._in_all -= 1

    @contextmanager
    def _place(self, line: tuple[str, ...]) -> Iterator[None]:
        self._waiting[line] += 1
        try:
            yield
        finally:
            self._waiting[line] -= 1
            if not self._waiting[line]:
                del self._waiting[line], self._lines[line]


def _same(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False
