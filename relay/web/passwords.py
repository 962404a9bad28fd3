"""Compares passwords with bcrypt hashes: in a thread, one at a time, and each only once.

As exporter-toolkit does (web/handler.go, web/cache.go), and who is refused often cannot keep others waiting.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping
from hashlib import blake2b

import bcrypt

from relay.errors import NotTaken
from relay.secret import Secret

_NOBODY = b"$2b$10$ruvD.516CGuw8GK5d0pRturM8cLBziUpJNB9QV2U0kh.yYGKEQSd."
"""For names that nobody has: to look one up takes as long as to compare."""
_REMEMBERED = 1_000
_IN_LINE = 32
"""Comparisons that may wait for one address."""
_IN_ALL = 512
_READ = 72
"""Bytes of a password that bcrypt looks at."""


class Passwords:
    """Knows which passwords were right, and finds out about others. One per process."""

    def __init__(self) -> None:
        self._salt = os.urandom(32)
        self._right: dict[bytes, None] = {}
        self._wrong: dict[bytes, None] = {}
        self._one_at_a_time = asyncio.Lock()
        self._lines: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting: defaultdict[str, int] = defaultdict(int)

    async def right(self, users: Mapping[str, Secret], name: str, password: str, peer: str) -> bool:
        """Say whether this user has this password; `users` are bcrypt hashes. Raises NotTaken where too many ask."""
        hashed = users[name].reveal().encode() if name in users else _NOBODY
        digest = blake2b(repr((name, hashed, password)).encode(), digest_size=16, key=self._salt).digest()
        if digest in self._right:
            return True
        if digest in self._wrong:
            return False
        found = await self._in_turn(password, hashed, peer) and name in users
        # What is wrong never takes the place of what is right: guesses cannot make the right one wait again.
        remembered = self._right if found else self._wrong
        remembered[digest] = None
        if len(remembered) > _REMEMBERED:
            del remembered[next(iter(remembered))]
        return found

    async def _in_turn(self, password: str, hashed: bytes, peer: str) -> bool:
        """Wait in the line of this address; each line has one in the line of all."""
        if self._waiting[peer] >= _IN_LINE or sum(self._waiting.values()) >= _IN_ALL:
            raise NotTaken("too many passwords wait to be compared; send it again in a moment")
        self._waiting[peer] += 1
        try:
            async with self._lines[peer], self._one_at_a_time:
                return await asyncio.to_thread(_same, password.encode()[:_READ], hashed)
        finally:
            self._waiting[peer] -= 1
            if not self._waiting[peer]:
                del self._waiting[peer], self._lines[peer]


def _same(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:
        return False
