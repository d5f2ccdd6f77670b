#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs make targets one after another and stops at the first that fails:
#   phases.sh TARGET...
# Targets joined by a plus, molecule+unit, run at the same time: the first prints as it goes; the others run
# with a lower priority and print when they have ended. A table of wall and processor seconds comes before the last line, so that
# pytest's summary ends the output. Processor seconds are those of the complete machine: they include the
# lab's nodes, and whatever else runs.
set -euo pipefail
((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || { echo "phases.sh: needs bash 4.4 or newer (macOS: brew install bash)" >&2; exit 2; }

# Targets inherit the lock, so that it also waits for those that a killed run has left.
mkdir -p .cache
exec 9>.cache/phases.lock
if ! flock --nonblock 9 2>/dev/null && command -v flock >/dev/null; then
    echo "test: waiting for another test run in this checkout, or for what a killed one has left, to end"
    flock 9
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# Seconds that the processors have worked since the machine started; 0 where there is no /proc/stat.
processor() {
    local user nice system irq softirq _
    if ! read -r _ user nice system _ _ irq softirq _ </proc/stat; then
        user=0 nice=0 system=0 irq=0 softirq=0
    fi 2>/dev/null
    echo $(((user + nice + system + irq + softirq) / $(getconf CLK_TCK)))
}

row() { printf 'test: %-44s %6s %10s\n' "$@"; }

target() { # TARGET PRIORITY
    local started=$SECONDS status=0
    nice -n "$2" "${MAKE:-make}" --no-print-directory "$1" </dev/null || status=$?
    echo "$((SECONDS - started)) s" >"$logs/$1.wall"
    return "$status"
}

# With a process group of its own for each target, so that it can be stopped with all that it started.
phase() { # TARGET...
    local pids=() name failed=()
    trap 'stop "${pids[@]}"; exit 130' INT
    trap 'stop "${pids[@]}"; exit 143' TERM
    set -m
    target "$1" 0 &
    pids+=($!)
    for name in "${@:2}"; do
        target "$name" 5 >"$logs/$name" 2>&1 &
        pids+=($!)
    done
    set +m
    wait "${pids[0]}" || failed+=("$1")
    for name in "${@:2}"; do
        pids=("${pids[@]:1}")
        wait "${pids[0]}" || failed+=("$name")
        cat "$logs/$name"
    done
    ((${#failed[@]} == 0)) || { echo "${failed[*]}" >"$logs/failed"; return 1; }
}

# As Ctrl-C does: pytest and Ansible put right what they have changed on the nodes.
stop() { # PROCESS_GROUP...
    echo "test: interrupted; waiting for what runs to end" >&2
    kill -INT -- "${@/#/-}" 2>/dev/null || true
    wait
}

measured() { # PHASE
    local wall=$SECONDS work targets name status=0
    work=$(processor)
    IFS=+ read -ra targets <<<"$1"
    phase "${targets[@]}" || status=$?
    row "$1" "$((SECONDS - wall)) s" "$(($(processor) - work)) s" >>"$logs/table"
    if ((${#targets[@]} > 1)); then
        for name in "${targets[@]}"; do
            row "  $name" "$(cat "$logs/$name.wall" 2>/dev/null)" '' >>"$logs/table"
        done
    fi
    return "$status"
}

table() {
    row phase wall processor
    cat "$logs/table"
    row total "$SECONDS s" "$(($(processor) - at_first)) s"
}

# Passes on what comes in, with the table before the last line.
with_table() {
    local line last started=
    while IFS= read -r line; do
        [[ -z $started ]] || printf '%s\n' "$last"
        last=$line started=1
    done
    table
    [[ -z $started ]] || printf '%s\n' "$last"
}

failed_in() { # PHASE
    echo "test: FAILED in \`make $(cat "$logs/failed" 2>/dev/null || echo "$1")\`" >&2
    exit 1
}

SECONDS=0
at_first=$(processor)
for name in "${@:1:$#-1}"; do
    echo "test: ---- $name ----"
    measured "$name" || { table; failed_in "$name"; }
done
echo "test: ---- ${!#} ----"
exec 3>&1 > >(with_table)
filter=$! status=0
measured "${!#}" || status=$?
exec >&3
wait "$filter"
((status == 0)) || failed_in "${!#}"
