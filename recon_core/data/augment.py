# SPDX-License-Identifier: Apache-2.0
"""Changes to input images that make a model indifferent to light, framing, background and a poor mask.

Images are batches (B,4,H,W) of straight sRGB and alpha in [0, 1]. All randomness comes from an explicit CPU
generator; every item of a batch gets its own draw. Pixel frames are those of `cameras.py`.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field

from ..cameras import Cameras
from ..errors import InputError
from .draws import Draw
from .mask_errors import blur, move_outline, random_bars, random_blobs, random_cut, soften_outline
from .mask_errors import outline as outline_of
from .viewset import Batch

TEST_BACKGROUND = 0.5
_LUMA = (0.299, 0.587, 0.114)
_BLOCK = 8


class AugmentConfig(BaseModel):
    """How strongly inputs are changed; every range is drawn uniformly, every probability per image.

    The defaults suit renders that shall stand in for photographs; `AugmentConfig.off()` changes nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    brightness: float = Field(default=0.25, ge=0, le=1, description="factor 1 - b to 1 + b on the colour")
    contrast: float = Field(default=0.25, ge=0, le=1, description="factor 1 - c to 1 + c about mid grey")
    saturation: float = Field(
        default=0.4, ge=0, le=1, description="factor 1 - s to 1 + s on the distance from grey"
    )
    channel_gain: float = Field(
        default=0.1, ge=0, le=1, description="factor 1 - g to 1 + g per channel: white balance"
    )
    grey_probability: float = Field(default=0.1, ge=0, le=1, description="share of images without any colour")
    scale: float = Field(
        default=0.08, ge=0, le=0.5, description="zoom 1 - s to 1 + s about the image's centre"
    )
    shift: float = Field(
        default=0.04, ge=0, le=0.5, description="largest shift along each axis, in image widths"
    )
    rotation_deg: float = Field(
        default=0.0,
        ge=0,
        le=180,
        description="largest turn about the optical axis, degrees; changes the view's pose",
    )
    mask_error_probability: float = Field(
        default=0.2, ge=0, le=1, description="share of images with a wrong outline"
    )
    mask_error: float = Field(
        default=0.012, ge=0, le=0.1, description="largest erosion or dilation, in image widths"
    )
    matting_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of images with a soft outline"
    )
    matting: float = Field(
        default=0.02,
        ge=0,
        le=0.1,
        description="largest standard deviation of the soft outline's blur, image widths; up "
        "to half of the coverage is lost there",
    )
    hole_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of images whose mask lacks a piece"
    )
    hole: float = Field(
        default=0.08, ge=0, le=0.5, description="largest radius of the piece, in image widths"
    )
    spill_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of images whose mask holds a piece of background"
    )
    spill: float = Field(
        default=0.06, ge=0, le=0.5, description="largest radius of that piece, in image widths"
    )
    occluder_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of images with a bar in front of the object"
    )
    occluder: float = Field(
        default=0.1, ge=0, le=0.5, description="largest width of the bar, in image widths"
    )
    cut_probability: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of images whose border cuts the object; the crop is of what is left",
    )
    cut: float = Field(
        default=0.3, ge=0, le=0.7, description="largest share of the object's extent that is lost"
    )
    background_probability: float = Field(
        default=0.1, ge=0, le=1, description="share of images whose background is shown instead of mid grey"
    )
    background_noise: float = Field(
        default=0.15, ge=0, le=1, description="largest amplitude of the background's noise"
    )
    blur_probability: float = Field(default=0.2, ge=0, le=1, description="share of images that are blurred")
    blur: float = Field(
        default=0.015, ge=0, le=0.1, description="largest standard deviation of the blur, image widths"
    )
    noise: float = Field(
        default=0.02, ge=0, le=0.5, description="largest standard deviation of the sensor noise, [0, 1]"
    )
    jpeg_probability: float = Field(
        default=0.0, ge=0, le=1, description="share of images with 8x8 block artefacts"
    )
    jpeg_step: float = Field(
        default=0.08, gt=0, le=1, description="largest quantisation step of a block's coefficients"
    )

    @staticmethod
    def off() -> "AugmentConfig":
        """The configuration that changes nothing."""
        fields = AugmentConfig.model_fields
        return AugmentConfig(**{name: 0.0 for name in fields if name != "jpeg_step"})


