#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs make targets one after another, stops at the first that fails and names it:
#   phases.sh TARGET...
# Nothing is printed after the last one, so that pytest's summary can close the output.
set -euo pipefail

times=()
last=${!#}
for phase; do
    [[ $phase != "$last" ]] || printf 'test: passed so far:%s\n' "${times[*]:+ ${times[*]}}"
    echo "test: ---- $phase ----"
    started=$SECONDS
    if ! "${MAKE:-make}" --no-print-directory "$phase"; then
        echo "test: FAILED in \`make $phase\` after $((SECONDS - started)) s; passed before:${times[*]:+ ${times[*]}}" >&2
        exit 1
    fi
    times+=("$phase $((SECONDS - started)) s")
done
