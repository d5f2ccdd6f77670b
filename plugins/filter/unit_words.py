# Copyright (c) 2026, dgxspark.suite contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of a command in a systemd unit."""

from __future__ import annotations

DOCUMENTATION = r"""
name: unit_words
author:
  - dgxspark.suite contributors (@dgxspark)
version_added: 0.1.0
short_description: Write a command for a systemd unit
description:
  - The value of C(ExecStart=) that runs a program with exactly these arguments. Quotes,
    backslashes, and percent and dollar signs, which systemd would replace, are taken literally.
options:
  _input:
    description: The absolute path of the program, and its arguments.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show a line of a unit
  ansible.builtin.debug:
    msg: "ExecStart={{ ['/usr/bin/printf', '100%'] | dgxspark.suite.unit_words }}"
"""

RETURN = r"""
_value:
  description: The value, as one line.
  type: str
"""

from collections.abc import Sequence

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.unit_texts import quoted


def unit_words(argv: Sequence[str]) -> str:
    """The value; see DOCUMENTATION."""
    return quoted([str(word) for word in argv])


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, object]:
        return {"unit_words": unit_words}
