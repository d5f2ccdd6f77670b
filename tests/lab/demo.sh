#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The tour: two nodes that drift are checked, repaired, checked again, and serve one model together.
set -euo pipefail
# Ansible calls executable files of an inventory directory with --list: this script is none, and replaces the nodes.
(($# == 0)) || { echo "usage: tests/lab/demo.sh, without arguments" >&2; exit 2; }
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH="$PWD/.venv/bin:$PATH"
unset PYTHONUNBUFFERED # it makes a pipelined Ansible module read its payload byte by byte

step() {
  printf '\n\033[1m=== %s\033[0m\n' "$1"
  shift
  printf '    $ %s\n' "$*"
  "$@"
}

# What differs from the image on each node, as the engine that runs the nodes sees it.
footprint() {
  local node
  for node in $(docker ps --filter label=dgxspark.suite/lab=node --format '{{.Names}}' | sort); do
    docker diff "$node" | sed "s/^/$node /" | sort
  done
}

step "1/8 The lab: two nodes with systemd, sshd and a Docker engine of their own" \
  python tests/lab/lab.py up --fresh

# The first login leaves its traces (lastlog and the like); they are none of check mode's.
ansible spark_heads:spark_workers --become -m ansible.builtin.ping >/dev/null
before=$(footprint)
step "2/8 What is not as it should be? Nothing is touched" \
  ansible-playbook playbooks/site.yml --check --diff
after=$(footprint)
if [ "$before" != "$after" ]; then
  printf 'demo: --check has left traces on a node:\n' >&2
  diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") >&2 || true
  exit 1
fi
printf '\n    docker diff of the nodes, before and after: the same %d paths\n' "$(wc -l <<<"$after")"

step "3/8 Repair it" \
  ansible-playbook playbooks/site.yml
step "4/8 Again: nothing is left to do" \
  ansible-playbook playbooks/site.yml
step "5/8 Serve a model: Ray's head on spark1, a worker on spark2, vLLM tensor-parallel over both" \
  ansible-playbook playbooks/launch.yml -e recipe=lab-tiny
step "6/8 Talk to it" \
  python tests/lab/chat.py "$(ansible-inventory --host spark1 | python -c 'import json, sys; print(json.load(sys.stdin)["ansible_host"])')"
step "7/8 Ray, as its head sees it" \
  ansible spark_heads --become -m ansible.builtin.command -a "docker exec dgxspark-lab-tiny-0 ray status"
step "8/8 Launch it again: it runs as planned, so nothing changes" \
  ansible-playbook playbooks/launch.yml -e recipe=lab-tiny

cat <<'END'

What to type next (after: source .venv/bin/activate):
    ansible-playbook playbooks/launch.yml -e recipe=lab-tiny-solo --check    the plan and its docker commands
    ansible-playbook playbooks/launch.yml -e recipe=lab-tiny-solo            swap to one node
    ansible-playbook playbooks/stop.yml                                      stop serving
    ssh -i .cache/lab/id_ed25519 -o UserKnownHostsFile=.cache/lab/known_hosts spark@ADDRESS
                                                 log in to a node; python3 tests/lab/lab.py status lists addresses
    make demo-down                                                           remove nodes, images, wheels and keys
To use it on real Sparks, see README.md.
END
