# SPDX-License-Identifier: Apache-2.0
"""Writes TFRecords of tf.train.Example messages from the published layout of both, without recon_core."""

import gzip
import struct
from pathlib import Path

import numpy as np


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ 0x82F63B78 if value & 1 else value >> 1
        table.append(value)
    return table


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC by a table."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """The form in which TFRecord stores it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def record(data: bytes) -> bytes:
    """One framed record; the checksum of the data is not looked at by the reader."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(length)) + data + b"\0\0\0\0"


def varint(value: int) -> bytes:
    """Base 128, low groups first."""
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def message(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number * 8 + 2) + varint(len(data)) + data


def feature(value: object, packed: bool = True) -> bytes:
    """A Feature of bytes, floats or whole numbers."""
    if isinstance(value, bytes):
        return message(1, message(1, value))
    array = np.asarray(value).ravel()
    if array.dtype.kind == "f":
        if packed:
            return message(2, message(1, array.astype("<f4").tobytes()))
        return message(2, b"".join(varint(1 * 8 + 5) + struct.pack("<f", one) for one in array))
    numbers = [int(one) % 2**64 for one in array]
    if packed:
        return message(3, message(1, b"".join(map(varint, numbers))))
    return message(3, b"".join(varint(8) + varint(one) for one in numbers))


def example(features: dict[str, object], packed: bool = True) -> bytes:
    """A serialised tf.train.Example."""
    entries = b"".join(
        message(1, message(1, key.encode()) + message(2, feature(value, packed)))
        for key, value in features.items()
    )
    return message(1, entries)


def write(path: Path, examples: list[bytes], compress: bool = True) -> None:
    """A file of records."""
    data = b"".join(record(one) for one in examples)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 1) if compress else data)
