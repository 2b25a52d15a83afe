# SPDX-License-Identifier: Apache-2.0
"""The worker's job `mesh`: a cloud to a surface, as PLY with colours and labels for programs and GLB for people."""

from pathlib import Path
from typing import Any

from .data_jobs import Emit
from .protocol import MeshJob


def mesh(job: MeshJob, emit: Emit) -> dict[str, Any]:
    """Paths of the surface's files and its figures; raises the ReconError family."""
    emit("load", 0.0)
    from ..io.ply import read_ply
    from ..meshing.files import write_surface
    from ..meshing.mesh_cloud import MeshOptions, mesh_cloud
    from ..meshing.verb import part_names

    options = MeshOptions(job.method, job.smooth, job.target_faces, job.resolution, job.depth)
    path, out = Path(job.cloud), Path(job.out)
    cloud = read_ply(path)

    def report(stage: str, fraction: float) -> None:
        emit(stage, round(0.1 + 0.8 * fraction, 3))

    result = mesh_cloud(cloud, options, name=path.name, parts=part_names(cloud, path), report=report)
    emit("write", 0.9)
    out.mkdir(parents=True, exist_ok=True)
    # A surface must not take the place of the cloud that it is of.
    stem = f"{path.stem}_surface" if out == path.parent else path.stem
    for ending in (".ply", ".glb"):
        write_surface(out / f"{stem}{ending}", result.surface, name=stem)
    return {
        "surface": str(out / f"{stem}.ply"),
        "glb": str(out / f"{stem}.glb"),
        "parts": list(result.surface.parts),
        "record": result.record(),
    }
