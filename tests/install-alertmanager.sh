#!/bin/sh
# Install Debian's Alertmanager and Prometheus (with amtool and promtool) for the acceptance tests; say so loudly where that cannot be done.
set -u
if command -v prometheus-alertmanager >/dev/null 2>&1 && command -v amtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1; then
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "!! no apt-get here: the tests that need a real Alertmanager or Prometheus will be SKIPPED" >&2
  exit 0
fi
SUDO=""
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then SUDO="sudo -n"; else
    echo "!! not root and no sudo: install the packages prometheus-alertmanager and prometheus by hand, or those tests are SKIPPED" >&2
    exit 0
  fi
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if $SUDO apt-get update -qq >"$log" 2>&1 &&
   $SUDO apt-get install -y -qq --no-install-recommends prometheus-alertmanager prometheus >>"$log" 2>&1; then
  rm -f "$log"
else
  echo "!! could not install prometheus-alertmanager and prometheus: those tests will be SKIPPED" >&2
  tail -5 "$log" >&2
fi
exit 0
