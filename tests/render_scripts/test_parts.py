# SPDX-License-Identifier: Apache-2.0
"""Part names that are known without being told."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "render_scripts"))
from shapes.objects import CATEGORIES, part_names

from recon_core.data.formats.synsets import NUMBERS, PARTS
from render_scripts.parts import KNOWN_PARTS, Mapping, names_for, part_id


def test_foreign_meshes_have_the_parts_of_procedural_ones() -> None:
    assert {category: part_names(category) for category in CATEGORIES} == KNOWN_PARTS


def test_importers_name_parts_as_procedural_objects_do() -> None:
    assert {category: tuple(part_names(category)) for category in CATEGORIES} == PARTS
    assert set(CATEGORIES) <= set(NUMBERS)


def test_materials_of_a_lamp_are_its_parts() -> None:
    nothing = Mapping({}, [])
    names = names_for("lamp", {}, nothing)
    assert part_id(names, nothing, "lamp/one", ("Cylinder",), "Lampshade.001") == 2
    assert part_id(names, nothing, "lamp/one", ("tube_long",), None) == 4
    assert part_id(names, nothing, "lamp/one", ("Cylinder",), "seat") == 0
