#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# ansible-test sanity, without a container and without its download of get-pip:
#   sanity.sh one                          every test with .venv's Python; compile with every Python that is found
#   sanity.sh [OPTION OF ansible-test]...  every test with every Python that is found
# Everything that it makes lies in .cache/sanity.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
cache=$root/.cache/sanity
home=$cache/home
suite=$cache/ansible_collections/dgxspark/suite
python=$root/.venv/bin/python

# ansible-test needs a git checkout below ansible_collections; a copy keeps its output out of this one.
rm -rf "$suite"
mkdir -p "$suite" "$cache/bin"
git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done |
    tar -c --null -T - | tar -x -C "$suite"
git -C "$suite" init --quiet
git -C "$suite" add --all

# Only interpreters that start, ahead of what PATH calls pythonX.Y.
found=()
rm -f "$cache"/bin/*
for version in 3.9 3.10 3.11 3.12 3.13 3.14; do
    if interpreter=$(tests/tools/python.sh "$version"); then
        ln -s "$interpreter" "$cache/bin/python$version"
        found+=("$version")
    fi
done
echo "sanity: $("$python" -c 'import ansible.release as r; print("ansible-core", r.__version__)')," \
    "Python ${found[*]} (others: not found, not tested)"

# ansible-test makes its environments with pip, but without this shell's PIP_* variables. A home directory of
# its own gives pip this machine's settings as a file, and leaves ~ unchanged.
mkdir -p "$home/.config/pip" "$home/.ansible/test/cache"
chmod 700 "$home" # an index URL can contain a password
"$python" - >"$home/.config/pip/pip.conf" <<'END'
import ast
import subprocess
import sys

lines = subprocess.run(
    [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
).stdout.splitlines()
print("[global]")
settings = {}
for line in lines:
    name, value = line.split("=", 1)
    settings[name.rpartition(".")[2]] = " ".join(ast.literal_eval(value).split())
for name, value in settings.items():
    print(f"{name} = {value}")
END

# It also downloads get-pip.py, which many networks block; Python includes a pip of its own.
pip_version=$("$python" -c 'import ansible_test, os; print(os.path.dirname(ansible_test.__file__))')
pip_version=$(sed -n "s/^ *pip='\([0-9.]*\)',\$/\1/p" "$pip_version/_internal/python_requirements.py")
cat >"$home/.ansible/test/cache/get_pip_${pip_version//./_}.py" <<'END'
import subprocess
import sys

unknown = ("--no-setuptools", "--no-wheel")
subprocess.run([sys.executable, "-m", "ensurepip"], check=True)
subprocess.run(
    [sys.executable, "-m", "pip", "install", *(a for a in sys.argv[1:] if a not in unknown)], check=True
)
END

cd "$suite"
# Left out of the output: what pip prints for each environment.
ansible_test() {
    HOME=$home PATH=$cache/bin:$root/.venv/bin:$PATH \
        "$root/.venv/bin/ansible-test" sanity --color no "$@" </dev/null 2>&1 |
        grep --line-buffered -vE '^$|^(Looking in|Processing|Collecting|Using cached|Install|Successfully inst|Requirement|WARNING: Location|  )'
}

if [[ ${1:-} == one ]]; then
    ansible_test --test compile
    ansible_test --skip-test compile --python "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
else
    ansible_test "$@"
fi
