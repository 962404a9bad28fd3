"""The example workflow tells of a deployment whatever stands in the commit's title, by the command and by curl."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.timelapse import KEY, config, open_relay

WORKFLOW = Path(__file__).parents[2] / "examples" / "github-actions.yml"
VIRTUAL = "5" * 32
SOURCES = config(top={"sources": [{"name": "ci", "native_keys": False, "routing_keys": [VIRTUAL]}]})
TITLE = 'Fix "quotes", \'these\', $HOME, `touch pwned`, $(touch pwned), \\ and {"json": 1} — ü & <b>\n\nMore of it'


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(WORKFLOW.read_text())["jobs"]["deploy"]["steps"]
    return [step for step in found if "PAGERELAY_ROUTING_KEY" in step.get("env", {})]


@pytest.mark.parametrize("step", steps(), ids=lambda step: step["name"])
async def test_it_arrives_as_it_was_written_and_nothing_in_it_is_run(tmp_path: Path, step: dict[str, Any]) -> None:
    if "curl" in step["run"] and (shutil.which("jq") is None or shutil.which("curl") is None):
        pytest.skip("!! jq and curl are not installed: this step of the example is NOT checked")
    (tmp_path / "work").mkdir()
    script = re.sub(r"pip install .*\n", "", step["run"])
    async with open_relay(tmp_path, SOURCES) as relay:
        environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PAGERELAY_CHANGE_URL": relay.url,
            "PAGERELAY_ROUTING_KEY": VIRTUAL,
            "TITLE": TITLE,
            "COMMIT_URL": "https://github.com/org/api/commit/1",
            "GITHUB_REPOSITORY": "org/api",
            "GITHUB_SERVER_URL": "https://github.com",
            **{f"GITHUB_{name}": name.lower() for name in ("SHA", "ACTOR", "REF", "RUN_ID")},
        }
        done = await asyncio.create_subprocess_exec(
            *("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script),  # as GitHub's runner does
            cwd=tmp_path / "work",
            env=environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(done.communicate(), 60)
        assert done.returncode == 0, said
        await relay.settle()

        (there,) = [one["event"] for one in relay.sandbox.changes]
        assert " ".join(there["payload"]["summary"].split()) == "Deployed org/api: " + " ".join(TITLE.split())
        assert there["payload"]["source"] == "github-actions"
        assert there["payload"]["custom_details"] == {
            "service": "api",
            "repository": "org/api",
            "commit": "sha",
            "actor": "actor",
            "ref": "ref",
            "run_id": "run_id",
        }
        assert [link["href"] for link in there["links"]] == [
            "https://github.com/org/api/commit/1",
            "https://github.com/org/api/actions/runs/run_id",
        ]
        assert not list((tmp_path / "work").iterdir())
        assert VIRTUAL.encode() not in said
        assert relay.sandbox.changes[0]["routing_key"] == relay.sandbox.shown_key(KEY)


def test_no_script_of_it_has_an_expression_in_it() -> None:
    """What `${{ }}` puts into a script is run by the shell, whoever wrote it."""
    scripts = [step.get("run", "") for step in yaml.safe_load(WORKFLOW.read_text())["jobs"]["deploy"]["steps"]]

    assert not [script for script in scripts if "${{" in script]
