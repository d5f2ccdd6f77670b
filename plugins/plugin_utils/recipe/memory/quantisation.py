# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How weights and caches are stored: bits per value, scales included, from configs and names."""

from __future__ import annotations

import dataclasses
import re
import typing as t

# What one rule speaks of; every weight of a model belongs to one of these.
MODULES = (
    "attention",
    "recurrent",
    "mlp",
    "experts",
    "shared",
    "embed",
    "head",
    "vision",
    "mtp",
)

# Bits per value of the plain types; nvfp4: an fp8 scale per 16 values; mxfp4, mxfp8: per 32.
PLAIN_BITS = {
    "fp32": 32.0,
    "bf16": 16.0,
    "fp16": 16.0,
    "fp8": 8.0,
    "int8": 8.0,
    "mxfp8": 8.25,
    "nvfp4": 4.5,
    "mxfp4": 4.25,
    "nf4": 4.5,
}

_ALIASES = {
    "float32": "fp32",
    "float": "fp32",
    "f32": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "f16": "fp16",
    "bfloat16": "bf16",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "fp8_e4m3fn": "fp8",
    "fp8_per_tensor": "fp8",
    "fp8_pb_wo": "fp8",
    "float8": "fp8",
    "w8a8": "int8",
    "w8a8_int8": "int8",
    "w8a16": "int8",
    "awq8": "int8",
    "gptq8": "int8",
    "fp4": "nvfp4",
    "w4a16_nvfp4": "nvfp4",
    "nvfp4_awq": "nvfp4",
    "w4a8_nvfp4_fp8": "nvfp4",
    "w4a16_mxfp4": "mxfp4",
    "awq": "int4",
    "awq4": "int4",
    "gptq": "int4",
    "gptq4": "int4",
    "w4a16": "int4",
    "w4a16_awq": "int4",
    "int4_awq": "int4",
    "auto-round": "int4",
    "autoround": "int4",
    "bitsandbytes": "nf4",
    "bnb": "nf4",
}

# Bits per weight of complete GGUF files of 7B to 400B models: llama-quantize's own table, and for
# UD- names (Unsloth's dynamic mixes) the published file sizes divided by the parameters.
GGUF_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "q8_0": 8.5,
    "q8_1": 9.0,
    "q8_k": 8.5,
    "q8_k_xl": 9.4,
    "q6_k": 6.57,
    "q6_k_l": 6.7,
    "q6_k_xl": 6.9,
    "q5_0": 5.54,
    "q5_1": 6.0,
    "q5_k": 5.7,
    "q5_k_s": 5.54,
    "q5_k_m": 5.7,
    "q5_k_l": 5.8,
    "q5_k_xl": 5.75,
    "q4_0": 4.6,
    "q4_1": 5.0,
    "q4_k": 4.87,
    "q4_k_s": 4.63,
    "q4_k_m": 4.87,
    "q4_k_l": 5.0,
    "q4_k_xl": 4.75,
    "q3_k": 3.91,
    "q3_k_s": 3.5,
    "q3_k_m": 3.91,
    "q3_k_l": 4.27,
    "q3_k_xl": 3.75,
    "q2_k": 3.0,
    "q2_k_s": 2.8,
    "q2_k_l": 3.1,
    "q2_k_xl": 3.05,
    "iq4_nl": 4.55,
    "iq4_xs": 4.3,
    "iq3_m": 3.66,
    "iq3_s": 3.52,
    "iq3_xs": 3.35,
    "iq3_xxs": 3.15,
    "iq2_m": 2.7,
    "iq2_s": 2.5,
    "iq2_xs": 2.35,
    "iq2_xxs": 2.1,
    "iq1_m": 1.8,
    "iq1_s": 1.65,
    "tq2_0": 2.1,
    "tq1_0": 1.75,
    "mxfp4": 4.4,
    "mxfp4_moe": 4.4,
}
# Bits per value of llama.cpp's cache types, whose blocks have no mixture.
GGUF_CACHE_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "q8_0": 8.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "iq4_nl": 4.5,
}

