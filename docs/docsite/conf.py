# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx for the site of `make docs`; tests/tools/docs.sh lays out its sources."""

from __future__ import annotations

import os

project = "dgxspark.suite"
author = "dgxspark.suite contributors"
title = html_short_title = "dgxspark.suite"

extensions = ["sphinx_antsibull_ext", "myst_parser"]
html_theme = "sphinx_ansible_theme"
html_show_sphinx = html_copy_source = False
pygments_style = "ansible"
highlight_language = "text"

# The pages name headings of each other.
myst_heading_anchors = 4
# Labels of Ansible's own documentation, unless it is asked for below, and templates in comments.
suppress_warnings = ["ref.ref", "misc.highlighting_failure"]
if os.environ.get("DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    ansible = "https://docs.ansible.com/projects/ansible/devel/"
    intersphinx_mapping = {"ansible_devel": (ansible, None)}
    suppress_warnings.remove("ref.ref")
