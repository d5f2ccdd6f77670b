# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that announce SSH by mDNS, from the output of avahi-browse."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign

# What NVIDIA's script for two Sparks looks for. -p: fields with semicolons, -r: with addresses, -t:
# end when all are listed. Not -f, with which it waits for a daemon that is missing.
BROWSE = ("-p", "-r", "-t", "_ssh._tcp")
# How the makers name a new machine with a GB10: spark-1a2b, gx10-1a2b, promaxgb10-1a2b and so on.
SPARK_NAME = re.compile(r"(?:dgx-?)?spark|gx10|gb10|promax|pgx|zgx|edgexpert|gn100|ai-?top", re.I)
# A hostname, as mDNS has it: letters, digits, hyphens.
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9-]{1,63})*\.?")


@dataclass(frozen=True)
class Announced:
    """A machine. address is empty if it announces none that can be used from here."""

    host: str
    address: str = ""

    @property
    def is_spark(self) -> bool:
        """By its name, the only thing that it says about itself."""
        return bool(SPARK_NAME.match(self.host))


def parse(text: str) -> tuple[Announced, ...]:
    """Every machine once, sorted by name; a line that is none of avahi-browse is ignored."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        # =;interface;protocol;name;type;domain;host;address;port;text. A semicolon in the name is
        # written as \059.
        fields = line.split(";")
        if len(fields) < 9 or fields[0] != "=" or not _HOST.fullmatch(fields[6]):
            continue
        host = fields[6].rstrip(".").removesuffix(".local")
        found.setdefault(host, []).append(fields[7])
    return tuple(Announced(host, best(found[host])) for host in sorted(found))


def best(addresses: Iterable[str]) -> str:
    """IPv4 before IPv6; empty if all are for one link only, or no addresses."""
    usable = []
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        # An IPv6 address of one link needs the name of an interface here, which is nobody else's.
        if not address.is_link_local and not address.is_loopback:
            usable.append(address)
    usable.sort(key=lambda address: (address.version, int(address)))
    return str(usable[0]) if usable else ""


def report(announced: Sequence[Announced]) -> list[str]:
    """One line for each machine that is left out, with the reason."""
    lines = []
    for one in announced:
        name = foreign.line(one.host)
        if one.is_spark and not one.address:
            lines.append(
                f"{name}: left out: it announces only addresses that are valid on one link."
                " Name its address: -e nodes=ADDRESS"
            )
        elif not one.is_spark:
            where = f" ({one.address})" if one.address else ""
            lines.append(
                f"{name}{where}: left out: its name is not that of a new Spark. If it is one: -e"
                f" nodes={one.address or name}"
            )
    return lines
