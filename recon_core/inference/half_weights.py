# SPDX-License-Identifier: Apache-2.0
"""Exported models at half the size: large constants stored as float16, and widened again when the file is loaded.

ONNX Runtime computes the widening once, so that neither speed nor the operations change; weights keep 11 significant
bits of 24.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

from ..errors import ConfigError, MissingDependency

# Smaller constants stay: they are the arithmetic of crops and rotations, and weigh nothing.
LEAST_VALUES = 4096
# Points may move by so much on average, in diagonals of the object; rounding moves them by about a thousandth of that.
MOST_MOVED = 0.01
TEST_PICTURES = 3


def half_weights(data: bytes) -> bytes:
    """The ONNX file's bytes with its float32 constants of LEAST_VALUES or more values stored as float16.

    Raises ConfigError for weights beyond float16's range (65,504).
    """
    model = onnx.load_from_string(data)
    casts = []
    for stored in model.graph.initializer:
        if stored.data_type != TensorProto.FLOAT or np.prod(stored.dims) < LEAST_VALUES:
            continue
        name, values = stored.name, numpy_helper.to_array(stored)
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float16)
        if not np.isfinite(narrow).all():
            raise ConfigError(
                f"Weights of up to {np.abs(values).max():.3g} do not fit half precision (65504): bundle it whole."
            )
        stored.CopyFrom(numpy_helper.from_array(narrow, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
    checker.check_model(model)
    return model.SerializeToString()


def points_moved(whole: bytes, half: bytes, size: int) -> dict[str, float]:
    """How far points move from one exported model to the other, for made-up pictures of `size` pixels.

    Returns mean and largest distance in diagonals of the object. Raises ConfigError when the models do not agree,
    MissingDependency without onnxruntime.
    """
    sessions = [_session(data) for data in (whole, half)]
    name = sessions[0].get_inputs()[0].name
    moved = []
    for seed in range(TEST_PICTURES):
        picture = _picture(size, seed)[None]
        first, second = (session.run(["xyz"], {name: picture})[0] for session in sessions)
        moved.append(np.linalg.norm(second.astype(np.float64) - first, axis=-1))
    mean, most = float(np.mean(moved)), float(np.max(moved))
    if not mean <= MOST_MOVED:  # a comparison with NaN is false
        raise ConfigError(
            f"In half precision the model's points move by {mean:.3g} of the object's diagonal on average (at most "
            f"{MOST_MOVED:g} is expected): leave --half out."
        )
    return {"mean": round(mean, 6), "largest": round(most, 6)}


def _session(data: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependency(
            "Comparing half with whole precision needs onnxruntime. Install it with: pip install 'recon3d[onnx]'"
        ) from None
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def _picture(size: int, seed: int) -> np.ndarray:
    """An ellipse of waves of colour (S,S,4) uint8 on transparency."""
    random = np.random.default_rng(seed)
    v, u = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    waves = [np.sin(a * u + b * v + c) for a, b, c in random.uniform(-5, 5, (3, 3))]
    width, height = random.uniform(0.4, 0.75, 2)
    inside = (u / width) ** 2 + (v / height) ** 2 < 1
    return np.stack([*(127 + 100 * np.array(waves)), 255 * inside], -1).astype(np.uint8)
