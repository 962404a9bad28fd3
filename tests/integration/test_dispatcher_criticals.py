"""A critical does not wait for a round of its own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from relay.alert import Instant
from relay.page import Lane, Page, State
from relay.rules.ledger import Claim, Started, Want
from tests.integration.test_dispatcher import works


async def test_a_critical_that_is_accepted_while_others_are_looked_for_is_claimed_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with works(tmp_path) as relay:
        look, take = relay.store.heads, relay.store.claim
        claimed: list[set[Lane]] = []

        async def heads(now: Instant) -> list[tuple[str, Lane, Instant]]:
            found = await look(now)
            if found and not claimed:
                await relay.fire(1, "critical", "Late")
            return found

        async def claim(wants: Sequence[Want], now: Instant, start: Callable[[Page], Started]) -> list[Claim]:
            claims = await take(wants, now, start)
            claimed.append({one.attempt.lane for one in claims})
            return claims

        monkeypatch.setattr(relay.store, "heads", heads)
        monkeypatch.setattr(relay.store, "claim", claim)
        await relay.fire(3)
        await relay.until(lambda pages: len(pages) == 4 and all(page.delivered is State.OPEN for page in pages))

    assert claimed[0] == {Lane.WARNING, Lane.CRITICAL}
