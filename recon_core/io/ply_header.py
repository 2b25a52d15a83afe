# SPDX-License-Identifier: Apache-2.0
"""The header of a PLY file: which elements and properties the body holds, and where it starts."""

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError

MAX_HEADER_BYTES = 1 << 20
_BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip


@dataclass
class Property:
    """One column of an element; a list when `count_type` is set."""

    name: str
    type: str  # numpy code without byte order
    count_type: str | None = None  # set for lists: the type of the length

    @property
    def min_bytes(self) -> int:
        """Bytes in a binary row: of the value, or of a list's length field."""
        return int((self.count_type or self.type)[1])


@dataclass
class Element:
    """A table of the body: `count` rows of `properties`."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    @property
    def scalars(self) -> list[Property]:
        """The properties that are not lists, in file order."""
        return [one for one in self.properties if one.count_type is None]

    @property
    def has_lists(self) -> bool:
        """Whether rows differ in length."""
        return len(self.scalars) < len(self.properties)

    @property
    def min_row_bytes(self) -> int:
        """Least size of a binary row: exact without lists."""
        return sum(one.min_bytes for one in self.properties)


@dataclass
class Header:
    """The parsed header; `body_start` is the offset of the first byte behind it."""

    byte_order: str  # "" for ascii
    elements: list[Element]
    comments: dict[str, str]
    body_start: int


def parse_header(data: bytes, path: Path) -> Header:
    """Parse the header at the start of a file's bytes; raise InputError, naming `path`, when it is not valid."""
    lines, body_start = _header_lines(data, path)
    header = Header("?", [], {}, body_start)
    for number, line in enumerate(lines[1:], start=2):
        words = line.split()
        if not words or words[0] == "obj_info":
            continue
        if words[0] == "comment":
            key, _, value = line.lstrip()[len("comment ") :].partition(" ")
            if key:
                header.comments[key] = value
        elif words[0] == "format":
            header.byte_order = _byte_order(words, path)
        else:
            _parse_declaration(words, header.elements, f"{path}: header line {number}: {line!r}")
    if header.byte_order == "?":
        raise InputError(f"{path}: the PLY header has no 'format' line.")
    return header


def _header_lines(data: bytes, path: Path) -> tuple[list[str], int]:
    if not data:
        raise InputError(f"{path}: the file is empty, expected a PLY point cloud.")
    if data[:3] != b"ply" or data[3:4] not in (b"\n", b"\r"):
        raise InputError(f"{path}: not a PLY file (it does not start with the line 'ply').")
    lines, start = [], 0
    while True:
        end = data.find(b"\n", start, MAX_HEADER_BYTES)
        if end < 0:
            raise InputError(f"{path}: the PLY header has no 'end_header' line; the file is truncated.")
        line = data[start:end].decode("utf-8", "replace").rstrip("\r")
        start = end + 1
        if line.strip() == "end_header":
            return lines, start
        lines.append(line)


def _byte_order(words: list[str], path: Path) -> str:
    if len(words) != 3 or words[1] not in _BYTE_ORDERS or words[2] != "1.0":
        found, known = " ".join(words[1:]), ", ".join(_BYTE_ORDERS)
        raise InputError(f"{path}: unknown PLY format {found!r}, expected one of {known} 1.0.")
    return _BYTE_ORDERS[words[1]]


def _parse_declaration(words: list[str], elements: list[Element], where: str) -> None:
    if words[0] == "element":
        if len(words) != 3 or not (words[2].isascii() and words[2].isdigit() and len(words[2]) < 19):
            raise InputError(f"{where}: expected 'element <name> <count>'.")
        elements.append(Element(words[1], int(words[2])))
    elif words[0] == "property":
        if not elements:
            raise InputError(f"{where}: a property stands before any element.")
        elements[-1].properties.append(_property(words, where))
    else:
        raise InputError(f"{where}: unknown PLY header keyword {words[0]!r}.")


def _property(words: list[str], where: str) -> Property:
    is_list = len(words) == 5 and words[1] == "list"
    if not is_list and len(words) != 3:
        raise InputError(f"{where}: expected 'property <type> <name>'.")
    types = words[2:4] if is_list else words[1:2]
    for name in types:
        if name not in _TYPES:
            raise InputError(f"{where}: unknown property type {name!r}, expected one of {', '.join(_TYPES)}.")
    codes = [_TYPES[name] for name in types]
    if is_list and codes[0][0] == "f":
        raise InputError(f"{where}: the length of a list must be an integer type.")
    return Property(words[-1], codes[-1], codes[0] if is_list else None)


def vertex_element(header: Header, path: Path) -> Element:
    """The first element named vertex; raise InputError when it is missing or lacks x, y or z."""
    vertex = next((one for one in header.elements if one.name == "vertex"), None)
    if vertex is None:
        found = ", ".join(one.name for one in header.elements) or "none"
        raise InputError(f"{path}: the PLY file has no 'vertex' element (elements: {found}).")
    names = [one.name for one in vertex.scalars]
    missing = [name for name in ("x", "y", "z") if name not in names]
    if missing:
        raise InputError(
            f"{path}: the vertices have no {', '.join(missing)} (properties: {', '.join(names)})."
        )
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InputError(f"{path}: vertex property {', '.join(double)} is declared twice.")
    return vertex
