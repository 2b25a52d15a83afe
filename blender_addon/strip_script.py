# SPDX-License-Identifier: GPL-3.0-or-later
"""Render some frames of a file in a Blender of its own: script -- FILE SCENE OUTPUT WIDTH HEIGHT SAMPLES FRAME...

Writes OUTPUT/0000.png, 0001.png, ... in the order of the frames; each appears when it is complete.
"""

import os
import sys

import bpy


def main(arguments: list[str]) -> None:
    """Render the frames one after the other, in Cycles on the processor."""
    file, scene_name, output, width, height, samples, *frames = arguments
    bpy.ops.wm.open_mainfile(filepath=file, load_ui=False, use_scripts=False)
    scene = bpy.data.scenes[scene_name]
    prepare(scene, int(width), int(height), int(samples))
    for number, frame in enumerate(frames):
        scene.frame_set(int(frame))
        scene.render.filepath = os.path.join(output, f"part_{number:04d}.png")
        bpy.ops.render.render(write_still=True, scene=scene_name)
        os.replace(scene.render.filepath, os.path.join(output, f"{number:04d}.png"))


def prepare(scene, width: int, height: int, samples: int) -> None:
    """Size, engine and file format; the scene's world and colour management stay."""
    render = scene.render
    render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples = "CPU", samples
    scene.cycles.use_denoising = False
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.use_border = render.use_compositing = render.use_sequencer = False
    if hasattr(render.image_settings, "media_type"):  # from 5.0 on
        render.image_settings.media_type = "IMAGE"
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGB"
    render.image_settings.color_depth = "8"


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--") + 1 :])
