"""What waits for the writing thread: first come, first served, but for what goes ahead of all else."""

import time
from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar


class Weighed(Protocol):
    """What can wait: work that looks at so many alerts."""

    @property
    def alerts(self) -> int: ...

    @property
    def ahead(self) -> bool: ...


Request = TypeVar("Request", bound=Weighed)


class Queue(Generic[Request]):
    """Put by any thread, taken by one."""

    def __init__(self) -> None:
        self._coming: SimpleQueue[Request | None] = SimpleQueue()
        self._ahead: deque[Request] = deque()
        self._waiting: deque[Request] = deque()
        self._closed = False

    @property
    def over(self) -> bool:
        """Whether it was closed and everything was taken."""
        return self._closed and not self._ahead and not self._waiting

    def put(self, request: Request) -> None:
        """Let a request wait."""
        self._coming.put(request)

    def close(self) -> None:
        """Say that nothing more is put."""
        self._coming.put(None)

    def wait_ahead(self, seconds: float, most: int) -> Request | None:
        """Before the next request that looks at more than `most` alerts, wait so long for one that goes ahead of it.

        Returns that one; None if none comes, or there is no such request to hold.
        """
        deadline = time.monotonic() + seconds
        self._look()
        while not self._ahead and not self._closed and self._waiting and self._waiting[0].alerts > most:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            with suppress(Empty):
                self._sort(self._coming.get(timeout=left))
        return self._ahead.popleft() if self._ahead else None

    def wait(self, seconds: float | None) -> Request | None:
        """Take the next request, once there is one; None if none comes in time, or ever again."""
        self._look()
        if not self._closed and not self._ahead and not self._waiting:
            try:
                self._sort(self._coming.get(timeout=seconds))
            except Empty:
                return None
        return self.take()

    def take(self, most: int | None = None) -> Request | None:
        """Take the next request, if it looks at no more than `most` alerts; None if it does, or there is none."""
        self._look()
        queue = self._ahead or self._waiting
        if not queue or (most is not None and queue[0].alerts > most):
            return None
        return queue.popleft()

    def _look(self) -> None:
        """See what has come meanwhile."""
        while not self._coming.empty():
            self._sort(self._coming.get())

    def _sort(self, request: Request | None) -> None:
        if request is None:
            self._closed = True
        else:
            (self._ahead if request.ahead else self._waiting).append(request)
