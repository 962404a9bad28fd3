"""The clockwork against a real store: what becomes of pages whose routing key is gone."""

from pathlib import Path

from relay.alert import SECOND
from relay.config import load, recognise
from relay.logs import Log
from relay.page import Lane, State
from relay.recall import Recall
from relay.rules.rulebook import Rulebook
from relay.scheduler import Scheduler
from tests.integration.house import CONFIG, KEY, House, alert, message, open_house


def clockwork(house: House) -> Scheduler:
    log = Log(house.clock, stream=house)  # type: ignore[arg-type]
    parts = {"wake": lambda: None, "metrics": house.metrics, "log": log}
    return Scheduler(house.store, house.book, Recall(), clock=house.clock, steady=house.clock, **parts)  # type: ignore[arg-type]


async def with_key(house: House, key: str) -> Rulebook:
    """Rules as after a restart that has this key in place of the first one, and no other."""
    file = house.directory / "other.yml"
    file.write_text(CONFIG.replace(KEY, key))
    loaded = load(file, {})
    return Rulebook(recognise(loaded.rules, await house.store.integrations()), loaded.keys)


async def test_a_page_that_waits_for_its_refresh_pages_at_once_when_its_key_is_gone(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.post(message(alert()))
        (opened,) = await house.deliver()
        house.now += 10 * SECOND
        await house.store.heard((), (opened.id,), house.now)
        await house.post(message(alert("Other", team="nobody"), key="other"))
        waiting = await house.store.page(opened.id)
        assert waiting is not None
        assert waiting.page.lane is Lane.REFRESH

        house.book = await with_key(house, "f" * 32)
        await clockwork(house).tick()
        (again,) = await house.deliver()

        assert (again.id, again.delivered) == (opened.id, State.OPEN)
        assert [line.gone for line in again.lines] == [True, False]

        house.now += 10 * SECOND
        await house.post(message(alert(status="resolved")))
        await house.deliver()
        house.book = await with_key(house, KEY)
        await clockwork(house).tick()
        house.now += 10 * SECOND
        (closed,) = await house.deliver()

        assert [line.state for line in closed.lines] == [State.CLOSED, State.CLOSED]
