#!/bin/sh
# Put PagerDuty's newer Python package beside the tests, in a folder of its own: it needs libraries that the relay does not have.
set -u
version=7.2.0
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$root/.venv/bin/python
target=$root/.venv/clients/pagerduty-$version
[ -d "$target" ] && exit 0
[ -x "$python" ] || python=python3
unfinished=$(mktemp -d) && log=$(mktemp)
if "$python" -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 15 --target "$unfinished" "pagerduty==$version" >"$log" 2>&1; then
  mkdir -p "$(dirname "$target")" && chmod 755 "$unfinished" && mv "$unfinished" "$target"
else
  echo "!! could not install pagerduty $version from the Python package index: its tests will be SKIPPED" >&2
  tail -3 "$log" >&2
fi
rm -rf "$unfinished" "$log"
exit 0
