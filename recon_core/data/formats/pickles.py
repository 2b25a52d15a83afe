# SPDX-License-Identifier: Apache-2.0
"""Pickles of numpy arrays, read without running anything that they name.

The file's opcodes are checked against a list before it is loaded. The names that numpy's arrays need are replaced by
stand-ins that only keep what they are given; every other name is an error. The arrays are then built here.
"""

import io
import math
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DatasetError

MAX_PICKLE_BYTES = 256_000_000
_MAX_OPCODES = 1_000_000
_NUMBERS_OR_TEXT = re.compile(r"[<>|=]?(?:[biuf][1248]|[SU][1-9]\d{0,3})")
_OPCODES = {
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
    "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "NONE",
    "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET",
    "LONG_BINGET", "MEMOIZE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip


def read_array_pickle(path: Path) -> dict[str, Any]:
    """A pickled dict of numpy arrays, texts and numbers; raises DatasetError for anything else in the file."""
    try:
        if path.stat().st_size > MAX_PICKLE_BYTES:
            raise DatasetError(f"{path} is larger than {MAX_PICKLE_BYTES / 1e6:g} MB.")
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        _check_opcodes(data)
        value = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
        if not isinstance(value, dict):
            raise ValueError(f"it holds a {type(value).__name__}, expected a dict of arrays")
        return {_key(key): one.array() if isinstance(one, _Array) else one for key, one in value.items()}
    except Exception as error:  # damaged pickles raise whatever they like; nothing of theirs has been run
        raise DatasetError(f"{path} is no pickle of numpy arrays that may be read: {error}.") from error


def _check_opcodes(data: bytes) -> None:
    """Refuse opcodes that plain data and numpy arrays do not need, and memo places that would take memory."""
    for count, (opcode, argument, position) in enumerate(pickletools.genops(data), 1):
        if opcode.name not in _OPCODES:
            raise ValueError(f"it uses the opcode {opcode.name} at byte {position}")
        if opcode.name.endswith("PUT") and int(argument or 0) > count:
            raise ValueError(f"it uses the memo place {argument} at byte {position}")
        if count > _MAX_OPCODES:
            raise ValueError(f"it has more than {_MAX_OPCODES} opcodes")


def _key(key: Any) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


class _Inert:
    """Takes the place of a callable; a pickle cannot change it."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it sets the state of a function")


class _Dtype:
    """What numpy.dtype(text, ...) was called with, and the byte order that followed."""

    __slots__ = ("order", "text")

    def __init__(self, text: Any) -> None:
        self.text = text.decode("latin1") if isinstance(text, bytes) else text
        self.order = ""

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "=") or any(one is not None for one in state[2:5]):
            raise pickle.UnpicklingError("it holds a structured type")
        self.order = order

    def numpy(self) -> np.dtype:
        text = self.text if isinstance(self.text, str) else ""
        if not _NUMBERS_OR_TEXT.fullmatch(text):
            raise pickle.UnpicklingError(f"it holds values of the type {self.text!r}, expected numbers")
        return np.dtype(self.order.replace("|", "") + text.lstrip("<>|="))


class _Array:
    """The state of a numpy array; `array` builds it."""

    __slots__ = ("state",)

    def __init__(self, state: Any = None) -> None:
        self.state = state

    def __setstate__(self, state: Any) -> None:
        self.state = state[1:] if len(state) == 5 else state

    def array(self) -> np.ndarray:
        if self.state is None or len(self.state) != 4:
            raise pickle.UnpicklingError("it holds an array without content")
        shape, dtype, fortran, raw = self.state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | bytearray) or not _is_shape(shape):
            raise pickle.UnpicklingError("it holds an array of objects or without a usable shape")
        kind = dtype.numpy()
        if math.prod(shape) * kind.itemsize != len(raw):
            raise pickle.UnpicklingError(f"an array {shape} of {kind} has {len(raw)} bytes")
        return np.frombuffer(bytes(raw), kind).reshape(shape, order="F" if fortran else "C")


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, tuple) and len(shape) <= 8 and all(type(one) is int and one >= 0 for one in shape)
    )


class _Reconstruct(_Inert):
    __slots__ = ()

    def __call__(self, kind: Any, shape: Any, typecode: Any) -> _Array:
        if kind is not _NDARRAY:
            raise pickle.UnpicklingError("it reconstructs something that is no array")
        return _Array()


class _MakeDtype(_Inert):
    __slots__ = ()

    def __call__(self, text: Any, *flags: Any) -> _Dtype:
        return _Dtype(text)


class _FromBuffer(_Inert):
    __slots__ = ()

    def __call__(self, raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
        return _Array((shape, dtype, order == "F", raw))


class _Scalar(_Inert):
    __slots__ = ()

    def __call__(self, dtype: Any, raw: Any) -> _Array:
        return _Array(((), dtype, False, raw))


class _Encode(_Inert):
    """_codecs.encode, through which old protocols store bytes."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any) -> bytes:
        if encoding != "latin1" or not isinstance(text, str):
            raise pickle.UnpicklingError("it encodes text in an unexpected way")
        return text.encode("latin1")


_NDARRAY = _Inert()
_NAMES: dict[tuple[str, str], _Inert] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _MakeDtype(),
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy.core.multiarray", "scalar"): _Scalar(),
    ("numpy._core.multiarray", "scalar"): _Scalar(),
    ("numpy.core.numeric", "_frombuffer"): _FromBuffer(),
    ("numpy._core.numeric", "_frombuffer"): _FromBuffer(),
    ("_codecs", "encode"): _Encode(),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Knows the names above and no other; nothing is imported."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _NAMES[(module_name, global_name)]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which is not run") from None