# Bits per value of vLLM's and SGLang's cache types.
CACHE_BITS = {
    "float32": 32.0,
    "float16": 16.0,
    "half": 16.0,
    "bfloat16": 16.0,
    "fp32": 32.0,
    "fp16": 16.0,
    "bf16": 16.0,
    "fp8": 8.0,
    "fp8_e4m3": 8.0,
    "fp8_e5m2": 8.0,
    "fp8_inc": 8.0,
    "fp8_ds_mla": 8.0,
    "fp8_per_token_head": 8.25,
    "int8": 8.0,
    "int8_per_token_head": 8.25,
    "int4": 4.0,
    "int4_per_token_head": 4.25,
    "nvfp4": 4.5,
    "nvfp4_4over6": 4.5,
    "nvfp4_ds_mla": 4.5,
    "fp4_e2m1": 4.5,
}
_TURBOQUANT = re.compile(r"turboquant_\D*(\d+)bit")

# The last part of the name of a module that is never quantised and too small to count.
_SMALL = frozenset(
    (
        "gate",
        "router",
        "proj_router",
        "norm",
        "q_norm",
        "k_norm",
        "in_proj_a",
        "in_proj_b",
        "in_proj_ba",
        "conv1d",
        "a_log",
        "dt_bias",
        "d",
        "shared_expert_gate",
        "e_score_correction_bias",
        "bias",
        "input_layernorm",
        "post_attention_layernorm",
        "indexer",
        "index_k_proj",
        "index_q_proj",
        "weights_proj",
    )
)
_NO_DIGITS = {ord(digit): None for digit in "0123456789"}
_LAYER = re.compile(r"(?:layers|blocks|h)\\?\.(\d+)")
_WHOLE_LAYER = re.compile(r"(?:layers|blocks|h)\\?\.(?:\d+|\*)[.*\\$]*$")


class Rule(t.NamedTuple):
    """module: one of MODULES. layers: None means all. scheme: "" means the model's own type."""

    module: str
    layers: frozenset[int] | None
    scheme: str


@dataclasses.dataclass(frozen=True)
class Quantisation:
    """How a checkpoint stores its weights; the first rule that fits a module decides.

    method: the config's own word (modelopt, fp8, awq ...), "" for none. scheme: of modules that no
    rule speaks of: a key of PLAIN_BITS, `int4`, or "". group_size: values per scale of int4.
    cache: type of the KV cache that the checkpoint brings scales for, or "".
    weight_only: activations stay 16 bit (W4A16); None where the config does not say.
    """

    method: str = ""
    scheme: str = ""
    group_size: int = 0
    rules: tuple[Rule, ...] = ()
    cache: str = ""
    weight_only: bool | None = None

    def scheme_of(self, module: str, layer: int | None) -> str:
        for rule in self.rules:
            if rule.module == module and (
                rule.layers is None or (layer is not None and layer in rule.layers)
            ):
                return rule.scheme
        # Embeddings and vision towers are no target of any method unless a rule names them; nor,
        # in practice, is the output layer.
        return "" if module in ("embed", "head", "vision", "mtp") else self.scheme

    def bits(self, module: str, layer: int | None, dtype: str) -> float:
        """Bits per weight of a module, scales included; dtype: of what is not quantised."""
        return bits_of(self.scheme_of(module, layer) or dtype, self.group_size)

    @property
    def schemes(self) -> tuple[str, ...]:
        """Every scheme in use, that of the most weights first: experts, then MLPs, then others."""
        order = ("experts", "mlp", "shared", "attention", "recurrent")
        result = [self.scheme] if self.scheme else []
        for module in (*order, *MODULES):
            result += [rule.scheme for rule in self.rules if rule.module == module]
        return tuple(dict.fromkeys(scheme for scheme in result if scheme))


def canonical(name: str) -> str:
    """The usual name of a type or method; lower case, unknown ones unchanged."""
    word = name.strip().lower()
    return _ALIASES.get(word, word)


