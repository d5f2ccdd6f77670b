# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time of one memory estimate with its verdict: python tests/benchmarks/bench_memory.py

A part of the 10 ms that load, resolve, validate and estimate of one recipe may take together. Ends
with status 1 above 5 ms.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
LIMIT_MS = 5.0
ROUNDS = 20


def main() -> int:
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import Node
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import (
        resolve,
    )
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
        read_directory,
    )
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.estimate import (
        estimate_memory,
    )
    from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.fit import (
        NodeMemory,
        fit,
    )

    nodes = [Node(f"spark{i}", f"192.0.2.{i}", fabric_interface="enp1s0f0np0") for i in (1, 2)]
    resolved = [
        resolve(load(str(path)), {}, nodes) for path in sorted((ROOT / "recipes").glob("*.yaml"))
    ]
    spark = NodeMemory(130_600_000_000)
    times = []
    for _round in range(ROUNDS):
        for recipe in resolved:
            start = time.perf_counter()
            fit(estimate_memory(recipe), spark)
            times.append((time.perf_counter() - start) * 1000)
    times.sort()
    median, worst = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(f"estimate and fit: median {median:.2f} ms, 99 % below {worst:.2f} ms, {len(times)} runs")

    times = []
    for folder in sorted((ROOT / "tests/unit/fixtures/models").iterdir()):
        start = time.perf_counter()
        read_directory(folder)
        times.append((time.perf_counter() - start) * 1000)
    print(f"read a config: mean {sum(times) / len(times):.2f} ms, worst {max(times):.2f} ms")
    return 1 if median > LIMIT_MS else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as tree:
        # A collection is a package only when seen through ansible_collections/dgxspark/suite.
        suite = pathlib.Path(tree, "ansible_collections", "dgxspark", "suite")
        suite.parent.mkdir(parents=True)
        suite.symlink_to(ROOT)
        sys.path.insert(0, tree)
        sys.exit(main())
