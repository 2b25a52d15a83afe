# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the section Data, kept with the scene."""

# pyright: reportInvalidTypeForm=false

import bpy
from bpy.props import EnumProperty, IntProperty, PointerProperty, StringProperty

# Blender 4.5 wants to be told that a path may begin with "//", and older ones do not know the option.
_RELATIVE = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()


class ReconData(bpy.types.PropertyGroup):
    """What the training set is made of, how it is rendered, and what is trained."""

    source: EnumProperty(
        name="Objects",
        description="What the training set shows",
        items=[
            (
                "SELECTED",
                "Selected",
                "Each selected object, with all that is parented to it, is one of the set",
            ),
            (
                "COLLECTION",
                "Collection",
                "Each object, and each collection, that is directly in the chosen collection is one of the set",
            ),
        ],
    )
    collection: PointerProperty(
        name="Collection", description="Holds the objects of the set", type=bpy.types.Collection
    )
    category: StringProperty(
        name="Category", description="What the objects are, in one word, such as chair", default="object"
    )
    labels: EnumProperty(
        name="Parts",
        description="Where part labels come from. Only the name before the first . or _ counts: leg.L is a leg",
        items=[
            ("MATERIAL", "Materials", "The name of each face's material is its part"),
            ("GROUP", "Vertex Groups", "The vertex group with most weight on a face is its part"),
            ("NONE", "None", "The objects have no parts"),
        ],
    )
    front: EnumProperty(
        name="Front",
        description="Which way the objects face in the scene",
        items=[(axis, axis, f"They face along {axis}") for axis in ("-Y", "Y", "X", "-X")],
    )
    folder: StringProperty(
        name="Folder",
        description="Keeps the training set, the runs and the models. Objects rendered later are added to the set",
        subtype="DIR_PATH",
        options=_RELATIVE,
        default="//recon",
    )
    views: IntProperty(
        name="Views", description="Pictures of each object, from all around", default=24, min=1, max=1000
    )
    size: IntProperty(
        name="Size",
        description="Width and height of the pictures. Models look at 64 pixels, so 128 is plenty",
        default=128,
        min=16,
        max=2048,
        subtype="PIXEL",
    )
    samples: IntProperty(
        name="Samples",
        description="Rays for each pixel: more are smoother, and slower",
        default=16,
        min=1,
        max=4096,
    )
    light: EnumProperty(
        name="Light",
        description="How the objects are lit; the lights of the scene are not used",
        items=[
            ("random", "Random", "Two suns and a sky, different for each object"),
            ("fixed", "Fixed", "The same three suns for all"),
            ("studio", "Studio", "Suns that move with the camera"),
        ],
    )
    predicts: EnumProperty(
        name="Predicts",
        description="What the model says of each point",
        items=[
            ("FULL", "Shape, Color, Parts", "Needs a training set with part labels"),
            ("COLOR", "Shape, Color", "Place and color of each point"),
            ("SHAPE", "Shape", "The place of each point; colors are looked up in the photo"),
        ],
    )
    steps: IntProperty(
        name="Steps",
        description="Length of the training; it can be cancelled, used and continued on the way",
        default=3000,
        min=1,
        soft_max=100_000,
    )
    run: StringProperty(name="Run", description="Folder of the last training", subtype="DIR_PATH")


CLASSES = (ReconData,)


def register() -> None:
    bpy.types.Scene.recon_data = PointerProperty(type=ReconData)


def unregister() -> None:
    del bpy.types.Scene.recon_data
