# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to this collection: may change at any time, without notice.
"""Pinned requirements, as pip freeze, pip-compile and uv export write them.

Only exact pins say what a virtual environment should hold, so everything else is refused by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ansible_collections.dgxspark.suite.plugins.module_utils.probes import version_spec

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_PIN = re.compile(
    r"(?P<name>%s)\s*(?:\[(?P<extras>[A-Za-z0-9._,\s-]*)\])?\s*===?\s*"
    r"(?P<version>[A-Za-z0-9.+!_-]+)\s*(?:;\s*(?P<marker>.+))?" % _NAME
)
_HASH = re.compile(r"\s--hash[=\s](sha(?:256|384|512):[0-9a-f]+)")
_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?P<rest>(?:[._-]?(?:alpha|beta|preview|pre|post|dev|rev|rc|a|b|c|r)[._-]?\d*|-\d+)*)"
    r"(?:\+(?P<local>[a-z0-9]+(?:[._-][a-z0-9]+)*))?",
    re.ASCII,
)
_TOKEN = re.compile(
    r"\s*(?:(?P<word>[a-z_]+)|(?P<text>'[^']*'|\"[^\"]*\")|(?P<sign><=|>=|==|!=|~=|<|>|\(|\)))"
)

# Each is a level of recursion.
_BRACKETS = 20


@dataclass(frozen=True)
class Pin:
    """One wanted package. name is normalised; line is the requirement as an installer reads it,
    hashes included, without its marker."""

    name: str
    version: str
    line: str
    hashed: bool = False


def normalized(name: str) -> str:
    """The one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_version(text: str) -> bool:
    """Whether an installer reads it as a version of a package."""
    return _VERSION.fullmatch(text.strip().lower()) is not None


def same_version(installed: str, wanted: str) -> bool:
    """Whether a version is the wanted one; where no local label (+cpu) is wanted, any will do."""
    have, want = _canonical(installed), _canonical(wanted)
    return have[:2] == want[:2] and want[2] in ("", have[2])


def _canonical(version: str) -> tuple[str, str, str]:
    """(release without trailing zeros, the rest, local label); the text itself if it is none."""
    match = _VERSION.fullmatch(version.strip().lower())
    if not match:
        return version, "", ""
    release = re.sub(
        r"(?:\.0+)+$", "", ".".join(n.lstrip("0") or "0" for n in match["release"].split("."))
    )
    rest = re.sub(r"[._-]", "", re.sub(r"^-(?=\d)", "post", match["rest"] or ""))
    for long, short in (("alpha", "a"), ("beta", "b"), ("preview", "rc"), ("rev", "post")):
        rest = rest.replace(long, short)
    rest = re.sub(r"(?<![a-z])(c|pre)(?=\d|$)", "rc", rest)
    local = re.sub(r"[._-]", ".", match["local"] or "")
    return "%s!%s" % (match["epoch"] or 0, release), rest, local


def parse(text: str, environment: Mapping[str, str]) -> tuple[Pin, ...]:
    """The pins that hold in an environment, which maps names of markers to values.

    Raises ValueError, with the line's number, for what is no exact pin, for a marker that is not
    understood, and for a name that is pinned to two versions.
    """
    pins: dict[str, Pin] = {}
    for number, line in _lines(text):
        hashes = _HASH.findall(line)
        bare = _HASH.sub("", line).strip()
        match = _PIN.fullmatch(bare)
        if not match:
            raise ValueError(
                "line %d: expected an exact pin as name==1.2, found %r" % (number, bare)
            )
        try:
            applies = not match["marker"] or holds(match["marker"], environment)
        except ValueError as error:
            raise ValueError("line %d: %s" % (number, error)) from error
        if not applies:
            continue
        name = normalized(match["name"])
        extras = "[%s]" % match["extras"] if match["extras"] else ""
        words = ["%s%s==%s" % (match["name"], extras, match["version"])]
        words += ["--hash=%s" % digest for digest in hashes]
        pin = Pin(name, match["version"], " ".join(words), bool(hashes))
        if name in pins and pins[name].version != pin.version:
            raise ValueError("line %d: %s is pinned to two versions" % (number, name))
        pins[name] = pin
    return tuple(pins[name] for name in sorted(pins))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, text) of what is a line once continuations are joined."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        start = start or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        whole = (pending + line).strip()
        if whole:
            yield start, whole
        pending, start = "", 0
    if pending.strip():
        yield start, pending.strip()


