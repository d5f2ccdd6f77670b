# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reads text of others, with valid input and the exceptions that it declares.

A new parser is added here.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.dgxspark.suite.plugins.module_utils.ensure.engine.envfile import EnvFile
from ansible_collections.dgxspark.suite.plugins.module_utils.host import interpreter
from ansible_collections.dgxspark.suite.plugins.module_utils.host.command import EXITED, Result
from ansible_collections.dgxspark.suite.plugins.module_utils.host.findings import Blocked, Finding
from ansible_collections.dgxspark.suite.plugins.module_utils.models import (
    completeness,
    hub_listing,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.models.manifest import (
    Manifest,
    ManifestError,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.probes import (
    addresses,
    apt,
    arp,
    bandwidth,
    boot_module,
    cdi,
    clock,
    container_runtime,
    containers,
    cuda,
    dgx_release,
    disks,
    docker_config,
    docker_engine,
    dpkg,
    driver_packages,
    fwupd,
    kernel,
    kernel_log,
    limits,
    links,
    meminfo,
    netplan,
    ptxas,
    requirements,
    shell_profiles,
    sockets,
    sysctl,
    systemd,
    version_spec,
    zfs,
)
from ansible_collections.dgxspark.suite.plugins.module_utils.serving import (
    lock,
    proof,
    state_files,
    supervisor,
    traffic,
    wire,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils import parity
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.checks.validate import validate
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.load import load
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.format.recipe import (
    Node,
    RecipeError,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.infer.infer import (
    InferenceError,
    infer,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.plan import (
    Settings,
    build_plan,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.resolve import resolve
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.launch.workloads import (
    workloads,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.architecture import (
    ArchitectureError,
    read_config,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.recipe.memory.fit import NodeMemory
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report import answers
from ansible_collections.dgxspark.suite.plugins.plugin_utils.report.documents import (
    Report,
    ReportEntry,
    to_html,
    to_json,
    to_junit,
)
from ansible_collections.dgxspark.suite.plugins.plugin_utils.services import health, outages

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "unit" / "fixtures"


@dataclass(frozen=True)
class Target:
    """seeds: valid inputs, texts or, with documents, what JSON holds.

    allowed: the exceptions that read declares. syntax: "json" or "yaml" if the texts are documents,
    which are then also damaged as such.
    """

    name: str
    read: Callable[[Any], object]
    seeds: Sequence[Any]
    allowed: tuple[type[Exception], ...] = ()
    syntax: str = ""
    documents: bool = False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _judge(text: str) -> object:
    answer = proof.Answer(200, {}, _bytes(text))
    request = proof.Request("POST", "/", "it")
    checks = (
        *(proof.check_completion, proof.check_chat, proof.check_embeddings, proof.check_rerank),
        *(proof.check_speech, proof.check_search, proof.check_rehydrated),
    )
    return [proof.judge(request, check, answer) for check in checks]


def _ended(text: str) -> list[Result]:
    """A program that printed it, and ended well or not."""
    return [Result(("x",), EXITED, code, "", text, text) for code in (0, 1, 100)]


def _each(read: Callable[[Result], object]) -> Callable[[str], object]:
    return lambda text: [read(result) for result in _ended(text)]


def _in_file(name: str, text: str, read: Callable[[str], object]) -> object:
    """Call read with a folder in which a file has that text."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(_bytes(text))
        return read(folder)


def _recorded(*names: str) -> list[str]:
    return [(FIXTURES / "openzfs-2.1.11" / name).read_text() for name in names]


_LINK = {
    "ifname": "enp1s0f0np0",
    "flags": ["UP", "LOWER_UP"],
    "mtu": 9000,
    "address": "02:00:00:00:00:01",
    "master": "bond0",
    "addr_info": [
        {"family": "inet", "scope": "global", "local": "192.0.2.1", "prefixlen": 24},
        {"family": "inet6", "scope": "link", "local": "fe80::1", "prefixlen": 64},
    ],
}
_CONTAINER = {
    "Id": "5" * 64,
    "Name": "/dgxspark-lab-tiny-0",
    "Image": "sha256:" + "a" * 64,
    "Config": {
        "Image": "lab/vllm:1",
        "Labels": {"dgxspark.suite/owner": "dgxspark.suite"},
        "Env": ["PATH=/usr/bin", "VLLM_API_KEY=hush"],
    },
    "State": {"Status": "running", "ExitCode": 0, "StartedAt": "2026-11-22T03:18:32.7Z"},
}
_TCP = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
    "   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7071 1 0\n"
    "   1: 0100007F:1F40 0200007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 7072 1 0\n"
    "   2: 0000000000000000FFFF00000100007F:1F40 0000000000000000FFFF00000200007F:D431 01"
    " 00000000:00000000 00:00000000 00000000 0 0 7073 1 0\n"
)
_NETWORK = (
    "[Match]\nName=enp1s0f0np0\nPermanentMACAddress=02:00:00:00:00:01\n"
    "[Link]\nMTUBytes=9000\n[Network]\nDHCP=no\nAddress=192.0.2.1/24\nBond=bond0\n"
)
_CONNECTION = (
    "[connection]\nid=netplan-a\ninterface-name=enp1s0f0np0\n[ethernet]\nmtu=9000\n"
    "mac-address=02:00:00:00:00:01\n[ipv4]\nmethod=manual\naddress1=192.0.2.1/24,192.0.2.254\n"
)
_APT = (
    "Reading package lists...\nThe following packages have been kept back:\n  held other\n"
    "Inst libc6 [2.39-0] (2.39-1 Ubuntu:24.04 [arm64])\nRemv old [1.0] [new:arm64 ]\n"
    "Conf libc6 (2.39-1 Ubuntu:24.04 [arm64])\nE: Unable to locate package nosuch\n"
)
_FIRMWARE = {"Devices": [{"Name": "NIC", "Version": "1", "Releases": [{"Version": "2"}]}]}
_UNITS = (
    "Id=a.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID=12\n"
    "OOMScoreAdjust=-500\nNRestarts=2\n\nId=b.service\nLoadState=not-found\nMainPID=0\n"
)
_REQUIREMENTS = (
    "# pins\ntorch==2.9.1+cu130\nray[default]==2.53.0 ; python_version < '3.13' and "
    "(sys_platform == 'linux' or platform_machine == \"aarch64\") \\\n    --hash=sha256:aa\n"
)
_MARKERS = {"python_version": "3.12", "sys_platform": "linux", "platform_machine": "aarch64"}
_ENGINE = (
    "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
    '{"Version": "28.3.2", "Components": [{"Name": "Engine"}]}'
)
_UNIT = (
    "[Service]\nExecStart=/x\n[X-Workload]\nContainer=dgxspark-a-0\nRecipe=a\nPlan=ab12\nRank=0\n"
    "Members=192.0.2.1 192.0.2.2\nPort=25010\nStarts=3\nDocker=/usr/bin/docker\n[Install]\n"
)
_LOCK = {
    "schema": 1,
    "token": "t",
    "owner": "alice",
    "reason": "launch",
    "since": 1.0,
    "expires": 2.0e9,
    "holder": {"pid": 1, "host": "a"},
    "run": None,
}
_RUN = {"id": "y", "holder": {}, "since": 1.0, "expires": 2.0e9}
_INDEX = {
    "metadata": {"total_size": 100},
    "weight_map": {
        "a": "model-00001-of-00002.safetensors",
        "b": "model-00002-of-00002.safetensors",
    },
}
_MANIFEST = {
    "name": "org/tiny",
    "kind": "hub",
    "revision": "a" * 40,
    "refs": ["main"],
    "entries": [{"path": "config.json", "size": 1, "blob": "b" * 40, "sha256": ""}],
}
_LISTING = {
    "sha": "a" * 40,
    "siblings": [
        {"rfilename": "config.json", "size": 1, "blobId": "b" * 40},
        {"rfilename": "a.safetensors", "size": 2, "blobId": "", "lfs": {"sha256": "c" * 64}},
    ],
}
_FINDINGS = [
    asdict(Finding("swap_now", "drift", "no swap", "4 GiB", "warning", "swapoff -a", "Look.")),
    asdict(Finding("sysctl_values", "ok", "as wanted", "as wanted")),
]
_ANSWER = {"changed": False, "spec": "kernel", "findings": _FINDINGS, "parity": {"kernel": "6.17"}}
_RANK = {
    "name": "dgxspark-lab-tiny-0",
    "ours": True,
    "status": "running",
    "started": "",
    "labels": {"dgxspark.suite/rank": "0", "dgxspark.suite/ranks": "1"},
}


def _facts(text: str) -> object:
    return addresses.facts_of(addresses.parse_addresses(text, ("global", "link")), text)


def _cdi(text: str) -> object:
    return cdi.parse_driver_version(text), cdi.parse_spec("/x", text)


def _kernel(text: str) -> object:
    return (
        kernel.handover_by_default(text, None),
        kernel.handover_by_default(text, text),
        kernel.handover_on_command_line(text),
        kernel.boots_without_handover(text),
        kernel.fstab_swaps(text),
    )


def _layers(text: str) -> object:
    """What decides at the next boot or login, by files of which one may be this text."""
    files = (("/a", text), ("/b", text))
    return (
        sysctl.last_words(files),
        systemd.settings_of(text),
        systemd.overruling(_NETWORK, files),
        kernel.overruling_grub(files),
        shell_profiles.last_assignment(files, "CUDA_HOME"),
        boot_module.module_path(text),
        container_runtime.parse_mode(text),
    )


def _daemon(text: str) -> object:
    return _in_file(
        "daemon.json",
        text,
        lambda folder: docker_config.start_problem(f"{folder}/daemon.json", ["dockerd", "-H", "x"]),
    )


def _versions(text: str) -> object:
    return version_spec.key(text), requirements.same_version(text, "1.0"), dpkg.upstream(text)


def _environment_file(text: str) -> object:
    def read(folder: str) -> object:
        file = EnvFile.read(f"{folder}/paths.env")
        return file.values(), file.changed({"PTXAS_BIN": "/b", "C": None}).values()

    return _in_file("paths.env", text, read)


def _lock(text: str) -> object:
    def read(folder: str) -> object:
        current = lock.stored(folder)
        request = lock.Request("x", "bob", "launch", 60, run="y")
        return [lock.acquire(current, request, now) for now in (0.0, 1.0e9, 3.0e9)]

    return _in_file(state_files.LOCK, text, read)


def _complete(document: object) -> object:
    index = completeness.parse_index(document)
    files = dict.fromkeys((*_INDEX["weight_map"].values(), "x-Q4_K_M.gguf"), 5)
    return completeness.judge(files, {"model.safetensors.index.json": index})


def _config(document: object) -> object:
    node = NodeMemory(121 << 30, 0, "spark1")
    return infer(read_config(document, weights_bytes=10 << 30), "org/tiny", [node])


def _report(outcome: object) -> object:
    found = answers.findings_of(outcome, "kernel")
    status = "failed" if answers.wrong_checks({"kernel": outcome}) else "ok"
    entries = [ReportEntry("spark1", "kernel", **asdict(finding)) for finding in found]
    report = Report(["spark1"], ["kernel"], {("spark1", "kernel"): status}, entries)
    return to_json(report), to_junit(report), to_html(report)


def _parity(outcome: object) -> object:
    nodes = {
        "spark1": parity.values_of({"dgxspark_result_kernel": outcome}),
        "spark2": parity.values_of({"dgxspark_result_kernel": _ANSWER}),
    }
    return [parity.compare(nodes, node) for node in nodes]


def _workloads(labels: dict[str, str]) -> object:
    return workloads({"spark1": {"containers": [{**_RANK, "labels": labels}]}})


_NODES = [
    Node("spark1", "192.0.2.1", "198.51.100.1", "enp1s0f0np0"),
    Node("spark2", "192.0.2.2", "198.51.100.2", "enp1s0f0np0"),
]


def _recipe(text: str) -> object:
    def read(folder: str) -> object:
        recipe = load(f"{folder}/sample.yaml")
        return validate(recipe), build_plan(resolve(recipe, {}, _NODES), Settings())

    return _in_file("sample.yaml", text, read)


def _text(
    name: str,
    read: Callable[[str], object],
    *seeds: str,
    allowed: tuple[type[Exception], ...] = (),
    syntax: str = "",
) -> Target:
    return Target(name, read, seeds, allowed, syntax)


def _json(
    name: str,
    read: Callable[[str], object],
    *seeds: object,
    allowed: tuple[type[Exception], ...] = (),
) -> Target:
    return Target(name, read, [json.dumps(seed) for seed in seeds], allowed, "json")


def _rows(result: Any) -> object:
    if not isinstance(result, dict):
        return None  # Ansible returns maps alone
    results = {"spark1": result}
    return health.table(health.rows([], results, ["spark1"]), health.containers(results), {})


def _documents(
    name: str,
    read: Callable[[Any], object],
    *seeds: object,
    allowed: tuple[type[Exception], ...] = (),
) -> Target:
    return Target(name, read, seeds, allowed, documents=True)


_RECIPES = [path.read_text("utf-8") for path in sorted((ROOT / "recipes").glob("*.yaml"))]
_CONFIGS = [
    json.loads(path.read_text("utf-8"))
    for path in sorted((FIXTURES / "models").glob("*/config.json"))
]

TARGETS = (
    _json("addresses.parse_addresses", addresses.parse_addresses, [_LINK]),
    _json("addresses.facts_of", _facts, [_LINK], [{"dst": "default", "dev": "enp1s0f0np0"}]),
    _text("apt.parse_simulation", _each(apt.parse_simulation), _APT),
    _text("apt.parse_upgrade", _each(apt.parse_upgrade), _APT),
    _text(
        "arp.parse",
        lambda text: arp.parse(text.encode("utf-8", "replace")),
        arp.probe("02:00:00:00:00:01", "192.0.2.1").decode("latin-1"),
    ),
    _json(
        "bandwidth.parse_iperf",
        bandwidth.parse_iperf,
        {"end": {"sum_received": {"bits_per_second": 1e11}}},
        {"error": "refused"},
    ),
    _text("bandwidth.parse_ping", bandwidth.parse_ping, "rtt min/avg/max/mdev = 0.1/0.2/0.3/0 ms"),
    _text("bandwidth.parse_write_bw", bandwidth.parse_write_bw, " 65536 5000 110.0 109.0 0.17\n"),
    _text("bandwidth.parse_nccl", bandwidth.parse_nccl, "# Avg bus bandwidth    : 12.3\n"),
    _text(
        "cdi",
        _cdi,
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.95.05  Release\n",
        "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ncontainerEdits:\n  mounts:\n"
        "  - hostPath: /usr/lib/aarch64-linux-gnu/libcuda.so.580.95.05\n",
    ),
    _text(
        "clock.parse_timex",
        lambda text: clock.parse_timex(text.encode("utf-8", "replace").ljust(512, b"\0")[:512]),
        "\0" * 64,
        allowed=(struct.error,),
    ),
    _json(
        "containers.parse_inspect",
        containers.parse_inspect,
        [_CONTAINER],
        allowed=(containers.EngineError,),
    ),
    _json(
        "containers.api_key", containers.api_key, [_CONTAINER], allowed=(containers.EngineError,)
    ),
    _text(
        "containers.merge_logs",
        lambda text: containers.merge_logs(text, text),
        "2026-11-22T03:20:23.6Z \x1b[32mINFO\x1b[0m one\n2026-11-22T03:20:24.6Z 0%\r100%\n",
    ),
    _text("cuda.parse_cuda", _each(cuda.parse_cuda), "100\n"),
    _text("cuda.parse_smi", _each(lambda result: cuda.parse_smi("/x", result)), "GB10, 580.95\n"),
    _text(
        "kernel_log.parse_kernel_log",
        _each(kernel_log.parse_kernel_log),
        "1790000000.1 spark1 kernel: NVRM: Xid (PCI:000f:01:00): 119, pid=1, name=x\n"
        "1790000000.2 spark1 kernel: Out of memory: Killed process 8 (python3) total-vm:1kB\n",
    ),
    _text(
        "layers",
        _layers,
        '[Link]\nMTUBytes=1500\nexport CUDA_HOME=/x\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX a"\n'
        'net/core.rmem_max = 1\n[nvidia-container-runtime]\nmode = "cdi"\nupdates/nvidia.ko.zst:\n',
    ),
    _text("cuda.parse_driver", cuda.parse_driver, "NVRM version: Open Kernel Module  580.95.05\n"),
    _text(
        "dgx_release.parse_dgx_release",
        dgx_release.parse_dgx_release,
        'DGX_NAME="DGX Spark"\nDGX_SWBUILD_VERSION="7.2.3"\nDGX_OTA_VERSION="7.3.1"\n',
    ),
    _json("docker_config", _daemon, {"hosts": ["fd://"], "data-root": "/ai"}),
    _text(
        "driver_packages",
        lambda text: driver_packages.why_unsupported(text, text),
        "linux-modules-nvidia-595-open-6.17.0-1031-nvidia",
        "nvidia-driver-cuda",
    ),
    _text("disks.parse_blkid", disks.parse_blkid, *_recorded("blkid-ext4.txt")),
    Target(
        "disks.parse_lsblk",
        disks.parse_lsblk,
        _recorded("lsblk-parted.json", "lsblk-pool.json", "lsblk-used.json"),
        syntax="json",
    ),
    _text(
        "docker_engine.parse_answer", lambda text: docker_engine.parse_answer(_bytes(text)), _ENGINE
    ),
    _text(
        "dpkg.parse_status",
        dpkg.parse_status,
        "Package: libc6\nStatus: install ok installed\nArchitecture: arm64\nVersion: 2.39\n"
        "Provides: a (= 1), b\n\nPackage: x\nStatus: deinstall ok config-files\n",
    ),
    _text("envfile", _environment_file, "# c\nA=/b\nexport B=\"x y\"\nC='z'\n", allowed=(Blocked,)),
    _json("fwupd.parse_updates", _each(fwupd.parse_updates), _FIRMWARE),
    _text("interpreter", interpreter._parse, '\n<<<dgxspark {"a": 1} dgxspark>>>\n'),
    _text("kernel", _kernel, "7.0.0-1019-nvidia", "/swap.img none swap sw 0 0\n", "a kho=off b"),
    _text(
        "kernel.parse_swaps",
        kernel.parse_swaps,
        "Filename Type Size Used Priority\n/swap\\040img file 16777212 0 -2\n",
    ),
    _text("limits.parse_value", limits.parse_value, "unlimited", "8192", allowed=(ValueError,)),
    _text(
        "limits.effective",
        lambda text: limits.effective([("/a", text)], "memlock"),
        "* soft memlock unlimited\nalice hard memlock 65536\n",
    ),
    _json("links.parse_links", links.parse_links, [_LINK]),
    _json("links.parse_routes", links.parse_routes, [{"dst": "default", "dev": "a", "metric": 5}]),
    _json(
        "hub_listing.parse",
        lambda text: hub_listing.parse(text.encode()),
        _LISTING,
        allowed=(ValueError,),
    ),
    _documents("manifest", Manifest.from_dict, _MANIFEST, allowed=(ManifestError,)),
    _text("meminfo.parse_meminfo", meminfo.parse_meminfo, "MemTotal:  125829120 kB\nHuge: 0\n"),
    _documents("completeness", _complete, _INDEX, allowed=(ValueError,)),
    _documents("config.json", _config, *_CONFIGS, allowed=(ArchitectureError, InferenceError)),
    _text("netplan.parse_network", lambda text: netplan.parse_network("/x", text), _NETWORK),
    _text(
        "netplan.parse_connection", lambda text: netplan.parse_connection("/x", text), _CONNECTION
    ),
    _documents("parity", _parity, _ANSWER, {"results": [_ANSWER]}),
    _text("ptxas.parse_version", ptxas.parse_version, "tools, release 13.0, V13.0.88\n"),
    Target("recipe", _recipe, _RECIPES, (RecipeError,), "yaml"),
    _documents("report", _report, _ANSWER, {"results": [_ANSWER, {"skipped": True}]}),
    _text(
        "requirements.parse",
        lambda text: requirements.parse(text, _MARKERS),
        _REQUIREMENTS,
        allowed=(ValueError,),
    ),
    _json(
        "proof.judge",
        _judge,
        {"choices": [{"text": "Paris", "message": {"content": "Paris"}}]},
        {"data": [{"index": index, "embedding": [1.0, index]} for index in range(3)]},
        {"results": [{"index": index, "relevance_score": 0.1} for index in range(3)]},
        {"result": {"points": [{"id": 1}, {"id": 2}]}},
        {"text": "the lazy fox"},
    ),
    _text("sockets.parse_container", sockets.parse_container, f"0::/docker-{'a' * 64}.scope\n"),
    _text("sockets.parse_bound", lambda text: list(sockets.parse_bound(text)), _TCP),
    _text("sockets.parse_peers", lambda text: list(sockets.parse_peers(text)), _TCP),
    _json("lock", _lock, _LOCK, {**_LOCK, "run": _RUN}, allowed=(state_files.Broken,)),
    _json(
        "a line between nodes",
        lambda text: wire.message_of(_bytes(text)),
        {"say": "hello", "rank": 1, "plan": "ab12", "nonce": "00" * 32},
        allowed=(ValueError,),
    ),
    _text("supervisor.read_unit", supervisor.read_unit, _UNIT, allowed=(ValueError,)),
    _text(
        "systemd.parse_units",
        lambda text: systemd.parse_units(text, ["a.service", "b.service"]),
        _UNITS,
    ),
    _documents(
        "health.rows",
        _rows,
        {
            "services": [{"name": "main", "state": "up", "kind": ["chat"], "seconds": 0.1}],
            "ranks": [{"service": "two", "rank": 1, "nodes": ["spark1", "spark2"]}],
            "containers": [{"name": "dgxspark-main-0", "status": "running"}],
        },
    ),
    _documents(
        "outages.of_json",
        outages.of_json,
        outages.to_json(outages.Line(0, "node/a", "up", "suspect", 3, "why", "poll")),
        allowed=(ValueError,),
    ),
    _text(
        "traffic.parse",
        traffic.parse,
        'vllm:num_requests_running{engine="0",model_name="a } b"} 2.0\n',
        "vllm:generation_tokens_total 1.2e+03 1395066363000\n",
    ),
    _text(
        "systemd.switch",
        lambda text: systemd.switch([("/a", text)], "Login", "RemoveIPC"),
        "[Login]\nRemoveIPC=no\n",
    ),
    _text("versions", _versions, "2.9.1+cu130", "1!2.0rc1", "2:2.39-0ubuntu8"),
    _documents("workloads", _workloads, _RANK["labels"]),
    _text("zfs.comparable", zfs.comparable, "1M", "500G", "/a/", "gzip-6", "18446744073709551615"),
    _text("zfs.parse_devices", zfs.parse_devices, *_recorded("zpool-status.txt")),
    _text("zfs.parse_pools", zfs.parse_pools, "ai\tONLINE\t1000\t900\n"),
    _text("zfs.parse_properties", zfs.parse_properties, "ai\tcompression\tlz4\n"),
)
