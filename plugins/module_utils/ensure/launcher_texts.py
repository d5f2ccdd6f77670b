# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""The scripts and units that start Ray and vLLM on a node, as texts.

They are in a Python file since a module can send only Python to a node; the tests check them with
shellcheck and systemd-analyze.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_texts import (
    SANDBOX,
    value,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import COMMENT

# The home of the servers' user: caches of models, kernels and Ray.
STATE = "dgxspark-launchers"

# Common to all scripts: every binary is an absolute path of paths.env, and is checked.
_HEAD = (
    "#!/bin/sh\n"
    + """\
%(comment)s
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
paths=%(paths_file)s
site='ansible-playbook dgxspark.suite.site --tags'

fail() {
    printf '%%s: %%s\\n' "${0##*/}" "$*" >&2
    exit 78
}

# The last value of a key in a file of KEY=value lines. Nothing in it is expanded or run.
value() {
    [ -r "$2" ] || return 0
    sed -n "s/^[[:space:]]*\\(export[[:space:]]\\{1,\\}\\)\\{0,1\\}$1=//p" "$2" | tail -n 1 |
        sed -e 's/^"\\(.*\\)"$/\\1/' -e "s/^'\\(.*\\)'\\$/\\1/"
}

# The binary of a key of paths.env; exits with a hint if it cannot be used.
binary() {
    path=$(value "$1" "$paths")
    [ -n "$path" ] || fail "$1 is not set in $paths; run $site $2"
    case $path in /*) ;; *) fail "$1 is not an absolute path: $path; run $site $2" ;; esac
    if [ ! -f "$path" ] || [ ! -x "$path" ]; then
        fail "$1 is not executable: $path; run $site $2"
    fi
    printf '%%s\\n' "$path"
}

# Export the pins of Triton.
pins() {
    for key in TRITON_PTXAS_PATH TRITON_PTXAS_BLACKWELL_PATH; do
        pin=$(value "$key" "$paths")
        [ -n "$pin" ] || continue
        [ -x "$pin" ] || fail "$key is not executable: $pin; run $site ptxas"
        export "$key=$pin"
    done
}
"""
)

_VLLM = """
# One model server: %(bin)s/dgxspark-vllm NAME, as configured in %(workloads)s/NAME.env
[ $# -eq 1 ] || fail "usage: dgxspark-vllm NAME"
case $1 in '' | .* | *[!A-Za-z0-9._-]*) fail "not a name: $1" ;; esac
file=%(workloads)s/$1.env
[ -r "$file" ] || fail "workload $1: $file cannot be read"
vllm=$(binary VLLM_BIN vllm_venv)
model=$(value MODEL "$file")
[ -n "$model" ] || fail "MODEL is not set in $file"
pins
set -- serve "$model"
host=$(value HOST "$file")
port=$(value PORT "$file")
[ -z "$host" ] || set -- "$@" --host "$host"
[ -z "$port" ] || set -- "$@" --port "$port"
# Each ARG= line is exactly one word of the command.
while IFS= read -r line || [ -n "$line" ]; do
    case $line in ARG=*) set -- "$@" "${line#ARG=}" ;; esac
done <"$file"
exec "$vllm" "$@"
"""

_RAY = """
ray=$(binary RAY_BIN vllm_venv)
config=%(ray_file)s
head=$(value RAY_HEAD_ADDRESS "$config")
node=$(value RAY_NODE_ADDRESS "$config")
port=$(value RAY_PORT "$config")
store=$(value RAY_OBJECT_STORE_BYTES "$config")
[ -n "$head" ] || fail "RAY_HEAD_ADDRESS is not set in $config"
[ -n "$node" ] || fail "RAY_NODE_ADDRESS is not set in $config"%(ray_auth)spins
set -- start --block --disable-usage-stats --node-ip-address "$node"
[ -z "$store" ] || set -- "$@" --object-store-memory "$store"
"""

# An older Ray would start without asking for the token, on all interfaces.
_RAY_AUTH = r"""
if [ "$(value RAY_AUTH_MODE "$config")" = token ]; then
    token=$(value RAY_AUTH_TOKEN_PATH "$config")
    if [ ! -s "$token" ] || [ ! -r "$token" ]; then
        fail "Ray's token $token cannot be read; run $site launchers for all its nodes"
    fi
    export RAY_AUTH_MODE=token "RAY_AUTH_TOKEN_PATH=$token"
    version=$("$ray" --version 2>/dev/null | sed -n 's/^ray, version //p')
    major=$(printf '%s\n' "$version" | sed -n 's/^\([0-9]\{1,\}\)\..*/\1/p')
    minor=$(printf '%s\n' "$version" | sed -n 's/^[0-9]\{1,\}\.\([0-9]\{1,\}\).*/\1/p')
    if [ "${major:-0}" -lt 2 ] || { [ "$major" -eq 2 ] && [ "${minor:-0}" -lt 52 ]; }; then
        fail "Ray ${version:-of an unknown version} requires no token: whoever reaches this node" \
            "could control it; install Ray 2.52 or later, or set dgxspark_launchers_ray_auth: false"
    fi
fi
"""

_RAY_HEAD = """
# The head of Ray, used by vLLM. The dashboard listens on this node only.
exec "$ray" "$@" --head --port "${port:-6379}" --dashboard-host 127.0.0.1
"""

_RAY_WORKER = """
# Wait for the head. If it never answers, systemd counts the failed start.
address=$head:${port:-6379}
tries=60
until "$ray" health-check --address "$address" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || fail "Ray's head at $address does not answer"
    sleep 2
done
exec "$ray" "$@" --address "$address"
"""

_COMMAND = """
usage() {
    cat <<'END'
usage: dgxspark serve NAME      start the model server NAME
       dgxspark stop NAME       stop it
       dgxspark restart NAME    stop and start it
       dgxspark status [NAME]   its state, and since when; --json for programs
       dgxspark logs NAME [-f]  its last lines; -f follows
NAME is configured in %(workloads)s/NAME.env: MODEL=, HOST=, PORT=, and an ARG= line for each
further word of `vllm serve`. The names `ray-head` and `ray-worker` are Ray's.
END
}

names() {
    for file in %(workloads)s/*.env; do
        [ -e "$file" ] || continue
        file=${file##*/}
        printf '%%s\\n' "${file%%.env}"
    done
}

unit() {
    case $1 in
        ray-head | ray-worker) printf 'dgxspark-%%s.service\\n' "$1" ;;
        '' | .* | *[!A-Za-z0-9._-]*) fail "not a name: $1" ;;
        *)
            [ -e "%(workloads)s/$1.env" ] ||
                fail "no workload $1 in %(workloads)s; known: $(names | tr '\\n' ' ')"
            printf 'dgxspark-vllm@%%s.service\\n' "$1"
            ;;
    esac
}

state() {
    wanted=ActiveState,SubState,Result,NRestarts,MainPID,ActiveEnterTimestamp
    systemctl show --property "$wanted" "$1"
}

status() {
    json=$1
    shift
    # shellcheck disable=SC2046 # names have no spaces
    [ $# -gt 0 ] || set -- $(names) ray-head ray-worker
    [ -z "$json" ] || printf '['
    comma=
    for name; do
        properties=$(state "$(unit "$name")")
        active=$(printf '%%s\\n' "$properties" | sed -n 's/^ActiveState=//p')
        result=$(printf '%%s\\n' "$properties" | sed -n 's/^Result=//p')
        restarts=$(printf '%%s\\n' "$properties" | sed -n 's/^NRestarts=//p')
        pid=$(printf '%%s\\n' "$properties" | sed -n 's/^MainPID=//p')
        since=$(printf '%%s\\n' "$properties" | sed -n 's/^ActiveEnterTimestamp=//p')
        if [ -n "$json" ]; then
            printf '%%s{"name": "%%s", "state": "%%s", "result": "%%s", ' \\
                "$comma" "$name" "$active" "$result"
            printf '"restarts": %%s, "pid": %%s, "since": "%%s"}' \\
                "${restarts:-0}" "${pid:-0}" "$since"
            comma=', '
        else
            printf '%%-24s %%-12s restarts %%s%%s%%s\\n' "$name" "$active" "${restarts:-0}" \\
                "${since:+, since $since}" "$([ "$result" = success ] || printf ', %%s' "$result")"
        fi
    done
    [ -z "$json" ] || printf ']\\n'
}

verb=${1:-help}
[ $# -eq 0 ] || shift
case $verb in
    serve | stop | restart)
        [ $# -eq 1 ] || fail "$verb needs one name; see dgxspark help"
        unit=$(unit "$1")
        [ "$(id -u)" -eq 0 ] || fail "$verb needs root: sudo $0 $verb $1"
        case $verb in serve) verb=start ;; esac
        # Resets the count of failed starts.
        [ "$verb" = stop ] || systemctl reset-failed "$unit" 2>/dev/null || :
        systemctl "$verb" "$unit"
        ;;
    status)
        json=
        if [ "${1:-}" = --json ]; then
            json=yes
            shift
        fi
        status "$json" "$@"
        ;;
    logs)
        [ $# -ge 1 ] || fail "logs needs a name; see dgxspark help"
        unit=$(unit "$1")
        shift
        case ${1:-} in
            -f) exec journalctl --unit "$unit" --output cat --lines 50 --follow ;;
            '') exec journalctl --unit "$unit" --output cat --lines 50 --no-pager ;;
            *) fail "logs: unknown option: $1" ;;
        esac
        ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        fail "unknown command: $verb"
        ;;
esac
"""

_UNIT = """\
%(comment)s
[Unit]
Description=%(description)s
Wants=network-online.target
After=%(after)s
# vLLM and Ray meet in /tmp.
JoinsNamespaceOf=%(joins)s
# A crash loop leaks unified memory until the node has to be reset: only a few starts.
StartLimitIntervalSec=%(interval)d
StartLimitBurst=%(burst)d

[Service]
Type=exec
User=%(user)s
StateDirectory=%(state)s
Environment=HOME=%%S/%(state)s
%(environment)s# A user without rights cannot create the device files of the GPU.
ExecStartPre=-+/bin/sh -c 'm=/usr/bin/nvidia-modprobe; test ! -x $$m || exec $$m -c 0 -u'
ExecStart=%(program)s
Restart=on-failure
RestartSec=%(pause)d
# Exit status of a wrong configuration: no restart.
RestartPreventExitStatus=78
KillMode=mixed
TimeoutStopSec=120
%(limits)s# The OOM killer ends the server before sshd.
OOMScoreAdjust=500
# Without DevicePolicy, ProtectClock and MemoryDenyWriteExecute: the GPU, and kernels compiled here.
%(writable)sRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallFilter=@system-service pidfd_getfd
%(sandbox)s
[Install]
WantedBy=multi-user.target
"""


def scripts(folder: str, paths_file: str, workloads: str, ray_file: str) -> dict[str, str]:
    """Name -> text of each script."""
    names = {
        "comment": COMMENT.strip(),
        "bin": folder,
        "paths_file": paths_file,
        "workloads": workloads,
        "ray_file": ray_file,
        "ray_auth": _RAY_AUTH,
    }
    return {
        name: (_HEAD + text) % names
        for name, text in (
            ("dgxspark", _COMMAND),
            ("dgxspark-vllm", _VLLM),
            ("dgxspark-ray-head", _RAY + _RAY_HEAD),
            ("dgxspark-ray-worker", _RAY + _RAY_WORKER),
        )
    }


def units(
    folder: str,
    workloads: str,
    ray_file: str,
    user: str,
    burst: int,
    interval: int,
    limits: Mapping[str, str],
    writable: Sequence[str] = (),
) -> dict[str, str]:
    """Name -> text of each unit.

    At most burst starts within interval seconds; limits is for example MEMLOCK -> infinity.
    writable are the directories outside their own in which the servers may write.
    """
    units_of_ray = "dgxspark-ray-head.service dgxspark-ray-worker.service"
    ray = ("network-online.target", [ray_file])
    vllm_after = "network-online.target %s" % units_of_ray
    texts = {}
    for name, program, description, (after, files) in (
        (
            "dgxspark-vllm@.service",
            "dgxspark-vllm %i",
            "vLLM serving %i",
            (vllm_after, [ray_file, "%s/%%i.env" % workloads]),
        ),
        ("dgxspark-ray-head.service", "dgxspark-ray-head", "Ray, head", ray),
        ("dgxspark-ray-worker.service", "dgxspark-ray-worker", "Ray, worker", ray),
    ):
        texts[name] = _UNIT % {
            "comment": COMMENT.strip(),
            "description": description,
            "after": after,
            "interval": interval,
            "burst": burst,
            "user": user,
            "state": STATE,
            "environment": "".join("EnvironmentFile=-%s\n" % file for file in files),
            "joins": " ".join(unit for unit in units_of_ray.split() if unit != name),
            "writable": "".join("ReadWritePaths=-%s\n" % value(path) for path in writable),
            "sandbox": SANDBOX,
            "program": "%s/%s" % (folder, program),
            "pause": 15,
            "limits": "".join("Limit%s=%s\n" % limit for limit in sorted(limits.items())),
        }
    return texts
