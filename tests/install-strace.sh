#!/bin/sh
# Install Debian's strace for the tests that have system calls fail; say so loudly where that cannot be done.
set -u
if command -v strace >/dev/null 2>&1; then
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "!! no apt-get here: the tests in which a disk fails will be SKIPPED" >&2
  exit 0
fi
SUDO=""
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then SUDO="sudo -n"; else
    echo "!! not root and no sudo: install the package strace by hand, or the tests in which a disk fails are SKIPPED" >&2
    exit 0
  fi
fi
export DEBIAN_FRONTEND=noninteractive
if ! { $SUDO apt-get update -qq && $SUDO apt-get install -y -qq --no-install-recommends strace; } >/dev/null 2>&1; then
  echo "!! could not install strace: the tests in which a disk fails will be SKIPPED" >&2
fi
exit 0
