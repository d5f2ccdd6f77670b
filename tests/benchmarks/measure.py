# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command costs on this machine, and a table of several that ran in turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Cost:
    """wall and cpu in seconds; peak is what its processes held together, shared pages once, in MiB.

    load is what the machine was busy with when it began: the average of a minute.
    """

    wall: float
    cpu: float
    peak: float
    load: float


def cost_of(argv: Sequence[str], accept: Sequence[int] = (0,), **environment: str) -> Cost:
    """Run a command in this checkout; the benchmark ends where it fails."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    load = os.getloadavg()[0]
    started = time.monotonic()
    with subprocess.Popen(
        argv,
        cwd=ROOT,
        env={**env, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        peak = _Peak(process.pid)
        output = process.stdout.read() if process.stdout else ""
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - started
    if process.returncode not in accept:
        sys.exit(f"bench: {' '.join(argv)} ended with {process.returncode}:\n{output[-4000:]}")
    return Cost(wall, used.ru_utime + used.ru_stime, peak.stop(), load)


class _Peak:
    """Looks at a process and its descendants four times a second, less often where that is work."""

    def __init__(self, pid: int) -> None:
        self.pid, self.most = pid, 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        pause = 0.25
        while not self.ended.wait(pause):
            began = time.thread_time()
            self.most = max(self.most, sum(map(_proportional, _family(self.pid))))
            pause = max(0.25, 20 * (time.thread_time() - began))

    def stop(self) -> float:
        self.ended.set()
        self.thread.join()
        return self.most


def _family(pid: int) -> list[int]:
    family = [pid]
    for parent in family:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                family += map(int, (task / "children").read_text().split())
    return family


def _proportional(pid: int) -> float:
    """MiB of a process, with what it shares with others divided among them."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return 0.0


def installed(requirement: str, *more: str) -> Path | None:
    """The program of a package, in its own environment with more packages; None on failure."""
    name = requirement.partition("==")[0]
    venv = ROOT / ".cache" / "bench" / name
    program = venv / "bin" / name
    if not program.exists():
        print(f"bench: installing {requirement}, some 30 s", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", venv], check=False)
        subprocess.run([venv / "bin/pip", "install", "-q", requirement, *more], check=False)
    if not program.exists():
        print(f"bench: {name} skipped: it cannot be installed here", file=sys.stderr)
        return None
    return program


def in_turn(
    what: Mapping[str, Callable[[], Cost]], runs: int, note: Callable[[str], None]
) -> dict[str, list[Cost]]:
    """Each once a round, so that whatever else the machine does burdens all alike."""
    costs: dict[str, list[Cost]] = {name: [] for name in what}
    for number in range(runs):
        for name, run in what.items():
            costs[name].append(run())
        note(f"round {number + 1} of {runs}")
    return costs


def table(costs: Mapping[str, Sequence[Cost]], yardstick: str, title: str) -> dict[str, object]:
    """Print medians, and each one's ratio to the yardstick round by round; the same as JSON."""
    print(f"\n{title}")
    print(f"{'':<44}{'wall s':>8}{'cpu s':>8}{'peak MiB':>10}{'ratio':>8}")
    rows: dict[str, object] = {}
    for name, some in costs.items():
        ratios = [one.wall / other.wall for one, other in zip(some, costs[yardstick], strict=True)]
        row = {
            "wall_s": round(statistics.median(one.wall for one in some), 2),
            "cpu_s": round(statistics.median(one.cpu for one in some), 2),
            "peak_mib": round(max(one.peak for one in some), 1),
            "ratio": round(statistics.median(ratios), 2),
            "runs": [{key: round(value, 3) for key, value in asdict(one).items()} for one in some],
        }
        rows[name] = row
        figures = f"{row['wall_s']:>8}{row['cpu_s']:>8}{row['peak_mib']:>10}{row['ratio']:>8}"
        print(f"{name:<44}{figures}")
    loads = [one.load for some in costs.values() for one in some]
    busy = f"load of the machine meanwhile: {min(loads):.1f} to {max(loads):.1f}"
    print(f"{busy} on {os.cpu_count()} processors; ratios to: {yardstick}", flush=True)
    return {"yardstick": yardstick, "load": [min(loads), max(loads)], "rows": rows}


def save(path: Path, document: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
