# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the gateway, or check its files.

python -m gateway CONFIG
python -m gateway CONFIG --check [ENDPOINTS]
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from aiohttp import web

from gateway import config, endpoints
from gateway.app import Gateway

# Connections that the kernel accepts ahead of the process: clients come in bursts.
_BACKLOG = 1024
# For answers that are under way when the process ends.
_GRACE = 20.0
# Of a connection of a client without a request.
_IDLE = 75.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="gateway")
    parser.add_argument("config", type=Path)
    parser.add_argument(
        "--check", nargs="?", const="", metavar="ENDPOINTS", help="check the files and end"
    )
    given = parser.parse_args()
    try:
        settings = config.read(given.config)
        if given.check:
            endpoints.parse(Path(given.check).read_bytes(), settings.allowed)
    except (config.ConfigError, endpoints.EndpointsError, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1
    if given.check is not None:
        return 0
    # To standard output, with the time and the priority that the journal adds.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    # It would log what it cannot read of a request.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    web.run_app(
        Gateway(settings).application(),
        host=settings.bind,
        port=settings.port,
        access_log=None,
        print=None,
        backlog=_BACKLOG,
        shutdown_timeout=_GRACE,
        keepalive_timeout=_IDLE,
        handler_cancellation=True,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
