# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tasks of stock.yml as operations and facts of pyinfra, which runs this file: a yardstick."""

import io
import shlex
from pathlib import Path

import yaml
from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import apt, files

# pyinfra gives a deploy no name of its own file.
(_play,) = yaml.safe_load(Path("tests/benchmarks/stock.yml").read_text(encoding="utf-8"))
for _task in _play["tasks"]:
    _said = next(key for key in _task if key.startswith("ansible.builtin."))
    _given = _task[_said]
    _kind = _said.rpartition(".")[2]
    if _kind == "file":
        files.directory(path=_given["path"], mode=_given["mode"].lstrip("0"))
    elif _kind == "apt":
        apt.packages(packages=[_given["name"]])
    elif _kind == "copy":
        content = io.StringIO(_given["content"])
        files.put(src=content, dest=_given["dest"], mode=_given["mode"].lstrip("0"))
    elif _kind == "lineinfile":
        files.line(path=_given["path"], line=_given["line"])
    else:
        host.get_fact(Command, shlex.join(_given["argv"]) + " 2>&1 || true")
