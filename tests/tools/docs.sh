#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the site: the plugins' and roles' documentation by antsibull-docs, with the guides and contracts as they are
# in the tree. A link to a page or heading that there is not fails. DOCS_ONLINE=1 links Ansible's own pages as well.
# Where pip cannot install Sphinx, this is skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cache=$PWD/.cache/docs
venv=$cache/venv
list=$PWD/tests/requirements/docs.txt
pages=$cache/pages
site=$cache/site

mkdir -p "$cache"
if ! cmp -s "$list" "$venv/.installed"; then
    .venv/bin/python -m venv --clear "$venv"
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --progress-bar off \
        --require-hashes --only-binary=:all: -r "$list" >"$cache/log" 2>&1; then
        echo "docs: skipped: pip cannot install ${list#"$PWD/"}: $(tail -n 1 "$cache/log")"
        exit 0
    fi
    cp "$list" "$venv/.installed"
fi

rm -rf "$pages" "$site"
mkdir -m 0700 "$pages"
cp docs/docsite/index.rst "$pages"
# The same places as in the tree, so that links between them hold; links to other files lead to the repository.
git ls-files --cached --others --exclude-standard README.md CHANGELOG.rst CONTRIBUTING.md SECURITY.md CODE_OF_CONDUCT.md \
    LICENSE 'docs/*.md' 'docs/*.json' 'docs/pictures/*.[ps]*g' 'roles/*/README.md' >"$cache/list"
.venv/bin/python tests/tools/docs_pages.py "$pages" <"$cache/list"

# It asks the ansible-doc of .venv for the collection in this tree.
if ! {
    .venv/bin/antsibull-docs --config-file docs/docsite/antsibull-docs.cfg collection --use-current --cleanup everything \
        --dest-dir "$pages" dgxspark.suite &&
        "$venv/bin/sphinx-build" -q -W --keep-going -c docs/docsite -d "$cache/trees" "$pages" "$site"
} >"$cache/log" 2>&1 </dev/null; then
    cat "$cache/log" >&2
    echo "docs: the site has problems, see above" >&2
    exit 1
fi
echo "docs: ${site#"$PWD"/}/index.html, $(find "$site" -name '*.html' | wc -l) pages"
