# SPDX-License-Identifier: Apache-2.0
"""WordNet numbers of ShapeNet's categories, and the part names of those that `recon shapes` makes."""

# The 13 categories of 3D-R2N2 and NMR, and beds.
NAMES = {
    "02691156": "airplane", "02818832": "bed", "02828884": "bench", "02933112": "cabinet",
    "02958343": "car", "03001627": "chair", "03211117": "display", "03636649": "lamp",
    "03691459": "speaker", "04090263": "rifle", "04256520": "sofa", "04379243": "table",
    "04401088": "phone", "04530566": "vessel",
}  # fmt: skip
NUMBERS = {name: number for number, name in NAMES.items()}

# Ids in the order of `recon shapes`, which is ShapeNet-Part's where that has the category.
PARTS = {
    "airplane": ("body", "wing", "tail", "engine"),
    "bed": ("mattress", "frame", "pillow", "leg"),
    "bench": ("back", "seat", "leg", "arm"),
    "cabinet": ("body", "door", "drawer", "leg"),
    "car": ("roof", "hood", "wheel", "body"),
    "chair": ("back", "seat", "leg", "arm"),
    "lamp": ("base", "lampshade", "canopy", "tube"),
    "sofa": ("back", "seat", "arm", "leg"),
    "table": ("top", "leg", "drawer", "shelf"),
}


def category_of(folder: str) -> str:
    """Category of a folder named after a synset; another name is its own category."""
    return NAMES.get(folder, folder)


def part_names(category: str, count: int) -> tuple[str, ...]:
    """Names of `count` parts; where they are not known, part_1, part_2, ..."""
    known = PARTS.get(category, ())
    return tuple(known[index] if index < len(known) else f"part_{index + 1}" for index in range(count))
