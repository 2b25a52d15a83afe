# SPDX-License-Identifier: Apache-2.0
"""Images in and out: any PNG, JPEG or WebP becomes RGBA in 8-bit sRGB, or one sentence says why not."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import InputError
from .atomic import atomic_path

# Above most phones and cameras in use; decoding takes about 14 bytes a pixel, 0.9 GB at the limit.
MAX_MEGAPIXELS = 64
# The compressed file itself is held in memory once.
MAX_FILE_MEGABYTES = 512

_EXPECTED = "Expected a PNG, JPEG or WebP image"
_UNSUPPORTED = (
    (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\x00", "TIFF"), (b"MM\x00*", "TIFF"), (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"), (b"\x76\x2f\x31\x01", "OpenEXR"), (b"\x00\x00\x00\x0cjP", "JPEG 2000"),
    (b"\x00\x00\x01\x00", "icon"), (b"#?RADIANCE", "Radiance HDR"), (b"<svg", "SVG"),
    (b"\xff\x0a", "JPEG XL"),
)  # fmt: skip
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}


@dataclass(frozen=True)
class LoadedImage:
    """A decoded image, upright: rgba (H,W,4) uint8 sRGB with straight alpha.

    has_alpha tells whether the file stores transparency (255 everywhere otherwise); note says in words what
    had to be done to the file, "" when nothing.
    """

    rgba: np.ndarray
    has_alpha: bool
    note: str = ""


def read_image(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> LoadedImage:
    """Read a PNG, JPEG or WebP file of any mode; raises InputError with a sentence for anything else."""
    path = Path(path)
    return decode_image(_read_bytes(path), path, max_megapixels)


def decode_image(data: bytes, name: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> LoadedImage:
    """Decode the bytes of a PNG, JPEG or WebP file, as `read_image` does; `name` is for messages."""
    path = Path(name)
    kind = _sniff(data, path)
    picture = _open(data, kind, path)
    _check_size(picture, path, max_megapixels)
    try:
        notes = [_animation_note(picture)]
        picture.load()
        picture, note = _upright(picture)
        rgba, has_alpha, colour_notes = _to_rgba(picture)
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise InputError(_damaged(path, kind, error)) from error
    return LoadedImage(rgba, has_alpha, "; ".join(text for text in [*notes, note, *colour_notes] if text))


def read_grey16(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Read a PNG of 16-bit (or 8-bit) grey, such as a depth image, as (H,W) uint16; raises InputError.

    8-bit values are widened by 257, so that 255 becomes 65535.
    """
    path = Path(path)
    data = _read_bytes(path)
    picture = _open(data, _sniff(data, path), path)
    _check_size(picture, path, max_megapixels)
    if picture.mode not in ("L", "I", "I;16", "I;16B"):
        raise InputError(f"{path} has the pixel format {picture.mode}. Expected a grey PNG with 16 bits.")
    try:
        values = np.array(picture).astype(np.int64)
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise InputError(_damaged(path, str(picture.format), error)) from error
    return np.clip(values * (257 if picture.mode == "L" else 1), 0, 65535).astype(np.uint16)


def write_png(path: str | Path, array: np.ndarray) -> None:
    """Write uint8 (H,W), (H,W,3) or (H,W,4), or uint16 grey (H,W), as a PNG; atomic."""
    array = np.ascontiguousarray(array)
    shape_fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8)
    if array.dtype not in (np.uint8, np.uint16) or not shape_fits or array.size == 0:
        raise InputError(
            f"Cannot write {path}: an array of shape {array.shape} and type {array.dtype} is no PNG image. "
            "Expected uint8 (H, W), (H, W, 3) or (H, W, 4), or uint16 (H, W)."
        )
    try:
        with atomic_path(path) as temporary:
            Image.fromarray(array).save(temporary, format="PNG", compress_level=4)
    except OSError as error:
        raise InputError(
            f"Cannot write {path}: {error.strerror or error}. Choose a folder you can write to."
        ) from error


def _read_bytes(path: Path) -> bytes:
    """The file's bytes, once it is known to be a regular file of a sensible size."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder. {_EXPECTED}; name the file in it.")
        if not path.exists():
            raise InputError(f"{path} does not exist. {_EXPECTED}; check the spelling and the folder.")
        if not path.is_file():
            raise InputError(f"{path} is not a regular file. {_EXPECTED}.")
        size = path.stat().st_size
        if size == 0:
            raise InputError(f"{path} is empty (0 bytes). {_EXPECTED}; export or download it again.")
        if size > MAX_FILE_MEGABYTES * 1_000_000:
            raise InputError(
                f"{path} has {size / 1e6:.0f} MB. Files up to {MAX_FILE_MEGABYTES} MB are read; "
                "scale it down first."
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read: {reason}. {_EXPECTED} that you may read.") from error


def _sniff(data: bytes, path: Path) -> str:
    """The format by its first bytes; the name's ending is not trusted."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    other = next((name for magic, name in _UNSUPPORTED if data.startswith(magic)), None)
    if data[4:8] == b"ftyp":
        other = _BRANDS.get(data[8:12], "video or HEIF")
    if other:
        raise InputError(f"{path} is a {other} file, which is not supported. {_EXPECTED}; convert it to PNG.")
    raise InputError(f"{path} is not an image (its first bytes fit no known format). {_EXPECTED}.")


