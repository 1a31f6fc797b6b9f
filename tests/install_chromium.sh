#!/usr/bin/env bash
# The browser tests need Chromium: take it from Debian where we may, else say that they skip.
command -v chromium >/dev/null && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0
fi
if [ -n "${CI:-}" ]; then
  echo "CI needs Chromium for the browser tests, and it could not be installed" >&2
  exit 1
fi
echo "No Chromium here and no right to install it: the browser tests will be skipped."
