# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the objects of mesh folders, and the small files beside them."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

EXTENSIONS = (".glb", ".gltf", ".obj", ".ply", ".stl", ".fbx", ".off", ".blend")
UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


class Source(NamedTuple):
    """One object to render: its key "<category>/<name>", mesh file, and path relative to the folder given."""

    category: str
    name: str
    path: Path
    relative: str

    @property
    def key(self) -> str:
        return f"{self.category}/{self.name}"


def find_sources(meshes: list[Path], category: str | None) -> list[Source]:
    """All objects below `meshes` (folders or files), sorted by key; raises ValueError when names collide.

    A folder that holds model.<extension> is one object named after the folder; otherwise each mesh file is one,
    named by its stem. Category: `category`, else the first folder below, else the given folder's own name.
    """
    sources: dict[str, Source] = {}
    for root in meshes:
        for source in _sources_of(root, category):
            other = sources.setdefault(source.key, source)
            if other.path != source.path:
                raise ValueError(f"{source.key} is both {other.path} and {source.path}: rename one of them")
    return [sources[key] for key in sorted(sources)]


def _sources_of(root: Path, category: str | None) -> list[Source]:
    root = root.absolute()
    if root.is_file():
        return [_source(root, root.parent, category)]
    if not root.is_dir():
        raise ValueError(f"{root} does not exist: give a mesh file or a folder of them")
    files = [path for path in sorted(root.rglob("*")) if path.suffix.lower() in EXTENSIONS and path.is_file()]
    files = [path for path in files if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    models = {path.parent for path in files if path.stem == "model"}
    return [
        _source(path, root, category) for path in files if path.stem == "model" or path.parent not in models
    ]


def _source(path: Path, root: Path, category: str | None) -> Source:
    is_folder = path.stem == "model"
    relative = path.relative_to(root)
    folders = relative.parts[:-2] if is_folder else relative.parts[:-1]
    name = path.parent.name if is_folder else path.stem
    own = root.parent.name if is_folder and path.parent == root else root.name
    return Source(_safe(category or (folders[0] if folders else own)), _safe(name), path, relative.as_posix())


def _safe(name: str) -> str:
    """A name that is one folder on any system."""
    return UNSAFE.sub("_", name).lstrip(".") or "unnamed"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def object_json(source: Source) -> dict[str, Any]:
    """object.json beside a model, {} when there is none; raises ValueError when it cannot be used."""
    path = source.path.parent / "object.json"
    if source.path.stem != "model" or not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} is not a JSON object")
    return document


def read_only_list(path: Path) -> set[str]:
    """Object names of a --only file: one "<category>/<object>" or bare name per line, # starts a comment."""
    lines = (line.split("#", 1)[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {line for line in lines if line}


def shard_of(sources: list[Source], index: int, count: int) -> list[Source]:
    """Every count-th source, beginning with the index-th."""
    return sources[index::count]
