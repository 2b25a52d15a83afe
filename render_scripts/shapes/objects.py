# SPDX-License-Identifier: GPL-3.0-or-later
"""Make one object and write its folder: model.glb, points.ply, object.json."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np

from . import car_toy
from .glb import glb_bytes
from .mesh import Model
from .rng import Rng
from .stylised import stretched
from .surface import Samples, sample_surface

# Each is a module here with PARTS and build(rng) -> Model.
CATEGORIES = ("airplane", "bed", "bench", "cabinet", "car", "chair", "lamp", "sofa", "table")
POINTS = 16_384
FILES = ("model.glb", "points.ply", "object.json")


def part_names(category: str) -> list[str]:
    """Part names of a category in the order of their ids (id = position + 1)."""
    return list(_module(category).PARTS)


def build(category: str, seed: int, index: int, stylised: float = 0.0) -> Model:
    """The model of (category, seed, index): the same on every numpy and Blender, to 1e-5 metres.

    stylised: share (0 to 1) of the objects that are as simple model kits have them; the others do not depend on it.
    """
    rng = Rng(category, seed, index, "stylised")
    is_stylised = rng.chance(stylised)
    if is_stylised and category == "car":
        return car_toy.build(rng)
    model = _module(category).build(Rng(category, seed, index))
    return stretched(model, rng) if is_stylised else model


def object_name(category: str, seed: int, index: int) -> str:
    """Folder name of an object."""
    return f"{category}_{seed}_{index:05d}"


def is_complete(folder: Path) -> bool:
    """True where an object folder holds all its files (folders appear whole or not at all)."""
    return all((folder / name).is_file() for name in FILES)


def write_object(category: str, seed: int, index: int, folder: Path, stylised: float = 0.0) -> Model:
    """Make the object and put its folder in place in one step, replacing an older one."""
    model = build(category, seed, index, stylised)
    names = part_names(category)
    samples = sample_surface(model, names, POINTS, Rng(category, seed, index, "points"))
    record = {
        "version": 1,
        "name": folder.name,
        "category": category,
        "seed": seed,
        "index": index,
        "symmetry_order": model.symmetry_order,
        "parts": names,
        "style": model.style,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        temporary.chmod(0o755)
        (temporary / "model.glb").write_bytes(glb_bytes(model, folder.name))
        (temporary / "points.ply").write_bytes(ply_bytes(samples))
        (temporary / "object.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return model


def ply_bytes(samples: Samples) -> bytes:
    """The samples as binary little-endian PLY: xyz, normal, colour, label."""
    kinds = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    kinds += [(name, "u1") for name in ("red", "green", "blue", "label")]
    rows = np.empty(len(samples.xyz), np.dtype(kinds))
    columns = (samples.xyz, samples.normals, samples.colors, samples.labels[:, None])
    for (name, _), column in zip(kinds, (c for block in columns for c in block.T)):
        rows[name] = column
    words = {"<f4": "float", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0", "comment frame: source, +Z up, front -Y, metres"]
    header += [f"element vertex {len(rows)}", *(f"property {words[kind]} {name}" for name, kind in kinds)]
    return ("\n".join([*header, "end_header"]) + "\n").encode() + rows.tobytes()


def _module(category: str):
    return importlib.import_module(f".{category}", __package__)
