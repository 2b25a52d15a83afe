# SPDX-License-Identifier: Apache-2.0
"""Making procedural objects with several processes of render_scripts/make_shapes.py (plain Python and numpy)."""

import queue
import re
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from .children import Child, Inbox, stop_all, terminable
from .errors import InputError
from .farm import usable_cores
from .resources import resource_dir

# Small enough for a smooth bar and even work, large enough to hide the start of Python.
OBJECTS_PER_PROCESS = 20
_SUMMARY = re.compile(r"^(\d+) made, (\d+) already there")


@dataclass(frozen=True)
class ShapesOptions:
    """Which objects to make: `count` per category, object = f(category, seed, index)."""

    output: Path
    categories: tuple[str, ...] = ("chair",)
    count: int = 200
    start: int = 0
    seed: int = 0
    jobs: int = 0  # processes at a time; 0 = one per usable core
    force: bool = False
    quiet: bool = False
    stylised: float = 0.0  # share of objects as simple model kits have them


@dataclass
class ShapesResult:
    """How many objects were made and how many were there before."""

    made: int = 0
    skipped: int = 0


def make_shapes(options: ShapesOptions) -> ShapesResult:
    """Make the objects that are not there yet; raises InputError with the script's words when it fails.

    On Ctrl-C the processes are ended; object folders appear whole, so the same call goes on.
    """
    todo = deque(_commands(options))
    running: dict[Child, int] = {}
    inbox: Inbox = queue.Queue()
    result = ShapesResult()
    total = options.count * len(options.categories)
    bar = tqdm(total=total, unit="object", desc="shapes", disable=options.quiet, dynamic_ncols=True)
    with terminable(), bar:
        try:
            while todo or running:
                while todo and len(running) < (options.jobs or usable_cores()):
                    command, count = todo.popleft()
                    running[Child(command, inbox)] = count
                child, line = inbox.get()
                if line is None:
                    count = running.pop(child)
                    _check_end(child)
                    bar.update(count)
                elif found := _SUMMARY.match(line):
                    result.made += int(found[1])
                    result.skipped += int(found[2])
        finally:
            stop_all(list(running))
    return result


def _commands(options: ShapesOptions) -> list[tuple[Sequence[str], int]]:
    """Command lines of all processes, each with its number of objects."""
    script = str(resource_dir("render_scripts") / "make_shapes.py")
    commands = []
    for category in dict.fromkeys(options.categories):
        for offset in range(0, options.count, OBJECTS_PER_PROCESS):
            count = min(OBJECTS_PER_PROCESS, options.count - offset)
            command = [sys.executable, script, f"--category={category}", f"--count={count}"]
            command += [f"--start={options.start + offset}", f"--seed={options.seed}"]
            command += [f"--stylised={options.stylised}"]
            command += [f"--output={options.output}", "--quiet", *(["--force"] if options.force else [])]
            commands.append((command, count))
    return commands


def _check_end(child: Child) -> None:
    status = child.finish()
    if status:
        lines = child.error_text().strip().splitlines() or [f"make_shapes ended with status {status}"]
        raise InputError(lines[-1].removeprefix("make_shapes: "))
