# SPDX-License-Identifier: Apache-2.0
"""Jobs about training sets and finished models: render, check, export. Heavy modules are loaded when needed."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ReconError
from ..farm_progress import FarmProgress
from .protocol import CheckJob, ExportJob, RenderJob

# A message has a size cap: of long lists the first entries are told, and how many there are.
MAX_LISTED = 50
MAX_TEXT_CHARS = 20_000
Emit = Callable[..., None]


def render(job: RenderJob, emit: Emit) -> dict[str, Any]:
    """Render meshes into a dataset folder; raises ReconError when not one object could be rendered."""
    emit("plan", 0.0)
    from .. import farm

    given = {
        "views": job.views, "size": job.size, "samples": job.samples, "light": job.light, "front": job.front,
        "seed": job.seed,
    }  # fmt: skip
    options = farm.FarmOptions(
        (Path(job.meshes),), Path(job.data), farm.render_arguments(given), jobs=job.processes or 0, quiet=True
    )
    told: list[ToldProgress] = []

    def make_progress(objects: int, views: int, quiet: bool) -> ToldProgress:
        told.append(ToldProgress(objects, views, quiet, emit))
        return told[-1]

    result = farm.render(options, make_progress)
    if result.exit_status == 1:
        name, reason = next(iter(result.failed.items()))
        raise ReconError(f"None of {len(result.failed)} objects could be rendered. {name}: {reason}")
    return {
        "data": job.data,
        "rendered": result.rendered,
        "complete_before": result.complete_before,
        "seconds": round(result.seconds, 1),
        "failed": dict(list(result.failed.items())[:MAX_LISTED]),
        "failed_count": len(result.failed),
        "warnings": [line for one in told for line in one.said][:MAX_LISTED],
    }


class ToldProgress(FarmProgress):
    """The farm's progress as messages instead of a bar."""

    def __init__(self, objects: int, views_per_object: int, quiet: bool, emit: Emit) -> None:
        super().__init__(objects, views_per_object, quiet=True)
        self.said: list[str] = []
        self._objects_total, self._per_object = objects, views_per_object
        self._views_done: Counter[str] = Counter()
        self._finished = self._given_up = 0
        self._emit = emit
        self._tell()

    def view(self, name: str) -> None:
        super().view(name)
        self._views_done[name] += 1
        self._tell()

    def rendered(self, name: str) -> None:
        super().rendered(name)
        self._views_done.pop(name, None)
        self._finished += 1
        self._tell()

    def again(self, name: str, message: str) -> None:
        super().again(name, message)
        self._views_done.pop(name, None)
        self._tell()

    def failed(self, name: str, message: str) -> None:
        super().failed(name, message)
        self._views_done.pop(name, None)
        self._given_up += 1
        self._tell()

    def say(self, message: str) -> None:
        self.said.append(message)

    def _tell(self) -> None:
        ended = self._finished + self._given_up
        views = ended * self._per_object + sum(self._views_done.values())
        self._emit(
            "render",
            min(views / max(self._objects_total * self._per_object, 1), 1.0),
            objects=self._objects_total,
            objects_done=self._finished,
            objects_failed=self._given_up,
        )


def check(job: CheckJob, emit: Emit) -> dict[str, Any]:
    """Look whether a dataset is whole; the report is what `recon check --json` prints, with at most 50 problems."""
    emit("check", None)
    import torch

    from ..data.check import check_dataset
    from ..data.check_report import as_json, as_text
    from ..data.contact_sheet import write_contact_sheet

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # many small matrices: more threads only wait for each other
    try:
        report = check_dataset(job.data, job.limit, quiet=True)
        sheet = job.sheet if job.sheet is not None and report.objects else None
        if sheet is not None:
            emit("sheet", None)
            write_contact_sheet(job.data, sheet)
    finally:
        torch.set_num_threads(before)
    document = json.loads(as_json(report))
    parts = sorted({name for names in dataset_parts(Path(job.data)).values() for name in names})
    counts = {"problem_count": len(document["problems"]), "error_count": len(report.errors)}
    document |= counts | {"problems": document["problems"][:MAX_LISTED], "parts": parts}
    return {"report": document, "text": as_text(report)[:MAX_TEXT_CHARS], "sheet": sheet}


def dataset_parts(data: Path) -> dict[str, list[str]]:
    """Part names by category."""
    from ..data.dataset import Dataset

    return Dataset.open(data).meta.parts


def export(job: ExportJob, emit: Emit) -> dict[str, Any]:
    """Write a model as ONNX with its card."""
    emit("load", 0.0)
    from ..inference.export import export_run

    out = Path(job.out)
    emit("export", 0.2)
    out.parent.mkdir(parents=True, exist_ok=True)
    made = export_run(job.run, out)
    named = ("recipe", "categories", "points", "bytes")
    about = {name: made.content.get(name) for name in named} | {"outputs": list(made.content["outputs"])}
    return {"model": str(made.model), "card": str(made.card), "about": about}
