# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends notifications to webhooks, without waiting for receivers that do not answer."""

from __future__ import annotations

import json
import secrets
import selectors
import subprocess
import sys
import time
import urllib.parse
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.dgxspark.suite.plugins.plugin_utils.webhook import LONGEST

PROGRAM = Path(__file__).resolve().parents[1] / "plugin_utils" / "webhook.py"
PATIENCE = 3  # seconds for the first attempts of all receivers together

display = Display()


class ActionModule(ActionBase):
    """Starts a process for each receiver, which runs until it has delivered or given up."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        given = self._task.args
        if not given.get("secret"):
            display.warning("No webhook was sent: dgxspark_webhook_secret is empty")
            return {"changed": False, "deliveries": []}
        # Plain data, without Ansible's own subclasses of str.
        body = json.dumps(
            {
                "schema": 1,
                "event": str(given["event"]),
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "swap": json.loads(json.dumps(given.get("swap") or {})),
            },
            sort_keys=True,
        )
        wait = boolean(given.get("wait", False))
        message = {
            "wait": wait,
            "event": str(given["event"]),
            "delivery": secrets.token_hex(16),
            "secret": str(given["secret"]),
            "body": body,
        }
        senders = {str(url): _send({**message, "url": str(url)}) for url in given.get("urls") or []}
        deadline = time.monotonic() + (LONGEST if wait else PATIENCE)
        deliveries = []
        for url, sender in senders.items():
            outcome = _outcome(sender, deadline - time.monotonic())
            # Everything in a URL besides its host may be a secret.
            receiver = urllib.parse.urlsplit(url).hostname or "a URL without a host"
            deliveries.append({"receiver": receiver, "outcome": outcome})
            if outcome != "delivered":
                display.warning(f"Webhook {given['event']} to {receiver}: {outcome}")
        return {"changed": False, "deliveries": deliveries}


def _send(message: dict[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-I", str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # It outlives ansible-playbook, and Ctrl-C; not where that waits for it.
        start_new_session=not message["wait"],
        cwd="/",
    )
    # A process that could not start is reported by its missing outcome.
    with suppress(BrokenPipeError):
        if process.stdin:
            process.stdin.write(json.dumps(message))
            process.stdin.close()
    return process


def _outcome(sender: subprocess.Popen[str], seconds: float) -> str:
    """The outcome that it prints, if it is known within so many seconds."""
    if sender.stdout is None:
        return ""
    with sender.stdout, selectors.DefaultSelector() as selector:
        selector.register(sender.stdout, selectors.EVENT_READ)
        if not selector.select(max(0, seconds)):
            return "no answer yet, retried in the background"
        return sender.stdout.readline().strip() or "not sent: the sending process has ended"
