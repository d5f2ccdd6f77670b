# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules between files that no linter reads together."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.dgxspark.suite.plugins.plugin_utils.known_variables import KNOWN
from ansible_collections.dgxspark.suite.plugins.plugin_utils.run_stats import ARTIFACTS

ROOT = Path(__file__).resolve().parents[2]
# Plugins that ansible-doc documents; an action plugin is described by the module of its name.
PLUGINS = sorted(
    (kind, path.stem)
    for kind in ("callback", "filter", "inventory", "lookup", "module", "test")
    for path in (ROOT / "plugins" / ("modules" if kind == "module" else kind)).glob("*.py")
    if path.stem != "__init__"
)
MODULES = [name for kind, name in PLUGINS if kind == "module"]
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if path.is_dir())
# What people call in their own playbooks. The other modules are private, and their documentation
# says so.
PUBLIC = {name for name in MODULES if name.startswith("ensure_")} | {
    "audit",
    "cluster_lock",
    "model_info",
}
PRIVATE = "private to the collection"
# Other roles include it and set its own variables; a user sets none of them.
PRIVATE_ROLES = {"cluster_lock"}

# The only hosts that a program or a setting of ours may name in an address.
KNOWN_HOSTS = frozenset(
    {
        "docs.ansible.com",
        "docs.nvidia.com",
        "docs.vllm.ai",
        "docs.ray.io",
        "github.com",
        "huggingface.co",
        "json-schema.org",
        "www.gnu.org",
        "www.w3.org",
    }
)
PLACEHOLDER_HOST = re.compile(
    r"(?i)^(localhost|127\.0\.0\.1|\[::1?\]|0\.0\.0\.0|192\.0\.2\.\d+|198\.51\.100\.\d+|203\.0\.113\.\d+"
    r"|([a-z0-9-]+\.)*(example|test|invalid)|([a-z0-9-]+\.)*example\.(com|net|org))$"
)


