# SPDX-License-Identifier: Apache-2.0
"""What is said while a leaderboard runs: a line per piece of work and a bar for each training, on stderr."""

import json
import sys
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

TAIL_BYTES = 4096


class Console:
    """Lines and bars, or nothing when quiet."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def say(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)


class TrainingBar:
    """A bar that follows the log of a training in another process."""

    def __init__(self, console: Console, run: Path, steps: int) -> None:
        self._log = run / "metrics.jsonl"
        hidden = True if console.quiet else None  # None: only where somebody looks, not in a file
        self._bar = tqdm(total=steps, unit="step", disable=hidden, dynamic_ncols=True, leave=False)
        self._iou = ""
        self._first = True

    def __enter__(self) -> "TrainingBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def follow(self) -> None:
        """Move the bar to the last line of the log."""
        if self._bar.disable:
            return
        lines = last_lines(self._log)
        if not lines:
            return
        ious = [line["mask_iou"] for line in lines if line.get("kind") == "val" and "mask_iou" in line]
        self._iou = f", val IoU {ious[-1]:.3f}" if ious else self._iou
        step = int(lines[-1]["step"])
        if self._first:  # what an earlier call did says nothing about the rate of this one
            self._bar.initial, self._first = step, False
        self._bar.set_postfix_str(f"{lines[-1]['cpu_s']:.0f} CPU s{self._iou}", refresh=False)
        self._bar.update(max(0, step - self._bar.n))
        self._bar.refresh()


def last_lines(log: Path) -> list[dict]:
    """The newest whole lines of a metrics.jsonl; none when it is not there yet."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue  # the first may be cut, the last half written
        if isinstance(one, dict) and {"step", "cpu_s"} <= one.keys():
            found.append(one)
    return found
