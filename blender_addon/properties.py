# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are kept with the scene, and those kept with each cloud."""

# pyright: reportInvalidTypeForm=false

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import display
from .points_object import CONFIDENCE, LABEL


def _redisplay(self: Any, context: Any) -> None:
    if self.is_points:
        display.show(self.id_data)


def _recolor(self: Any, context: Any) -> None:
    if self.is_points:
        display.recolor(self.id_data)


def _part_hidden(self: Any, context: Any) -> None:
    if self.id_data.recon.is_points and LABEL in self.id_data.data.attributes:
        display.hide_points(self.id_data)


def _unsure_hidden(self: Any, context: Any) -> None:
    if self.is_points and CONFIDENCE in self.id_data.data.attributes:
        display.hide_points(self.id_data)


def _part_color(self: Any, context: Any) -> None:
    if self.id_data.recon.color_by == "PART":
        display.recolor(self.id_data)


def _drop_preview(self: Any, context: Any) -> None:
    from . import crop_preview

    crop_preview.forget()


class ReconPart(bpy.types.PropertyGroup):
    """One part of a cloud; its id is its place in the list, from 1."""

    visible: BoolProperty(
        name="Show", description="Show the points of this part", default=True, update=_part_hidden
    )
    color: FloatVectorProperty(
        name="Color",
        description="Color of this part where points are colored by part",
        subtype="COLOR",
        size=3,
        min=0,
        max=1,
        update=_part_color,
    )
    count: IntProperty(name="Points", description="Number of points of this part")


class ReconPoints(bpy.types.PropertyGroup):
    """What is kept with a cloud's object."""

    is_points: BoolProperty(name="Is a Recon cloud", options={"HIDDEN"})
    shape: EnumProperty(
        name="Shape",
        description="What is drawn for each point",
        items=[
            ("SPHERE", "Spheres", "A small sphere per point; for up to about 30,000 points"),
            ("CUBE", "Cubes", "A small cube per point; for up to about 100,000 points"),
            ("POINT", "Points", "Render points; for millions. EEVEE shows them from Blender 4.2 on"),
        ],
        update=_redisplay,
    )
    size: FloatProperty(
        name="Size",
        description="Diameter of a point, in the object's own unit",
        default=0.02,
        min=0.0,
        soft_max=0.2,
        precision=4,
        step=0.1,
        update=_redisplay,
    )
    color_by: EnumProperty(
        name="Color by",
        description="What the colors of the points show",
        items=[
            ("RGB", "Color", "The colors of the object"),
            ("PART", "Part", "One color per part"),
            ("CONFIDENCE", "Confidence", "Dark: unsure, yellow: sure"),
            ("HEIGHT", "Height", "Dark: low, yellow: high"),
            ("DISTANCE", "Distance", "Dark: on the reference, yellow: as far as the limit (after Compare)"),
            ("VISIBILITY", "Visibility", "Yellow: seen in the photo, green: mirrored, dark: guessed"),
        ],
        update=_recolor,
    )
    heat_limit: FloatProperty(
        name="Limit",
        description="Distance to the reference, in world units, that is drawn in the brightest color",
        default=0.1,
        min=1e-6,
        precision=4,
        update=_recolor,
    )
    least_confidence: FloatProperty(
        name="Hide Below",
        description="Hide points whose confidence, from 0 to 1, is below this; 0 shows all",
        default=0.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        update=_unsure_hidden,
    )
    hidden_count: IntProperty(name="Hidden Points", options={"HIDDEN"})
    parts: CollectionProperty(type=ReconPart)


