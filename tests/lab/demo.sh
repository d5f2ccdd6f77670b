#!/usr/bin/env bash
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The demo: two nodes with configuration drift are checked, repaired, checked again, and serve one model together.
set -euo pipefail
# ANSIBLE_INVENTORY=localhost, makes a directory tree an inventory, whose programs are then called with --list.
if (($#)); then
  echo "usage: tests/lab/demo.sh" >&2
  exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH="$PWD/.venv/bin:$PATH"
unset PYTHONUNBUFFERED # with it a pipelined Ansible module reads its payload byte by byte

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

# The first login writes files (lastlog and the like) that are not check mode's.
ansible spark_heads:spark_workers --become -m ansible.builtin.ping >/dev/null
before=$(footprint)
step "2/8 Report configuration drift; change nothing" \
  ansible-playbook playbooks/site.yml --check --diff
after=$(footprint)
if [ "$before" != "$after" ]; then
  printf 'demo: --check has written on a node:\n' >&2
  diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") >&2 || true
  exit 1
fi
printf '\n    docker diff of the nodes, before and after: the same %d paths\n' "$(wc -l <<<"$after")"

step "3/8 Repair the drift" \
  ansible-playbook playbooks/site.yml
step "4/8 Run again: nothing changes" \
  ansible-playbook playbooks/site.yml
step "5/8 Serve a model: Ray head on spark1, Ray worker on spark2, vLLM tensor-parallel over both" \
  ansible-playbook playbooks/launch.yml -e recipe=lab-tiny
step "6/8 Ask the model" \
  python tests/lab/chat.py "$(ansible-inventory --host spark1 | python -c 'import json, sys; print(json.load(sys.stdin)["ansible_host"])')"
step "7/8 Ray's status on its head" \
  ansible spark_heads --become -m ansible.builtin.command -a "docker exec dgxspark-main-0 ray status"
step "8/8 Launch it again: it runs as planned, nothing changes" \
  ansible-playbook playbooks/launch.yml -e recipe=lab-tiny

cat <<'END'

What to type next (after: source .venv/bin/activate):
    ansible-playbook playbooks/launch.yml -e recipe=lab-tiny-solo --check    the plan and its docker commands
    ansible-playbook playbooks/launch.yml -e recipe=lab-tiny-solo            swap to one node
    make control                                                             the same in a browser, 127.0.0.1:9999
    ansible-playbook playbooks/stop.yml                                      stop serving
    ssh -i .cache/lab/id_ed25519 -o UserKnownHostsFile=.cache/lab/known_hosts spark@ADDRESS
                                                 log in to a node; python3 tests/lab/lab.py status lists addresses
    make demo-down                                                           remove nodes, images, wheels and keys
To use it on real Sparks, see README.md.
END
