# SPDX-License-Identifier: GPL-3.0-or-later
"""The section Mesh: a surface from the active cloud, by Blender's volume or by the worker."""

# pyright: reportInvalidTypeForm=false

from typing import Any

from bpy.props import FloatProperty, IntProperty

from . import points_object, surface, surface_jobs, worker_jobs
from .jobs import UserError
from .operator_base import OnPoints, refuse, start_job
from .panel_base import CloudSection, column

MAX_POINTS, MAX_VOXELS = 200_000, 400


class RECON_OT_make_surface(OnPoints):
    """Make a closed surface around the shown points, with their colors, and their parts as vertex groups"""

    bl_idname = "recon.make_surface"
    bl_label = "Make Surface"
    bl_options = {"REGISTER", "UNDO"}

    radius: FloatProperty(
        name="Radius",
        description="Radius of the ball around each point, in the cloud's own unit; 0 takes the size of its points",
        default=0.0,
        min=0.0,
        precision=4,
    )
    voxel: FloatProperty(
        name="Voxel",
        description="Edge of the volume's cells, as a share of the radius. Smaller is finer, and slower",
        default=0.4,
        min=0.1,
        max=1.0,
        subtype="FACTOR",
    )
    smooth: IntProperty(
        name="Smooth", description="How often the surface is smoothed", default=4, min=0, max=100
    )

    def execute(self, context: Any) -> set[str]:
        points = context.active_object
        radius = self.radius or 0.9 * points.recon.size
        try:
            _check(points, radius * self.voxel)
            made = surface.make_surface(points, radius, radius * self.voxel, self.smooth)
        except UserError as error:
            return refuse(self, error)
        self.report({"INFO"}, f"{len(made.data.polygons):,} faces")
        return {"FINISHED"}


class RECON_OT_make_worker_surface(OnPoints):
    """Make a closed surface through the shown points in the worker, with colors and parts as vertex groups"""

    bl_idname = "recon.make_worker_surface"
    bl_label = "Make Surface"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        points, settings = context.active_object, context.scene.recon
        method = "density" if settings.surface_method == "DENSITY" else "poisson"
        how = (method, settings.surface_smooth, settings.surface_faces)
        return start_job(self, lambda: surface_jobs.surface_job(points, worker_jobs.command(), *how))


def _check(points: Any, voxel: float) -> None:
    """Refuse what would stand still for minutes."""
    xyz = points_object.vertices_of(points.data)
    if not 0 < len(xyz) <= MAX_POINTS:
        raise UserError(f"A surface is made of at most {MAX_POINTS:,} points; this cloud has {len(xyz):,}.")
    if float((xyz.max(0) - xyz.min(0)).max()) > MAX_VOXELS * voxel:
        raise UserError("The voxels are too small for a cloud of this size: enlarge the radius.")


class RECON_PT_mesh(CloudSection):
    """A surface from points."""

    bl_idname = "RECON_PT_mesh"
    bl_label = "Mesh"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_cloud(self, context: Any, points: Any) -> None:
        settings = context.scene.recon
        layout = column(self.layout)
        layout.prop(settings, "surface_method")
        if settings.surface_method == "VOLUME":
            layout.operator("recon.make_surface", icon="MESH_DATA")
            return
        layout.prop(settings, "surface_smooth")
        layout.prop(settings, "surface_faces")
        layout.operator("recon.make_worker_surface", icon="MESH_DATA")


CLASSES = (RECON_OT_make_surface, RECON_OT_make_worker_surface)
