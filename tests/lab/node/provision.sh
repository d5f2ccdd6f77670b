#!/bin/sh
# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Turns a bare Debian or Ubuntu root file system into a lab node: systemd, sshd, sudo, a Docker engine,
# and what a Spark has under /usr/local/cuda and /opt/ai-tools. Runs as root inside that system;
# /lab is this folder, /triton the one with Triton's lists, and /wheels holds the wheels that the lists name.
set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get update
# Since Debian 13 the Docker client is a package of its own, which docker.io only recommends.
client=
[ -z "$(apt-cache show docker-cli 2>/dev/null)" ] || client=docker-cli
apt-get install -y --no-install-recommends \
    systemd systemd-sysv dbus openssh-server sudo ca-certificates \
    python3 python3-venv docker.io ${client:+"$client"} iptables \
    iproute2 iputils-ping procps \
    git curl build-essential ninja-build pkg-config rdma-core python3-dev libnuma1 netplan.io
command -v dockerd
command -v docker
# What the specs install: lists and archives stay in apt's cache, so that a node needs no network for them.
apt-get clean
printf 'Binary::apt::APT::Keep-Downloaded-Packages "true";\n' >/etc/apt/apt.conf.d/90-lab-keep
apt-get install -y --no-install-recommends --download-only jq ethtool earlyoom iperf3

# Every node gets its own identity at its first start.
rm -f /etc/ssh/ssh_host_*_key* /etc/machine-id /var/lib/dbus/machine-id
touch /etc/machine-id
mkdir -p /etc/systemd/system/ssh.service.d
printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n' \
    >/etc/systemd/system/ssh.service.d/host-keys.conf

# The login of a person who may become root, as on a Spark.
useradd --create-home --shell /bin/bash spark
printf 'spark ALL=(ALL) NOPASSWD: ALL\n' >/etc/sudoers.d/spark
chmod 0440 /etc/sudoers.d/spark
usermod -aG docker spark

# A container has no consoles, no devices to probe, no disk of its own for a journal, and is online from the start.
systemctl mask getty.target console-getty.service systemd-udevd.service systemd-networkd-wait-online.service \
    systemd-modules-load.service sys-kernel-debug.mount sys-kernel-tracing.mount \
    apt-daily.timer apt-daily-upgrade.timer
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/lab.conf
systemctl enable ssh.service docker.service

# The system CUDA: the real toolkit's ptxas and nvcc, where a Spark has them.
cuda=/usr/local/cuda-13.0
python3 -m venv /tmp/cuda
/tmp/cuda/bin/pip install --quiet --no-index --find-links /wheels --no-deps --require-hashes \
    --target /tmp/cuda/unpacked -r /lab/cuda.txt
mv /tmp/cuda/unpacked/nvidia/cu13 "$cuda"
chmod 0755 "$cuda"/bin/*
ln -s "$cuda" /usr/local/cuda
rm -rf /tmp/cuda

# A Spark's owner may have uv; it makes virtual environments in seconds.
python3 -m venv /tmp/uv
/tmp/uv/bin/pip install --quiet --no-index --find-links /wheels --no-deps --require-hashes -r /lab/uv.txt
install -m 0755 /tmp/uv/bin/uv /usr/local/bin/uv
rm -rf /tmp/uv

# Two virtual environments: one whose Triton cannot assemble for GB10 as it comes, one whose Triton can.
for pair in vllm-env:3.5.1 vllm-env-next:3.9.0; do
    # A link, since an image's own folder cannot be renamed: only a new one beside it can be put in its place.
    venv=/opt/ai-tools/first/${pair%%:*}
    python3 -m venv "$venv"
    ln -s "first/${pair%%:*}" /opt/ai-tools/
    "$venv/bin/pip" install --quiet --no-index --find-links /wheels --no-deps --require-hashes \
        -r "/triton/triton-${pair##*:}.txt"
done
install -d -o spark -g spark /ai /ai/cache /ai/cache/huggingface
