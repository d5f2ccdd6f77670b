# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""What netplan makes of its files: netplan itself is asked, in a scratch folder.

No YAML is parsed here. A node's modules have none to parse it with, and what counts is what netplan
hands to systemd-networkd and NetworkManager.
"""

from __future__ import annotations

import configparser
import fnmatch
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import run
from ansible_collections.dgxspark.suite.plugins.module_utils.host.reading import (
    list_folder,
    read_text,
)

_SECONDS = 20.0
NETWORKD, NETWORK_MANAGER = "networkd", "NetworkManager"
# Below /run: what is handed to whom.
_FOLDERS = {
    NETWORKD: os.path.join("systemd", "network"),
    NETWORK_MANAGER: os.path.join("NetworkManager", "system-connections"),
}
# Profiles that netplan does not write; of two with one name that of the first folder counts.
PROFILES = {
    NETWORKD: (
        *("/etc/systemd/network", "/run/systemd/network"),
        *("/usr/local/lib/systemd/network", "/usr/lib/systemd/network"),
    ),
    NETWORK_MANAGER: (
        "/etc/NetworkManager/system-connections",
        "/run/NetworkManager/system-connections",
        "/usr/lib/NetworkManager/system-connections",
    ),
}
# In [Network] of a .network file: what is stacked on the interface.
_UPPERS = ("Bond", "Bridge", "VRF", "VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "IPVTAP", "VXLAN")


@dataclass(frozen=True)
class Generated:
    """Path below /run -> text of what netplan hands over; or why it does not."""

    files: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class NetplanSetting:
    """What one generated file sets, and on which interfaces. mtu is 0 where it says nothing.

    uppers: the bonds, bridges and VLANs that these interfaces are used by. automatic: it is
    activated without being asked for.
    """

    path: str
    renderer: str
    names: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    mtu: int = 0
    dhcp: bool = False
    uppers: tuple[str, ...] = ()
    automatic: bool = True

    def concerns(self, name: str, mac: str) -> bool:
        """Whether it is for this interface in particular; one for any interface is not."""
        named = any(fnmatch.fnmatchcase(name, pattern) for pattern in self.names if pattern != "*")
        return named or mac.lower() in self.macs


def generate(netplan: str, files: Mapping[str, str]) -> Generated:
    """What `netplan generate` makes of files, name -> text. Nothing of it remains."""
    with tempfile.TemporaryDirectory(prefix="dgxspark-netplan-") as root:
        folder = os.path.join(root, "etc", "netplan")
        os.makedirs(folder)
        for name, text in files.items():
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as stream:
                stream.write(text)
            os.chmod(path, 0o600)
        result = run([netplan, "generate", "--root-dir", root], _SECONDS)
        if not result.ok:
            return Generated(error=result.describe().replace(root, ""))
        return Generated(handed_over(os.path.join(root, "run")))


def handed_over(run_folder: str = "/run") -> dict[str, str]:
    """Path below /run -> text of all that netplan has handed over."""
    files = {}
    for below in _FOLDERS.values():
        folder = os.path.join(run_folder, below)
        for name in list_folder(folder):
            if "netplan-" in name:
                text = read_text(os.path.join(folder, name), errors="surrogateescape")
                if text is not None:
                    files[os.path.join(below, name)] = text
    return files


def settings(files: Mapping[str, str]) -> tuple[NetplanSetting, ...]:
    """What those files set; .link files set nothing that lasts."""
    collected = []
    for path, text in sorted(files.items()):
        if path.endswith(".network"):
            collected.append(parse_network(path, text))
        elif path.endswith(".nmconnection"):
            collected.append(parse_connection(path, text))
    return tuple(collected)


def parse_network(path: str, text: str) -> NetplanSetting:
    """A .network file of systemd-networkd; keys may come more than once."""
    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            said.setdefault(key.strip(), []).append(value.strip())
    macs = " ".join(said.get("MACAddress", []) + said.get("PermanentMACAddress", [])).lower()
    mtu = said.get("MTUBytes", ["0"])[-1]
    return NetplanSetting(
        path,
        NETWORKD,
        tuple(" ".join(said.get("Name", [])).split()),
        tuple(macs.split()),
        tuple(said.get("Address", [])),
        int(mtu) if foreign.is_whole(mtu) else 0,
        said.get("DHCP", ["no"])[-1] not in ("no", "false"),
        tuple(upper for key in _UPPERS for value in said.get(key, []) for upper in value.split()),
    )


def parse_connection(path: str, text: str) -> NetplanSetting:
    """A keyfile of NetworkManager."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return NetplanSetting(path, NETWORK_MANAGER)

    def said(section: str, key: str) -> str:
        return parser.get(section, key, fallback="")

    addresses = [
        value.split(",")[0]
        for key, value in (parser.items("ipv4") if parser.has_section("ipv4") else [])
        if key.startswith("address")
    ]
    name, mac, mtu = (
        said("connection", "interface-name"),
        said("ethernet", "mac-address"),
        said("ethernet", "mtu"),
    )
    return NetplanSetting(
        path,
        NETWORK_MANAGER,
        (name,) if name else (),
        (mac.lower(),) if mac else (),
        tuple(addresses),
        int(mtu) if foreign.is_whole(mtu) else 0,
        said("ipv4", "method") == "auto",
        tuple(filter(None, (said("connection", "controller") or said("connection", "master"),))),
        said("connection", "autoconnect").lower() not in ("false", "no", "0"),
    )


def other_profiles(
    folders: Mapping[str, Sequence[str]] | None = None,
) -> tuple[NetplanSetting, ...]:
    """The profiles of systemd-networkd and NetworkManager that netplan has not written."""
    found = []
    for renderer, places in (folders or PROFILES).items():
        suffix = ".network" if renderer == NETWORKD else ".nmconnection"
        parse = parse_network if renderer == NETWORKD else parse_connection
        paths: dict[str, str] = {}
        for folder in reversed(places):
            for name in list_folder(folder):
                if name.endswith(suffix) and "netplan-" not in name:
                    paths[name] = os.path.join(folder, name)
        for path in paths.values():
            text = read_text(path, errors="surrogateescape")
            found += [parse(path, text)] if text else []
    return tuple(found)


def rival_profile(
    ours: NetplanSetting, others: Sequence[NetplanSetting], name: str, mac: str
) -> NetplanSetting | None:
    """The profile that takes an interface from the one that netplan writes for it.

    systemd-networkd takes the first file by name that matches, NetworkManager any profile of the
    interface that is activated automatically.
    """
    for other in others:
        if other.renderer != ours.renderer:
            continue
        if other.renderer == NETWORK_MANAGER:
            taken = other.automatic and other.concerns(name, mac)
        else:
            before = os.path.basename(other.path) < os.path.basename(ours.path)
            any_interface = "*" in other.names and not other.macs
            taken = before and (any_interface or other.concerns(name, mac))
        if taken:
            return other
    return None
