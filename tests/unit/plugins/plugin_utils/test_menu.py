# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu: every cell, as a table; then as text, JSON and a page in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.dgxspark.suite.plugins.plugin_utils.menu import (
    Menu,
    MenuRecipe,
    NodeModels,
    all_recipes,
    repository,
    serves,
    to_html,
    to_json,
    to_text,
    write,
)

ROOT = Path(__file__).resolve().parents[4]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 4096,
    "quantization_config": {"quant_method": "fp8", "activation_scheme": "dynamic"},
}
HOSTILE = '/ai/models/<script>document.body.dataset.pwned = 1</script> & "it\'s"'


def model(name: str, **told: Any) -> dict[str, Any]:
    """What model_info returns for a complete model."""
    return {
        "name": name,
        "kind": "directory" if name.startswith("/") else "hub",
        "path": f"/hub/{name}",
        "size": 3 << 30,
        "complete": True,
        "problems": [],
        "downloading": False,
        "revision": "" if name.startswith("/") else "a" * 40,
        "format": "safetensors",
        "quants": [],
        "users": [],
        "configs": {"config.json": LLAMA},
        **told,
    }


def container(recipe: str, **told: Any) -> dict[str, Any]:
    return {"recipe": recipe, "ours": True, "status": "running", **told}


RECIPES = [
    MenuRecipe("qwen", "qwen", "/r/qwen.yaml", "org/qwen"),
    MenuRecipe("qwen-fast", "qwen-fast", "/r/qwen-fast.yaml", "org/qwen"),
    MenuRecipe("gguf", "gguf", "/r/gguf.yaml", "org/gguf:Q4_K_M"),
    MenuRecipe("tune", "tune", "/r/tune.yaml", "/ai/models/tune/"),
]
MENU = Menu(
    {
        "spark1": NodeModels(
            [
                model("org/qwen"),
                model("org/half", complete=False, problems=["x is missing"], size=5),
                model("org/coming", complete=False, problems=["y"], downloading=True),
                model("/ai/models/tune"),
            ],
            [container("qwen"), container("tune", status="exited")],
        ),
        "spark2": NodeModels(
            [
                model("org/qwen", revision="b" * 40),
                model(
                    "org/gguf",
                    format="gguf",
                    quants=[
                        {"name": "Q4_K_M", "complete": True, "size": 5, "files": ["a.gguf"]},
                        {"name": "Q8_0", "complete": False, "size": 0, "files": ["b.gguf"]},
                    ],
                ),
                model("org/none", users=[{"pid": 1, "process": "vllm", "serves": True}]),
                model("org/read", users=[{"pid": 1, "process": "less", "serves": False}]),
            ],
            [],
            [{"path": "/hub/models--..--x", "reason": "it has no repository's name"}],
        ),
    },
    RECIPES,
    {"spark3": "not reached"},
    "2027-01-31 10:00:00 UTC",
)


def row(name: str, menu: Menu = MENU) -> dict[str, Any]:
    (found,) = [one for one in menu.rows() if one["name"] == name]
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "org/qwen",
            {
                "status": "served",
                "nodes": ["spark1", "spark2"],
                "missing_on": [],
                "same_revision": False,
                "recipes": ["qwen", "qwen-fast"],
                "needs_setup": False,
                "serving": [{"node": "spark1", "recipe": "qwen", "process": ""}],
            },
        ),
        (
            "org/half",
            {
                "status": "incomplete",
                "nodes": [],
                "missing_on": ["spark1", "spark2"],
                "needs_setup": False,
                "size": 5,
            },
        ),
        ("org/coming", {"status": "downloading", "nodes": []}),
        (
            "org/gguf",
            {
                "status": "ready",
                "nodes": ["spark2"],
                "missing_on": ["spark1"],
                "quants": ["Q4_K_M"],
                "recipes": ["gguf"],
                "same_revision": True,
            },
        ),
        (
            "org/none",
            {
                "status": "served",
                "needs_setup": True,
                "recipes": [],
                "serving": [{"node": "spark2", "recipe": "", "process": "vllm"}],
            },
        ),
        ("org/read", {"status": "needs setup", "needs_setup": True, "serving": []}),
        ("/ai/models/tune", {"status": "ready", "recipes": ["tune"], "kind": "directory"}),
    ],
)
def test_every_cell_of_a_row(name: str, expected: dict[str, Any]) -> None:
    found = row(name)
    assert {key: found[key] for key in expected} == expected


