# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m redaction

REDACTION_PORT, REDACTION_MAPS (a folder of its own) and REDACTION_MODEL (a package with a pipeline
of spaCy; empty for rules alone).
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from aiohttp import web

from redaction.app import Redaction
from redaction.maps import Maps
from redaction.ner import Recogniser, Unavailable


def main() -> None:
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    # They may log what they cannot read.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    maps = Maps(Path(os.environ.get("REDACTION_MAPS", "/maps")))
    package = os.environ.get("REDACTION_MODEL", "en_core_web_sm")
    recognise, unavailable = None, ""
    if package:
        try:
            recognise = Recogniser(package).recognise
        except Unavailable as error:
            unavailable = str(error)
            logging.getLogger("redaction").error("no model: %s", unavailable)
    web.run_app(
        Redaction(maps, recognise, unavailable).application(),
        host="0.0.0.0",
        port=int(os.environ.get("REDACTION_PORT", "3000")),
        access_log=None,
        print=None,
    )


if __name__ == "__main__":
    main()
