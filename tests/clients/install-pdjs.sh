#!/bin/sh
# Put PagerDuty's JavaScript client beside the tests, where there is a node to run it.
set -u
version=2.2.4
root=$(cd "$(dirname "$0")/../.." && pwd)
target=$root/.venv/clients/pdjs-$version
[ -d "$target" ] && exit 0
if ! command -v npm >/dev/null 2>&1 || ! command -v node >/dev/null 2>&1; then
  echo "!! no node and npm here: the tests with @pagerduty/pdjs will be SKIPPED" >&2
  exit 0
fi
unfinished=$(mktemp -d) && log=$(mktemp)
if npm install --prefix "$unfinished" --no-audit --no-fund --no-save --ignore-scripts --fetch-retries=0 --fetch-timeout=15000 "@pagerduty/pdjs@$version" >"$log" 2>&1; then
  mkdir -p "$(dirname "$target")" && chmod 755 "$unfinished" && mv "$unfinished" "$target"
else
  echo "!! could not install @pagerduty/pdjs $version from the npm registry: its tests will be SKIPPED" >&2
  tail -3 "$log" >&2
fi
rm -rf "$unfinished" "$log"
exit 0
