# SPDX-License-Identifier: GPL-3.0-or-later
"""One Cycles render per view into a multilayer EXR, and the images of the dataset decoded from it.

Index and depth passes hold the first sample of a pixel, which goes through its centre: they are exact at any sample
count. Alpha, colour and normals are averages over the pixel filter.
"""

from pathlib import Path
from typing import NamedTuple

import bpy
import numpy as np
from mathutils import Matrix

from .exr import pass_channels, read_exr
from .normalise import mark_kept
from .viewset import View

PASSES = ("rgb", "mask", "parts", "depth", "normals")
SENSOR_MM = 32.0
DEPTH_MAX = 65535
TRANSPARENT_BOUNCES = 8


class RenderSettings(NamedTuple):
    """What to render: size in pixels, samples per pixel, passes out of PASSES, device cpu or gpu."""

    size: int = 128
    samples: int = 16
    passes: tuple[str, ...] = PASSES
    device: str = "cpu"


class ViewImages(NamedTuple):
    """Decoded images of one view; None where not asked for.

    rgba (H,W,4) uint8 straight alpha sRGB; mask (H,W) uint8 coverage; parts (H,W) uint8 ids; depth (H,W) float32
    planar z in object units, 0 background; normals (H,W,3) uint8 object frame.
    """

    rgba: np.ndarray | None
    mask: np.ndarray
    parts: np.ndarray | None
    depth: np.ndarray | None
    normals: np.ndarray | None


def setup_scene(settings: RenderSettings) -> bpy.types.Scene:
    """Empty scene with a camera and every render setting that matters set away from its default."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    scene = bpy.context.scene
    _set_render(scene.render, settings)
    _set_cycles(scene, settings)
    _set_passes(scene.view_layers[0], settings)
    scene.view_settings.view_transform = "Standard"
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    mark_kept(camera, camera.data)
    camera.data.sensor_width, camera.data.sensor_fit = SENSOR_MM, "HORIZONTAL"
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


def _set_render(render: bpy.types.RenderSettings, settings: RenderSettings) -> None:
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = settings.size
    render.resolution_percentage = 100
    render.film_transparent = True
    render.dither_intensity = 0.0
    render.use_persistent_data = True
    render.use_compositing = render.use_sequencer = False
    render.use_motion_blur = False
    image = render.image_settings
    if hasattr(image, "media_type"):  # Blender 5
        image.media_type = "MULTI_LAYER_IMAGE"
    image.file_format, image.color_depth, image.exr_codec = "OPEN_EXR_MULTILAYER", "32", "NONE"


def _set_cycles(scene: bpy.types.Scene, settings: RenderSettings) -> None:
    cycles = scene.cycles
    cycles.samples = settings.samples
    cycles.use_adaptive_sampling = cycles.use_denoising = cycles.use_auto_tile = False
    for kind in ("max", "diffuse", "glossy", "transmission", "volume"):
        setattr(cycles, kind + "_bounces", 0)
    cycles.transparent_max_bounces = TRANSPARENT_BOUNCES  # for textures that cut holes
    cycles.seed = 0
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 1.5
    cycles.device = "GPU" if settings.device == "gpu" else "CPU"
    if settings.device == "gpu":
        enable_gpu()


def enable_gpu() -> None:
    """Switch Cycles to the first kind of GPU there is; raises ValueError without one."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    for kind in ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI"):
        try:
            preferences.compute_device_type = kind
        except TypeError:
            continue  # this build does not know the kind
        preferences.get_devices()
        devices = [device for device in preferences.devices if device.type == kind]
        for device in devices:
            device.use = True
        if devices:
            return
    raise ValueError("--device gpu: Cycles finds no GPU here; use --device cpu")


def _set_passes(layer: bpy.types.ViewLayer, settings: RenderSettings) -> None:
    layer.use_pass_combined = True
    layer.use_pass_z = "depth" in settings.passes
    layer.use_pass_normal = "normals" in settings.passes
    layer.use_pass_material_index = "parts" in settings.passes
    layer.use_pass_object_index = any(name in settings.passes for name in ("depth", "normals"))
    # A texture's hole counts as hole where it is more than half transparent.
    layer.pass_alpha_threshold = 0.5


