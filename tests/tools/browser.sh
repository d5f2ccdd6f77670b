#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs Chromium for the tests of the drift report's page and of control's, where that needs no person. Without a
# browser those tests are skipped, and a line says so.
set -euo pipefail

if command -v chromium >/dev/null || command -v google-chrome >/dev/null; then
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "browser: not installed; the tests of the report's page will be skipped"
    exit 0
fi
echo "browser: installing Chromium (some 100 MB to download) ..."
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update && apt-get install -y --no-install-recommends chromium; } >/tmp/browser.$$.log 2>&1 </dev/null; then
    echo "browser: Chromium could not be installed; the tests of the report's page will be skipped:"
    tail -n 3 "/tmp/browser.$$.log"
fi
rm -f "/tmp/browser.$$.log"
