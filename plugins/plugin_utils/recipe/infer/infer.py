# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe for a model that has none, from its config.json, the nodes and tables of settings."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import typing as t

from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.rules import (
    RuleSetting,
    Tables,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory import parameters
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ModelConfig,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.estimate import (
    MemoryEstimate,
    estimate_memory,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.fit import (
    HOST_RESERVE_GIB,
    Fit,
    NodeMemory,
    fit,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.known_models import (
    known_config,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.launch_settings import (
    GIB,
    Serving,
    gguf_of,
)

try:
    import yaml
except ImportError:  # reported by Inference.text(), with what to install
    yaml = None  # type: ignore[assignment]

# The field of `metadata` by which an inferred recipe is known, and by which alone it may be
# replaced or removed; its value is the repository.
INFERRED = "inferred_for"
_POOLING = ("embedding", "reranker", "encoder")
# Kind of the model -> kind of the service. What an encoder serves, the server is asked.
_SERVED_AS = {"embedding": "embeddings", "reranker": "rerank"}


class InferenceError(ValueError):
    """A recipe cannot be inferred; the text says what is missing."""


@dataclasses.dataclass(frozen=True)
class Inference:
    """An inferred recipe.

    name: the stem for its file. recipe: what the file holds. settings: dotted field -> value with
    source and confidence. estimate, fit: of the recipe as it stands. nodes: how many it runs on.
    warnings: what a person should look at before using it.
    """

    name: str
    recipe: dict[str, t.Any]
    settings: dict[str, RuleSetting]
    estimate: MemoryEstimate
    fit: Fit
    nodes: int
    warnings: tuple[str, ...]

    def text(self) -> str:
        """The recipe as YAML, each setting with its source. InferenceError without PyYAML."""
        if yaml is None:
            raise InferenceError("PyYAML is missing on the controller: pip install PyYAML")
        return _yaml(self)

    def to_dict(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "recipe": self.recipe,
            "settings": {key: setting.to_dict() for key, setting in self.settings.items()},
            "memory": self.estimate.to_dict(),
            "fit": self.fit.to_dict(),
            "nodes": self.nodes,
            "warnings": list(self.warnings),
        }


def infer(
    model_config: ModelConfig | None,
    repository: str,
    nodes: t.Sequence[NodeMemory],
    tables: t.Mapping[str, t.Any] | None = None,
    image: str = "",
    port: int = 8000,
    weights_bytes: int | None = None,
    revision: str = "",
) -> Inference:
    """A recipe that serves a model on as few of the nodes as it needs.

    model_config: from its directory; without it the table of known models. repository: `org/name`,
    `org/name-GGUF:Q4_K_M`, or an absolute path. nodes: what each has, in the order of a launch.
    tables: rules that come before the bundled ones (rules.Tables). image: instead of the tables'.
    weights_bytes: size of the files that will be loaded, where no config says it (GGUF).
    Raises InferenceError, or rules.TableError for tables that cannot be used.
    """
    if not repository.strip():
        raise InferenceError("no model is named")
    if not nodes:
        raise InferenceError("there is no node to serve on")
    rules = Tables(tables)
    config = model_config or known_config(repository)
    if _is_gguf(repository):
        return _llama_cpp(config, repository, nodes, rules, image, port, weights_bytes, revision)
    if config is None:
        raise InferenceError(
            f"nothing is known of {repository}: its config.json is needed, and it is no model of "
            "the table"
        )
    return _vllm(config, repository, nodes, rules, image, port, revision)


def served_name(repository: str) -> str:
    """The name under which clients ask for it: the repository's, lower case, plain characters."""
    tail = repository.rstrip("/").rpartition("/")[2]
    tail = re.sub(r"\.gguf$", "", tail, flags=re.IGNORECASE)
    name = re.sub(r"-gguf(?=:|$)", "", tail.lower()).replace(":", "-")
    return re.sub(r"[^a-z0-9._-]+", "-", name).strip("-._")[:100] or "model"


def _is_gguf(repository: str) -> bool:
    return re.search(r"gguf(?::[^/]*)?$", repository.rstrip("/"), re.IGNORECASE) is not None


def _facts(config: ModelConfig | None, repository: str, rules: Tables) -> dict[str, t.Any]:
    """What the rules are looked up with."""
    facts: dict[str, t.Any] = {
        "name": repository.rstrip("/").rpartition("/")[2].lower(),
        "repository": repository,
        "kind": "text",
        "scheme": "none",
        "cache": "",
    }
    if config is not None:
        quant = config.quantisation
        # DeepSeek's config names the experts' type apart from the quantisation.
        schemes = (config.experts_dtype, *(quant.schemes if quant else ()))
        facts |= {
            "architecture": config.architecture,
            "model_type": config.model_type,
            "kind": config.kind,
            "scheme": next((scheme for scheme in schemes if scheme), "none"),
            "cache": quant.cache if quant else "",
            "moe": config.is_moe,
            "vision": config.vision,
            "audio": config.audio,
            "hybrid": config.is_hybrid,
            "weight_only": bool(quant and quant.weight_only),
        }
    named = rules.first("kinds", facts)
    if named is not None and facts["kind"] == "text" and named.value:
        facts["kind"] = named.value
    return facts


class _Draft:
    """The parts of a recipe while it is decided, in the order in which its command has them."""

    def __init__(self, start: str) -> None:
        self.words: list[str] = [start]
        self.defaults: dict[str, t.Any] = {}
        self.settings: dict[str, RuleSetting] = {}

    def value(self, key: str, flag: str, setting: RuleSetting | None) -> None:
        """A value that can be overridden, and the flag that takes it; nothing for no value."""
        if setting is None or setting.value is None:
            return
        value = setting.value
        self.settings[f"defaults.{key}"] = setting
        self.defaults[key] = json.dumps(value) if isinstance(value, (dict, list)) else value
        if flag:
            self.words.append(f"{flag} {{{key}}}")

    def bare(self, flag: str) -> None:
        self.words.append(flag)

    def command(self) -> str:
        return " \\\n  ".join(self.words) + "\n"


def _said(value: t.Any, source: str, confidence: t.Any = "high") -> RuleSetting:
    return RuleSetting(value, source, confidence)


# --- vLLM --------------------------------------------------------------------------------------


def _vllm(
    config: ModelConfig,
    repository: str,
    nodes: t.Sequence[NodeMemory],
    rules: Tables,
    image: str,
    port: int,
    revision: str,
) -> Inference:
    facts = _facts(config, repository, rules)
    picture = _said(image, "given") if image else rules.first("images", facts)
    facts["image"] = str(picture.value) if picture else ""
    limits = rules.merged("limits", facts)

    def serving(tensor: int, pipeline: int, context: int, share: float) -> Serving:
        settled = _settings_of(facts | {"nodes": tensor * pipeline}, rules)
        return Serving(
            repository,
            "vllm",
            (
                "vllm", "serve", repository, "--max-model-len", str(context),
                "--gpu-memory-utilization", f"{share:.2f}",
                *(word for key, setting in settled.items() for word in _words(key, setting)),
            ),
            tensor,
            pipeline,
        )  # fmt: skip

    size = _size(config, nodes, serving, limits)
    facts["nodes"] = size.tensor * size.pipeline
    settled = _settings_of(facts, rules)
    draft = _Draft("vllm serve {model}")
    draft.value("served_model_name", "--served-model-name",
                _said(served_name(repository), "the repository's name"))  # fmt: skip
    draft.value("host", "--host", _said("0.0.0.0", "every address of the node"))
    draft.value("port", "--port", _said(port, "given"))
    if facts["kind"] in _POOLING:
        draft.bare("--runner pooling")
    draft.value("max_model_len", "--max-model-len", size.context)
    draft.value("gpu_memory_utilization", "--gpu-memory-utilization", size.share)
    for key, setting in settled.items():
        if setting.value is True:
            draft.settings[f"command.{_flag(key)}"] = setting
            draft.bare(_flag(key))
        else:
            draft.value(key, _flag(key), setting)
        if key == "tool_call_parser":
            draft.bare("--enable-auto-tool-choice")
    draft.value("tensor_parallel", "-tp", _said(size.tensor, size.why, size.confidence))
    if size.pipeline > 1:
        draft.value("pipeline_parallel", "-pp", _said(size.pipeline, size.why, size.confidence))
    env = rules.merged("env", facts)
    count = size.tensor * size.pipeline
    final = estimate_memory(
        serving(size.tensor, size.pipeline, size.context.value, size.share.value), config
    )
    return _finish(
        draft, config, repository, "vllm-ray" if count > 1 else "vllm", picture, count,
        final, _judge(final, nodes[:count], limits), env, facts, revision,
    )  # fmt: skip


def _settings_of(facts: dict[str, t.Any], rules: Tables) -> dict[str, RuleSetting]:
    """Settings that depend on the model alone: key of `defaults` -> setting, none without value."""
    text = facts["kind"] == "text"
    settings: dict[str, RuleSetting | None] = {
        "kv_cache_dtype": rules.first("kv_cache_dtypes", facts),
        "quantization": rules.first("quantization", facts),
        "moe_backend": rules.first("moe_backends", facts),
        "max_num_seqs": rules.first("max_num_seqs", facts),
    }
    if text:
        settings["reasoning_parser"] = rules.first("reasoning_parsers", facts)
        settings["tool_call_parser"] = rules.first("tool_parsers", facts)
        settings["limit_mm_per_prompt"] = rules.first("vision_limits", facts)
    for key, setting in rules.merged("flags", facts).items():
        settings.setdefault(key, setting)
    return {
        key: setting
        for key, setting in settings.items()
        if setting is not None and setting.value is not None and setting.value is not False
    }


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _words(key: str, setting: RuleSetting) -> list[str]:
    value = setting.value
    if value is True:
        return [_flag(key)]
    return [_flag(key), json.dumps(value) if isinstance(value, (dict, list)) else str(value)]


class _Size(t.NamedTuple):
    """Nodes, context and share of the memory that were chosen."""

    tensor: int
    pipeline: int
    context: RuleSetting
    share: RuleSetting
    why: str
    confidence: str


_Serving = t.Callable[[int, int, int, float], Serving]


def _size(
    config: ModelConfig,
    nodes: t.Sequence[NodeMemory],
    serving: _Serving,
    limits: t.Mapping[str, RuleSetting],
) -> _Size:
    """The fewest nodes that hold the model with a useful context; else the most there are."""
    most = _limit(limits, "most_utilisation", 0.85)
    cap = int(_limit(limits, "context", 262144))
    top = min(config.max_position or cap, cap)
    useful = min(top, int(_limit(limits, "useful_context", 32768)))
    shapes = _shapes(config, len(nodes))
    chosen, longest, share = shapes[0], 0, most
    for tensor, pipeline in shapes:
        used = nodes[: tensor * pipeline]
        share = _share_to_be_had(used, most, limits)
        estimate = estimate_memory(serving(tensor, pipeline, top, share), config)
        fits = _judge(estimate, used, limits)
        chosen, longest = (tensor, pipeline), fits.largest_context or 0
        if longest >= useful:
            break
    tensor, pipeline = chosen
    used = nodes[: tensor * pipeline]
    gib = used[0].total_bytes / GIB
    if longest >= top:
        own = top == config.max_position
        context = _said(
            top,
            "the model's own limit, which fits" if own else "the table's limit; more would fit",
            "medium",
        )
    else:
        # Overheads are known to a third only: a twentieth is left.
        some = max(int(longest * 0.95) // 1024 * 1024, min(longest, 1024), 256)
        context = _said(some, f"what fits {share:.2f} of {gib:.1f} GiB, less a twentieth", "low")
    estimate = estimate_memory(serving(tensor, pipeline, context.value, share), config)
    chosen_share = _share(estimate, used, share, limits)
    count = tensor * pipeline
    if longest < useful:
        why = f"the model does not fit {count} node{'s' if count > 1 else ''} with {useful} tokens"
    elif count == 1:
        why = f"fits one node: {estimate.total_gib or 0:.1f} GiB"
    else:
        why = f"the fewest nodes that hold it: {estimate.total_gib or 0:.1f} GiB on each"
    return _Size(tensor, pipeline, context, chosen_share, why, estimate.confidence)


def _shapes(config: ModelConfig, count: int) -> list[tuple[int, int]]:
    """(tensor, pipeline) for growing numbers of nodes; tensor ranks must share the heads evenly."""
    found = []
    for nodes in range(1, count + 1):
        heads = config.attention.heads
        if nodes & (nodes - 1) == 0 and heads % nodes == 0:
            found.append((nodes, 1))
        elif nodes > 2 and nodes <= len(config.layers) and nodes == count:
            found.append((1, nodes))
    return found


def _limit(limits: t.Mapping[str, RuleSetting], key: str, default: float) -> float:
    setting = limits.get(key)
    value = setting.value if setting else default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        raise InferenceError(f"table limits: {key} is {value!r:.40}, expected a positive number")
    return float(value)


def _share_to_be_had(
    nodes: t.Sequence[NodeMemory], most: float, limits: t.Mapping[str, RuleSetting]
) -> float:
    """The largest share that is free on each node, downwards to hundredths."""
    reserve = _limit(limits, "host_reserve_gib", HOST_RESERVE_GIB) * GIB
    free = min(
        (node.total_bytes - node.used_by_others_bytes - reserve) / max(node.total_bytes, 1)
        for node in nodes
    )
    return max(0.01, min(most, math.floor(free * 100) / 100))


def _share(
    estimate: MemoryEstimate,
    nodes: t.Sequence[NodeMemory],
    most: float,
    limits: t.Mapping[str, RuleSetting],
) -> RuleSetting:
    """The share that holds a few sequences of full length, upwards to twentieths."""
    total = min(node.total_bytes for node in nodes) / GIB
    sequences = _limit(limits, "sequences", 2)
    cache = estimate.kv_cache.gib if estimate.kv_cache else 0.0
    # Overheads are known to a third only.
    need = estimate.base_gib + estimate.overhead.gib / 3 + sequences * cache
    wanted = math.ceil(need / total * 20) / 20
    share = round(min(most, max(wanted, _limit(limits, "least_utilisation", 0.3))), 2)
    if share >= wanted:
        return _said(share, f"{need:.1f} GiB for {sequences:g} full sequences", "low")
    return _said(share, "the most that a node should give, or has free", "medium")


def _judge(
    estimate: MemoryEstimate, nodes: t.Sequence[NodeMemory], limits: t.Mapping[str, RuleSetting]
) -> Fit:
    """On the node where it is tightest."""
    reserve = _limit(limits, "host_reserve_gib", HOST_RESERVE_GIB)
    verdicts = [fit(estimate, node, reserve) for node in nodes]
    return min(verdicts, key=lambda found: (found.largest_context or 0, found.budget_gib))


# --- llama.cpp ---------------------------------------------------------------------------------


def _llama_cpp(
    config: ModelConfig | None,
    repository: str,
    nodes: t.Sequence[NodeMemory],
    rules: Tables,
    image: str,
    port: int,
    weights_bytes: int | None,
    revision: str,
) -> Inference:
    facts = _facts(config, repository, rules)
    facts |= {"scheme": "gguf", "nodes": 1}
    picture = _said(image, "given") if image else rules.first("llama_cpp_images", facts)
    facts["image"] = str(picture.value) if picture else ""
    limits = rules.merged("limits", facts)
    path = repository.startswith("/")
    start = "llama-server -m {model}" if path else "llama-server -hf {model}"

    def estimate(context: int) -> MemoryEstimate:
        words = (*start.split()[:2], repository, "--ctx-size", str(context))
        return estimate_memory(
            Serving(repository, "llama-cpp", words), config, weights_bytes=weights_bytes
        )

    cap = int(_limit(limits, "context", 262144))
    top = min((config.max_position if config else 0) or cap, cap)
    longest = _judge(estimate(top), nodes[:1], limits).largest_context
    if longest is None:
        top, source, confidence = 8192, "nothing is known of the model's size", "low"
    elif longest >= top:
        source, confidence = "fits the node", "medium" if config else "low"
    else:
        top = max(int(longest * 0.95) // 1024 * 1024, 1024)
        source, confidence = "what fits the node, less a twentieth", "low"
    draft = _Draft(start)
    draft.value("served_model_name", "--alias",
                _said(served_name(repository), "the repository's name"))  # fmt: skip
    draft.value("host", "--host", _said("0.0.0.0", "every address of the node"))
    draft.value("port", "--port", _said(port, "given"))
    draft.value("ctx_size", "--ctx-size", _said(top, source, confidence))
    draft.value("n_gpu_layers", "--n-gpu-layers", _said(999, "all layers", "high"))
    draft.bare("--jinja")
    final = estimate(top)
    return _finish(
        draft, config, repository, "llama-cpp", picture, 1, final,
        _judge(final, nodes[:1], limits), {}, facts, revision,
    )  # fmt: skip


# --- the recipe --------------------------------------------------------------------------------


def _finish(
    draft: _Draft,
    config: ModelConfig | None,
    repository: str,
    runtime: str,
    image: RuleSetting | None,
    nodes: int,
    estimate: MemoryEstimate,
    verdict: Fit,
    env: t.Mapping[str, RuleSetting],
    facts: t.Mapping[str, t.Any],
    revision: str,
) -> Inference:
    if image is None or not image.value:
        raise InferenceError("no image: the table `images` has no rule that fits; name one")
    count = f"{nodes} node{'s' if nodes > 1 else ''}"
    settings = {
        "runtime": _said(runtime, "a GGUF file" if estimate.serving.traits.gguf else count),
        "container": image,
        **draft.settings,
        **{f"env.{name}": setting for name, setting in env.items() if setting.value is not None},
    }
    recipe: dict[str, t.Any] = {"recipe_version": "2", "model": repository}
    if revision:
        recipe["model_revision"] = revision
    recipe["runtime"] = runtime
    if facts["kind"] in _SERVED_AS:
        recipe["kind"] = _SERVED_AS[facts["kind"]]
    recipe["container"] = str(image.value)
    if nodes > 1:
        recipe["min_nodes"] = nodes
    recipe["max_nodes"] = nodes
    metadata: dict[str, t.Any] = {
        "description": f"{served_name(repository)}, inferred from its config",
        INFERRED: repository,
    }
    if facts["kind"] != "text":
        metadata["category"] = facts["kind"]
    if config is not None:
        metadata["model_params"] = _count(parameters.total(config))
    dtype = gguf_of(estimate.serving) or facts["scheme"]
    metadata["model_dtype"] = (config.dtype if config else "bf16") if dtype == "none" else dtype
    recipe |= {"metadata": metadata, "defaults": draft.defaults}
    values = {
        name: str(setting.value) for name, setting in env.items() if setting.value is not None
    }
    if values:
        recipe["env"] = values
    recipe["command"] = draft.command()
    return Inference(
        name=served_name(repository),
        recipe=recipe,
        settings=settings,
        estimate=estimate,
        fit=verdict,
        nodes=nodes,
        warnings=tuple(_warnings(settings, verdict, facts)),
    )


def _count(number: int) -> str:
    """As the format writes it: 30.5B, 1026.41B, 22.7M."""
    if number < 1e8:
        return f"{round(number / 1e6, 2):g}M"
    return f"{round(number / 1e9, 2):g}B"


def _warnings(
    settings: t.Mapping[str, RuleSetting], verdict: Fit, facts: t.Mapping[str, t.Any]
) -> t.Iterator[str]:
    if verdict.verdict == "exceeds":
        yield "; ".join(["does not fit", *verdict.reasons])
    elif verdict.verdict == "tight":
        yield "fits narrowly: the launch may still be refused; lower the context then"
    elif verdict.verdict == "unknown":
        yield "whether it fits is not known"
    image = settings["container"]
    if image.confidence == "low":
        yield f"container {image.value}: {image.source}"
    parsed = facts["scheme"] == "gguf" or "defaults.tool_call_parser" in settings
    if facts["kind"] == "text" and not parsed:
        known_as = facts.get("model_type") or "this model"
        yield f"no tool parser is known for {known_as}; tool calls come back as text"
    if facts["kind"] == "reranker":
        yield "rerankers often need overrides of their config; see the model's card"


def _yaml(inference: Inference) -> str:
    """YAML with a comment of source and confidence on each line that a setting decided."""

    class Dumper(yaml.SafeDumper):
        pass

    def represent(dumper: t.Any, text: str) -> t.Any:
        style = "|" if "\n" in text else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, represent)
    lines = [
        "---",
        f"# Inferred for {_comment(inference.recipe['model'])}; check it before relying on it.",
        *(f"# {_comment(warning)}" for warning in inference.warnings),
    ]
    for field, value in inference.recipe.items():
        if isinstance(value, dict):
            lines.append(f"{field}:")
            for key, item in value.items():
                lines += _commented(
                    yaml.dump({key: item}, Dumper=Dumper, width=1000, allow_unicode=True),
                    inference.settings.get(f"{field}.{key}"),
                    "  ",
                )
        else:
            lines += _commented(
                yaml.dump({field: value}, Dumper=Dumper, width=1000, allow_unicode=True),
                inference.settings.get(field),
                "",
            )
    return "\n".join(lines) + "\n"


def _commented(text: str, setting: RuleSetting | None, indent: str) -> list[str]:
    lines = [indent + line for line in text.rstrip("\n").split("\n")]
    if setting is not None and len(lines) == 1:
        lines[0] += f"  # {setting.confidence}: {_comment(setting.source)}"
    return lines


def _comment(text: str) -> str:
    """On one line, without characters that YAML does not allow."""
    return re.sub(r"[^\x20-\x7e]+", " ", text)
