#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Turns the changelog fragments into a release: release.sh VERSION [DATE]
# Changes galaxy.yml, CHANGELOG.rst and changelogs/; commits, tags and publishes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${1:-}
date=${2:-$(date +%Y-%m-%d)}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || { echo "release: VERSION must be like 1.2.3, not '$version'" >&2; exit 2; }
[[ $date =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}$ ]] || { echo "release: DATE must be like 2026-01-31, not '$date'" >&2; exit 2; }
if grep -q "^  $version:\$" changelogs/changelog.yaml; then
    echo "release: changelogs/changelog.yaml has $version already" >&2
    exit 2
fi
compgen -G 'changelogs/fragments/*.y*ml' >/dev/null || { echo "release: no fragment in changelogs/fragments" >&2; exit 2; }

antsibull-changelog lint
antsibull-changelog release --version "$version" --date "$date"
rm -f changelogs/.plugin-cache.yaml # yamllint and ansible-lint would read it
# -i.bak is what GNU's and BSD's sed both take.
sed -i.bak "s/^version: .*/version: $version/" galaxy.yml
rm galaxy.yml.bak
echo "release: $version of $date; review with git diff, then commit"
