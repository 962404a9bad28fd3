"""The SQL, read once from the .sql files beside it, each query by its name."""

import re
from functools import cache
from importlib.resources import files

from relay.store.codec import COLUMNS, COMPUTED

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)

_ROWS_AT_ONCE = (64, 16, 4, 1)


@cache
def query(file: str, name: str) -> str:
    """Return the query `name` of sql/`file`.sql; KeyError if there is none."""
    return _load(file)[name]


@cache
def ids_query(name: str, single: bool) -> str:
    """Return the query `name` of sql/ledger.sql for one id, or for any number of them as a JSON array."""
    text = query("ledger", name)
    if single:
        return text.replace("IN ({ids})", "= ?")
    return text.replace("{ids}", "SELECT value FROM json_each(?)")


@cache
def rows_query(name: str, table: str, rows: int) -> str:
    """Return the query `name` that writes so many rows of `table` at once."""
    columns = (*COLUMNS[table], *COMPUTED.get(table, ()))
    one = f"({', '.join('?' * len(columns))})"
    text = query("delivery" if table == "attempts" else "ledger", name)
    return text.replace("{columns}", ", ".join(columns)).replace("{rows}", ", ".join([one] * rows))


@cache
def need_query(name: str) -> str:
    """Return the query `name` of sql/answers.sql over `by_need`, the rows that say what a person needs first."""
    return query("answers", name).replace("{by_need}", query("answers", "by_need"))


def slices(count: int) -> list[int]:
    """Cut `count` rows into few statements of few different sizes, so that each size is prepared once."""
    sizes = []
    for size in _ROWS_AT_ONCE:
        sizes += [size] * (count // size)
        count %= size
    return sizes


@cache
def _load(file: str) -> dict[str, str]:
    text = files("relay.store").joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return {name: _filled(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _filled(body: str) -> str:
    """Put the column lists in: each is written down once, in codec.py."""
    for table, columns in COLUMNS.items():
        body = body.replace(f"{{{table}}}", ", ".join(f"{table}.{column}" for column in columns))
    return body.strip().removesuffix(";")
