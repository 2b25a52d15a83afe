# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader of uncompressed scanline OpenEXR files, single- and multi-part, with numpy alone.

Blender's own Python has no EXR reader. Only what Blender writes with codec NONE is read: flat scanline parts,
HALF, FLOAT or UINT channels, no subsampling. Anything else is a ValueError that says what was found.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

MAGIC = b"\x76\x2f\x31\x01"
FLAG_TILED, FLAG_LONG_NAMES, FLAG_DEEP, FLAG_MULTIPART = 0x200, 0x400, 0x800, 0x1000
KNOWN_FLAGS = FLAG_TILED | FLAG_LONG_NAMES | FLAG_DEEP | FLAG_MULTIPART
PIXEL_TYPES = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
MAX_SIDE_PX = 1 << 16
MAX_PARTS = 1024
MAX_NAME_BYTES = 255

# Blender 5.0 renamed passes and writes one part per pass; older versions keep the short names.
RENAMED_PASSES = {"Object Index": "IndexOB", "Material Index": "IndexMA", "Depth": "Depth", "Diffuse Color": "DiffCol",
                  "Glossy Color": "GlossCol"}  # fmt: skip


class Channel(NamedTuple):
    """One channel of a part: full name and little-endian sample type."""

    name: str
    dtype: np.dtype


class Part(NamedTuple):
    """One image of a file: name ("" in single-part files), channels in file order, size in pixels."""

    name: str
    channels: list[Channel]
    width: int
    height: int
    y_min: int


class _Cursor:
    """Reads little-endian values from bytes; running out of bytes is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int, what: str) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise ValueError(
                f"EXR file ends inside {what} (byte {self.at} of {len(self.data)}, {count} wanted)"
            )
        self.at += count
        return self.data[self.at - count : self.at]

    def int32(self, what: str) -> int:
        return struct.unpack("<i", self.take(4, what))[0]

    def name(self, what: str) -> str:
        end = self.data.find(b"\0", self.at, self.at + MAX_NAME_BYTES + 1)
        if end < 0:
            raise ValueError(f"EXR {what} at byte {self.at} has no end within {MAX_NAME_BYTES} bytes")
        raw = self.data[self.at : end]
        self.at = end + 1
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"EXR {what} at byte {end - len(raw)} is not UTF-8 text") from error


def read_exr(path: str | Path) -> dict[str, np.ndarray]:
    """Read every channel of a file as {name: (H,W) array}; names of parts prefix their channels.

    Raises ValueError for anything malformed or unsupported, OSError when the file cannot be read.
    """
    return parse_exr(Path(path).read_bytes())


def parse_exr(data: bytes) -> dict[str, np.ndarray]:
    """Decode the bytes of a file; see read_exr."""
    cursor = _Cursor(data)
    multipart = _read_version(cursor)
    parts = _read_parts(cursor) if multipart else [_part(_read_attributes(cursor))]
    tables = [_read_offsets(cursor, part) for part in parts]
    channels: dict[str, np.ndarray] = {}
    for index, (part, offsets) in enumerate(zip(parts, tables)):
        for name, pixels in _read_pixels(data, part, offsets, index if multipart else None).items():
            if name in channels:
                raise ValueError(f"EXR channel {name!r} occurs twice")
            channels[name] = pixels
    return channels


def pass_channels(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Drop the view layer's name and use the short pass names of Blender 3.x-4.x: {"IndexMA.X": ...}."""
    renamed: dict[str, np.ndarray] = {}
    for name, pixels in channels.items():
        pieces = name.split(".")
        if len(pieces) >= 2:
            pieces = [RENAMED_PASSES.get(pieces[-2], pieces[-2]), pieces[-1]]
        renamed[".".join(pieces)] = pixels
    return renamed


def _read_version(cursor: _Cursor) -> bool:
    """Check magic, version and flags; True for multi-part files."""
    if cursor.take(4, "the magic number") != MAGIC:
        raise ValueError("not an EXR file (wrong magic number)")
    word = cursor.int32("the version")
    version, flags = word & 0xFF, word & ~0xFF
    if version != 2 or flags & ~KNOWN_FLAGS:
        raise ValueError(f"EXR version {version} with flags {flags & 0xFFFFFFFF:#x} is not supported")
    if flags & (FLAG_TILED | FLAG_DEEP):
        raise ValueError("tiled or deep EXR is not supported, only flat scanlines")
    return bool(flags & FLAG_MULTIPART)


def _read_parts(cursor: _Cursor) -> list[Part]:
    parts: list[Part] = []
    while True:
        attributes = _read_attributes(cursor)
        if not attributes:
            break
        parts.append(_part(attributes))
        if len(parts) > MAX_PARTS:
            raise ValueError(f"EXR file has more than {MAX_PARTS} parts")
    if not parts:
        raise ValueError("multi-part EXR file has no parts")
    return parts


def _read_attributes(cursor: _Cursor) -> dict[str, tuple[str, bytes]]:
    """Read one header: {attribute: (type, value bytes)}; empty at the end of a multi-part header list."""
    attributes: dict[str, tuple[str, bytes]] = {}
    while True:
        name = cursor.name("attribute name")
        if not name:
            return attributes
        kind = cursor.name(f"type of attribute {name!r}")
        size = cursor.int32(f"size of attribute {name!r}")
        attributes[name] = (kind, cursor.take(size, f"attribute {name!r}"))


