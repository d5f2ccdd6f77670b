# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One chat completion from the lab's model, question and answer: ``chat.py ADDRESS``."""

from __future__ import annotations

import json
import sys
import urllib.request

QUESTION = "two sparks serve one model"


def main(address: str) -> None:
    body = {
        "model": "lab-tiny",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 16,
    }
    request = urllib.request.Request(
        f"http://{address}:8000/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    # The lab is on this machine: no proxy has a part in it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=120) as response:
        answer = json.load(response)
    print(f"    user:      {QUESTION}")
    print(f"    lab-tiny:  {answer['choices'][0]['message']['content']!r}")
    print(f"    tokens:    {answer['usage']['completion_tokens']} generated")
    print("    (random weights: that it answers is the point, not what)")


if __name__ == "__main__":
    main(sys.argv[1])
