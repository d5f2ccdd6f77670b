# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Values of unit files, and the sandbox of the services that need no rights of root's."""

from __future__ import annotations

from collections.abc import Sequence

# Not here, since not every service can do without: MemoryDenyWriteExecute (kernels are compiled at
# run time), ProtectClock and PrivateDevices (both hide the GPU), PrivateNetwork, ProtectProc.
# Read-only and not hidden homes: an interpreter or a model may be in one.
SANDBOX = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
UMask=0077
"""


def value(text: str) -> str:
    """The value of a setting such as Description= that shows exactly this text.

    Raises ValueError for a text that would add a line.
    """
    if not text.isprintable():
        raise ValueError("characters that are not allowed in a systemd unit: %r" % text)
    backslashes = len(text) - len(text.rstrip("\\"))
    # An odd backslash at the end would join the next line.
    return text.replace("%", "%%") + "\\" * (backslashes % 2)


def quoted(argv: Sequence[str]) -> str:
    """A command line for ExecStart= with exactly these words."""
    program, *words = argv
    # No variable is replaced in the path of the program.
    return " ".join([_word(program), *(_word(word.replace("$", "$$")) for word in words)])


def _word(word: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%")):
        word = word.replace(plain, escaped)
    word = "".join(char if char.isprintable() else _escaped(char) for char in word)
    plain_word = word and not set(word) & set(" '\"\\;")
    return word if plain_word else '"%s"' % word


def _escaped(char: str) -> str:
    return "".join("\\x%02x" % byte for byte in char.encode("utf-8", "surrogateescape"))
