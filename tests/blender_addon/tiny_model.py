# SPDX-License-Identifier: Apache-2.0
"""A model file and card as `recon export` writes them, that gives a fixed cloud; the crop moves it along +Z."""

import hashlib
import json
from pathlib import Path

import numpy as np

PARTS = ("back", "seat", "leg")
SIZE = 32


def fixed_cloud(count: int = 600) -> dict[str, np.ndarray]:
    """A box that is no cube, in three parts from the top down, one coloured point after the other."""
    random = np.random.default_rng(3)
    xyz = (random.random((count, 3)) - 0.5) * (0.4, 0.5, 0.8)
    shares = np.full((count, 3), 0.1)
    part = np.digitize(-xyz[:, 2], [-0.1, 0.1])
    shares[np.arange(count), part] = 0.8
    arrays = {
        "xyz": xyz,
        "opacity": random.random(count),
        "color": random.random((count, 3)),
        "parts": shares,
    }
    return {name: values.astype(np.float32) for name, values in arrays.items()}


def rotation(azimuth_deg: float = 30.0, elevation_deg: float = 20.0) -> np.ndarray:
    """From the object's frame to that of a camera on an orbit (3,3): rows are its right, up and backwards axes."""
    a, e = np.radians((azimuth_deg, elevation_deg))
    back = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return np.stack((right, np.cross(back, right), back)).astype(np.float32)


def write_model(
    path: Path, with_pose: bool = True, with_color: bool = True, more: dict[str, np.ndarray] | None = None
) -> Path:
    """Write PATH (.onnx) and its card; `more` are further outputs."""
    from onnx import TensorProto, checker, helper, numpy_helper

    values = fixed_cloud()
    if with_pose:
        values["rotation"] = rotation()
    if not with_color:
        del values["color"]
    values |= more or {}
    constants = [numpy_helper.from_array(value, f"c_{name}") for name, value in values.items()]
    constants += [numpy_helper.from_array(np.float32([0, 0, 1e-6]), "up")]
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "up"], ["shift"]),
        helper.make_node("Add", ["c_xyz", "shift"], ["xyz"]),
    ]
    nodes += [helper.make_node("Identity", [f"c_{name}"], [name]) for name in values if name != "xyz"]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in values.items()]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "height", "width", 4])
    graph = helper.make_graph(nodes, "tiny", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    write_card(path)
    return path


def write_card(path: Path, **changes: object) -> None:
    """The card beside a model file."""
    legend = [{"id": i, "name": name, "color": [0, 0, 0]} for i, name in enumerate(PARTS, 1)]
    card = {
        "version": 1,
        "recipe": "tiny",
        "categories": ["box"],
        "parts": legend,
        "pose": {"learnt": True, "distance": 2.0},
        "input": {"name": "image", "size": SIZE, "margin": 1.15},
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps({**card, **changes}))


def photo(width: int = 200, height: int = 160) -> np.ndarray:
    """A picture (H,W,4) uint8, straight alpha, row 0 on top: an off-centre object with soft edges."""
    rgba = np.random.default_rng(5).integers(0, 256, (height, width, 4), dtype=np.uint8)
    rgba[..., 3] = 0
    rgba[30:130, 90:170, 3] = 255
    rgba[29, 90:170, 3] = 90
    return rgba