class ReconScene(bpy.types.PropertyGroup):
    """The panel's settings."""

    image: PointerProperty(
        name="Image", description="Image of the object", type=bpy.types.Image, update=_drop_preview
    )
    mask_source: EnumProperty(
        name="Mask",
        description="How to tell the object from the background",
        items=[
            ("AUTO", "Automatic", "Transparency where the image has it, else a plain background is cut away"),
            ("ALPHA", "Transparency", "The image's own transparency"),
            ("ESTIMATE", "Plain Background", "Everything that differs from the color at the border"),
            ("IMAGE", "Mask Image", "Another image: white, or not transparent, is the object"),
        ],
        update=_drop_preview,
    )
    mask_image: PointerProperty(
        name="Mask Image",
        description="White, or not transparent, is the object",
        type=bpy.types.Image,
        update=_drop_preview,
    )
    engine: EnumProperty(
        name="Run in",
        description="Where the model runs",
        items=[
            ("BUILT_IN", "Blender", "In Blender itself, with an exported model"),
            ("WORKER", "Worker", "In the Python with recon that the preferences name, with a training run"),
        ],
    )
    model_source: EnumProperty(
        name="Model",
        description="Which model to use",
        items=[
            ("BUNDLED", "Bundled", "The model that came with this extension"),
            ("FILE", "File", "A model exported by `recon export`: MODEL.onnx with MODEL.json beside it"),
        ],
    )
    model_path: StringProperty(name="File", description="Exported model, MODEL.onnx", subtype="FILE_PATH")
    run_path: StringProperty(name="Run", description="Folder of a training run", subtype="DIR_PATH")
    refine_steps: IntProperty(
        name="Refine",
        description="Number of steps in which the worker fits the cloud to the photo's mask and colours; "
        "0: none, 120 is plenty",
        default=0,
        min=0,
        max=2000,
        soft_max=300,
    )
    match_moves: EnumProperty(
        name="Result",
        description="What is moved so that the object covers itself in the photo",
        items=[
            (
                "CAMERA",
                "Set Camera",
                "The object stays; the scene's camera is set, with the photo behind the object",
            ),
            (
                "OBJECT",
                "Move Object",
                "The scene's camera stays; the object is moved and turned, and keeps its size",
            ),
        ],
    )
    match_upright: BoolProperty(
        name="Keep Upright",
        description="The object stands upright in the photo; the camera leans by at most 5 degrees",
        default=True,
    )
    match_focal_mm: FloatProperty(
        name="Lens",
        description="Focal length of the photo in mm, for a sensor 36 mm wide; 0: it is looked for",
        default=0.0,
        min=0.0,
        max=5000.0,
        precision=1,
        unit="CAMERA",
    )
    batch_folder: StringProperty(
        name="Folder", description="Folder of images, one object in each", subtype="DIR_PATH"
    )
    batch_spacing: FloatProperty(
        name="Spacing",
        description="Distance of the clouds' centers in the grid, in scene units; a cloud's own diagonal is 1",
        default=1.0,
        min=0.0,
        soft_max=5.0,
        unit="LENGTH",
    )
    target: PointerProperty(
        name="Target", description="Mesh or cloud to align to or compare with", type=bpy.types.Object
    )
    use_scale: BoolProperty(
        name="Scale", description="Let the alignment change the size too, evenly", default=True
    )
    use_turns: BoolProperty(
        name="Try Turns",
        description="Also start from turns about the vertical axis, for objects that face elsewhere",
        default=True,
    )
    use_upright: BoolProperty(
        name="Keep Upright", description="Turn about the vertical axis only", default=True
    )
    use_parts: BoolProperty(
        name="Match Parts",
        description="Only points of parts with the same name are matched, where both clouds have parts",
        default=False,
    )
    dimension_axis: EnumProperty(
        name="Along",
        description="Which extent is set",
        items=[("X", "X", "Width"), ("Y", "Y", "Depth"), ("Z", "Z", "Height")],
        default="Z",
    )
    dimension: FloatProperty(
        name="Real Size",
        description="Real extent of the object along the axis, in scene units",
        default=1.0,
        min=1e-6,
        unit="LENGTH",
    )
    surface_method: EnumProperty(
        name="Method",
        description="How a surface is made of the points",
        items=[
            ("VOLUME", "Volume", "In Blender: a skin around a ball at every point"),
            ("POISSON", "Poisson", "In the worker, with open3d: a smooth surface through the points"),
            (
                "DENSITY",
                "Density",
                "In the worker: a surface through the points; keeps thin parts of sparse clouds",
            ),
        ],
    )
    surface_smooth: IntProperty(
        name="Smooth", description="How often the surface is smoothed", default=4, min=0, max=100
    )
    surface_faces: IntProperty(
        name="Faces",
        description="At most so many faces, at least 100; 0 keeps all",
        default=0,
        min=0,
        soft_max=100_000,
    )
    limit: FloatProperty(
        name="Tolerance",
        description="Points nearer than this count as right, in world units",
        default=0.02,
        min=1e-6,
        precision=4,
        unit="LENGTH",
    )


CLASSES = (ReconPart, ReconPoints, ReconScene)


def register() -> None:
    for one in CLASSES:
        bpy.utils.register_class(one)
    bpy.types.Scene.recon = PointerProperty(type=ReconScene)
    bpy.types.Object.recon = PointerProperty(type=ReconPoints)


def unregister() -> None:
    del bpy.types.Object.recon
    del bpy.types.Scene.recon
    for one in reversed(CLASSES):
        bpy.utils.unregister_class(one)
