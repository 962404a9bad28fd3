#!/bin/sh
# Build the program with go-pagerduty. Debian has the compiler but no package of that library, so Go fetches it itself.
set -u
version=v1.8.0
root=$(cd "$(dirname "$0")/../.." && pwd)
target=$root/.venv/clients/go-pagerduty-$version
[ -x "$target/client" ] && exit 0
if ! command -v go >/dev/null 2>&1; then
  SUDO=""
  if [ "$(id -u)" -ne 0 ]; then SUDO="sudo -n"; fi
  if ! command -v apt-get >/dev/null 2>&1 ||
     ! DEBIAN_FRONTEND=noninteractive $SUDO apt-get install -y -qq --no-install-recommends golang-go >/dev/null 2>&1; then
    echo "!! no go here, and Debian's golang-go could not be installed: the tests with go-pagerduty will be SKIPPED" >&2
    exit 0
  fi
fi
unfinished=$(mktemp -d) && log=$(mktemp)
cp "$root/tests/clients/drivers/go/main.go" "$unfinished/"
export GOPATH="$root/.venv/clients/go" GOFLAGS=-modcacherw GOTOOLCHAIN=local
if (cd "$unfinished" && go mod init client && go get "github.com/PagerDuty/go-pagerduty@$version" && go build -o client .) >"$log" 2>&1; then
  mkdir -p "$target" && mv "$unfinished/client" "$target/client"
else
  echo "!! Go could not fetch or build go-pagerduty $version, and Debian has no package of it: its tests will be SKIPPED" >&2
  tail -3 "$log" >&2
fi
rm -rf "$unfinished" "$log"
exit 0
