#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the collection, installs that tarball into an empty directory and resolves every playbook in it by
# its full name and by its path. Its dependencies are those of the ansible package in .venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
out=$root/.cache/build
bin=$root/.venv/bin
rm -rf "$out"
mkdir -p "$out/empty"

# From a copy, whose README has links that lead somewhere on Galaxy's page.
mkdir "$out/tree"
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$out/tree"
echo README.md | "$bin/python" tests/tools/docs_pages.py "$out/tree"
"$bin/ansible-galaxy" collection build --output-path "$out" "$out/tree" >"$out/log" || { cat "$out/log" >&2; exit 1; }
rm -rf "$out/tree"
tarball=$(compgen -G "$out/*.tar.gz")

# A file that git does not know may be private; what only tests need is not shipped.
tar -tzf "$tarball" | grep -v -e '/$' -e '^MANIFEST.json$' -e '^FILES.json$' | sort >"$out/shipped"
git ls-files --cached --others --exclude-standard | sort >"$out/known"
junk=$(comm -23 "$out/shipped" "$out/known"; grep -E '^(tests|\.cache|\.venv)/' "$out/shipped" || true)
if [[ -n $junk ]]; then
    printf 'build: the tarball has files that do not belong there; see build_ignore in galaxy.yml:\n%s\n' "$junk" >&2
    exit 1
fi

# Outside the working tree, so that neither its ansible.cfg nor its files are found.
cd "$out/empty"
export ANSIBLE_COLLECTIONS_PATH=$out/collections
"$bin/ansible-galaxy" collection install --force --offline -p "$ANSIBLE_COLLECTIONS_PATH" "$tarball" >"$out/log" 2>&1 ||
    { cat "$out/log" >&2; exit 1; }
installed=$ANSIBLE_COLLECTIONS_PATH/ansible_collections/dgxspark/suite

shopt -s nullglob
checked=0
for playbook in "$installed"/playbooks/*.yml; do
    name=$(basename "$playbook" .yml)
    for spelling in "dgxspark.suite.$name" "$playbook"; do
        "$bin/ansible-playbook" --syntax-check -i localhost, "$spelling" >"$out/log" 2>&1 ||
            { cat "$out/log" >&2; echo "build: $spelling does not resolve" >&2; exit 1; }
    done
    checked=$((checked + 1))
done
((checked)) || { echo "build: no playbook in the tarball" >&2; exit 1; }

echo "build: ${tarball#"$root"/}, $(wc -l <"$out/shipped") files, $(($(stat -c %s "$tarball") / 1024)) KiB;" \
    "installed; playbooks that resolve by name and by path: $checked"