def forget_last_object(scene: bpy.types.Scene) -> None:
    """Free what Cycles keeps between renders.

    It recognises images by their address, and a new image may get the address of one removed just before: without
    this, objects now and then wear the textures of the one before.
    """
    scene.render.use_persistent_data = False  # the change itself frees
    scene.render.use_persistent_data = True


def place_camera(scene: bpy.types.Scene, view: View, radius: float) -> None:
    """Put the scene's camera at a view; clipping planes enclose a sphere of `radius` about the origin."""
    camera = scene.camera
    camera.matrix_world = Matrix(view.camera_to_world.tolist())
    camera.data.lens = view.lens_mm
    far = view.distance + radius
    camera.data.clip_end = far * 1.01
    camera.data.clip_start = max(far * 1e-4, (view.distance - radius) * 0.5)


def render_channels(scene: bpy.types.Scene, path: Path) -> dict[str, np.ndarray]:
    """Render the scene into an EXR and read it back as {"Combined.R": (H,W) float32, ...}."""
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    try:
        return pass_channels(read_exr(path))
    finally:
        path.unlink(missing_ok=True)


def decode(
    channels: dict[str, np.ndarray], settings: RenderSettings, background: np.ndarray | None
) -> ViewImages:
    """Images of the dataset from the channels of one render; `background` is linear RGB, (3,) or (H,W,3)."""
    alpha = np.clip(channels["Combined.A"], 0.0, 1.0)
    wanted = settings.passes
    depth = normals = parts = None
    if "depth" in wanted or "normals" in wanted:
        inside = channels["IndexOB.X"] > 0.5
        depth = np.where(inside, channels["Depth.Z"], 0.0).astype(np.float32) if "depth" in wanted else None
        normals = _normals(channels, inside) if "normals" in wanted else None
    if "parts" in wanted:
        parts = np.rint(channels["IndexMA.X"]).astype(np.uint8)
    rgba = _rgba(channels, alpha, background) if "rgb" in wanted else None
    return ViewImages(rgba, _to_bytes(alpha), parts, depth, normals)


def _to_bytes(unit: np.ndarray) -> np.ndarray:
    """Round 0..1 to 0..255."""
    return (unit * 255.0 + 0.5).astype(np.uint8)


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light to sRGB, both 0..1."""
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055)


def decode_srgb(srgb: np.ndarray) -> np.ndarray:
    """The inverse of encode_srgb."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _rgba(channels: dict[str, np.ndarray], alpha: np.ndarray, background: np.ndarray | None) -> np.ndarray:
    premultiplied = np.stack([channels["Combined." + letter] for letter in "RGB"], -1)
    rgba = np.empty((*alpha.shape, 4), np.uint8)
    if background is None:
        straight = premultiplied / np.maximum(alpha, 1e-6)[..., None]
        rgba[..., 3] = _to_bytes(alpha)
        # Invisible pixels are black, so that equal pictures are equal files.
        straight[rgba[..., 3] == 0] = 0.0
    else:
        straight = premultiplied + (1.0 - alpha)[..., None] * background
        rgba[..., 3] = 255
    rgba[..., :3] = _to_bytes(encode_srgb(straight))
    return rgba


def _normals(channels: dict[str, np.ndarray], inside: np.ndarray) -> np.ndarray:
    """round((n + 1) / 2 * 255) of unit normals; the pass holds averages, shorter at edges."""
    normal = np.stack([channels["Normal." + letter] for letter in "XYZ"], -1)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    return np.where(inside[..., None], np.rint((normal + 1.0) * 127.5), 0.0).astype(np.uint8)


def depth_to_uint16(depth: np.ndarray, scale: float) -> np.ndarray:
    """Depth (H,W) over scale as uint16; 0 stays background, anything in front is at least 1."""
    steps = np.clip(np.rint(depth / scale), 1, DEPTH_MAX)
    return np.where(depth > 0, steps, 0).astype(np.uint16)
