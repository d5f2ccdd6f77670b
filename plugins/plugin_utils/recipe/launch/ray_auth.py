# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the Ray of a launch asks for a token. Pure.

Ray's GCS and raylets listen on all interfaces of a node, and whoever reaches one runs code there.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import shown
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    ResolvedRecipe,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.runtimes.registry import (
    runtime_named,
)

# The secret by which the nodes of a Ray cluster know each other, and where containers see it.
RAY_TOKEN = "/var/lib/dgxspark/ray/token"
RAY_TOKEN_SEEN_AT = "/run/dgxspark/ray-token"
# The first that asks for one: docs.ray.io, "Ray token authentication".
_FIRST = (2, 52)
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?![0-9])[\w.+-]{0,40}", re.ASCII)
# Ray's variables of it. RAY_AUTH_TOKEN would be in the container's configuration.
OWN_VARIABLES = "RAY_AUTH_"

_WAY_OUT = (
    "Use an image with Ray 2.52 or later, or, if nobody else reaches these nodes, "
    "-e dgxspark_ray_auth=false"
)

State = t.Literal["", "token", "off", "unsupported", "unknown"]


@dataclasses.dataclass(frozen=True)
class RayAuth:
    """state: `ray_auth` of the plan. version: of the image's Ray, empty where it does not matter.

    warning, refusal: for people, empty for none.
    """

    state: State = ""
    version: str = ""
    warning: str = ""
    refusal: str = ""

    @property
    def environment(self) -> dict[str, str]:
        if self.state == "token":
            return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": RAY_TOKEN_SEEN_AT}
        # From 2.61 on Ray asks for one by default.
        return {"RAY_AUTH_MODE": "disabled"} if self.state == "off" else {}


def ray_auth(
    resolved: ResolvedRecipe,
    wanted: bool,
    port: int,
    image_facts: t.Mapping[str, t.Mapping[str, t.Any]],
) -> RayAuth:
    """Whether Ray asks for a token, if the ranks run by Ray.

    wanted: by the inventory. port: Ray's, on the head. image_facts: by node; all nodes run the same
    image, so that one that knows it is enough.
    """
    if not runtime_named(resolved.runtime).ray:
        return RayAuth()
    risk = (
        f"whoever reaches port {port} of {resolved.ranks[0].node.name}, on any of its interfaces, "
        "can run code on these nodes"
    )
    if not wanted:
        return RayAuth("off", warning=f"Ray asks for no token (dgxspark_ray_auth is false): {risk}")
    known = [image_facts.get(rank.node.name) or {} for rank in resolved.ranks]
    version = next((str(facts["ray"] or "") for facts in known if "ray" in facts), None)
    if version is None:
        text = (
            f"{resolved.image} has not been inspected, so it is not known whether its Ray can ask "
            "for a token"
        )
        return RayAuth("unknown", "", text, f"{text}. Without one {risk}. {_WAY_OUT}")
    if can_ask(version):
        return RayAuth("token", version)
    found = (
        f"{resolved.image} has Ray {shown(version)[:40]}"
        if version
        else (f"no Ray was found in {resolved.image}")
    )
    return RayAuth(
        "unsupported",
        refusal=f"{found}, and only releases from 2.52 on ask for a token. Without one {risk}. "
        + _WAY_OUT,
    )


def can_ask(version: str) -> bool:
    """Whether a Ray of this version asks for a token. All nightly builds are called 3.0.0.dev0."""
    match = _VERSION.fullmatch(version)
    if match is None or "dev" in version:
        return False
    return (int(match[1]), int(match[2])) >= _FIRST
