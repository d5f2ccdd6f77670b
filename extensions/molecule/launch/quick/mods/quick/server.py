# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaces vLLM in tests of the launch: starts in a second, answers completions.

It reads the options that it needs from vLLM's command line. --dtype no-such-dtype ends it with an
error, as it ends vLLM. A rank other than 0 serves nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def main() -> None:
    # The first process of a container has no default action for it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    parser = argparse.ArgumentParser()
    parser.add_argument("--served-model-name")
    parser.add_argument("--port", type=int)
    parser.add_argument("--dtype")
    parser.add_argument("--node-rank", type=int, default=0)
    options, _others = parser.parse_known_args()
    print("quick: rank", options.node_rank, "of", options.served_model_name, flush=True)
    if options.dtype == "no-such-dtype":
        sys.exit("argument --dtype: invalid choice: 'no-such-dtype'")
    if options.node_rank:
        time.sleep(1e9)

    class Handler(BaseHTTPRequestHandler):
        def reply(self, value: dict[str, object]) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.reply({"data": [{"id": options.served_model_name}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            choice = {"index": 0, "text": "hello", "finish_reason": "length"}
            usage = {"completion_tokens": asked.get("max_tokens", 1)}
            self.reply({"choices": [choice], "usage": usage})

    ThreadingHTTPServer(("0.0.0.0", options.port), Handler).serve_forever()


main()
