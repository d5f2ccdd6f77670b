# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit and the cron line of the audit timer, from the role's own templates."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, StrictUndefined

from ansible_collections.dgxspark.suite.plugins.filter.unit_words import FilterModule, unit_words

ROLE = Path(__file__).resolve().parents[4] / "roles" / "audit_timer"
COMMAND = ["/opt/50% $x/python", "-I", "/a b/$HOME/%h.py", 'quote"']


def environment() -> Environment:
    jinja = Environment(trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined)
    jinja.filters["dgxspark.suite.unit_words"] = FilterModule().filters()["unit_words"]
    jinja.filters["bool"] = bool
    jinja.filters["quote"] = shlex.quote
    return jinja


def unit(sandboxed: bool) -> str:
    values: dict[str, Any] = {
        "audit_timer_command": COMMAND,
        "audit_timer_sandboxed": sandboxed,
        "dgxspark_audit_timer_user": "alice",
        "dgxspark_audit_timer_timeout": 1800,
    }
    return environment().from_string((ROLE / "templates" / "service.j2").read_text()).render(values)


def test_the_unit_runs_exactly_the_command() -> None:
    (line,) = re.findall("^ExecStart=(.*)$", unit(True), re.MULTILINE)
    assert line == '"/opt/50%% $x/python" -I "/a b/$$HOME/%%h.py" "quote\\""'
    assert unit_words(["/bin/a", "1"]) == "/bin/a 1"


# Ansible takes the backslash of the expression literally, as Jinja does with this warning.
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_a_percent_sign_ends_no_cron_line() -> None:
    tasks = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text())
    (job,) = [
        task["ansible.builtin.cron"]["job"] for task in tasks if "ansible.builtin.cron" in task
    ]
    jinja = environment()
    jinja.filters["map"] = lambda words, name: [jinja.filters[name](word) for word in words]
    line = jinja.from_string(job).render(audit_timer_command=COMMAND)
    assert not re.search(r"(?<!\\)%", line)
    # What cron hands to the shell.
    assert shlex.split(line.replace(r"\%", "%"))[:-1] == COMMAND


def test_an_audit_of_this_machine_may_use_sudo() -> None:
    assert "NoNewPrivileges" in unit(True)
    assert not re.search("^(NoNew|Restrict|System|Capability|Protect)", unit(False), re.MULTILINE)


def test_systemd_rates_the_unit_as_contained(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("systemd-analyze is not installed")
    file = tmp_path / "dgxspark-audit.service"
    file.write_text(unit(True))
    rate = [analyze, "security", "--offline=true", "--threshold=40", str(file)]
    done = subprocess.run(rate, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout[-200:] + done.stderr
