# SPDX-License-Identifier: Apache-2.0
"""How each core ATen operation of torch.export is said in ONNX: rule(graph, node, *arguments) gives a value's name."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from onnx import TensorProto

from ..errors import ConfigError
from .onnx_builder import Graph

_TYPES = {
    torch.float32: TensorProto.FLOAT,
    torch.int64: TensorProto.INT64,
    torch.bool: TensorProto.BOOL,
    torch.uint8: TensorProto.UINT8,
    torch.int32: TensorProto.INT32,
}


def _shape(node: Any) -> list[int]:
    return [int(size) for size in node.meta["val"].shape]


def _dtype(node: torch.fx.Node) -> torch.dtype:
    return node.meta["val"].dtype


def _cast(graph: Graph, value: Any, dtype: torch.dtype) -> str:
    if not isinstance(value, str):
        return graph.constant(torch.as_tensor(value).to(dtype))
    return graph("Cast", value, to=_TYPES[dtype])


def _argument_as(graph: Graph, node: torch.fx.Node, index: int, value: Any, dtype: torch.dtype) -> str:
    """An argument in the type that the operation works in; torch mixes types, ONNX does not."""
    source = node.args[index]
    same = isinstance(source, torch.fx.Node) and _dtype(source) == dtype
    return graph.named(value) if same else _cast(graph, value, dtype)


def _working_type(node: torch.fx.Node) -> torch.dtype:
    values: list[Any] = [a.meta["val"] if isinstance(a, torch.fx.Node) else a for a in node.args[:2]]
    return torch.result_type(*values)


def _unary(op: str) -> Callable[..., str]:
    return lambda graph, node, x, **_: graph(op, x)


def _binary(op: str) -> Callable[..., str]:
    def rule(graph: Graph, node: torch.fx.Node, a: Any, b: Any, **_: Any) -> str:
        kind = _dtype(node)
        return graph(op, *(_argument_as(graph, node, i, v, kind) for i, v in enumerate((a, b))))

    return rule


def _comparison(op: str, negated: bool = False) -> Callable[..., str]:
    def rule(graph: Graph, node: torch.fx.Node, a: Any, b: Any) -> str:
        kind = _working_type(node)
        result = graph(op, *(_argument_as(graph, node, i, v, kind) for i, v in enumerate((a, b))))
        return graph("Not", result) if negated else result

    return rule


def _reshaped(graph: Graph, node: torch.fx.Node, x: str, *_: Any, **__: Any) -> str:
    return graph("Reshape", x, np.array(_shape(node), np.int64))


def _same(graph: Graph, node: torch.fx.Node, x: Any, *_: Any, **__: Any) -> Any:
    return x


def _to_copy(graph: Graph, node: torch.fx.Node, x: str, **_: Any) -> str:
    return _cast(graph, x, _dtype(node))


def _filled(graph: Graph, node: torch.fx.Node, _x: Any, value: float, **__: Any) -> torch.Tensor:
    return torch.full(_shape(node), value, dtype=_dtype(node))


def _reduction(op: str) -> Callable[..., str]:
    def rule(
        graph: Graph, node: torch.fx.Node, x: str, dim: Any = None, keepdim: bool = False, **_: Any
    ) -> str:
        source: Any = node.args[0]
        if dim is None or (isinstance(dim, list | tuple) and not dim):
            dim = list(range(len(_shape(source))))
        axes = [dim] if isinstance(dim, int) else list(dim)
        kept = {"keepdims": int(keepdim)}
        if _dtype(source) == torch.bool:
            x = _cast(graph, x, _dtype(node))
        return graph(op, x, np.array(axes, np.int64), **kept)

    return rule


def _vector_norm(
    graph: Graph, node: torch.fx.Node, x: str, order: float = 2, dim: Any = None, keepdim: bool = False
) -> str:
    if order != 2:
        raise ConfigError(f"A norm of order {order} cannot be exported to ONNX yet.")
    return _reduction("ReduceL2")(graph, node, x, dim, keepdim)


def _arg(op: str) -> Callable[..., str]:
    def rule(graph: Graph, node: torch.fx.Node, x: str, dim: int | None = None, keepdim: bool = False) -> str:
        if dim is None:
            x, dim = graph("Reshape", x, [-1]), 0
        return graph(op, x, axis=dim, keepdims=int(keepdim))

    return rule


def _slice(
    graph: Graph, node: torch.fx.Node, x: str, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> str:
    start, end = start or 0, 2**62 if end is None else min(end, 2**62)
    return graph("Slice", x, [start], [end], [dim], [step])


def _slice_scatter(
    graph: Graph, node: torch.fx.Node, x: Any, source: Any, dim: int = 0, *_: Any, **__: Any
) -> Any:
    """What functionalised writes to the whole of a tensor leave."""
    given: Any = node.args[1]
    if _shape(given) != _shape(node):
        raise ConfigError("Writing to a part of a tensor cannot be exported to ONNX yet.")
    return source


def _flip(graph: Graph, node: torch.fx.Node, x: str, dims: Sequence[int]) -> str:
    count = len(dims)
    return graph("Slice", x, [-1] * count, [-(2**62)] * count, list(dims), [-1] * count)


def _grid_of(graph: Graph, node: torch.fx.Node, indices: Sequence[Any]) -> str:
    """Index tensors of the leading axes as one tensor (..., axes) for GatherND and ScatterND."""
    sources: Any = node.args[1]
    if any(index is None for index in indices):
        raise ConfigError("Indexing with gaps cannot be exported to ONNX yet.")
    shapes = [_shape(one) if isinstance(one, torch.fx.Node) else list(one.shape) for one in sources]
    shape = list(torch.broadcast_shapes(*shapes))
    columns = []
    for index in indices:
        wide = graph("Expand", graph.named(index), np.array(shape, np.int64))
        columns.append(graph("Reshape", wide, np.array([*shape, 1], np.int64)))
    return graph("Concat", *columns, axis=-1)


def _index(graph: Graph, node: torch.fx.Node, x: Any, indices: Sequence[Any]) -> str:
    given = [axis for axis, index in enumerate(indices) if index is not None]
    if len(given) == 1:
        return graph("Gather", x, indices[given[0]], axis=given[0])
    return graph("GatherND", x, _grid_of(graph, node, indices))


def _index_put(
    graph: Graph, node: torch.fx.Node, x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False
) -> str:
    places: Any = node.args[1]
    shape = list(torch.broadcast_shapes(*(_shape(one) for one in places))) + _shape(node)[len(places) :]
    wide = graph("Expand", graph.named(values), np.array(shape, np.int64))
    how = {"reduction": "add"} if accumulate else {}
    return graph("ScatterND", x, _grid_of(graph, node, indices), wide, **how)


def _clamp(graph: Graph, node: torch.fx.Node, x: str, low: Any = None, high: Any = None) -> str:
    for op, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            x = graph(op, x, _cast(graph, bound, _dtype(node)))
    return x


def _where(graph: Graph, node: torch.fx.Node, condition: Any, a: Any, b: Any) -> str:
    kind = _dtype(node)
    return graph("Where", condition, *(_argument_as(graph, node, i, v, kind) for i, v in ((1, a), (2, b))))


def _power(graph: Graph, node: torch.fx.Node, x: str, exponent: float) -> str:
    return graph("Mul", x, x) if exponent == 2 else graph("Pow", x, np.float32(exponent))


def _remainder(graph: Graph, node: torch.fx.Node, a: Any, b: Any) -> str:
    kind = _dtype(node)
    a, b = (_argument_as(graph, node, i, v, kind) for i, v in enumerate((a, b)))
    if not kind.is_floating_point:
        return graph("Mod", a, b)
    return graph("Sub", a, graph("Mul", b, graph("Floor", graph("Div", a, b))))


def _divide(graph: Graph, node: torch.fx.Node, a: Any, b: Any, rounding_mode: str | None = None) -> str:
    """Integers that are rounded down are taken to be positive: ONNX truncates."""
    result = _binary("Div")(graph, node, a, b)
    rounded = rounding_mode == "floor" and _dtype(node).is_floating_point
    return graph("Floor", result) if rounded else result


def _addmm(graph: Graph, node: torch.fx.Node, bias: Any, a: Any, b: Any, **_: Any) -> str:
    return graph("Add", graph("MatMul", a, b), bias)


def _convolution(
    graph: Graph, node: torch.fx.Node, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, _output_padding: Any, groups: int,
) -> str:  # fmt: skip
    if transposed:
        raise ConfigError("A transposed convolution cannot be exported to ONNX yet.")
    fed = (x, weight) if bias is None else (x, weight, bias)
    return graph(
        "Conv", *fed, strides=list(stride), pads=[*padding, *padding], dilations=list(dilation), group=groups
    )


def _group_norm(
    graph: Graph, node: torch.fx.Node, x: str, weight: Any, bias: Any, _n: int, channels: int, _hw: int,
    groups: int, epsilon: float,
) -> list[str]:  # fmt: skip
    shape = _shape(node.args[0])
    flat = graph("Reshape", x, np.array([shape[0], groups, -1], np.int64))
    plain = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    normal = graph("InstanceNormalization", flat, *plain, epsilon=epsilon)
    result = graph("Reshape", normal, np.array(shape, np.int64))
    across = [1, channels, *[1] * (len(shape) - 2)]
    for op, factor in (("Mul", weight), ("Add", bias)):
        if factor is not None:
            result = graph(op, result, factor.reshape(across))
    return [result]


def _batch_norm(
    graph: Graph, node: torch.fx.Node, x: str, weight: Any, bias: Any, mean: Any, variance: Any, _momentum: float,
    epsilon: float,
) -> list[str]:  # fmt: skip
    return [graph("BatchNormalization", x, weight, bias, mean, variance, epsilon=epsilon)]


def _pool(op: str, results: Callable[[str], Any]) -> Callable[..., Any]:
    def rule(
        graph: Graph, node: torch.fx.Node, x: str, kernel: Any, stride: Any = None, padding: Any = (0, 0)
    ) -> Any:
        padding = list(padding) * 2 if len(padding) == 2 else [padding[0]] * 4
        return results(graph(op, x, kernel_shape=list(kernel), strides=list(stride or kernel), pads=padding))

    return rule


def _pad(graph: Graph, node: torch.fx.Node, x: str, padding: Sequence[int], value: float = 0.0) -> str:
    """torch counts from the last axis on, pairs of before and after."""
    axes = len(_shape(node))
    pairs = [(0, 0)] * (axes - len(padding) // 2)
    pairs += [(padding[i], padding[i + 1]) for i in range(len(padding) - 2, -1, -2)]
    return graph("Pad", x, [low for low, _ in pairs] + [high for _, high in pairs], np.float32(value))


def _top_k(
    graph: Graph,
    node: torch.fx.Node,
    x: str,
    k: int,
    dim: int = -1,
    largest: bool = True,
    is_sorted: bool = True,
) -> list[str]:
    return graph.many("TopK", 2, x, [k], axis=dim, largest=int(largest), sorted=int(is_sorted))


def _one_less(graph: Graph, node: torch.fx.Node, x: str) -> str:
    return graph("Sub", graph("Exp", x), np.float32(1))


def _log_of_one_more(graph: Graph, node: torch.fx.Node, x: str) -> str:
    return graph("Log", graph("Add", x, np.float32(1)))


RULES: dict[str, Callable[..., Any]] = {
    **{name: _unary(op) for name, op in {
        "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sigmoid": "Sigmoid", "tanh": "Tanh", "sin": "Sin", "cos": "Cos",
        "neg": "Neg", "abs": "Abs", "floor": "Floor", "relu": "Relu", "bitwise_not": "Not", "logical_not": "Not",
        "reciprocal": "Reciprocal",
    }.items()},
    **{name: _binary(op) for name, op in {
        "add": "Add", "sub": "Sub", "mul": "Mul", "maximum": "Max", "minimum": "Min", "bitwise_and": "And",
        "logical_and": "And", "bitwise_or": "Or", "logical_or": "Or", "mm": "MatMul", "bmm": "MatMul",
    }.items()},
    **{name: _comparison(op) for name, op in {
        "ge": "GreaterOrEqual", "gt": "Greater", "le": "LessOrEqual", "lt": "Less", "eq": "Equal",
    }.items()},
    "ne": _comparison("Equal", negated=True),
    **{name: _reduction(op) for name, op in {
        "amax": "ReduceMax", "amin": "ReduceMin", "sum": "ReduceSum", "mean": "ReduceMean",
    }.items()},
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze"), _reshaped),
    **dict.fromkeys(("clone", "alias", "detach", "lift_fresh_copy", "_assert_tensor_metadata"), _same),
    "linalg_vector_norm": _vector_norm, "argmin": _arg("ArgMin"), "argmax": _arg("ArgMax"),
    "leaky_relu": lambda graph, node, x, slope=0.01: graph("LeakyRelu", x, alpha=float(slope)),
    "topk": _top_k, "_to_copy": _to_copy, "full_like": _filled, "div": _divide, "pow": _power, "remainder": _remainder,
    "expm1": _one_less, "log1p": _log_of_one_more, "clamp": _clamp, "where": _where, "addmm": _addmm,
    "permute": lambda graph, node, x, dims: graph("Transpose", x, perm=[d % len(dims) for d in dims]),
    "expand": lambda graph, node, x, *_, **__: graph("Expand", x, np.array(_shape(node), np.int64)),
    "select": lambda graph, node, x, dim, index: graph("Gather", x, np.array(index, np.int64), axis=dim),
    "slice": _slice, "slice_scatter": _slice_scatter, "flip": _flip, "index": _index, "index_put": _index_put,
    "split_with_sizes": lambda graph, node, x, sizes, dim=0: graph.many("Split", len(sizes), x, list(sizes), axis=dim),
    "cat": lambda graph, node, parts, dim=0: graph("Concat", *parts, axis=dim),
    "index_select": lambda graph, node, x, dim, index: graph("Gather", x, index, axis=dim),
    "gather": lambda graph, node, x, dim, index, **_: graph("GatherElements", x, index, axis=dim),
    "cumsum": lambda graph, node, x, dim, **_: graph("CumSum", _cast(graph, x, _dtype(node)), np.array(dim, np.int64)),
    "_softmax": lambda graph, node, x, dim, _half: graph("Softmax", x, axis=dim),
    "convolution": _convolution, "native_group_norm": _group_norm,
    "_native_batch_norm_legit_no_training": _batch_norm, "constant_pad_nd": _pad,
    "avg_pool2d": _pool("AveragePool", lambda name: name),
    "max_pool2d_with_indices": _pool("MaxPool", lambda name: [name]),
}  # fmt: skip
