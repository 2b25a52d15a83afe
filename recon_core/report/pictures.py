# SPDX-License-Identifier: Apache-2.0
"""The pictures of one result, as data URLs with captions."""

from dataclasses import dataclass

import numpy as np

from .. import visual
from ..confidence.visibility import NAMES
from ..inference.preview import show_mask
from ..placing.picture import draw_over, outlined
from ..pointcloud import PointCloud
from ..viewer.pack import cloud_picture, webp
from .results import Result, Seen, section, shrunk

PHOTO_PX = 360
SIDE_PX = 150
SIDES_DEG = ((30.0, 20.0), (120.0, 20.0), (210.0, 20.0), (300.0, 20.0))  # azimuth, elevation
# From untrusted to trusted; the viewer's ramp, which runs the other way for errors.
CONFIDENCE_RAMP = ((232, 96, 54), (246, 218, 76), (118, 196, 104), (44, 138, 150), (38, 62, 140))
VISIBILITY_COLORS = ((226, 140, 62), (112, 178, 104), (58, 116, 196))  # of visibility.NAMES


@dataclass(frozen=True)
class Figure:
    """Pictures in a row with one caption; keys are colours that the caption explains, with their names."""

    caption: str
    pictures: list[str]
    kind: str  # photo or side: how large they are shown
    keys: tuple[tuple[tuple[int, ...], str], ...] = ()
    ramp: bool = False


def photo_figures(result: Result) -> list[Figure]:
    """Photograph, mask, and the cloud over the photograph under each camera."""
    figures = []
    if result.photo is not None:
        photo = visual.to_rgb(shrunk(result.photo, PHOTO_PX))
        figures.append(Figure("photograph", [webp(photo)], "photo"))
        if result.mask is not None:
            source = str(section(result.record, "mask").get("source") or "unknown")
            masked = show_mask(photo, _mask_like(result.mask, photo))
            figures.append(Figure(f"mask: {source}", [webp(masked)], "photo"))
    elif result.mask is not None:
        figures.append(Figure("mask", [webp(visual.to_rgb(shrunk(result.mask, PHOTO_PX)))], "photo"))
    return figures + [_over_photo(result, one) for one in result.seen]


def side_figures(result: Result, part_names: list[str]) -> list[Figure]:
    """The latest cloud from four sides: its colours, parts, confidence and visibility, as far as they are known."""
    cloud = result.cloud
    figures = [Figure("cloud, from four sides", _sides(cloud, cloud.colors), "side")]
    if cloud.labels is not None:
        colors = visual.palette(max(len(part_names), int(cloud.labels.max(initial=0))))
        keys = tuple((_color(colors[index]), name) for index, name in enumerate(part_names, 1))
        figures.append(
            Figure("parts", _sides(cloud, visual.color_labels(cloud.labels, colors)), "side", keys)
        )
    if cloud.confidence is not None:
        shown = _sides(cloud, confidence_colors(cloud.confidence))
        figures.append(Figure("confidence", shown, "side", ramp=True))
    if cloud.visibility is not None:
        colors = np.array(VISIBILITY_COLORS, np.uint8)
        keys = tuple(zip(VISIBILITY_COLORS, NAMES, strict=True))
        figures.append(Figure("visibility", _sides(cloud, colors[cloud.visibility]), "side", keys))
    return figures


def confidence_colors(values: np.ndarray) -> np.ndarray:
    """Colours (N,3) uint8 of confidences (N,) in [0, 1] along the ramp."""
    steps = np.linspace(0, 1, len(CONFIDENCE_RAMP))
    channels = [np.interp(values, steps, channel) for channel in np.array(CONFIDENCE_RAMP, float).T]
    return np.rint(np.stack(channels, -1)).astype(np.uint8)


def _over_photo(result: Result, seen: Seen) -> Figure:
    """The cloud over the paled photograph (or on grey), with the mask's outline."""
    if result.photo is not None:
        photo = visual.to_rgb(shrunk(result.photo, PHOTO_PX))
    else:
        camera = seen.camera
        scale = PHOTO_PX / max(camera.width, camera.height, 1)
        photo = np.full(
            (max(1, round(camera.height * scale)), max(1, round(camera.width * scale)), 3), 225, np.uint8
        )
    pale = np.rint(0.4 * photo + 0.6 * 228).astype(np.uint8)
    colors = seen.cloud.colors
    if colors is None:
        colors = np.broadcast_to(np.array(visual.PLAIN_COLOR, np.uint8), seen.cloud.xyz.shape)
    drawn = draw_over(pale, seen.cloud.xyz, colors, seen.camera)
    if result.mask is not None:
        drawn = outlined(drawn, _mask_like(result.mask, photo))
    iou = "" if seen.iou is None else f", IoU {seen.iou:.2f}"
    return Figure(f"{seen.name} cloud{iou}", [webp(drawn)], "photo")


def _mask_like(mask: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The mask (H,W) at the size of a picture of the photograph."""
    from PIL import Image

    height, width = photo.shape[:2]
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.BOX))


def _sides(cloud: PointCloud, colors: np.ndarray | None) -> list[str]:
    return [cloud_picture(cloud, colors, azimuth, elevation, SIDE_PX) for azimuth, elevation in SIDES_DEG]


def _color(row: np.ndarray) -> tuple[int, ...]:
    return tuple(int(value) for value in row)