def holds(marker: str, environment: Mapping[str, str]) -> bool:
    """Evaluate an environment marker. Raises ValueError for what is not understood."""
    tokens: list[str] = []
    at = 0
    while at < len(marker.rstrip()):
        match = _TOKEN.match(marker, at)
        if not match:
            raise ValueError("marker not understood: %s" % marker)
        tokens.append(match[0].strip())
        at = match.end()
    if tokens.count("(") > _BRACKETS:
        raise ValueError("marker has more than %d brackets" % _BRACKETS)
    value, rest = _either(tokens, environment, marker)
    if rest:
        raise ValueError("marker not understood: %s" % marker)
    return value


_Tokens = list[str]


def _either(tokens: _Tokens, env: Mapping[str, str], marker: str) -> tuple[bool, _Tokens]:
    value, tokens = _both(tokens, env, marker)
    while tokens[:1] == ["or"]:
        other, tokens = _both(tokens[1:], env, marker)
        value = value or other
    return value, tokens


def _both(tokens: _Tokens, env: Mapping[str, str], marker: str) -> tuple[bool, _Tokens]:
    value, tokens = _one(tokens, env, marker)
    while tokens[:1] == ["and"]:
        other, tokens = _one(tokens[1:], env, marker)
        value = value and other
    return value, tokens


def _one(tokens: _Tokens, env: Mapping[str, str], marker: str) -> tuple[bool, _Tokens]:
    if tokens[:1] == ["("]:
        value, tokens = _either(tokens[1:], env, marker)
        if tokens[:1] != [")"]:
            raise ValueError("marker not understood: %s" % marker)
        return value, tokens[1:]
    if tokens[1:3] == ["not", "in"]:
        tokens = [tokens[0], "not in", *tokens[3:]]
    if len(tokens) < 3:
        raise ValueError("marker not understood: %s" % marker)
    left, sign, right = tokens[:3]
    return _compared(_value(left, env, marker), sign, _value(right, env, marker), marker), tokens[
        3:
    ]


def _value(token: str, env: Mapping[str, str], marker: str) -> str:
    if token[:1] in "'\"":
        return token[1:-1]
    if token == "extra":  # none is asked for where everything is pinned
        return ""
    if token not in env:
        raise ValueError("marker not understood: %s, of which %s" % (marker, token))
    return env[token]


def _compared(left: str, sign: str, right: str, marker: str) -> bool:
    if sign in ("in", "not in"):
        return (left in right) == (sign == "in")
    if sign not in ("==", "!=", "<", "<=", ">", ">="):
        raise ValueError("marker not understood: %s" % marker)
    if re.match(r"\d", left) and re.match(r"\d", right):
        have, want = version_spec.key(left), version_spec.key(right.replace(".*", ""))
        if right.endswith(".*"):
            have = have[: len(want)]
        width = max(len(have), len(want))
        have = have + ((0, ""),) * (width - len(have))
        want = want + ((0, ""),) * (width - len(want))
        return _ordered(have, sign, want)
    return _ordered(left, sign, right)


def _ordered(left: object, sign: str, right: object) -> bool:
    if sign in ("==", "!="):
        return (left == right) == (sign == "==")
    less: bool = left < right  # type: ignore[operator]
    if sign in ("<", "<="):
        return less or (sign == "<=" and left == right)
    return not less and (sign == ">=" or left != right)
