# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine by its files, and a user's own cache."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.dgxspark.suite.plugins.module_utils.probes.machine import (
    Cache,
    ask_cache,
    ask_machine,
)

INFORMATION = """\
Model: 		 NVIDIA GB10
IRQ:   		 345
GPU UUID: 	 GPU-00000000-0000-0000-0000-000000000000
"""


def test_a_spark_by_its_files(tmp_path: Path) -> None:
    files = {
        "sys/class/dmi/id/product_name": "NVIDIA_DGX_Spark\n",
        "proc/driver/nvidia/gpus/000f:01:00.0/information": INFORMATION,
        "etc/dgx-release": 'DGX_NAME="DGX Spark"\n',
        "etc/machine-id": "0123\n",
        "proc/sys/kernel/random/boot_id": "4567\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    machine = ask_machine(str(tmp_path))
    assert (machine.product, machine.gpu) == ("NVIDIA_DGX_Spark", "NVIDIA GB10")
    assert (machine.release, machine.key) == ("DGX Spark", "0123 4567")


def test_a_machine_without_any_of_them(tmp_path: Path) -> None:
    machine = ask_machine(str(tmp_path))
    assert (machine.product, machine.gpu, machine.release) == ("", "", "")
    assert machine.key.strip() == ""


def test_a_cache_is_counted_without_its_links(tmp_path: Path) -> None:
    hub = tmp_path / ".cache" / "huggingface" / "hub"
    blobs = hub / "models--org--one" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "a").write_bytes(b"x" * 100)
    (blobs / "b").symlink_to("a")
    (hub / "version.txt").write_text("1")
    found = ask_cache(str(tmp_path), 5)
    assert (found.repositories, found.counted) == (1, True)
    assert 100 <= found.size < 110  # the link by its own length
    assert found.path == str(hub.parent)
    assert ask_cache(str(tmp_path), -1) == Cache(found.path, 1, 0, counted=False)


def test_a_home_without_models_has_no_cache(tmp_path: Path) -> None:
    assert ask_cache(str(tmp_path), 5) == Cache()
    (tmp_path / ".cache" / "huggingface" / "hub").mkdir(parents=True)
    assert ask_cache(str(tmp_path), 5) == Cache()
