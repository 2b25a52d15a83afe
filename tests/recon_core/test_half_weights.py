# SPDX-License-Identifier: Apache-2.0
"""Weights stored in half precision: half the bytes, the same operations, nearly the same answers."""

import numpy as np
import pytest

from recon_core.errors import ConfigError

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def two_layers(scale: float = 1.0) -> tuple[bytes, list[np.ndarray]]:
    """x (1,64) -> relu(x A + b) B, with large A and B and a small b."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    values = [random.normal(size=shape).astype(np.float32) for shape in ((64, 256), (256,), (256, 64))]
    values[0] *= scale
    names = ("a", "b", "c")
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "a"], ["xa"]),
            helper.make_node("Add", ["xa", "b"], ["sum"]),
            helper.make_node("Relu", ["sum"], ["positive"]),
            helper.make_node("MatMul", ["positive", "c"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [numpy_helper.from_array(value, name) for name, value in zip(names, values)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model.SerializeToString(), values


def answer(data: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_half_the_size_and_the_answers_of_rounded_weights():
    from recon_core.inference.half_weights import half_weights

    data, (a, b, c) = two_layers()
    half = half_weights(data)
    assert len(half) < 0.55 * len(data)
    x = np.random.default_rng(1).normal(size=(1, 64)).astype(np.float32)
    rounded = [value.astype(np.float16).astype(np.float64) for value in (a, c)]
    expected = np.maximum(x @ rounded[0] + b, 0) @ rounded[1]  # b is small, and stays exact
    np.testing.assert_allclose(answer(half, x), expected, rtol=1e-4, atol=1e-3)
    whole = answer(data, x)
    assert 0 < np.abs(answer(half, x) - whole).max() < 2e-3 * np.abs(whole).max()


def test_twice_is_once():
    from recon_core.inference.half_weights import half_weights

    once = half_weights(two_layers()[0])
    assert half_weights(once) == once


def test_weights_that_do_not_fit_are_refused():
    from recon_core.inference.half_weights import half_weights

    with pytest.raises(ConfigError, match="do not fit half precision"):
        half_weights(two_layers(scale=1e6)[0])


def linear_points(weights: np.ndarray) -> bytes:
    """image (1,H,W,4) -> xyz (N,3), linear in the picture's mean color; weights (4,3N)."""
    from onnx import TensorProto, helper, numpy_helper

    count = weights.shape[1] // 3
    constants = {"w": weights.astype(np.float32), "axes": np.array([1, 2]), "shape": np.array([count, 3])}
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
            helper.make_node("MatMul", ["mean", "w"], ["flat"]),
            helper.make_node("Reshape", ["flat", "shape"], ["xyz"]),
        ],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "h", "w", 4])],
        [helper.make_tensor_value_info("xyz", TensorProto.FLOAT, [count, 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def test_how_far_points_move_is_measured_and_too_far_is_refused():
    from recon_core.inference.half_weights import half_weights, points_moved

    weights = np.random.default_rng(0).normal(0, 1e-3, (4, 3 * 500))
    whole = linear_points(weights)
    moved = points_moved(whole, half_weights(whole), 32)
    assert 0 < moved["mean"] < moved["largest"] < 1e-3
    assert points_moved(whole, whole, 32) == {"mean": 0.0, "largest": 0.0}
    shifted = weights.copy()
    shifted[3] += 1e-3  # coverage: a third of the picture
    with pytest.raises(ConfigError, match="leave --half out"):
        points_moved(whole, linear_points(shifted), 32)
    with pytest.raises(ConfigError, match="leave --half out"):
        points_moved(whole, linear_points(weights * np.nan), 32)
