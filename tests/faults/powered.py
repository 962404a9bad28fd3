"""The relay as power cuts want it: `python -m tests.faults.powered FULL serve ...`.

The first argument says how the store syncs. FULL is what the relay does; NORMAL, the control, is no setting of it and
is forced upon it here. The log is copied home often and old rows are pruned often: so a short record holds it all.
"""

import sqlite3
import sys
from pathlib import Path

from relay import rounds, scheduler
from relay.__main__ import main
from relay.alert import SECOND
from relay.store import connect

WAL_BLOCKS = 150
"""Blocks in the log before they are copied home."""


def _bend(synchronous: str) -> None:
    opened = connect.writing

    def writing(directory: Path) -> sqlite3.Connection:
        db = opened(directory)
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_BLOCKS}")
        if synchronous != "FULL":
            db.execute(f"PRAGMA synchronous = {synchronous}")
        return db

    connect.writing = writing
    scheduler.PRUNE_EVERY = rounds.TICK = SECOND // 2
    setattr(scheduler, "TICK", SECOND // 2)  # noqa: B010 - it is imported there, and not to be had from there


if __name__ == "__main__":
    _bend(sys.argv.pop(1))
    main()
