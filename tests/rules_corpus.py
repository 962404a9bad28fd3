"""Puts every rule file of a folder through `rules check`: `python -m tests.rules_corpus FOLDER`. Prints what came out.

With an index.json beside them that says what promtool made of each file, the two are compared.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from relay.__main__ import main

CONFIG = Path(__file__).parents[1] / "config" / "relay.yml"


def ran(folder: Path) -> dict[str, Any]:
    """Run the command on all files at once; what it raises is raised here."""
    files = sorted(str(file) for pattern in ("*.yml", "*.yaml") for file in folder.glob(pattern))
    begun = time.monotonic()
    done = CliRunner().invoke(
        main, ["rules", "check", f"--config.file={CONFIG}", "--format=json", *files], catch_exceptions=False
    )
    print(f"{len(files)} files in {time.monotonic() - begun:.1f} s, exit status {done.exit_code}")
    said: dict[str, Any] = json.loads(done.stdout)
    rules, findings = said["rules"], said["findings"]
    print(f"{len(rules)} alerting rules in {len({rule['file'] for rule in rules})} files")
    paging, summed = (sum(bool(rule[part]) for rule in rules) for part in ("pages", "summary"))
    print(f"{paging} page, {summed} have a summary")
    for (level, check), count in sorted(Counter((one["level"], one["rule"]) for one in findings).items()):
        print(f"{count:6} {level:8} {check} in {len({one['file'] for one in findings if one['rule'] == check})} files")
    return said


def compared(folder: Path, said: dict[str, Any]) -> int:
    """Compare with the index; return how many files differ in a way that they should not."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))["entries"]
    counted = Counter(Path(rule["file"]).name for rule in said["rules"])
    refused = {Path(one["file"]).name for one in said["findings"] if one["level"] == "error"}
    wrong = [one["file"] for one in index if one["yaml_ok"] and counted[one["file"]] != one["alert_rules"]]
    rejected = [one["file"] for one in index if not one["promtool_2_42"]["accepted"]]
    strict = sorted(refused - set(rejected))
    print(f"{len(wrong)} files have another number of rules than the index: {wrong}")
    print(f"promtool rejects {len(rejected)} files; {len(refused & set(rejected))} of them have an error here")
    print(f"{len(strict)} files that promtool accepts have an error here: {strict}")
    return len(wrong)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    outcome = ran(place)
    sys.exit(1 if (place / "index.json").exists() and compared(place, outcome) else 0)
