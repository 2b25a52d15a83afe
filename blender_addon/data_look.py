# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a training set without the worker: whether all files are there, and a sheet of examples. No bpy."""

import contextlib
import struct
import zlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from . import data_index
from .jobs import Job, UserError
from .png import write_png

NOTE = "Files only: the worker checks more"
_LISTED = 50
_OBJECTS, _CELL_PX, _GAP_PX = 16, 128, 4
_PICTURES = ("file_path", "mask_path", "depth_file_path", "part_path", "normal_path")
_SHOWN = ("file_path", "mask_path", "part_path", "normal_path")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour types of PNG, and the channels of each.
_CHANNELS = {0: 1, 2: 3, 3: 1, 6: 4}
# Renders up to 2048 pixels a side are read.
_MAX_SIDE_PX = 2048


def look(dataset: Path, sheet: Path, job: Job) -> dict[str, Any]:
    """What the worker answers to a check, as far as it can be known here. Raises UserError and Cancelled."""
    about = data_index.read_json(dataset / "dataset.json")
    if about is None:
        raise UserError(f"{dataset} is no training set: its dataset.json is missing or broken.")
    keys = data_index.objects_of(dataset)
    problems, views = [], 0
    for number, key in enumerate(keys):
        job.report(number / len(keys), "Checking")
        transforms = data_index.read_json(dataset / key / "transforms.json") or {}
        found = frames_of(transforms)
        views += len(found)
        problems += [{"object": key, **one} for one in problems_of(dataset / key, transforms, found)]
    problems += [
        {"object": key, "message": f"failed: {record.get('error')}", "severity": "warning"}
        for key, record in data_index.failures(dataset).items()
        if key not in keys
    ]
    errors = sum(one["severity"] == "error" for one in problems)
    parts = sorted({str(name) for names in dict(about.get("parts") or {}).values() for name in names})
    report = {
        "ok": not errors, "objects": len(keys), "views": views, "parts": parts, "problems": problems[:_LISTED],
        "problem_count": len(problems), "error_count": errors,
    }  # fmt: skip
    words = "\n".join(f"{one['object']}: {one['message']}" for one in problems[:_LISTED])
    return {
        "report": report,
        "text": words,
        "sheet": str(sheet) if write_sheet(dataset, keys, sheet) else None,
    }


def frames_of(transforms: dict[str, Any]) -> list[dict[str, Any]]:
    """The views of an object, each with the paths of its pictures on one level."""
    frames = transforms.get("frames")
    found = [one for one in frames if isinstance(one, dict)] if isinstance(frames, list) else []
    return [{**one, **one["recon"]} if isinstance(one.get("recon"), dict) else one for one in found]


def problems_of(
    folder: Path, transforms: dict[str, Any], frames: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """What is missing of an object, or has another size than it says."""
    size = transforms.get("w"), transforms.get("h")
    if not frames:
        yield {"message": "its transforms.json names no views", "severity": "error"}
    for view, frame in enumerate(frames):
        for name in (name for name in _PICTURES if isinstance(frame.get(name), str)):
            found = size_of(folder / frame[name])
            if found is None:
                yield {"view": view, "message": f"{frame[name]} is missing or no PNG", "severity": "error"}
            elif found != size:
                message = f"{frame[name]} has {found[0]} x {found[1]} pixels, not {size[0]} x {size[1]}"
                yield {"view": view, "message": message, "severity": "error"}


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height of a PNG, None when it is missing or none."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        head = file.read(24)
        if len(head) == 24 and head.startswith(_SIGNATURE):
            return struct.unpack(">II", head[16:24])
    return None


# --- the sheet ------------------------------------------------------------------------------------------


def write_sheet(dataset: Path, keys: list[str], path: Path) -> bool:
    """Write a PNG of some objects, each by a view's image, mask, parts and normals; returns whether it did."""
    count = min(_OBJECTS, len(keys))
    chosen = [keys[index * len(keys) // count] for index in range(count)]
    rows = [row for row in (_row(dataset / key, number) for number, key in enumerate(chosen)) if row]
    if not rows:
        return False
    if len(rows) > _OBJECTS // 2:  # two beside each other: about square
        rows = [left + right for left, right in zip_longest(rows[::2], rows[1::2], fillvalue=[])]
    step = _CELL_PX + _GAP_PX
    canvas = np.full((len(rows) * step - _GAP_PX, max(map(len, rows)) * step - _GAP_PX, 4), 255, np.uint8)
    for top, row in enumerate(rows):
        for left, cell in enumerate(row):
            height, width = cell.shape[:2]
            canvas[top * step : top * step + height, left * step : left * step + width, :3] = cell
    write_png(path, canvas)
    return True


def _row(folder: Path, number: int) -> list[np.ndarray]:
    """Pictures (H,W,3) uint8 of one view, none larger than a cell."""
    frames = frames_of(data_index.read_json(folder / "transforms.json") or {})
    if not frames:
        return []
    frame = frames[number % len(frames)]
    read = [read_png(folder / frame[name]) for name in _SHOWN if isinstance(frame.get(name), str)]
    return [fitted(picture) for picture in read if picture is not None]


def fitted(picture: np.ndarray) -> np.ndarray:
    """A picture (H,W,3) as large as a cell allows: whole steps, up or down."""
    side = max(picture.shape[:2])
    down = -(-side // _CELL_PX)
    small = picture[::down, ::down]
    up = max(1, _CELL_PX // max(small.shape[:2]))
    return small.repeat(up, 0).repeat(up, 1)


def read_png(path: Path) -> np.ndarray | None:
    """Pixels (H,W,3) uint8 on light grey of a PNG that render_scripts wrote; None for any other.

    Eight bits, rows stored as they are or as differences to the row above (PNG specification, filters 0 and 2).
    """
    try:
        data = path.read_bytes()
        chunks = dict(_chunks(data))
        width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
        if depth != 8 or not (0 < width <= _MAX_SIDE_PX and 0 < height <= _MAX_SIDE_PX):
            return None
        length = height * (1 + width * _CHANNELS[kind])
        raw = zlib.decompressobj().decompress(chunks[b"IDAT"], length)
        rows = np.frombuffer(raw, np.uint8).reshape(height, -1)
        pixels = _unfiltered(rows).reshape(height, width, _CHANNELS[kind])
        return _on_grey(pixels, chunks.get(b"PLTE", b""))
    except (OSError, ValueError, KeyError, IndexError, struct.error, zlib.error):
        return None


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE) if data.startswith(_SIGNATURE) else len(data)
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _unfiltered(rows: np.ndarray) -> np.ndarray:
    """Bytes (H,N) of scanlines that begin with their filter; all rows have the same one."""
    if not np.isin(rows[:, 0], (0, 2)).all() or (rows[:, 0] != rows[0, 0]).any():
        raise ValueError("filters that render_scripts does not use")
    body = rows[:, 1:]
    return body if rows[0, 0] == 0 else np.add.accumulate(body, axis=0, dtype=np.uint8)


def _on_grey(pixels: np.ndarray, palette: bytes) -> np.ndarray:
    if palette:
        return np.frombuffer(palette, np.uint8).reshape(-1, 3)[pixels[..., 0]]
    if pixels.shape[2] == 1:
        return pixels.repeat(3, 2)
    if pixels.shape[2] == 3:
        return pixels
    opacity = pixels[..., 3:].astype(np.float32) / 255
    return (pixels[..., :3] * opacity + 224 * (1 - opacity)).round().astype(np.uint8)
