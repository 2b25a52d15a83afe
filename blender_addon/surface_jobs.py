# SPDX-License-Identifier: GPL-3.0-or-later
"""Surfaces by the worker: the shown points go out as PLY, a mesh object with colours and parts comes of the answer."""

import shutil
import uuid
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from . import display, placing, points_object, surface, worker_client
from .cloud import Cloud, CloudError
from .jobs import Job, UserError
from .ply import write_ply
from .surface_file import TriangleMesh, read_surface

TITLE = "Make Surface"


@dataclass
class MadeSurface:
    """What the worker's job gives: the surface in the cloud's own frame, and its figures."""

    mesh: TriangleMesh
    record: dict[str, Any]


def surface_job(points: Any, line: list[str], method: str, smooth: int, faces: int) -> Job:
    """A job that makes a surface of a cloud's shown points; method: poisson or density, faces: 0 for all."""
    cloud, name = shown_cloud(points), points.name
    message = {"type": "mesh", "method": method, "smooth": smooth}
    if faces:
        message["target_faces"] = faces

    def work(job: Job) -> MadeSurface:
        job.report(0.02, "Starting the worker")
        return by_worker(cloud, worker_client.worker_for(line, []), message, job)

    def done(made: MadeSurface) -> None:
        found = placing.find_points(name)
        if found is None:
            raise UserError(f"{name} was renamed or deleted meanwhile.")
        add_surface(found, made)
        placing.finish(TITLE)

    return Job(TITLE, work, done)


def shown_cloud(points: Any) -> Cloud:
    """The points that are not hidden, in the cloud's own frame."""
    cloud = points_object.cloud_of(points, world=False)
    hidden = points_object.get_attribute(points.data, points_object.HIDDEN)
    if hidden is None or not hidden.any():
        return cloud
    kept = ~hidden
    values = (
        None if value is None else value[kept]
        for value in (cloud.colors, cloud.labels, cloud.opacity, cloud.confidence)
    )
    return Cloud(cloud.xyz[kept], *values, parts=cloud.parts)


def by_worker(cloud: Cloud, worker: Any, message: dict[str, Any], job: Job) -> MadeSurface:
    """Have the worker do it, in a folder that is removed again. Raises UserError."""
    folder = worker.folder / f"mesh_{uuid.uuid4().hex}"
    try:
        folder.mkdir()
        write_ply(folder / "cloud.ply", cloud)
        answer = worker.run(
            {**message, "cloud": f"{folder.name}/cloud.ply", "out": f"{folder.name}/out"}, job
        )
        return MadeSurface(read_surface(worker.inside(answer.get("surface"))), answer.get("record") or {})
    except (OSError, CloudError) as error:
        raise UserError(f"The surface could not be exchanged with the worker: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def add_surface(points: Any, made: MadeSurface) -> Any:
    """A new mesh object beside the cloud, with colours, labels and a vertex group per part; selected and active."""
    mesh = new_mesh(f"{points.name} surface", made.mesh)
    points_object.write_attributes(mesh, made.mesh.vertices)
    points_object.set_attribute(mesh, points_object.DISPLAY, "FLOAT_COLOR", _shown_colors(points, made.mesh))
    mesh.materials.append(display.display_material())
    added = bpy.data.objects.new(mesh.name, mesh)
    added.matrix_world = points.matrix_world
    for collection in points.users_collection:
        collection.objects.link(added)
    surface.add_vertex_groups(added, points)
    record = {
        name: made.record[name] for name in ("method", "watertight", "area", "volume") if name in made.record
    }
    points_object.set_record(added, {"surface_of": points.name, **record})
    placing.select_only(added)
    return added


def new_mesh(name: str, triangles: TriangleMesh) -> Any:
    """A mesh datablock of triangles, smooth-shaded, without Python loops."""
    mesh = bpy.data.meshes.new(name)
    count = len(triangles.faces)
    mesh.vertices.add(len(triangles.vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(triangles.vertices.xyz, np.float32).ravel())
    mesh.loops.add(3 * count)
    mesh.loops.foreach_set("vertex_index", triangles.faces.astype(np.int32).ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    if "loop_total" in mesh.polygons[0].bl_rna.properties and not mesh.polygons[0].is_property_readonly(
        "loop_total"
    ):
        mesh.polygons.foreach_set("loop_total", np.full(count, 3, np.int32))  # derived from 4.1 on
    mesh.polygons.foreach_set("use_smooth", np.ones(count, bool))
    mesh.update(calc_edges=True)
    return mesh


def _shown_colors(points: Any, triangles: TriangleMesh) -> np.ndarray:
    """Linear colours (V,4): of the parts where the cloud shows parts, else the object's own, else grey."""
    vertices = triangles.vertices
    if vertices.labels is not None and (points.recon.color_by == "PART" or vertices.colors is None):
        return display.part_palette(points)[vertices.labels]
    if vertices.colors is not None:
        return points_object.rgba_linear(vertices.colors)
    return np.tile(np.array([0.3, 0.3, 0.3, 1.0], np.float32), (len(vertices), 1))
