# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""End with an error that names why this machine does not listen on an address: bindable.py ADDRESS.

What is private is decided as in the gateway (addresses.py): the internet does not route it.
"""

from __future__ import annotations

import ipaddress
import socket
import sys

# RFC 6598, which VPNs such as Tailscale use; Python does not call it private.
_SHARED = ipaddress.ip_network("100.64.0.0/10")


def problem_of(text: str) -> str:
    """Why nothing listens on this address; empty if it is a private one of this machine."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "a name or another text is no IP address"
    if address.is_unspecified:
        return "that listens on every address of this machine, the public ones among them"
    shared = address.version == 4 and address in _SHARED
    if address.is_multicast or address.is_link_local or not (address.is_private or shared):
        return "that is no private address"
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.bind((text, 0))
    except OSError as error:
        return "this machine does not have it: %s" % error.strerror
    return ""


if __name__ == "__main__":
    sys.exit(problem_of(sys.argv[1]) or 0)
