# Copyright (c) 2026, dgxspark.suite contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Feeds damaged input to everything that reads what others have written.

    fuzz.py [--seconds N] [--seed N] [TARGET]...

Each target may raise what fuzz_targets.py declares for it, and nothing else, and has LIMIT seconds
for an input. Ends with status 1 if any does something else. The same seed makes the same inputs.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import yaml
from fuzz_mutation import Mutator
from fuzz_targets import TARGETS, Target

# Seconds for one input. All take milliseconds; other work on the machine counts as well.
LIMIT = 20
OURS = "/plugins/"
_MEMORY = 4 << 30


class TooSlow(BaseException):
    """An input takes longer than LIMIT. No parser catches it."""


@dataclass(frozen=True)
class Fault:
    """An exception that a target does not declare. where: file:line of the collection."""

    target: str
    exception: str
    where: str
    example: str

    def __str__(self) -> str:
        return f"{self.target}: {self.exception} at {self.where}, for {self.example[:300]}"


def inputs(target: Target, seed: int) -> Iterator[Any]:
    """Valid input first, then damaged input without end."""
    numbers = random.Random(f"{seed} {target.name}")
    mutator = Mutator(numbers)
    yield from target.seeds
    while True:
        given = numbers.choice(target.seeds)
        if target.documents:
            yield mutator.document(given)
        elif target.syntax and numbers.random() < 0.5:
            yield _damaged(target.syntax, given, mutator)
        else:
            yield mutator.text(given)


def _damaged(syntax: str, text: str, mutator: Mutator) -> str:
    if syntax == "json":
        return json.dumps(mutator.document(json.loads(text)))
    try:
        return str(yaml.safe_dump(mutator.document(yaml.safe_load(text))))
    except yaml.YAMLError:  # a value that YAML has no text for
        return mutator.text(text)


def fuzz(target: Target, seed: int, seconds: float, known: set[tuple[str, str]]) -> Iterator[Fault]:
    """The faults of a target within some seconds of processor, each kind once.

    known: (exception, where) that are not reported again.
    """
    end = time.process_time() + seconds
    for given in inputs(target, seed):
        fault = attempt(target, given)
        if fault and (fault.exception, fault.where) not in known:
            known.add((fault.exception, fault.where))
            yield fault
        if time.process_time() >= end:
            return


def attempt(target: Target, given: Any) -> Fault | None:
    """Read one input."""
    try:
        with _limited():
            target.read(given)
    except target.allowed:
        return None
    except (Exception, TooSlow) as error:
        ours = [one for one in traceback.extract_tb(error.__traceback__) if OURS in one.filename]
        where = f"{ours[-1].filename.partition(OURS)[2]}:{ours[-1].lineno}" if ours else "no file"
        return Fault(target.name, type(error).__name__, where, ascii(given))
    return None


@contextmanager
def _limited() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=600, help="of processor, for all targets")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all if none is named")
    options = parser.parse_args(words)
    targets = [one for one in TARGETS if not options.targets or one.name in options.targets]
    if not targets:
        parser.error("targets: " + ", ".join(one.name for one in TARGETS))
    # An input must not take the machine's memory: MemoryError is a fault.
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    print(f"fuzz: seed {options.seed}, {len(targets)} targets", flush=True)
    faults = 0
    for target in targets:
        for fault in fuzz(target, options.seed, options.seconds / len(targets), set()):
            faults += 1
            print(f"fuzz: {fault}", flush=True)
    print(f"fuzz: {faults} faults; the same again: --seed {options.seed}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
