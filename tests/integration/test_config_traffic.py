"""`config check --store` holds a file against the alerts that a relay has, beside the running relay."""

import asyncio
from pathlib import Path

from click.testing import CliRunner

from relay.cli.config import config
from tests.integration.house import alert, message, open_house

FILE = """\
route:
  receiver: a
  routes:
  - {matchers: [alertname=Held], receiver: b}
  - {matchers: [alertname=Hold], receiver: b}
receivers: [{name: a}, {name: b}]
inhibit_rules:
- {source_matchers: [severity=critical], target_matchers: [severity="warning"], equal: [alertname, nobody_has_it]}
"""


async def test_what_no_alert_of_a_store_has_is_told(tmp_path: Path) -> None:
    file = tmp_path / "other.yml"
    file.write_text(FILE, encoding="utf-8")
    async with open_house(tmp_path) as house:
        await house.post(message(alert("Held"), alert("Other", severity="warning")))
        arguments = ["check", "--format=github", f"--store={house.directory / 'data'}", str(file)]
        answer = await asyncio.to_thread(CliRunner().invoke, config, arguments)

    told = [line.split("::", 2)[2] for line in answer.stdout.splitlines()]
    assert (answer.exit_code, told) == (
        0,
        [
            'route.routes[1].matchers[0]: none of 2 recorded alerts has alertname="Hold": correct it, unless such '
            "alerts are yet to come",
            "inhibit_rules[0].equal[1]: none of 2 recorded alerts has a label nobody_has_it: where both sides lack it "
            "they agree, so it compares nothing; correct it or take it out",
        ],
    )
