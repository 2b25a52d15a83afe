# SPDX-License-Identifier: Apache-2.0
"""What a run writes while it trains: the bar, metrics.jsonl and TensorBoard."""

import json
import time
from typing import Any, TextIO

import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ..methods.recipe import Recipe
from .checkpoints import TrainState
from .run_folder import RunFolder


class RunLog:
    """Open logs of a run; lines of steps after `first_step` are dropped, so that a resumed run does not repeat."""

    def __init__(self, run: RunFolder, recipe: Recipe, first_step: int) -> None:
        self._path = run.folder / "metrics.jsonl"
        self._every = recipe.log.metrics
        self._views_per_step = recipe.optim.objects * recipe.optim.views
        self._started, self._first = time.monotonic(), first_step
        self._drop_after(first_step)
        self._tb = SummaryWriter(str(run.folder / "tb"), purge_step=first_step + 1, flush_secs=20)
        self._file: TextIO = self._path.open("a", encoding="utf-8")
        self._validation = ""

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._tb.close()

    def step(self, state: TrainState, terms: dict[str, torch.Tensor], bar: tqdm) -> None:
        """Advance the bar; on the schedule, write the terms."""
        bar.update(1)
        if state.step % self._every:
            return
        rate = (state.step - self._first) * self._views_per_step / (time.monotonic() - self._started)
        values = {name: float(value.detach()) for name, value in terms.items()}
        values["loss"] = sum(values.values())
        bar.set_postfix_str(f"loss {values['loss']:.4f}, {rate:.0f} views/s{self._validation}", refresh=False)
        self._write("train", state, values | {"views_per_s": round(rate, 1)})

    def validation(self, state: TrainState, values: dict[str, float]) -> None:
        """Write validation figures and keep the mask IoU in the bar."""
        self._validation = f", val IoU {values['mask_iou']:.3f}"
        state.best = max(state.best, values["mask_iou"])
        self._write("val", state, values)

    def _write(self, kind: str, state: TrainState, values: dict[str, float]) -> None:
        line: dict[str, Any] = {"kind": kind, "step": state.step, "cpu_s": round(state.cpu_s, 2)} | values
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._tb.add_scalar(f"{kind}/{name}", value, state.step)

    def _drop_after(self, step: int) -> None:
        if not self._path.exists():
            return
        lines = self._path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _step_of(line) <= step]
        self._path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")  # half a line of a killed run
