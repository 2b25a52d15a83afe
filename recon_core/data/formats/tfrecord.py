# SPDX-License-Identifier: Apache-2.0
"""TFRecord files of tf.train.Example messages, without TensorFlow; every length is checked before it is used.

A record: length (uint64), CRC-32C of the length, data, CRC-32C of the data; all little-endian, the sums masked. The
length's sum is verified; the data's is not, for gzip has its own and plain Python would need a second per record.
"""

import gzip
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ...errors import DatasetError

MAX_RECORD_BYTES = 256_000_000
_MAX_VARINTS = 10_000_000
_CRC_MASK = 0xA282EAD8
Feature = list[bytes] | np.ndarray


def read_records(path: Path) -> Iterator[bytes]:
    """Records of a plain or gzip-compressed file, one at a time; raises DatasetError where it is damaged."""
    number = 0
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if zipped else raw
            while (record := _next_record(file, f"{path}: record {number}")) is not None:
                yield record
                number += 1
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(
            f"{path}: record {number} cannot be read ({error}); the file is damaged or cut."
        ) from error


def _next_record(file: BinaryIO, where: str) -> bytes | None:
    header = file.read(12)
    if not header:
        return None
    if len(header) < 12:
        raise DatasetError(f"{where} is cut off: the file ends in its header.")
    length, checksum = struct.unpack("<QI", header)
    if masked_crc32c(header[:8]) != checksum:
        raise DatasetError(
            f"{where}: the checksum of its length is wrong; this is no TFRecord file, or a damaged one."
        )
    if length > MAX_RECORD_BYTES:
        raise DatasetError(
            f"{where} has {length / 1e6:.0f} MB, up to {MAX_RECORD_BYTES / 1e6:g} MB are read."
        )
    data = file.read(length)
    if len(data) < length or len(file.read(4)) < 4:
        raise DatasetError(f"{where} is cut off: {length} bytes were announced, {len(data)} are there.")
    return data


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, reflected 0x82F63B78), rotated right by 15 and offset, as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _CRC_MASK) & 0xFFFFFFFF


def parse_example(data: bytes, where: str) -> dict[str, Feature]:
    """Features of a serialised tf.train.Example: lists of bytes, or float32 or int64 arrays; raises DatasetError.

    Example{1: Features{1: map entries {1: key, 2: Feature{1: BytesList | 2: FloatList | 3: Int64List}}}}.
    """
    features: dict[str, Feature] = {}
    for block in _messages(memoryview(data), 1, where):
        for entry in _messages(block, 1, where):
            key, values = b"", None
            for number, value in _fields(entry, where):
                if number == 1 and isinstance(value, memoryview):
                    key = bytes(value)
                elif number == 2 and isinstance(value, memoryview):
                    values = _feature(value, where)
            if values is not None:
                features[key.decode("utf-8", "replace")] = values
    return features


def _feature(view: memoryview, where: str) -> Feature | None:
    for number, value in _fields(view, where):
        if not isinstance(value, memoryview):
            continue
        if number == 1:
            return [bytes(one) for one in _messages(value, 1, where)]
        if number == 2:
            return _floats(value, where)
        if number == 3:
            return _integers(value, where)
    return None


def _floats(view: memoryview, where: str) -> np.ndarray:
    """FloatList: packed, or one 32-bit field for each value."""
    chunks = []
    for number, value in _fields(view, where, keep_fixed=True):
        if number != 1 or not isinstance(value, memoryview):
            continue
        if len(value) % 4:
            raise DatasetError(
                f"{where}: a list of floats has {len(value)} bytes, which is no multiple of 4."
            )
        chunks.append(np.frombuffer(value, "<f4"))
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def _integers(view: memoryview, where: str) -> np.ndarray:
    """Int64List: packed varints, or one field for each value."""
    values: list[int] = []
    for number, value in _fields(view, where):
        if number == 1 and isinstance(value, int):
            values.append(value)
        elif number == 1 and isinstance(value, memoryview):
            position = 0
            while position < len(value):
                one, position = _varint(value, position, where)
                values.append(one)
        if len(values) > _MAX_VARINTS:
            raise DatasetError(f"{where} has more than {_MAX_VARINTS} whole numbers in a list.")
    return np.array(values, dtype=np.uint64).astype(np.int64)


def _messages(view: memoryview, wanted: int, where: str) -> Iterator[memoryview]:
    for number, value in _fields(view, where):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(view: memoryview, where: str, keep_fixed: bool = False) -> Iterator[tuple[int, int | memoryview]]:
    """(number, varint or bytes) of every field of a message; fixed-width ones only with `keep_fixed`."""
    position = 0
    while position < len(view):
        tag, position = _varint(view, position, where)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(view, position, where)
            yield number, value
            continue
        if wire == 2:
            size, position = _varint(view, position, where)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise DatasetError(f"{where} is no tf.train.Example (wire type {wire} at byte {position}).")
        if size > len(view) - position:
            raise DatasetError(
                f"{where}: a field of {size} bytes is announced, {len(view) - position} are left."
            )
        if wire == 2 or keep_fixed:
            yield number, view[position : position + size]
        position += size


def _varint(view: memoryview, position: int, where: str) -> tuple[int, int]:
    """Value and the position behind it; at most 10 bytes and 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(view):
            raise DatasetError(f"{where} is cut off inside a number.")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise DatasetError(f"{where}: a number has more than 64 bits.")