CONFIG = ROOT / "tests" / "unit" / "fixtures" / "models"


@pytest.mark.parametrize(
    ("fixture", "nodes", "fits"),
    [
        ("qwen3-1.7b", 1, "solo"),
        ("qwen3-1.7b", 2, "solo"),
        ("llama-3.1-70b-fp8", 2, "solo"),
        ("qwen3-235b-a22b-nvfp4", 1, "no"),
        ("qwen3-235b-a22b-nvfp4", 2, "cluster"),
    ],
)
def test_what_fits_follows_from_the_config_and_the_nodes(
    fixture: str, nodes: int, fits: str
) -> None:
    configs = {path.name: json.loads(path.read_text()) for path in (CONFIG / fixture).iterdir()}
    node = NodeModels([model("org/x", configs=configs)], memory=130_000_000_000)
    menu = Menu({f"spark{number}": node for number in range(nodes)}, [])
    assert row("org/x", menu)["fits"] == fits


def test_a_gguf_model_is_judged_by_its_smallest_quantisation() -> None:
    quants = [
        {"name": name, "complete": True, "size": size, "files": [f"a-{name}.gguf"]}
        for name, size in (("Q8_0", 900 << 30), ("Q2_K", 1 << 30))
    ]
    told = model("org/a-GGUF", format="gguf", quants=quants)
    assert repository(told) == ("org/a-GGUF:Q2_K", 1 << 30)
    own = model("/m/a", format="gguf", quants=quants, path="/m/a")
    assert repository(own) == ("/m/a/a-Q2_K.gguf", 1 << 30)


def test_rows_are_sorted_by_name_those_of_the_cache_first() -> None:
    names = [one["name"] for one in MENU.rows()]
    assert names == [*sorted(names[:-1]), "/ai/models/tune"]


def test_local_directories_of_one_name_are_compared_by_size() -> None:
    nodes = {
        name: NodeModels([model("/m/a", size=bytes_)]) for name, bytes_ in (("a", 1), ("b", 2))
    }
    assert row("/m/a", Menu(nodes, []))["same_revision"] is False
    nodes["b"] = nodes["a"]
    assert row("/m/a", Menu(nodes, []))["same_revision"] is True


@pytest.mark.parametrize(
    ("wanted", "name", "expected"),
    [
        ("org/a", "org/a", True),
        ("org/a:Q8_0", "org/a", True),
        ("org/ab", "org/a", False),
        ("", "org/a", False),
        ("/m/a/", "/m/a", True),
        ("", "/m/a", False),
        ("/m/a/b", "/m/a", False),
    ],
)
def test_which_recipe_serves_what(wanted: str, name: str, expected: bool) -> None:
    assert serves(wanted, name) is expected


def test_the_table_lists_complete_models_and_the_rest_below() -> None:
    lines = to_text(MENU).splitlines()
    assert lines[0].split() == [
        "MODEL",
        "SIZE",
        "FORMAT",
        "CONTEXT",
        "ON",
        "REVISION",
        "FITS",
        "RECIPE",
        "SERVED",
    ]
    cells = [re.split(r" {2,}", line) for line in lines[1:6]]
    assert cells == [
        ["org/gguf", "3.0 GiB", "gguf Q4_K_M", "4096", "spark2", "-", "?", "gguf", "-"],
        [
            *("org/none", "3.0 GiB", "safetensors fp8", "4096", "spark2", "-", "?"),
            *("needs setup", "vllm on spark2"),
        ],
        [
            *("org/qwen", "3.0 GiB", "safetensors fp8", "4096", "all", "differs", "?"),
            *("qwen, qwen-fast", "qwen on spark1"),
        ],
        [
            *("org/read", "3.0 GiB", "safetensors fp8", "4096", "spark2", "-", "?"),
            *("needs setup", "-"),
        ],
        ["/ai/models/tune", "3.0 GiB", "safetensors fp8", "4096", "spark1", "-", "?", "tune", "-"],
    ]
    assert lines[6:] == [
        "",
        "Incomplete:",
        "  org/coming on spark1: downloading; y",
        "  org/half on spark1: x is missing",
        "",
        "Ignored:",
        "  spark2: /hub/models--..--x: it has no repository's name",
        "",
        "Unknown:",
        "  spark3: not reached",
    ]