def bits_of(scheme: str, group_size: int = 0) -> float:
    """Bits per weight, scales included. Raises KeyError for a scheme that is not known."""
    word = canonical(scheme)
    if word == "int4":
        # A 16-bit scale and a 4-bit zero per group; without groups one per output channel.
        return 4 + 20 / group_size if group_size > 0 else 4.0
    if word in PLAIN_BITS:
        return PLAIN_BITS[word]
    exl = re.fullmatch(r"exl[23]:(\d+(?:\.\d+)?)", word)
    if exl:
        return float(exl.group(1))
    return GGUF_BITS[gguf_name(word) or word]


def cache_bits(name: str, gguf: bool = False) -> float:
    """Bits per value of a KV cache type, of GGUF's or of the others. Raises KeyError."""
    word = name.strip().lower()
    if gguf:
        return GGUF_CACHE_BITS[word]
    turbo = _TURBOQUANT.match(word)
    if turbo:
        return float(turbo.group(1)) + 0.5
    return CACHE_BITS[word]


def gguf_name(text: str) -> str | None:
    """The GGUF type that a quant name or a file name says (UD-Q4_K_XL -> q4_k_xl), else None."""
    word = text.lower().replace("-", "_")
    for name in sorted(GGUF_BITS, key=len, reverse=True):
        if re.search(rf"(?<![a-z0-9]){name}(?![a-z0-9])", word.replace("ud_", "")):
            return name
    return None


# Words of a repository's name that say how its weights are stored; the first that fits wins.
_NAMES = (
    (re.compile(r"\bnvfp4\b|\bfp4\b"), Quantisation("name", "nvfp4", cache="")),
    (re.compile(r"\bmxfp4\b|\bgpt-oss\b"), Quantisation("name", "mxfp4")),
    (re.compile(r"\bmxfp8\b"), Quantisation("name", "mxfp8")),
    (re.compile(r"\bexl[23]\b"), Quantisation("name", "int4")),
    (re.compile(r"\b(?:int8|w8a8|w8a16|8bit)\b"), Quantisation("name", "int8")),
    (re.compile(r"\bfp8\b"), Quantisation("name", "fp8")),
    (re.compile(r"\bbnb\b|\bnf4\b"), Quantisation("name", "nf4")),
    (
        re.compile(r"\b(?:awq|gptq|int4|w4a16|4bit|autoround|auto-round)\d*\b"),
        Quantisation("name", "int4", 128),
    ),
    (re.compile(r"\b(?:bf16|fp16)\b"), Quantisation("name")),
)


def from_name(repository: str) -> Quantisation | None:
    """What a repository's name says, `org/Name-30B-A3B-NVFP4`; None where it says nothing."""
    text = repository.rpartition("/")[2].replace("_", "-").lower()
    for pattern, found in _NAMES:
        if pattern.search(text):
            return found
    return None


def from_config(config: t.Mapping[str, t.Any], parallel_mlp: bool = False) -> Quantisation | None:
    """From `quantization_config`, or from hf_quant_config.json's `quantization`; None if empty.

    parallel_mlp: a dense MLP stands beside the experts, so that rules on `mlp` do not mean these.
    Raises ValueError where what is needed has another type than it should.
    """
    method = _text(config, "quant_method").lower()
    algorithm = _text(config, "quant_algo").lower()
    groups = _map(config, "config_groups")
    named = _map(config, "quantized_layers")
    ignored = [
        *_texts(config, "ignore"),
        *_texts(config, "exclude_modules"),
        *_texts(config, "modules_to_not_convert"),
    ]
    rules = [Rule(module, layers, "") for module, layers in _covered(ignored, parallel_mlp).items()]
    if named:
        rules += _named_rules(named, parallel_mlp)
        part = _Part("fp8" if method == "fp8" else "", weight_only=_weight_only(named))
    elif groups:
        part, of_groups = _groups(groups, parallel_mlp)
        rules += of_groups
    else:
        part = _of_method(config, method, algorithm)
    scheme, size, weight_only = part
    if not scheme and not rules:
        return None
    if scheme and scheme != "int4" and scheme not in PLAIN_BITS:
        scheme = _unknown(config, scheme)
    cache = _text(config, "kv_cache_quant_algo").lower()
    kv_scheme = config.get("kv_cache_scheme")
    if not cache and isinstance(kv_scheme, t.Mapping) and kv_scheme.get("num_bits") == 8:
        cache = "fp8"
    return Quantisation(
        method=method or algorithm,
        scheme=scheme,
        group_size=max(size, 0),
        rules=tuple(
            rule for rule in rules if rule.scheme in ("", "int4") or rule.scheme in PLAIN_BITS
        ),
        cache=cache if cache in CACHE_BITS else "",
        weight_only=weight_only,
    )


