# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs under construction."""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

OPSET = 18
# Understood by ONNX Runtime since 1.15.
IR_VERSION = 8
# Larger constants are not compared with one another.
_SMALL_BYTES = 4096


class Graph:
    """Nodes and constants of a graph under construction; values are known by their names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._count = 0
        self._known: dict[tuple[Any, ...], str] = {}

    def __call__(self, op: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node of one output; inputs that are not names become constants."""
        return self.many(op, 1, *inputs, **attributes)[0]

    def many(self, op: str, outputs: int, *inputs: Any, **attributes: Any) -> list[str]:
        """Add a node of several outputs."""
        names = [self._name() for _ in range(outputs)]
        fed = [self.named(value) for value in inputs]
        self.nodes.append(helper.make_node(op, fed, names, **attributes))
        return names

    def named(self, value: Any) -> str:
        """The name of a value that is a name already, or becomes a constant."""
        return value if isinstance(value, str) else self.constant(value)

    def constant(self, value: Any) -> str:
        """A stored tensor; a list of integers is int64, a float float32."""
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        key = (array.dtype.str, array.shape, array.tobytes())
        if array.nbytes > _SMALL_BYTES or key not in self._known:
            name = self._name()
            self.initializers.append(
                numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
            )
            if array.nbytes > _SMALL_BYTES:
                return name
            self._known[key] = name
        return self._known[key]

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"