def test_nodes_without_models_or_without_docker_are_reported() -> None:
    text = to_text(Menu({"spark1": NodeModels([])}, []))
    assert text.splitlines()[0] == "No complete model on spark1"
    assert "containers on spark1: Docker did not answer" in text


def test_a_name_cannot_control_the_terminal() -> None:
    text = to_text(Menu({"spark1": NodeModels([model("/m/a\x1b[2Jb\u202e")])}, []))
    assert "/m/a\\x1b[2Jb\\u202e" in text


def test_the_document_has_everything(tmp_path: Path) -> None:
    paths = write(MENU, str(tmp_path / "a" / "b"))
    assert [Path(path).name for path in paths] == ["models.json", "models.html"]
    document = json.loads(Path(paths[0]).read_text())
    assert document["models"] == MENU.rows()
    assert document["unknown"] == {"spark3": "not reached"}
    assert document["nodes"] == ["spark1", "spark2"]
    assert list(document["ignored"]) == ["spark2"]
    assert json.loads(to_json(replace(MENU, generated="")))["generated"] == ""


def test_recipes_are_read_in_the_order_of_the_search(tmp_path: Path) -> None:
    first, second = tmp_path / "mine", tmp_path / "theirs"
    for folder, name, text in (
        (first, "a", "model: org/mine"),
        (second, "a", "model: org/theirs"),
        (second, "b", "model: org/b"),
        (second, "broken", "- no map"),
    ):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text)
    recipes, unusable = all_recipes([str(first), str(second), str(tmp_path / "nowhere")])
    assert [(one.label, one.model) for one in recipes] == [
        ("a", "org/mine"),
        (f"{second}/a.yaml", "org/theirs"),
        ("b", "org/b"),
    ]
    (told,) = unusable
    assert told.startswith(f"{second}/broken.yaml: ")


def test_a_container_of_a_shadowed_recipe_serves_what_the_first_one_says() -> None:
    recipes = [
        MenuRecipe("a", "a", "/1/a", "org/one"),
        MenuRecipe("a", "/2/a.yaml", "/2/a", "org/two"),
    ]
    node = NodeModels([model("org/one"), model("org/two")], [container("a")])
    menu = Menu({"spark1": node}, recipes)
    assert [bool(one["serving"]) for one in menu.rows()] == [True, False]


def test_the_page_loads_nothing() -> None:
    page = to_html(replace(MENU, nodes={"spark1": NodeModels([model(HOSTILE)])}))
    assert not re.search(r"(src|href|action)\s*=|url\(|@import|https?:", page)
    assert "<script>document" not in page


@pytest.fixture
def look(tmp_path: Path) -> Callable[[str], str]:
    """Have a browser open the page and give what it then holds."""
    node = NodeModels([*MENU.nodes["spark2"].models, model(HOSTILE)])
    write(replace(MENU, nodes={**MENU.nodes, "spark2": node}), str(tmp_path))

    def opened(fragment: str) -> str:
        assert BROWSER
        done = subprocess.run(
            [
                *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu"),
                *("--disable-dev-shm-usage", f"--user-data-dir={tmp_path}/profile"),
                *("--virtual-time-budget=2000", "--dump-dom"),
                f"file://{tmp_path}/models.html{fragment}",
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    return opened


@pytest.mark.skipif(not BROWSER, reason="no headless browser here: install chromium")
@pytest.mark.parametrize(
    ("fragment", "number"),
    [
        ("", 8),
        ("#status=served", 2),
        ("#node=spark2", 5),
        ("#node=spark1&status=incomplete", 1),
        ("#text=GGUF", 1),
        ("#text=nothing-like-it", 0),
    ],
)
def test_a_browser_shows_what_is_asked_for(
    look: Callable[[str], str], fragment: str, number: int
) -> None:
    page = look(fragment)
    articles = re.findall(r"<article [^>]*>", page)
    assert len(articles) == 8
    assert sum(" hidden" not in one for one in articles) == number
    assert ('class="none" hidden' in page) == bool(number)
    assert "data-pwned" not in page
