"""Named places at which a test may end, stall or break the process: PAGERELAY_FAILPOINT=accept.after_commit.

    PAGERELAY_FAILPOINT=name            SIGKILL when it is reached
    PAGERELAY_FAILPOINT=name:5          at the fifth time
    PAGERELAY_FAILPOINT=name:5:raise    raise OSError(EIO) in place of dying, from the fifth time on

Where the variable is unset, `reached` is a function that does nothing at all.
"""

import errno
import os
import signal
from collections.abc import Callable
from itertools import count

VARIABLE = "PAGERELAY_FAILPOINT"
NAMES = (
    "accept.parsed",
    "accept.before_commit",
    "accept.after_commit",
    "accept.before_reply",
    "claim.before_commit",
    "claim.after_commit",
    "render.after",
    "send.before",
    "send.after_answer",
    "settle.before_commit",
    "settle.after_commit",
    "dead_letter.before_commit",
    "reload.swapped",
    "migrate.step",
    "prune.step",
    "rejudge.step",
    "storm.fold",
    "emergency.sent",
    "recovery.before_commit",
    "shutdown.draining",
)
"""Every place there is."""


def _nothing(name: str) -> None:
    """Do nothing: no failpoint is set."""


def armed(text: str) -> Callable[[str], None]:
    """Read the variable; return what every place calls. Raises ValueError for a name that is no place."""
    name, _, rest = text.partition(":")
    times, _, how = rest.partition(":")
    if name not in NAMES or how not in ("", "kill", "raise"):
        raise ValueError(f"{VARIABLE}={text}: no failpoint is called so; there are {', '.join(NAMES)}")
    due, reached = int(times or 1), count(1)

    def hit(place: str) -> None:
        if place != name or next(reached) < due:
            return
        if how == "raise":
            raise OSError(errno.EIO, f"failpoint {name}")
        os.kill(os.getpid(), signal.SIGKILL)

    return hit


reached: Callable[[str], None] = armed(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else _nothing
"""Say that a place is reached. Call it as `failpoints.reached("accept.parsed")`."""
