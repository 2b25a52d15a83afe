# SPDX-License-Identifier: GPL-3.0-or-later
"""Procedural, part-labelled objects in plain numpy.

A category is a module with PARTS (names by id) and build(rng) -> Model, listed in objects.CATEGORIES.
Primitives: kit.py (boxes, turned bodies, extrusions, lofts, sheets, cushions) and sweeps.py (curves,
tubes, bars); values and transforms: mesh.py; materials and textures: materials.py.
"""
