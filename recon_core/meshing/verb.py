# SPDX-License-Identifier: Apache-2.0
"""What `recon mesh` does with files: one cloud or a folder of them, names of parts, progress, a line for each."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import ConfigError, InputError, ReconError
from ..io.ply import read_ply
from ..pointcloud import PointCloud
from .files import ENDINGS, write_surface
from .mesh_cloud import MeshOptions, mesh_cloud


@dataclass(frozen=True)
class MeshJob:
    """One cloud and the file that becomes of it."""

    cloud: Path
    out: Path


@dataclass(frozen=True)
class MeshRequest:
    """What `recon mesh` was asked for."""

    clouds: Path
    out: Path
    options: MeshOptions
    parts: tuple[str, ...] | None = None
    part_materials: bool = True
    as_json: bool = False
    quiet: bool = False


def plan(clouds: Path, out: Path) -> list[MeshJob]:
    """The clouds that are meant, in order, and where their surfaces go; raises InputError or ConfigError."""
    if clouds.is_dir():
        if out.suffix.lower() in ENDINGS or out.is_file():
            raise ConfigError(f"{clouds} is a folder, so --out names a folder too, not {out}.")
        found = sorted(path for path in clouds.rglob("*.ply") if path.is_file())
        if not found:
            raise InputError(
                f"{clouds} holds no .ply files. Expected the clouds that `recon reconstruct` writes."
            )
        return [MeshJob(path, out / path.relative_to(clouds).with_suffix(".glb")) for path in found]
    if not clouds.is_file():
        raise InputError(f"{clouds} does not exist. Expected a PLY cloud, or a folder of them.")
    if out.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--out {out}: expected a file that ends in {' or '.join(ENDINGS)}.")
    if out.resolve() == clouds.resolve():
        raise ConfigError(f"--out {out} is the cloud itself. Name another file.")
    return [MeshJob(clouds, out)]


def describe(request: MeshRequest) -> str:
    """What would be done, for --dry-run; the clouds are looked for, not read."""
    jobs = plan(request.clouds, request.out)
    lines = [f"{job.cloud} -> {job.out}{' (replaced)' if job.out.exists() else ''}" for job in jobs]
    return "\n".join(
        [*lines, f"{len(jobs)} cloud{'s' * (len(jobs) != 1)}, method {request.options.chosen()}"]
    )


def run(request: MeshRequest) -> int:
    """Mesh every cloud and print what came of it; exit status 0, 3 when some failed, 1 when all did."""
    jobs = plan(request.clouds, request.out)
    records, failed = [], 0
    with _bar(len(jobs), request.quiet or request.as_json) as bar:
        for number, job in enumerate(jobs):
            try:
                record = _one(job, request, lambda stage, share, done=number: _show(bar, stage, done + share))
            except (ReconError, OSError) as error:
                if len(jobs) == 1:
                    raise
                failed += 1
                record = {"cloud": str(job.cloud), "error": str(error)}
            _show(bar, "", number + 1)
            records.append(record)
            if not request.as_json:
                bar.write(_line(record), file=sys.stderr if "error" in record else sys.stdout)
    if request.as_json:
        print(json.dumps(records, indent=1))
    return 0 if not failed else 1 if failed == len(jobs) else 3


def _one(job: MeshJob, request: MeshRequest, report: Callable[[str, float], None]) -> dict[str, Any]:
    report("read", 0.0)
    cloud = read_ply(job.cloud)
    parts = request.parts if request.parts is not None else part_names(cloud, job.cloud)
    result = mesh_cloud(cloud, request.options, name=str(job.cloud), parts=parts, report=report)
    report("write", 0.95)
    write_surface(job.out, result.surface, name=job.out.stem, part_materials=request.part_materials)
    return {"cloud": str(job.cloud), "mesh": str(job.out), "points": len(cloud)} | result.record()


def part_names(cloud: PointCloud, path: Path) -> tuple[str, ...]:
    """Names of the labels: from the cloud's comment `parts`, else from a JSON file beside it; none if neither knows.

    `recon reconstruct` writes CLOUD.json, procedural objects have object.json, dataset objects transforms.json.
    """
    if cloud.comments.get("parts"):
        return tuple(cloud.comments["parts"].split())
    for beside in (
        path.with_suffix(".json"),
        path.with_name("object.json"),
        path.with_name("transforms.json"),
    ):
        found = _parts_in(beside)
        if found:
            return found
    return ()


def _parts_in(path: Path) -> tuple[str, ...]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    if not isinstance(document, dict):
        return ()
    recon = document.get("recon")
    parts = document.get("parts") or (recon.get("parts") if isinstance(recon, dict) else None)
    return tuple(str(part) for part in parts) if isinstance(parts, (list, dict)) else ()


def _line(record: dict[str, Any]) -> str:
    if "error" in record:
        return f"error: {record['error']}"
    closed = "watertight" if record["watertight"] else "not watertight"
    seconds = sum(record["seconds"].values())
    text = f"{record['mesh']}: {record['faces']:,} faces by {record['method']}, {closed}, {seconds:.1f} s"
    notes = [note for note in record["notes"] if note != "not watertight"]
    return "; ".join([text, *notes])


def _bar(total: int, quiet: bool) -> tqdm:
    layout = "{desc:<16}{percentage:3.0f}%|{bar}| {n:.0f}/{total_fmt} [{elapsed}<{remaining}]"
    return tqdm(total=total, bar_format=layout, disable=True if quiet else None, leave=False)


def _show(bar: tqdm, stage: str, done: float) -> None:
    bar.set_description_str(stage, refresh=False)
    bar.n = done
    bar.refresh()
