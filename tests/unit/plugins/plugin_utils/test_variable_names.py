# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable dgxspark_* that nothing reads, and a word of -e that is almost one of the playbook's,
are reported with the nearest name that exists.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.variable_names import (
    misspelt,
    unknown,
)

ROOT = Path(__file__).resolve().parents[4]
ANSIBLE = str(Path(sys.executable).with_name("ansible-playbook"))
PLAYS = "[{hosts: all, gather_facts: false}, {hosts: all, gather_facts: false}]"
HOSTS = """\
spark_heads: {hosts: {spark1: {dgxspark_adress: 192.0.2.1}}}
spark_workers:
  hosts: {spark2: {}, spark3: {}}
  vars: {dgxspark_hf_home: /ai, their_own: 1}
"""


def test_every_source_of_variables_is_read_and_each_name_is_reported_once(tmp_path: Path) -> None:
    for folder in ("group_vars", "host_vars"):
        (tmp_path / folder).mkdir()
    (tmp_path / "hosts.yml").write_text(HOSTS)
    (tmp_path / "group_vars" / "spark_workers.yml").write_text("dgxspark_ptxas_target: '{{ no }}'")
    (tmp_path / "host_vars" / "spark3.yml").write_text("dgxspark_vllm_vnev: /x")
    (tmp_path / "play.yml").write_text(PLAYS)
    done = subprocess.run(
        [ANSIBLE, "-i", "hosts.yml", "play.yml", "-e", "dgxspark_serail=1 dgxspark_result_x=1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "ANSIBLE_CALLBACKS_ENABLED": "dgxspark.suite.drift"},
    )
    named = re.findall(r"\b(dgxspark_\w+): did you\s+mean\s+(\w+)", done.stderr)
    assert named == [
        ("dgxspark_adress", "dgxspark_address"),
        ("dgxspark_ptxas_target", "dgxspark_ptxas_targets"),
        ("dgxspark_serail", "dgxspark_serial"),
        ("dgxspark_vllm_vnev", "dgxspark_vllm_venv"),
    ]


def test_what_is_like_nothing_is_reported_without_advice() -> None:
    (said,) = unknown(["dgxspark_qqqqqqqq", "other", "dgxspark_force"])
    assert "dgxspark_qqqqqqqq" in said
    assert "did you mean" not in said


@pytest.mark.parametrize("playbook", ["direct", "imported"])
def test_a_misspelt_word_of_a_playbook_is_reported_with_the_right_one(
    tmp_path: Path, playbook: str
) -> None:
    theirs = {"lock_tokn": 1, "ansible_connection": "local"}
    (tmp_path / "hosts.yml").write_text(json.dumps({"spark_heads": {"hosts": {"node": theirs}}}))
    launch = ROOT / "playbooks" / "launch.yml"
    imports = tmp_path / "imports.yml"
    imports.write_text(json.dumps([{"ansible.builtin.import_playbook": str(launch)}]))
    asked = str(launch if playbook == "direct" else imports)
    given = "recpie=x overides=port=1 force=true lock_tokn=1 site_name=berlin"
    done = subprocess.run(
        [ANSIBLE, "-i", "hosts.yml", asked, "--check", "-e", given],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_CALLBACKS_ENABLED": "dgxspark.suite.drift"},
    )
    named = re.findall(r"-e (\w+): did you\s+mean\s+(\w+)", done.stderr)
    # What the inventory has, too, is no typing error; nor is what is like nothing.
    assert named == [("overides", "overrides"), ("recpie", "recipe")]


@pytest.mark.parametrize(
    "word", ["recipe", "recipes_dir", "image_tag", "owner", "dgxspark_recipee"]
)
def test_a_word_that_is_right_or_a_users_own_is_not_reported(word: str) -> None:
    assert not list(misspelt([word], ["recipe", "image", "overrides", "force"]))
