# SPDX-License-Identifier: Apache-2.0
"""Peak memory of steps, each in a process of its own that has run nothing else.

A server loads the modules once and forks for every question, so that a measurement takes milliseconds, not the seconds
of a new interpreter. Where processes cannot fork, or the system does not tell their peak, there are no figures.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from .cases import RENDERERS, Case, make_scene, make_step
from .measure import memory_environment, peak_growth_mb

_WARMUP = {"points": (16, 64), "faces": (16, 20)}  # size, count


def can_measure_memory() -> bool:
    """Whether this system can: Linux."""
    return hasattr(os, "fork") and Path("/proc/self/clear_refs").exists()


class MemoryServer:
    """Asks a server process; use as a context manager."""

    def __init__(self, device: torch.device, threads: int) -> None:
        self._arguments = {"device": str(device), "threads": threads}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "MemoryServer":
        command = [sys.executable, "-m", "recon_core.bench.memory"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=memory_environment()
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def peak_mb(self, renderer: str, form: str, case: Case, backward: bool) -> float | None:
        """Growth (MiB) of the peak by one call; None when the process did not survive it."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"renderer": renderer, "form": form, "case": vars(case), "backward": backward}
        print(json.dumps(question | self._arguments), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        return json.loads(answer) if answer else None


def _measure(question: dict[str, Any]) -> float:
    torch.set_num_threads(question["threads"])
    device = torch.device(question["device"])
    renderer = next(one for one in RENDERERS if one.name == question["renderer"])
    form = getattr(renderer, question["form"])
    size, count = _WARMUP[renderer.unit]
    scenes = [make_scene(renderer, case, device) for case in (Case(**question["case"]), Case(size, count, 1))]
    step, warmup = (make_step(form, scene, question["backward"]) for scene in scenes)
    return peak_growth_mb(step, warmup, device)


def _answer_in_a_fork(question: dict[str, Any]) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            print(json.dumps(_measure(question)), flush=True)
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        print("null", flush=True)


def main() -> None:
    """Answer one question per line of standard input."""
    with suppress(KeyboardInterrupt):  # Ctrl-C reaches the whole group; the parent reports it
        for line in sys.stdin:
            _answer_in_a_fork(json.loads(line))


if __name__ == "__main__":
    main()
