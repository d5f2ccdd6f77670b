# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Whether this node has the image that an overlay makes of another one.

Building it is in overlay_image.py, because every inspection of a node sends this file.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host import foreign
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import containers
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import overlay

_SECONDS = 120.0


def observe(docker: str, name: str, base: str) -> overlay.Observed:
    """The derived image and its base as they are on this node. Raises EngineError."""
    image_id = containers.image_id(docker, name) or ""
    label = config(docker, name).get("Labels") if image_id else None
    hashed = label.get(overlay.HASH_LABEL) if isinstance(label, dict) else ""
    return overlay.Observed(image_id, str(hashed or ""), containers.image_id(docker, base) or "")


def present(docker: str, name: str, base: str, digest: str) -> dict[str, str]:
    """The results `image_id`, empty where it has to be built, and `base_id`. Raises EngineError."""
    seen = observe(docker, name, base)
    step = overlay.plan(seen, overlay.Wanted(name, digest))
    there = not (step.build or step.problem)
    return {"image_id": seen.image_id if there else "", "base_id": seen.base_id}


def config(docker: str, image: str) -> dict[str, Any]:
    """The configuration of an image. Raises EngineError."""
    asked = ["image", "inspect", "--format", "{{json .Config}}", "--", image]
    try:
        answer = foreign.json_of(containers.ask(docker, asked, _SECONDS))
    except ValueError as error:
        raise containers.EngineError("docker image inspect: %s" % error) from error
    return answer if isinstance(answer, dict) else {}