def _attribute(
    attributes: dict[str, tuple[str, bytes]], name: str, kind: str, size: int | None = None
) -> bytes:
    """Value of a required attribute of a given type and size in bytes."""
    if name not in attributes:
        raise ValueError(f"EXR header has no {name!r}")
    found, value = attributes[name]
    if found != kind or (size is not None and len(value) != size):
        raise ValueError(
            f"EXR attribute {name!r} is {found} of {len(value)} bytes, expected {kind} of {size}"
        )
    return value


def _part(attributes: dict[str, tuple[str, bytes]]) -> Part:
    compression = _attribute(attributes, "compression", "compression", 1)[0]
    if compression != 0:
        raise ValueError(f"compressed EXR (method {compression}) is not supported, write it with codec NONE")
    if "type" in attributes and attributes["type"][1].rstrip(b"\0") != b"scanlineimage":
        raise ValueError(f"EXR part type {attributes['type'][1]!r} is not supported, only scanlineimage")
    x_min, y_min, x_max, y_max = struct.unpack("<4i", _attribute(attributes, "dataWindow", "box2i", 16))
    width, height = x_max - x_min + 1, y_max - y_min + 1
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise ValueError(f"EXR data window of {width} x {height} pixels is not supported")
    try:
        name = attributes["name"][1].rstrip(b"\0").decode("utf-8") if "name" in attributes else ""
    except UnicodeDecodeError as error:
        raise ValueError("EXR part name is not UTF-8 text") from error
    return Part(name, _channel_list(_attribute(attributes, "channels", "chlist")), width, height, y_min)


def _channel_list(value: bytes) -> list[Channel]:
    cursor, channels = _Cursor(value), []
    while True:
        name = cursor.name("channel name")
        if not name:
            break
        kind, _, x_sampling, y_sampling = struct.unpack("<4i", cursor.take(16, f"channel {name!r}"))
        if kind not in PIXEL_TYPES:
            raise ValueError(f"EXR channel {name!r} has unknown pixel type {kind}")
        if (x_sampling, y_sampling) != (1, 1):
            raise ValueError(f"EXR channel {name!r} is subsampled, which is not supported")
        channels.append(Channel(name, PIXEL_TYPES[kind]))
    if not channels:
        raise ValueError("EXR part has no channels")
    return channels


def _row_bytes(part: Part) -> int:
    return part.width * sum(channel.dtype.itemsize for channel in part.channels)


def _read_offsets(cursor: _Cursor, part: Part) -> np.ndarray:
    """Offset table of a part, (H,) uint64; its rows must fit into the file before anything is allocated."""
    if part.height * _row_bytes(part) > len(cursor.data):
        raise ValueError(f"EXR file is too short for its {part.width} x {part.height} pixels (truncated?)")
    return np.frombuffer(cursor.take(8 * part.height, "the line offset table"), "<u8")


def _read_pixels(data: bytes, part: Part, offsets: np.ndarray, index: int | None) -> dict[str, np.ndarray]:
    """Channels of one part as {name: (H,W)}; `index` is the part number of multi-part files."""
    head = 8 if index is None else 12  # y and size, after the part number
    row = _row_bytes(part)
    if int(offsets.max()) + head + row > len(data):
        raise ValueError("EXR file ends before its last line (truncated?)")
    starts = offsets.astype(np.int64)
    raw = np.frombuffer(data, np.uint8)
    heads = raw[starts[:, None] + np.arange(head)].copy().view("<i4")  # (H, 2 or 3)
    if index is not None and np.any(heads[:, 0] != index):
        raise ValueError(f"EXR line of another part found in part {index}")
    lines = heads[:, -2].astype(np.int64) - part.y_min
    if np.any(heads[:, -1] != row) or not np.array_equal(np.sort(lines), np.arange(part.height)):
        raise ValueError("EXR lines have wrong sizes or numbers")
    return _split_channels(_gather_lines(raw, starts[np.argsort(lines)] + head, row), part)


def _gather_lines(raw: np.ndarray, starts: np.ndarray, row: int) -> np.ndarray:
    """Rows of bytes (H,row); a view when lines lie one after the other, as Blender writes them."""
    steps = np.diff(starts)
    if len(starts) == 1:
        return raw[starts[0] : starts[0] + row][None]
    if np.all(steps == steps[0]) and steps[0] >= row:
        return np.lib.stride_tricks.as_strided(raw[starts[0] :], (len(starts), row), (int(steps[0]), 1))
    return np.stack([raw[start : start + row] for start in starts])


def _split_channels(lines: np.ndarray, part: Part) -> dict[str, np.ndarray]:
    channels, at = {}, 0
    for channel in part.channels:
        size = part.width * channel.dtype.itemsize
        prefix = f"{part.name}." if part.name and "." not in channel.name else ""
        name = prefix + channel.name
        if name in channels:
            raise ValueError(f"EXR channel {name!r} occurs twice")
        channels[name] = np.ascontiguousarray(lines[:, at : at + size]).view(channel.dtype)
        at += size
    return channels