def compose_input(rgba: torch.Tensor, background: float | torch.Tensor = TEST_BACKGROUND) -> torch.Tensor:
    """The model's input (B,4,H,W): colour over a background (number or (B,3,h,w), broadcast), then the mask."""
    rgb, alpha = rgba[:, :3], rgba[:, 3:]
    return torch.cat((rgb * alpha + background * (1 - alpha), alpha), 1)


def augment_input(rgba: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """The model's training input (B,4,H,W) of crops (B,4,H,W); leaves cameras, thus rotation, alone.

    Images with a mask error or a visible background are treated as photographs: the object before a scene, cut
    out along its imperfect mask. The others are clean cut-outs on mid grey, as `compose_input` makes them.
    """
    draw = Draw(rgba, generator)
    size = rgba.shape[-1]
    rgba = torch.cat((jitter_color(rgba[:, :3], config, draw), rgba[:, 3:]), 1)
    scale, shift = draw.factor(config.scale), draw.symmetric(config.shift, 2) * size
    if config.scale or config.shift:
        rgba, _ = warp(rgba, scale, shift)
    if config.cut_probability:
        kept, *place = random_cut(rgba[:, 3:], config.cut, config.cut_probability, draw)
        rgba, _ = warp(torch.cat((rgba[:, :3], rgba[:, 3:] * kept), 1), *place)
    scene = random_background(rgba, config, draw)
    has_error = draw.chosen(config.mask_error_probability)
    offset_px = draw.symmetric(config.mask_error) * size * has_error
    shows_scene = draw.chosen(config.background_probability).view(-1, 1, 1, 1) > 0
    alpha = rgba[:, 3:]
    mask = move_outline(alpha, offset_px) if bool(offset_px.any()) else alpha
    mask, in_front = _wrong_mask(mask, config, draw)
    is_photo = shows_scene | (mask != alpha).flatten(1).any(1).view(-1, 1, 1, 1)

    behind = torch.where(is_photo, scene, TEST_BACKGROUND)
    picture = compose_input(rgba, behind)[:, :3]
    if config.occluder_probability:
        picture = picture * (1 - in_front) + draw.uniform(len(rgba), 3, 1, 1) * in_front
    photo = degrade(picture, config, draw)
    # The edge of a clean cut-out is blended with grey already; blending again would darken or lighten it.
    weight = torch.where(is_photo, mask, (mask > 0).to(mask))
    weight = torch.where(shows_scene, 1.0, weight)
    return torch.cat((photo * weight + TEST_BACKGROUND * (1 - weight), mask), 1)


def _wrong_mask(mask: torch.Tensor, config: AugmentConfig, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
    """The mask (B,1,H,W) with holes, spills, a soft outline and without what stands in front (B,1,H,W)."""
    size, in_front = mask.shape[-1], torch.zeros_like(mask)
    if config.spill_probability:
        mask = mask.maximum(
            random_blobs(outline_of(mask), config.spill * size, config.spill_probability, draw)
        )
    if config.hole_probability:
        mask = mask * (1 - random_blobs(mask, config.hole * size, config.hole_probability, draw))
    if config.occluder_probability:
        in_front = random_bars(mask, config.occluder * size, config.occluder_probability, draw)
        mask = mask * (1 - in_front)
    if config.matting_probability:
        sigma = draw.between(0.2, 1.0) * config.matting * size * draw.chosen(config.matting_probability)
        mask = soften_outline(mask, sigma, draw.between(0.0, 0.5))
    return mask, in_front


def augment_batch(batch: Batch, config: AugmentConfig, generator: torch.Generator) -> Batch:
    """A batch with its inputs made ready for the model by `augment_input`; validation uses `compose_input`.

    With `rotation_deg` the input views are first turned about the optical axis: input, its camera and, where
    the input view is supervised as view 0, that view's targets and camera.
    """
    if config.rotation_deg:
        angle = Draw(batch.input, generator).symmetric(math.radians(config.rotation_deg))
        batch = rotate_input_views(batch, angle)
    return replace(batch, input=augment_input(batch.input, config, generator))


def rotate_input_views(batch: Batch, rotation_rad: torch.Tensor) -> Batch:
    """Turn the input views by rotation_rad (B,), counter-clockwise as seen, with cameras and targets.

    Corners of an input crop that leave its frame are lost; full frames of the default cameras lose nothing.
    """
    turned, _ = warp(batch.input, rotation_rad=rotation_rad)
    if not batch.input_is_first:
        # The crop turned about its own centre: of the full frame's camera only the pose changes.
        cameras = roll_cameras(batch.input_cameras, rotation_rad)
        return replace(batch, input=turned, input_cameras=cameras)
    masks, input_cameras = warp(batch.masks[:, :1], rotation_rad=rotation_rad, cameras=batch.input_cameras)
    assert input_cameras is not None  # cameras were given
    changes = {"masks": _with_first(batch.masks, masks[:, 0])}
    if batch.images is not None:
        rgba = torch.cat((batch.images[:, 0], batch.masks[:, :1]), 1)
        changes["images"] = _with_first(batch.images, warp(rgba, rotation_rad=rotation_rad)[0][:, :3])
    for name in ("parts", "depth"):
        values = getattr(batch, name)
        if values is not None:
            first, _ = warp(values[:, :1].to(batch.masks.dtype), rotation_rad=rotation_rad, nearest=True)
            changes[name] = _with_first(values, first[:, 0].to(values.dtype))
    cameras = _with_first_cameras(batch.cameras, input_cameras, batch.views.shape[1])
    return replace(batch, input=turned, input_cameras=input_cameras, cameras=cameras, **changes)


def warp(
    pixels: torch.Tensor,
    scale: torch.Tensor | None = None,
    shift_px: torch.Tensor | None = None,
    rotation_rad: torch.Tensor | None = None,
    *,
    cameras: Cameras | None = None,
    nearest: bool = False,
) -> tuple[torch.Tensor, Cameras | None]:
    """Zoom by scale (B,) and turn by rotation_rad (B,) about the image's centre, then shift by shift_px (B,2).

    Turns are counter-clockwise as seen, shifts (right, down); what comes in from outside is 0. Of 4 channels the
    last is alpha and weighs the others. Given `cameras` (B) of these images, returns those of the result: zoom
    and shift change the intrinsics, a turn changes the pose and moves the principal point.
    """
    count, channels, height, width = pixels.shape
    scale = pixels.new_ones(count) if scale is None else scale.to(pixels)
    shift_px = pixels.new_zeros(count, 2) if shift_px is None else shift_px.to(pixels)
    turn = _image_rotation(pixels.new_zeros(count) if rotation_rad is None else rotation_rad.to(pixels))
    center = pixels.new_tensor([width / 2, height / 2])
    grid = _source_grid(turn, scale, shift_px, center, height, width)
    mode = "nearest" if nearest else "bilinear"
    if channels != 4 or nearest:
        moved = F.grid_sample(pixels, grid, mode=mode, padding_mode="zeros", align_corners=False)
    else:
        weighted = torch.cat((pixels[:, :3] * pixels[:, 3:], pixels[:, 3:]), 1)
        moved = F.grid_sample(weighted, grid, mode=mode, padding_mode="zeros", align_corners=False)
        rgb = moved[:, :3] / moved[:, 3:].clamp(min=1e-6)
        moved = torch.cat((rgb.clamp(max=1), moved[:, 3:]), 1)
    if cameras is None:
        return moved, None
    return moved, _warp_cameras(cameras, scale, shift_px, rotation_rad, center)


def roll_cameras(cameras: Cameras, rotation_rad: torch.Tensor) -> Cameras:
    """Cameras (B) whose images appear turned by rotation_rad (B,), counter-clockwise, about the optical axis."""
    angle = rotation_rad.to(cameras.world_to_cam)
    roll = torch.eye(4).to(cameras.world_to_cam).repeat(len(cameras), 1, 1)
    roll[:, 0, 0] = roll[:, 1, 1] = angle.cos()
    roll[:, 1, 0], roll[:, 0, 1] = angle.sin(), -angle.sin()
    return replace(cameras, world_to_cam=roll @ cameras.world_to_cam)


def jitter_color(rgb: torch.Tensor, config: AugmentConfig, draw: Draw) -> torch.Tensor:
    """Change brightness, white balance, contrast and saturation of (B,3,H,W)."""
    luma = rgb.new_tensor(_LUMA).view(1, 3, 1, 1)
    saturation = draw.factor(config.saturation) * (1 - draw.chosen(config.grey_probability))
    gain = draw.factor(config.brightness)[:, None] * draw.factor(config.channel_gain, 3)  # (B, 3)
    contrast = draw.factor(config.contrast)
    grey = (rgb * luma).sum(1, keepdim=True)
    rgb = grey + (rgb - grey) * saturation.view(-1, 1, 1, 1)
    rgb = (rgb * gain[..., None, None] - 0.5) * contrast.view(-1, 1, 1, 1) + 0.5
    return rgb.clamp(0, 1)


def random_background(like: torch.Tensor, config: AugmentConfig, draw: Draw) -> torch.Tensor:
    """Backgrounds (B,3,H,W): a random colour each, fading to another across the image, with coarse noise."""
    count, _, height, width = like.shape
    ends = draw.uniform(count, 3, 2, 2)  # colours of the four corners
    flat = draw.chosen(0.5).view(-1, 1, 1, 1)
    ends = flat * ends[:, :, :1, :1] + (1 - flat) * ends
    noise = draw.uniform(count, 3, 8, 8) * 2 - 1
    amplitude = (draw.uniform(count) * config.background_noise).view(-1, 1, 1, 1)
    size = (height, width)
    fade = F.interpolate(ends, size, mode="bilinear", align_corners=True)
    cloud = F.interpolate(noise, size, mode="bilinear", align_corners=False)
    return (fade + amplitude * cloud).clamp(0, 1)


def degrade(rgb: torch.Tensor, config: AugmentConfig, draw: Draw) -> torch.Tensor:
    """Blur, add sensor noise and block artefacts to (B,3,H,W)."""
    count = rgb.shape[0]
    if config.blur and config.blur_probability:
        sigma = draw.uniform(count) * config.blur * rgb.shape[-1] * draw.chosen(config.blur_probability)
        rgb = blur(rgb, sigma)
    if config.noise:
        strength = (draw.uniform(count) * config.noise).view(-1, 1, 1, 1)
        rgb = (rgb + draw.normal(*rgb.shape) * strength).clamp(0, 1)
    if config.jpeg_probability:
        step = draw.uniform(count) * config.jpeg_step * draw.chosen(config.jpeg_probability)
        rgb = block_artefacts(rgb, step)
    return rgb


def block_artefacts(rgb: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Round the cosine coefficients of 8x8 blocks of (B,3,H,W) to multiples of step (B,), coarser for detail."""
    count, channels, height, width = rgb.shape
    padded = F.pad(rgb, (0, -width % _BLOCK, 0, -height % _BLOCK), mode="replicate")
    rows, columns = padded.shape[2] // _BLOCK, padded.shape[3] // _BLOCK
    blocks = padded.reshape(count, channels, rows, _BLOCK, columns, _BLOCK).transpose(3, 4)
    basis = _cosine_basis().to(rgb)
    order = torch.arange(_BLOCK, device=rgb.device, dtype=rgb.dtype)
    quantum = step.clamp(min=1e-6).view(-1, 1, 1, 1, 1, 1) * (1 + order[:, None] + order)
    coefficients = torch.round(basis @ blocks @ basis.T / quantum) * quantum
    result = (basis.T @ coefficients @ basis).transpose(3, 4).reshape(padded.shape)
    result = result[..., :height, :width].clamp(0, 1)
    return torch.where((step == 0).view(-1, 1, 1, 1), rgb, result)


def _image_rotation(rotation_rad: torch.Tensor) -> torch.Tensor:
    """(B,2,2) that turns (right, down) pixel offsets counter-clockwise as seen."""
    cos, sin = rotation_rad.cos(), rotation_rad.sin()
    return torch.stack((cos, sin, -sin, cos), -1).reshape(-1, 2, 2)


def _source_grid(
    turn: torch.Tensor,
    scale: torch.Tensor,
    shift_px: torch.Tensor,
    center: torch.Tensor,
    height: int,
    width: int,
) -> torch.Tensor:
    """For each new pixel where it comes from, (B,H,W,2) in grid_sample's units (-1 and 1 at the borders)."""
    v, u = torch.meshgrid(
        torch.arange(height).to(turn) + 0.5, torch.arange(width).to(turn) + 0.5, indexing="ij"
    )
    at = torch.stack((u, v), -1).reshape(1, -1, 2) - center - shift_px[:, None]  # (B, HW, 2)
    # Row vectors times `turn` apply its transpose, the inverse turn.
    source = at @ turn / scale[:, None, None] + center
    return (source / center - 1).reshape(-1, height, width, 2)


def _warp_cameras(
    cameras: Cameras,
    scale: torch.Tensor,
    shift_px: torch.Tensor,
    rotation_rad: torch.Tensor | None,
    center: torch.Tensor,
) -> Cameras:
    dtype = cameras.fx
    scale, shift_px, center = scale.to(dtype), shift_px.to(dtype), center.to(dtype)
    principal = torch.stack((cameras.cx, cameras.cy), -1) - center
    if rotation_rad is not None:
        if not torch.allclose(cameras.fx, cameras.fy, rtol=1e-4):
            raise InputError("Images whose pixels are not square (fl_x differs from fl_y) cannot be turned.")
        cameras = roll_cameras(cameras, rotation_rad)
        principal = (_image_rotation(rotation_rad.to(dtype)) @ principal[..., None])[..., 0]
    moved = center + scale[:, None] * principal + shift_px
    return replace(cameras, fx=cameras.fx * scale, fy=cameras.fy * scale, cx=moved[:, 0], cy=moved[:, 1])


def _with_first(values: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """Values (B,V,...) with view 0 replaced by first (B,...)."""
    return torch.cat((first[:, None], values[:, 1:]), 1)


def _with_first_cameras(cameras: Cameras, first: Cameras, views: int) -> Cameras:
    """Cameras (B*V) with view 0 of every object replaced by first (B)."""
    changes = {}
    for name in ("world_to_cam", "fx", "fy", "cx", "cy"):
        values = getattr(cameras, name).clone()
        values[::views] = getattr(first, name)
        changes[name] = values
    return replace(cameras, **changes)


def _cosine_basis() -> torch.Tensor:
    """Orthonormal DCT-II (8,8), one wave per row."""
    at = torch.arange(_BLOCK, dtype=torch.float64)
    basis = torch.cos(math.pi / _BLOCK * (at + 0.5) * at[:, None]) * math.sqrt(2 / _BLOCK)
    basis[0] /= math.sqrt(2)
    return basis
