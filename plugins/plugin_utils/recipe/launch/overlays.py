# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan makes of a recipe's overlay: the name of the derived image, and its folder."""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.hooks import (
    overlay_folder,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Recipe
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.mods_and_hooks import (
    digest,
)

# On the nodes, by what is in them; and the repository of the images that are made of them.
OVERLAYS = "/var/lib/dgxspark/overlays"
REPOSITORY = "dgxspark-overlay"

_BYTES = 4 << 30  # wheels are the most of it


@dataclasses.dataclass(frozen=True)
class PlacedOverlay:
    """An overlay over an image. folder: on the controller. digest: of its content."""

    base: str
    folder: str
    digest: str
    forbid: tuple[str, ...]

    def image(self, name: str) -> str:
        """The derived image of a workload of that name: another overlay or base is another tag."""
        tag = hashlib.sha256(f"{self.base} {self.digest}".encode()).hexdigest()[:16]
        return f"{REPOSITORY}/{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-') or 'image'}:{tag}"

    def entry(self) -> dict[str, t.Any]:
        return {
            "base": self.base,
            "folder": self.folder,
            "digest": self.digest,
            "source": posixpath.join(OVERLAYS, self.digest),
            "forbid": list(self.forbid),
        }


def placed_overlay(recipe: Recipe, image: str) -> tuple[PlacedOverlay | None, list[str]]:
    """The overlay by what is in its folder, and why it cannot be used. image: the base."""
    if not recipe.overlay:
        return None, []
    folder = overlay_folder(recipe)
    try:
        return PlacedOverlay(image, folder, digest(folder, _BYTES), recipe.forbid), []
    except (OSError, ValueError) as error:
        return None, [f"the overlay {recipe.overlay} in {folder} cannot be used: {error}"]