def known_files() -> list[Path]:
    """The files that git tracks or would add; an unpacked tarball has no git to ask."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def texts(*suffixes: str) -> list[tuple[Path, str]]:
    """Path and content of our own texts; licences and recorded outputs of others are left out."""
    return [
        (path.relative_to(ROOT), path.read_text(encoding="utf-8"))
        for path in known_files()
        if (path.suffix in suffixes if suffixes else path.suffix != ".png")
        and "fixtures" not in path.parts
        and not path.name.startswith(("LICENSE", "GPL-"))
    ]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def documented() -> dict[str, dict[str, Any]]:
    """Kind to name to what ansible-doc shows: doc, examples, return."""
    dump = subprocess.run(
        [sys.executable, "-m", "ansible", "doc", "--metadata-dump", "dgxspark.suite"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert dump.returncode == 0, dump.stderr
    return {
        kind: {name.rpartition(".")[2]: plugin for name, plugin in plugins.items()}
        for kind, plugins in json.loads(dump.stdout)["all"].items()
    }


def role_options(role: Path) -> dict[str, Any]:
    spec = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]
    return dict(spec.get("options", {}))


def role_defaults(role: Path) -> dict[str, Any]:
    return dict(load(role / "defaults" / "main.yml") or {})


def test_the_action_group_has_every_module_and_nothing_else() -> None:
    group = load(ROOT / "meta" / "runtime.yml")["action_groups"]["dgxspark"]
    assert group == MODULES


def test_dependencies_have_a_stable_lower_and_an_upper_bound() -> None:
    dependencies = load(ROOT / "galaxy.yml")["dependencies"]
    assert set(dependencies) == {"community.docker", "community.general"}
    for name, bound in dependencies.items():
        assert re.fullmatch(r">=[1-9]\d*\.\d+\.\d+,<[1-9]\d*\.0\.0", bound), name


def test_all_addresses_of_the_project_are_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    galaxy = load(ROOT / "galaxy.yml")
    address = galaxy["repository"]
    assert {key: galaxy[key] for key in ("documentation", "homepage", "issues")} == {
        "documentation": f"{address}/tree/main/docs",
        "homepage": address,
        "issues": f"{address}/issues",
    }
    links = (ROOT / "docs/docsite/links.yml").read_text(encoding="utf-8")
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "tools"))
    with_address = importlib.import_module("repository").with_address
    moved = yaml.safe_load(with_address(links, address, "https://git.example/o/n"))
    assert all(link["url"].startswith("https://git.example/o/n/") for link in moved["extra_links"])
    assert with_address(f"{address}-2 {address}", address, "x") == f"{address}-2 x"


def test_an_execution_environment_finds_the_files_that_it_is_told_of() -> None:
    told = load(ROOT / "meta" / "execution-environment.yml")["dependencies"]
    assert set(told) == {"system"}
    assert (ROOT / told["system"]).is_file()
    assert "bindep.txt" not in load(ROOT / "galaxy.yml")["build_ignore"]


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_a_plugin_has_examples_and_returned_values_in_its_documentation(
    kind: str, name: str, documented: dict[str, dict[str, Any]]
) -> None:
    plugin = documented[kind][name]
    assert plugin["doc"]["short_description"]
    if kind != "callback":
        assert f"dgxspark.suite.{name}" in plugin["examples"]
        assert plugin["return"]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_check_mode_and_diff_mode_do(
    name: str, documented: dict[str, dict[str, Any]]
) -> None:
    attributes = documented["module"][name]["doc"]["attributes"]
    for attribute in ("check_mode", "diff_mode", "idempotent", "action_group"):
        assert attributes[attribute]["support"] in ("full", "partial", "none", "N/A"), attribute


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("ensure_")])
def test_an_ensure_module_has_its_contract_written_down(name: str) -> None:
    contract = (ROOT / "docs" / "contracts" / f"{name}.md").read_text(encoding="utf-8")
    assert f"dgxspark.suite.{name}" in contract or f"# `{name}`" in contract


def test_contracts_and_options_are_generated_from_the_documentation_as_it_is(
    documented: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "tools"))
    contracts = importlib.import_module("contracts")
    assert sorted(path.name for path in contracts.stale(documented)) == []


@pytest.mark.parametrize(
    "role", [role for role in ROLES if role.name not in PRIVATE_ROLES], ids=lambda path: path.name
)
def test_a_roles_options_begin_with_our_prefix(role: Path) -> None:
    assert [name for name in role_options(role) if not name.startswith("dgxspark_")] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_a_roles_options_are_its_defaults(role: Path) -> None:
    optional = {
        name: option for name, option in role_options(role).items() if not option.get("required")
    }
    assert {name: option["default"] for name, option in optional.items()} == role_defaults(role)


def test_every_variable_of_ours_that_files_mention_is_known() -> None:
    mentioned = {
        name
        for path, text in texts(".md", ".yml", ".j2")
        if path.parts[0] in ("README.md", "docs", "inventories", "playbooks", "roles", "tests")
        for name in re.findall(r"\bdgxspark_(?!result_)[a-z0-9_]*[a-z0-9]\b(?![*<])", text)
    }
    # Local facts of a node; Python packages of the lab and of control.
    others = {"dgxspark_fabric", "dgxspark_kernel", "dgxspark_lab", "dgxspark_control"}
    assert mentioned - KNOWN - ARTIFACTS - others == set()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_public_or_says_that_it_is_private(
    name: str, documented: dict[str, dict[str, Any]]
) -> None:
    description = documented["module"][name]["doc"]["description"]
    text = description if isinstance(description, str) else " ".join(description)
    assert (PRIVATE in text) is (name not in PUBLIC)


def test_no_program_fetches_from_a_host_that_nobody_considered() -> None:
    strangers = [
        f"{path}: {host}"
        for path, text in texts(".py", ".sh", ".yml", ".yaml", ".toml", ".txt", ".cfg", ".j2", "")
        for host in re.findall(r"\bhttps?://(?:[^/@\s]+@)?([a-z0-9-]+(?:\.[a-z0-9-]+)+)", text)
        if host not in KNOWN_HOSTS and not PLACEHOLDER_HOST.match(host)
    ]
    assert strangers == []


def test_nothing_of_a_real_site_is_in_the_tree() -> None:
    """Keys, tokens, somebody's home, or a private address outside the lab and the tests."""
    secret = re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bhf_[A-Za-z0-9]{30,}|/home/[a-z][a-z0-9_-]+/\.ssh"
    )
    private = re.compile(
        r"(?<![\d.=])(10\.\d{1,3}|172\.(1[6-9]|2\d|3[01])|192\.168)(\.\d{1,3}){2}(?![\d.])"
    )
    found = [
        f"{path}: {match.group()}"
        for path, text in texts()
        for pattern in ((secret,) if path.parts[0] == "tests" else (secret, private))
        for match in pattern.finditer(text)
        if path.parts[:2] != ("inventories", "lab") or pattern is secret
    ]
    assert found == []


@pytest.mark.parametrize("sample", ["single_spark", "dual_spark"])
def test_a_sample_inventory_has_all_groups_of_the_playbooks(sample: str) -> None:
    playbooks = [str(path) for path in sorted((ROOT / "playbooks").glob("*.yml"))]
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    inventory = str(ROOT / "inventories" / sample)
    done = subprocess.run(
        [program, "-i", inventory, *playbooks, "--list-hosts"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"},
    )
    assert "[WARNING]" not in done.stderr
    assert "spark1" in done.stdout


def test_the_threat_model_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "guides" / "threat_model.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:[\w/]+/)?(test_\w+\.py)`", text))
    existing = {path.name for path in ROOT.glob("*/**/test_*.py") if ".venv" not in path.parts}
    assert named
    assert named <= existing


def test_plays_on_hosts_of_no_inventory_know_where_the_inventory_is() -> None:
    """Variables of the group all may have inventory_dir, which Ansible gives hosts of a file."""
    found = []
    for path in ROOT.glob("playbooks/*.yml"):
        for play in yaml.safe_load(path.read_text("utf-8")):
            hosts = str(play.get("hosts", ""))
            if "localhost" in hosts or "discover_candidates" in hosts:
                found.append(path.name)
                assert play.get("vars_files") == ["vars/controller.yml"], play["name"]
    assert sorted(found) == [
        *["audit_timer.yml", "control.yml", "discover.yml", "discover.yml", "discover.yml"],
        *["gateway.yml", "recipes.yml", "recipes.yml"],
    ]