class _Part(t.NamedTuple):
    """The scheme of what no rule names, "" for none; size of its groups; only weights quantised."""

    scheme: str
    size: int = 0
    weight_only: bool | None = None


def _named_rules(named: t.Mapping[str, t.Any], parallel_mlp: bool) -> list[Rule]:
    """Rules of a map of module names to their algorithms."""
    by_algorithm: dict[str, list[str]] = {}
    for name, what in named.items():
        if isinstance(what, t.Mapping):
            by_algorithm.setdefault(_text(what, "quant_algo").lower(), []).append(name)
    return [
        Rule(module, layers, canonical(word))
        for word, names in by_algorithm.items()
        for module, layers in _covered(names, parallel_mlp).items()
    ]


def _weight_only(named: t.Mapping[str, t.Any]) -> bool | None:
    maps = [what for what in named.values() if isinstance(what, t.Mapping)]
    return any(_text(what, "quant_algo").lower().startswith("w4a16") for what in maps) or None


def _groups(groups: t.Mapping[str, t.Any], parallel_mlp: bool) -> tuple[_Part, list[Rule]]:
    """What config_groups, as compressed-tensors writes them, apply to all and to some modules."""
    scheme, size, rules = "", 0, []
    weight_only: bool | None = None
    for group in groups.values():
        if not isinstance(group, t.Mapping):
            raise ValueError("config_groups has an entry that is no map")
        word, group_size = _group(_map(group, "weights"))
        targets = _texts(group, "targets")
        if "Linear" in targets or not targets:
            scheme = word
        names = [name for name in targets if name != "Linear"]
        rules += [
            Rule(module, layers, word) for module, layers in _covered(names, parallel_mlp).items()
        ]
        if word == "int4":
            size = group_size
        if "input_activations" in group:
            weight_only = not group["input_activations"]
    return _Part(scheme, size, weight_only), rules


def _of_method(config: t.Mapping[str, t.Any], method: str, algorithm: str) -> _Part:
    """One scheme for the complete checkpoint."""
    if algorithm and algorithm != "mixed_precision":
        only = True if algorithm.startswith("w4a16") else None
        return _Part(canonical(algorithm), weight_only=only)
    if method in ("awq", "gptq", "auto-round", "awq_marlin", "gptq_marlin", "quark"):
        bits = _number(config, "bits") or _number(config, "w_bit") or 4
        size = _number(config, "group_size") or _number(config, "q_group_size") or 0
        return _Part("int8" if bits == 8 else "int4", size, True)
    if method == "bitsandbytes":
        return _Part("int8" if config.get("load_in_8bit") is True else "nf4", weight_only=True)
    return _Part(canonical(method) if method else "")


def _unknown(config: t.Mapping[str, t.Any], scheme: str) -> str:
    """The nearest plain type of a method that is not in any table, by its number of bits."""
    bits = _number(config, "bits") or _number(config, "num_bits")
    if not bits:
        digits = re.search(r"(\d+)", scheme)
        bits = int(digits.group(1)) if digits else 16
    return "int4" if bits <= 5 else "int8" if bits <= 8 else "bf16"


