# SPDX-License-Identifier: Apache-2.0
"""Procedural tables, cabinets and lamps: the same everywhere, closed, in one piece, labelled, symmetric as stated."""

import sys
from functools import cache
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "render_scripts"))

from shape_checks import fingerprint, pieces_apart, require_whole, symmetry_error
from shapes import objects
from shapes.mesh import Model

PARTS = {
    "cabinet": ["body", "door", "drawer", "leg"],
    "lamp": ["base", "lampshade", "canopy", "tube"],
    "table": ["top", "leg", "drawer", "shelf"],
}
ALWAYS = {"table": {"top", "leg"}, "cabinet": {"body"}, "lamp": {"lampshade"}}
SIZES = {"table": (0.3, 2.5), "cabinet": (0.25, 2.6), "lamp": (0.15, 2.4)}  # metres, largest extent
GOLDEN = {
    ("cabinet", 0, 0): "400bf410c851032e",
    ("cabinet", 0, 7): "53861373ea0c2295",
    ("cabinet", 0, 17): "d0bcbb9602481694",
    ("cabinet", 0, 23): "9e8632ae52a5ba69",
    ("cabinet", 7, 123): "61ee0a79899404f4",
    ("lamp", 0, 0): "8615715114ace9ca",
    ("lamp", 0, 1): "f86fa58219f6dcca",
    ("lamp", 0, 2): "53c149276b8e49c5",
    ("lamp", 0, 16): "8fdd21c90e290470",
    ("lamp", 7, 123): "885b1fb065032b13",
    ("table", 0, 0): "17bf733e1cb85588",
    ("table", 0, 1): "49b27bbe75dfb6cc",
    ("table", 0, 3): "e7a3b032d6b0695c",
    ("table", 0, 19): "580ec1cbc8dcc9a6",
    ("table", 0, 30): "9e1d356292bd49cb",
    ("table", 7, 123): "c01931de749fdf1e",
}
COUNT = 20
EACH = [(category, index) for category in PARTS for index in range(COUNT)]


@cache
def model(category: str, index: int) -> Model:
    return objects.build(category, 0, index)


@pytest.mark.parametrize("key", GOLDEN, ids=lambda key: f"{key[0]}-{key[1]}-{key[2]}")
def test_objects_never_change(key):
    assert fingerprint(objects.build(*key)) == GOLDEN[key]


@pytest.mark.parametrize("category", PARTS)
def test_part_names(category):
    assert objects.part_names(category) == PARTS[category]
    seen = {part.label for k in range(COUNT) for part in model(category, k).parts}
    assert seen == set(PARTS[category])


@pytest.mark.parametrize(("category", "index"), EACH)
def test_object_is_whole(category, index):
    require_whole(model(category, index), ALWAYS[category], PARTS[category], SIZES[category])


@pytest.mark.parametrize(("category", "index"), EACH)
def test_no_piece_floats(category, index):
    assert pieces_apart(model(category, index), near=2e-3) == []


@pytest.mark.parametrize(("category", "index"), EACH)
def test_stated_symmetry_is_true(category, index):
    assert symmetry_error(model(category, index), PARTS[category]) < 4e-3
