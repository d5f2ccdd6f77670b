# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run control, or check its settings.

python -m dgxspark_control CONFIG [--check]
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import uvicorn

from dgxspark_control import config, files
from dgxspark_control.app import create_app

# Seconds for answers that are under way when the process ends.
_GRACE = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="dgxspark_control")
    parser.add_argument("config", type=Path)
    parser.add_argument("--check", action="store_true", help="check the file and end")
    given = parser.parse_args()
    try:
        settings = config.read(given.config)
    except (config.ConfigError, OSError) as error:
        print(f"dgxspark_control: {error}", file=sys.stderr)
        return 1
    if given.check:
        return 0
    os.umask(0o077)
    if settings.key:
        files.write_ssh_settings(settings.state / "home", settings.key)
    # To standard output, with the time and the priority that the journal adds.
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            host=settings.bind,
            port=settings.port,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
    )
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    raise SystemExit(main())