def _group(weights: t.Mapping[str, t.Any]) -> tuple[str, int]:
    """Scheme and group size of a compressed-tensors or modelopt group."""
    bits, kind = _number(weights, "num_bits") or 16, _text(weights, "type").lower()
    size = _number(weights, "group_size") or 0
    if bits == 4:
        if kind == "float":
            return ("mxfp4" if size == 32 else "nvfp4"), size
        return "int4", size
    if bits == 8:
        return (
            "mxfp8" if kind == "float" and size == 32 else "fp8" if kind == "float" else "int8"
        ), size
    return "bf16", size


def _covered(names: t.Iterable[str], parallel_mlp: bool) -> dict[str, frozenset[int] | None]:
    """Which modules, in which layers, names or patterns of modules cover."""
    found: dict[str, set[int] | None] = {}
    seen: dict[str, tuple[str, ...]] = {}
    # A checkpoint of many experts names each of them; all share their layer's rule.
    for name in dict.fromkeys(
        before + experts for before, experts, _rest in (x.partition(".experts.") for x in names)
    ):
        shape = name.translate(_NO_DIGITS)
        if shape not in seen:
            seen[shape] = _modules(name, parallel_mlp)
        if not seen[shape]:
            continue
        number = _LAYER.search(name)
        layer = int(number.group(1)[:6]) if number else None
        for module in seen[shape]:
            if layer is None:
                found[module] = None
            else:
                layers = found.setdefault(module, set())
                if layers is not None:
                    layers.add(layer)
    return {
        module: None if layers is None else frozenset(layers) for module, layers in found.items()
    }


def _modules(name: str, parallel_mlp: bool) -> tuple[str, ...]:
    """The modules that one name or pattern of a checkpoint means; none for small ones."""
    text = re.sub(r"^re:", "", name.lower())
    last = re.sub(r"[^a-z0-9_]+$", "", text)
    last = re.split(r"[.]", last)[-1].strip("\\*^$()")
    if re.search(r"vis|visual|vit|image|multi_modal|mm_|audio|patch_", text):
        return ("vision",)
    if re.search(r"\bmtp|nextn", text):
        return ("mtp",)
    if _WHOLE_LAYER.search(text):
        return ("attention", "recurrent", "mlp", "experts", "shared")
    if "lm_head" in text or text in ("head", "output"):
        return ("head",)
    if "embed" in text:
        return ("embed",)
    if "shared_expert" in text and "shared_expert_gate" not in text:
        return ("shared",)
    if last in _SMALL or "indexer" in text:
        return ()
    if "experts" in text:
        return ("experts",)
    if "linear_attn" in text or re.search(r"mamba|mixer.*(?:in_proj|out_proj)", text):
        return ("recurrent",)
    if re.search(r"attn|attention|[qkvo]_proj|qkv|kv_[ab]", text):
        return ("attention",)
    if re.search(r"mlp|ffn|feed_forward|block_sparse_moe|(?:gate|up|down)_proj", text):
        whole = re.search(r"(?:mlp|ffn|feed_forward|moe)[.*\\$]*$", text)
        return ("mlp", "experts", "shared") if whole and not parallel_mlp else ("mlp",)
    return ()


def _text(config: t.Mapping[str, t.Any], key: str) -> str:
    value = config.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{key} is {value!r:.40}, expected text")
    return value[:100]


def _number(config: t.Mapping[str, t.Any], key: str) -> int | None:
    value = config.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 1 << 20:
        raise ValueError(f"{key} is {value!r:.40}, expected a small whole number")
    return value


def _map(config: t.Mapping[str, t.Any], key: str) -> t.Mapping[str, t.Any]:
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, t.Mapping):
        raise ValueError(f"{key} is a {type(value).__name__}, expected a map")
    return value


def _texts(config: t.Mapping[str, t.Any], key: str) -> list[str]:
    value = config.get(key)
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{key} is not a list of names")
    return [item[:300] for item in value]
