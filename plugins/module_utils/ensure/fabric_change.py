# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""A change of the links between nodes that is undone unless it is confirmed.

The old state is saved in a folder, together with a script that restores it. A systemd timer runs
the script; a confirmation moves the folder away. The rename decides between timer and confirmation:
the later one does nothing. If the controller dies, the old network comes back.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.files import (
    make_directories,
    replace_file,
    rightful_owner,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked
from ansible_collections.dgxspark.suite.plugins.module_utils.host.tools import find_tool
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.links import Link, ask_links
from ansible_collections.dgxspark.suite.plugins.module_utils.probes.netplan import NETWORK_MANAGER

FOLDER = "/var/lib/dgxspark/fabric-change"
UNIT = "dgxspark-fabric-undo"
_SCRIPT, _NOTES = "undo.sh", "change.json"
_SECONDS = 60.0
# Limit for links to get their addresses, and for an undo that another process has started.
_SETTLE_SECONDS = 15.0
# networkd removes the addresses once more while it reconfigures a link.
_STEADY_SECONDS = 1.5

_UNDO = """#!/bin/sh
# Managed by dgxspark.suite: restores the old network unless its change is confirmed.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
# May run again after an interruption.
mv -T {folder} {folder}.undoing 2>/dev/null || [ -d {folder}.undoing ] || exit 0
put_back() {{ # FILE COPY
    if [ -e "$2" ]; then cp -p "$2" "$1.undo" && mv "$1.undo" "$1"; else rm -f "$1"; fi
}}
{files}
{apply}
restore() {{ # INTERFACE MTU up|down ADDRESS...
    device=$1 mtu=$2 state=$3
    shift 3
    [ -e "/sys/class/net/$device" ] || return 0
    have=$(ip -o -4 address show dev "$device" scope global | awk '{{print $4}}' | xargs)
    if [ "$have" != "$*" ]; then
        ip -4 address flush dev "$device" scope global
        for address; do ip address add "$address" dev "$device"; done
    fi
    ip link set dev "$device" mtu "$mtu"
    ip link set dev "$device" "$state"
}}
sleep 1
{restore}
rm -rf {folder}.undoing
"""


@dataclass(frozen=True)
class Tools:
    """The required programs by absolute path; empty if not installed."""

    ip: str
    netplan: str
    systemctl: str
    systemd_run: str
    networkctl: str
    nmcli: str

    @classmethod
    def search(cls) -> Tools:
        names = ("ip", "netplan", "systemctl", "systemd-run", "networkctl", "nmcli")
        return cls(*(find_tool(name) for name in names))

    def missing(self, renderer: str) -> list[str]:
        needed = {"ip": self.ip, "netplan": self.netplan, "systemd-run": self.systemd_run}
        if renderer == NETWORK_MANAGER:
            needed["nmcli"] = self.nmcli
        else:
            needed["networkctl"] = self.networkctl
        return [name for name, path in needed.items() if not path]


@dataclass(frozen=True)
class Open:
    """A pending change. carried: the interfaces that reached a peer before it."""

    carried: tuple[str, ...]
    until: float


def open_change(folder: str = FOLDER) -> Open | None:
    """The pending change of this node, if any."""
    try:
        with open(os.path.join(folder, _NOTES), encoding="utf-8") as stream:
            notes = foreign.json_of(stream.read())
        return Open(tuple(notes["carried"]), float(notes["until"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Open((), 0.0) if os.path.isdir(folder) else None


def apply_commands(tools: Tools, renderer: str, interfaces: Sequence[str]) -> list[list[str]]:
    """The commands that apply netplan's files to these interfaces only."""
    commands = [[tools.netplan, "generate"]]
    if renderer == NETWORK_MANAGER:
        commands.append([tools.nmcli, "connection", "reload"])
        for name in interfaces:
            argv = [tools.nmcli, "connection", "up", "netplan-" + name, "ifname", name]
            commands.append(argv)
        return commands
    if tools.nmcli:
        for name in interfaces:
            commands.append([tools.nmcli, "device", "set", name, "managed", "no"])
            # Addresses of NetworkManager have no subnet route, and networkd keeps existing
            # addresses: the peers would be unreachable.
            commands.append([tools.ip, "-4", "address", "flush", "dev", name, "scope", "global"])
    commands.append([tools.systemctl, "start", "systemd-networkd.service"])
    commands.append([tools.networkctl, "reload"])
    commands.append([tools.networkctl, "reconfigure", *interfaces])
    return commands


def undo_script(
    tools: Tools, renderer: str, folder: str, files: Sequence[str], links: Sequence[Link]
) -> str:
    """The script that restores the files and the state of the links. Pure."""
    copies = [
        ["put_back", file, os.path.join(folder + ".undoing", str(number))]
        for number, file in enumerate(files)
    ]
    names = [link.name for link in links]
    restore = [
        ["restore", link.name, str(link.mtu), "up" if link.up else "down", *link.addresses]
        for link in links
    ]
    return _UNDO.format(
        folder=shlex.quote(folder),
        files="\n".join(shlex.join(words) for words in copies),
        apply="\n".join(shlex.join(argv) for argv in apply_commands(tools, renderer, names)),
        restore="\n".join(shlex.join(words) for words in restore),
    )


def change(
    tools: Tools,
    renderer: str,
    files: Sequence[str],
    text: str,
    before: Sequence[Link],
    wanted: Mapping[str, tuple[str, int]],
    dropped: Sequence[str],
    carried: Callable[[], Sequence[str]],
    seconds: int,
    folder: str = FOLDER,
) -> None:
    """Write the netplan file and apply it to its links, with a timer that undoes it.

    The netplan file is the first of files; the others are restored with it.

    wanted is interface -> (address with prefix, MTU), dropped are the interfaces no longer in the
    file, before is the present state of all of them. Raises Blocked if it fails; the old network
    is restored then.
    """
    script = undo_script(tools, renderer, folder, files, before)
    _begin(tools, script, files, carried, seconds, folder)
    try:
        replace_file(files[0], text.encode(), 0o600, rightful_owner(0))
        release = [[tools.ip, "address", "flush", "dev", name] for name in dropped]
        for argv in apply_commands(tools, renderer, list(wanted)) + release:
            done = run(argv, _SECONDS)
            # NetworkManager may not know the device.
            if not done.ok and argv[1:3] != ["device", "set"]:
                raise Blocked("%s: %s" % (shlex.join(argv), done.describe()), "See its output.")
        _await(tools, wanted)
    except BaseException:
        undo(tools, folder)
        raise


def _begin(
    tools: Tools,
    script: str,
    files: Sequence[str],
    carried: Callable[[], Sequence[str]],
    seconds: int,
    folder: str,
) -> None:
    """Save the present state and start the timer; a pending change keeps its saved state."""
    make_directories(os.path.dirname(folder))
    _disarm(tools)
    # Finish an interrupted undo.
    run(["/bin/sh", os.path.join(folder + ".undoing", _SCRIPT)], _SECONDS)
    shutil.rmtree(folder + ".confirmed", ignore_errors=True)
    carrying = list(carried())
    notes = {"carried": carrying, "until": time.time() + seconds}
    earlier = open_change(folder)
    if earlier is None:
        scratch = tempfile.mkdtemp(prefix=".fabric-change.", dir=os.path.dirname(folder))
        for number, file in enumerate(files):
            if os.path.exists(file):
                shutil.copy2(file, os.path.join(scratch, str(number)))
        _write(os.path.join(scratch, _SCRIPT), script)
        _write(os.path.join(scratch, _NOTES), json.dumps(notes))
        os.replace(scratch, folder)
    else:
        notes["carried"] = sorted({*carrying, *earlier.carried})
        _write(os.path.join(folder, _NOTES), json.dumps(notes))
    timer = [tools.systemd_run, "--quiet", "--collect", "--unit=" + UNIT]
    timer += ["--on-active=%ds" % seconds, "--timer-property=AccuracySec=1s"]
    timer += ["/bin/sh", os.path.join(folder, _SCRIPT)]
    armed = run(timer, _SECONDS)
    if not armed.ok:
        if earlier is None:
            shutil.rmtree(folder, ignore_errors=True)
        message = "the undo timer cannot be started: %s" % armed.describe()
        raise Blocked(message, "Nothing was changed. See `systemctl status %s`." % UNIT)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


def _disarm(tools: Tools) -> None:
    run([tools.systemctl, "stop", UNIT + ".timer"], _SECONDS)


def _await(tools: Tools, wanted: Mapping[str, tuple[str, int]]) -> None:
    deadline = time.monotonic() + _SETTLE_SECONDS
    since = None
    while True:
        links = ask_links(tools.ip)
        now = time.monotonic()
        late = [
            name
            for name, (address, mtu) in wanted.items()
            if name not in links or links[name].addresses != (address,) or links[name].mtu != mtu
        ]
        if late:
            since = None
        elif since is None:
            since = now
        elif now - since >= _STEADY_SECONDS:
            return
        if late and now > deadline:
            message = "%s did not get the configured state within %d s; the change was undone"
            hint = "See `journalctl --unit systemd-networkd`, or that of NetworkManager."
            raise Blocked(message % (", ".join(late), _SETTLE_SECONDS), hint)
        time.sleep(0.2)


def confirm(tools: Tools, folder: str = FOLDER) -> bool:
    """Keep the change; False if it has been undone already."""
    _disarm(tools)
    try:
        os.rename(folder, folder + ".confirmed")
    except FileNotFoundError:
        return False
    shutil.rmtree(folder + ".confirmed", ignore_errors=True)
    return True


def undo(tools: Tools, folder: str = FOLDER) -> None:
    """Restore the old state now; waits for a timer that is doing so."""
    _disarm(tools)
    run(["/bin/sh", os.path.join(folder, _SCRIPT)], _SECONDS)
    deadline = time.monotonic() + _SETTLE_SECONDS
    while os.path.isdir(folder + ".undoing") and time.monotonic() < deadline:
        time.sleep(0.2)
