#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs make targets one after another, stops at the first that fails and names it:
#   phases.sh TARGET...
# Those joined by a plus, lint+unit, run at once; what each says comes when all of them have ended.
# Nothing is printed after the last one, so that pytest's summary can close the output.
set -euo pipefail

times=()
last=${!#}

target() { "${MAKE:-make}" --no-print-directory "$1"; }

at_once() { # TARGET...
    local logs one failed=0
    local -A running=()
    logs=$(mktemp -d)
    for one; do
        target "$one" >"$logs/$one" 2>&1 &
        running[$one]=$!
    done
    for one; do
        wait "${running[$one]}" || failed=1
        cat "$logs/$one"
    done
    rm -rf "$logs"
    return "$failed"
}

for phase; do
    [[ $phase != "$last" ]] || printf 'test: passed so far:%s\n' "${times[*]:+ ${times[*]}}"
    echo "test: ---- $phase ----"
    started=$SECONDS
    IFS=+ read -ra targets <<<"$phase"
    if ((${#targets[@]} == 1)); then run=target; else run=at_once; fi
    if ! "$run" "${targets[@]}"; then
        echo "test: FAILED in \`make ${targets[*]}\` after $((SECONDS - started)) s; passed before:${times[*]:+ ${times[*]}}" >&2
        exit 1
    fi
    times+=("$phase $((SECONDS - started)) s")
done
