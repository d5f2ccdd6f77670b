# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Why a launch is refused, and the playbook that leads on. Pure.

plugin_utils/next_step.py makes a message of refusals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.host.foreign import line

Refusal = dict[str, Any]


def refusal(why: str, *playbook: str) -> Refusal:
    """A dict of `why`, in one line, and `next`: the name of a playbook and its arguments."""
    return {"why": line(why), "next": list(playbook)}


def reasons(refusals: Iterable[Refusal]) -> str:
    """All of them, without what leads on."""
    return "; ".join(one["why"] for one in refusals)


def launch_words(of: Mapping[str, Any], overrides: Mapping[str, Any]) -> list[str]:
    """What launches the recipe of a plan or of a workload again, with these overrides."""
    words = [f"service={of['service']}", f"recipe={of['recipe_path']}"]
    words.append(f"nodes={','.join(of['nodes'])}")
    if overrides:
        words.append(json.dumps({"overrides": overrides}))
    return ["launch", *(part for word in words for part in ("-e", word))]