def _open(data: bytes, kind: str, path: Path) -> Image.Image:
    """Parse the header only; Pillow's own limit counts as too large, other failures as damage."""
    if kind == "WEBP":
        from PIL import WebPImagePlugin  # noqa: F401  (registers the format without loading every other one)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked below, against our own limit
            return Image.open(io.BytesIO(data), formats=[kind])
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large to decode: {error} {_scale_down(MAX_MEGAPIXELS)}") from error
    except Exception as error:
        raise InputError(_damaged(path, kind, error)) from error


def _check_size(picture: Image.Image, path: Path, max_megapixels: float) -> None:
    width, height = picture.size
    if width * height > max_megapixels * 1e6:
        raise InputError(
            f"{path} is {width} x {height} pixels ({width * height / 1e6:.0f} megapixels). "
            f"{_scale_down(max_megapixels)}"
        )


def _scale_down(max_megapixels: float) -> str:
    return f"Images up to {max_megapixels:g} megapixels are read; scale it down first."


def _damaged(path: Path, kind: str, error: Exception) -> str:
    return (
        f"{path} is a damaged or truncated {kind} file ({error}). {_EXPECTED}; export or download it again."
    )


def _animation_note(picture: Image.Image) -> str:
    # A JPEG of several pictures (MPO, from phones) is no animation: its first picture is the photograph.
    count = getattr(picture, "n_frames", 1)
    return f"animated: the first of {count} frames is used" if count > 1 and picture.format != "MPO" else ""


def _upright(picture: Image.Image) -> tuple[Image.Image, str]:
    try:
        orientation = picture.getexif().get(0x0112, 1)
        if orientation not in range(2, 9):
            return picture, ""
        return ImageOps.exif_transpose(picture), "turned upright by its EXIF orientation"
    except Exception:  # a broken EXIF block does not spoil the pixels
        return picture, "its EXIF block is broken and was ignored"


def _to_rgba(picture: Image.Image) -> tuple[np.ndarray, bool, list[str]]:
    """Convert every mode to (H,W,4) uint8; returns the pixels, whether transparency was stored, and notes."""
    if picture.mode.startswith("I"):
        rgba, has_alpha = _from_deep_grey(picture)
        return rgba, has_alpha, ["16-bit grey reduced to 8 bits"]
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    notes = []
    if picture.mode == "CMYK":
        # Pillow takes every CMYK JPEG for one of Adobe's, stored inverted; without their marker it is not.
        if "adobe" not in picture.info:
            picture = _inverted(picture)
        notes.append("CMYK converted to RGB")
    alpha = picture.convert("RGBA").getchannel("A") if has_alpha else None
    rgb, note = _to_srgb(picture)
    if alpha is not None:
        rgb.putalpha(alpha)
    return np.array(rgb.convert("RGBA")), has_alpha, [*notes, note]


def _inverted(picture: Image.Image) -> Image.Image:
    result = picture.point(lambda value: 255 - value)
    result.info = picture.info
    return result


def _from_deep_grey(picture: Image.Image) -> tuple[np.ndarray, bool]:
    """16-bit grey (H,W) to 8-bit RGBA; one grey value may be marked as transparent."""
    grey = np.asarray(picture).astype(np.int64)
    key = picture.info.get("transparency")
    value = np.clip((grey + 128) // 257, 0, 255).astype(np.uint8)
    alpha = np.full_like(value, 255) if key is None else np.where(grey == key, 0, 255).astype(np.uint8)
    return np.stack((value, value, value, alpha), -1), key is not None


def _to_srgb(picture: Image.Image) -> tuple[Image.Image, str]:
    """RGB in sRGB: through the embedded colour profile when there is a usable one, else plainly."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK"):
        return picture.convert("RGB"), ""
    from PIL import ImageCms

    source = picture.convert("RGB") if picture.mode == "RGBA" else picture
    try:
        parsed = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(parsed).strip()
        if name.lower().startswith("srgb"):
            return source.convert("RGB"), ""
        converted = ImageCms.profileToProfile(
            source, parsed, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
        if converted is None:
            raise ValueError("no transform")
        return converted, f"colours converted from the profile {name!r} to sRGB"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return source.convert("RGB"), "its colour profile is unusable and was ignored"
