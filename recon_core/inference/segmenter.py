# SPDX-License-Identifier: Apache-2.0
"""A user's own segmentation model: an ONNX file with one input image and one output mask.

Sizes, names, types and the order of axes are read from the model. Pixels are scaled to [0, 1] and normalised by the
model's metadata `mean` and `std` (three comma-separated numbers each), else by those of ImageNet; a model that takes
bytes gets bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError, MissingDependency

MAX_SIDE = 4096
MAX_FILE_BYTES = 2 << 30
# Longer side for models that take any size, a multiple of what their strides need.
FREE_SIDE, _STRIDE = 512, 32
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_EXPECTED = "Expected one input image (1,3,H,W) or (1,H,W,3) and one output mask (1,1,H,W)"


@dataclass(frozen=True)
class Segmenter:
    """A loaded model and how it wants its image."""

    path: Path
    session: Any
    input_name: str
    output_name: str
    channels_first: bool
    height: int | None  # None: any
    width: int | None
    dtype: type
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def mask(self, rgb: np.ndarray) -> np.ndarray:
        """Coverage (H,W) uint8 of the object in rgb (H,W,3) uint8; raises InputError when the model gives no mask."""
        height, width = self._size(rgb.shape[0], rgb.shape[1])
        small = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))
        try:
            outputs = self.session.run([self.output_name], {self.input_name: self._input(small)})
        except Exception as error:  # onnxruntime raises what its kernels lead to
            raise InputError(
                f"The segmenter {self.path} fails on an image of {width} x {height}: {error}"
            ) from None
        share = _as_share(np.asarray(outputs[0]), self.path)
        picture = Image.fromarray(np.rint(share * 255).astype(np.uint8))
        return np.asarray(picture.resize((rgb.shape[1], rgb.shape[0]), Image.Resampling.BILINEAR))

    def _size(self, rows: int, columns: int) -> tuple[int, int]:
        scale = min(1.0, FREE_SIDE / max(rows, columns))
        free = [max(_STRIDE, round(extent * scale / _STRIDE) * _STRIDE) for extent in (rows, columns)]
        return self.height or free[0], self.width or free[1]

    def _input(self, rgb: np.ndarray) -> np.ndarray:
        if self.dtype is np.uint8:
            values = rgb
        else:
            values = ((rgb / 255.0 - self.mean) / self.std).astype(self.dtype)
        return np.ascontiguousarray(values.transpose(2, 0, 1) if self.channels_first else values)[None]


def load_segmenter(path: str | Path) -> Segmenter:
    """Load and check a model; the last one is kept. Raises InputError, MissingDependency without onnxruntime."""
    path = Path(path)
    try:
        if not path.is_file():
            raise InputError(
                f"The segmenter {path} does not exist or is no file. {_EXPECTED}, as an ONNX file."
            )
        status = path.stat()
    except OSError as error:
        raise InputError(f"The segmenter {path} cannot be read: {error.strerror or error}.") from error
    if status.st_size > MAX_FILE_BYTES:
        raise InputError(f"The segmenter {path} is larger than {MAX_FILE_BYTES >> 30} GB.")
    return _load(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1)
def _load(path: Path, _modified_ns: int, _bytes: int) -> Segmenter:
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependency(
            "onnxruntime is not installed: --segmenter needs it. Install it with: pip install 'recon3d[onnx]'."
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # a damaged file, an operator it does not know
        raise InputError(f"{path} is not an ONNX model that onnxruntime can load: {error}") from None
    return _described(session, path)


def _described(session: Any, path: Path) -> Segmenter:
    """Check the model's input and outputs, and say how it is to be used."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or not outputs:
        names = ", ".join(one.name for one in inputs)
        raise InputError(f"The segmenter {path} has {len(inputs)} inputs ({names}). {_EXPECTED}.")
    one = inputs[0]
    if one.type not in _TYPES:
        raise InputError(f"The segmenter {path} takes {one.type}. Expected one of: {', '.join(_TYPES)}.")
    first, height, width = _layout(one.shape, one.name, path)
    metadata = session.get_modelmeta().custom_metadata_map
    mean, std = (_three(metadata, key, usual, path) for key, usual in (("mean", _MEAN), ("std", _STD)))
    # Models that are trained with masks at several depths (U-2-Net) put the final one first.
    return Segmenter(
        path, session, one.name, outputs[0].name, first, height, width, _TYPES[one.type], mean, std
    )


def _layout(shape: Sequence[Any], name: str, path: Path) -> tuple[bool, int | None, int | None]:
    """Whether channels come before rows, and the height and width that are fixed."""
    fits = len(shape) == 4 and not (isinstance(shape[0], int) and shape[0] != 1)
    first = fits and shape[1] == 3
    if not fits or not (first or shape[3] == 3):
        raise InputError(
            f"The segmenter {path}: its input {name!r} has the shape {list(shape)}. {_EXPECTED}."
        )
    sides = [side if isinstance(side, int) else None for side in (shape[2:] if first else shape[1:3])]
    if any(side is not None and not 8 <= side <= MAX_SIDE for side in sides):
        raise InputError(
            f"The segmenter {path} takes images of {sides}; sides from 8 to {MAX_SIDE} are possible."
        )
    return first, sides[0], sides[1]


def _three(metadata: dict[str, str], key: str, usual: tuple[float, ...], path: Path) -> tuple[float, ...]:
    if key not in metadata:
        return usual
    try:
        values = tuple(float(word) for word in metadata[key].strip("[]() ").split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not np.isfinite(values).all() or (key == "std" and min(values) <= 0):
        raise InputError(
            f"The segmenter {path}: its metadata {key!r} is {metadata[key]!r}. Expected three numbers with commas."
        )
    return values


def _as_share(output: np.ndarray, path: Path) -> np.ndarray:
    """Coverage (h,w) in [0,1] of a model's output: one channel, or two for background and object; logits or shares."""
    mask = np.squeeze(output.astype(np.float32))
    if mask.ndim == 3 and 2 in (mask.shape[0], mask.shape[-1]):
        pair = mask if mask.shape[0] == 2 else mask.transpose(2, 0, 1)
        shares = pair.min() >= 0 and pair.max() <= 1
        mask = pair[1] if shares else _sigmoid(pair[1] - pair[0])
    if mask.ndim != 2 or min(mask.shape) < 2:
        raise InputError(f"The segmenter {path} gives an array of shape {list(output.shape)}. {_EXPECTED}.")
    if not np.isfinite(mask).all():
        raise InputError(f"The segmenter {path} gives numbers that are not finite: its mask cannot be used.")
    if output.dtype == np.uint8:
        return mask / 255
    if mask.min() >= -1e-3 and mask.max() <= 1 + 1e-3:
        return mask.clip(0, 1)
    return _sigmoid(mask)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.clip(-30, 30)))
