# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a node could not be inspected, and the lines to type."""

from __future__ import annotations

import shlex

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign


def advice(address: str, user: str, said: str, port: int = 0) -> list[str]:
    """A reason and the lines to type. said: Ansible's message for the node."""
    target = f"{user}@{address}" if user else address
    given = ["-p", str(port)] if port else []
    login = shlex.join([*given, target])
    low = said.lower()
    if "host key verification failed" in low or "host key is unknown" in low:
        if "identification has changed" in low:
            return [
                "its host key is not the one in known_hosts. If the machine was reinstalled:",
                f"  ssh-keygen -R {shlex.quote(f'[{address}]:{port}' if port else address)}",
            ]
        scan = shlex.join(["ssh-keyscan", *given, "-t", "ed25519", address])
        return [
            "its host key is unknown. Accept it; this shows its fingerprint:",
            f"  {scan} | tee -a ~/.ssh/known_hosts | ssh-keygen -lf -",
            "  Compare it with the one that the machine itself shows, at its own keyboard:",
            "  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
        ]
    if "permission denied" in low or "too many authentication failures" in low:
        return [
            f"it does not accept your key for {user or 'your user'}. Copy it, with the password:",
            f"  ssh-copy-id {login}",
            "  Without a key yet: ssh-keygen -t ed25519. Another user: -e user=NAME",
        ]
    if "could not resolve hostname" in low or "name or service not known" in low:
        return ["its name is unknown here. Name its address: -e nodes=ADDRESS"]
    if "no route to host" in low or "timed out" in low or "connection refused" in low:
        return [
            "it does not answer SSH. Check that it runs, and try:",
            f"  ssh {login}",
        ]
    last = [line for line in said.strip().splitlines() if line.strip()]
    return [foreign.line(last[-1][:300]) if last else "no answer", f"  ssh {login}"]
