# SPDX-License-Identifier: Apache-2.0
"""Exported models at half the size: large constants stored as float16, and widened again when the file is loaded.

ONNX Runtime computes the widening once, so that neither speed nor the operations change; weights keep 11 significant
bits of 24.
"""

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

from ..errors import ConfigError

# Smaller constants stay: they are the arithmetic of crops and rotations, and weigh nothing.
LEAST_VALUES = 4096


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
