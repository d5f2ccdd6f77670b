# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that vLLM knows, for its flags whose names are no part of its parser.

Those of mid-2026. Forks and plugins have others: an unknown name is a warning and no error.
"""

from __future__ import annotations

_TOOL_PARSERS = """
apertus cohere_command3 cohere_command4 deepseek_v3 deepseek_v31 deepseek_v32 deepseek_v4 ernie45
functiongemma gemma4 gigachat3 glm45 glm47 granite granite4 hermes hunyuan_a13b hy_v3 inkling
internlm jamba kimi_k2 kimi_k3 lfm2 llama3_json llama4_json llama4_pythonic longcat mimo minicpm5
minimax_m2 minimax_m3 mistral olmo3 openai phi4_mini_json poolside_v1 pythonic qwen3_coder qwen3_xml
seed_oss solar_open2 step3 step3p5 xlam
"""
_REASONING_PARSERS = """
cohere_command3 cohere_command4 deepseek_r1 deepseek_v3 deepseek_v4 ernie45 gemma4 glm45 glm47
granite holo2 hunyuan_a13b hy_v3 inkling kimi_k2 kimi_k3 mimo minimax_m2 minimax_m2_append_think
minimax_m3 mistral nemotron_v3 olmo3 openai_gptoss poolside_v1 qwen3 seed_oss solar_open2 step3
step3p5
"""
# Flag -> its names, and the flag that brings further ones.
NAMES: dict[str, tuple[frozenset[str], str]] = {
    "--tool-call-parser": (frozenset(_TOOL_PARSERS.split()), "--tool-parser-plugin"),
    "--reasoning-parser": (frozenset(_REASONING_PARSERS.split()), "--reasoning-parser-plugin"),
}
# Beginnings of families of names without a fixed list.
FAMILIES = ("turboquant_",)
