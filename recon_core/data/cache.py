# SPDX-License-Identifier: Apache-2.0
"""Decoded views as memory-mapped arrays, keyed by a hash of all that they depend on.

<cache>/<split>-<request>-<data>/ holds one .npy per array and meta.json, which is written last. It is built
in a folder of its own and renamed when complete. points.ply is never read here.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..cameras import Cameras
from ..errors import ConfigError, DatasetError, InputError
from .crop import DEFAULT_MARGIN, crop_square, fit_box
from .dataset import Dataset
from .resize import area_resized, center_resized
from .viewset import Batch, ViewSet, gather_batch, sample_batch, subset

__all__ = ["Batch", "ViewSet", "gather_batch", "load_views", "sample_batch", "subset"]

# Raise this when the meaning of any array changes: caches of other versions are then built anew.
FORMAT_VERSION = 1
PASSES = ("mask", "image", "parts", "depth")
_ARRAY_OF_PASS = {"image": "images", "parts": "parts", "depth": "depth"}
_CAMERA_FIELDS = ("fx", "fy", "cx", "cy")
_SPOT_BYTES, _SPOTS = 4096, 64
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class _Recipe:
    """What the arrays of a cache depend on, beside the pixels of the dataset; views per object."""

    split: str
    names: list[str]
    input_size: int
    mask_size: int
    passes: tuple[str, ...]
    margin: float
    views: int

    def shapes(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Array name -> (shape, dtype)."""
        lead = (len(self.names), self.views)
        frame = (*lead, self.mask_size, self.mask_size)
        arrays = {
            "inputs": ((*lead, self.input_size, self.input_size, 4), "u1"),
            "masks": (frame, "u1"),
            "world_to_cam": ((*lead, 4, 4), "<f4"),
            "symmetry_order": (lead[:1], "<i8"),
            **dict.fromkeys(_CAMERA_FIELDS, (lead, "<f4")),
        }
        extra = {"image": ("images", ((*frame, 3), "u1")), "parts": ("parts", (frame, "u1"))}
        extra["depth"] = ("depth", (frame, "<f4"))
        return arrays | dict(extra[one] for one in self.passes if one in extra)

    def total_bytes(self) -> int:
        """Size of all arrays."""
        return sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in self.shapes().values())


def load_views(
    dataset_root: str | Path,
    split: str,
    *,
    input_size: int = 64,
    mask_size: int = 64,
    passes: Sequence[str] = ("mask",),
    cache_dir: str | Path | None = None,
    margin: float = DEFAULT_MARGIN,
    progress: bool = True,
    views: int | None = None,
    workers: int = 1,
) -> ViewSet:
    """Open the views of a split, building their cache when there is none that fits (or has more passes).

    `passes` of mask, image, parts, depth (mask is always there). `views` takes that many per object, spread
    over the rendered ones; by default as many as every object has. `cache_dir` is <dataset>/.cache or, when
    that cannot be written, the user's cache folder. `workers` > 1 decodes in spawned processes. Raises
    DatasetError for data that cannot be used and ConfigError for arguments that make no sense.
    """
    dataset = Dataset.open(dataset_root)
    names = dataset.objects(split)
    if not names:
        raise DatasetError(
            f"{dataset.root}: the split {split!r} has no objects. Render more, or change the ratios."
        )
    _check_request(input_size, mask_size, passes, margin, views)
    parent = Path(cache_dir) if cache_dir is not None else _default_folder(dataset.root)
    # A cache inside its dataset may move with it; in a shared folder the dataset's place tells them apart.
    owner = "" if parent.parent == dataset.root else str(dataset.root.resolve())
    state = _digest(_fingerprint(dataset, names))[:16]

    def folder_with(kept: Iterable[str]) -> Path:
        request = [FORMAT_VERSION, owner, split, input_size, mask_size, sorted(kept), margin, views]
        return parent / f"{split}-{_digest(request)[:8]}-{state}"

    folder = folder_with({"mask", *passes})
    opened = _open(folder, dataset) or _open_richer(folder_with, {"mask", *passes}, dataset)
    if opened is None:
        recipe = _recipe(dataset, split, names, input_size, mask_size, passes, margin, views)
        _build(folder, dataset, recipe, progress, workers)
        opened = _open(folder, dataset)
    if opened is None:
        raise DatasetError(f"{folder} was just built and cannot be read back; is the disk failing?")
    return opened


# --- what a cache depends on ------------------------------------------------------------------------------


def _check_request(
    input_size: int, mask_size: int, passes: Sequence[str], margin: float, views: int | None
) -> None:
    unknown = set(passes) - set(PASSES)
    if unknown or isinstance(passes, str):
        raise ConfigError(f"Unknown passes {passes!r}; expected some of {', '.join(PASSES)}.")
    if not (1 <= input_size <= 4096 and 1 <= mask_size <= 4096 and 1.0 <= margin <= 10.0):
        raise ConfigError(
            f"input_size {input_size} and mask_size {mask_size} must be 1 to 4096 pixels, "
            f"margin {margin} must be 1 to 10."
        )
    if views is not None and views < 1:
        raise ConfigError(f"views is {views}, expected at least 1.")


def _recipe(
    dataset: Dataset,
    split: str,
    names: list[str],
    input_size: int,
    mask_size: int,
    passes: Sequence[str],
    margin: float,
    views: int | None,
) -> _Recipe:
    counts = {name: dataset.views(name) for name in names}
    fewest = min(counts, key=lambda name: counts[name])
    if views is not None and views > counts[fewest]:
        raise DatasetError(f"{dataset.root}: {fewest} has {counts[fewest]} views, {views} were asked for.")
    wanted = tuple(one for one in PASSES if one == "mask" or one in passes)
    for name in names:
        lacking = [one for one in wanted if one not in ("mask", *dataset.passes(name))]
        if lacking:
            raise DatasetError(
                f"{dataset.root}: {name} has no {', '.join(lacking)} pass. Render it with "
                f"--passes {','.join(lacking).replace('image', 'rgb')}, or train without the terms that need it."
            )
    return _Recipe(split, names, input_size, mask_size, wanted, margin, views or counts[fewest])


def _fingerprint(dataset: Dataset, names: Iterable[str]) -> list[Any]:
    """Size and time of dataset.json and every transforms.json, which comes into place with its images."""
    stats = [os.stat(dataset.root / "dataset.json")]
    stats += [os.stat(dataset.folder(name) / "transforms.json") for name in names]
    return [list(names), [(one.st_size, one.st_mtime_ns) for one in stats]]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _default_folder(root: Path) -> Path:
    if os.access(root, os.W_OK):
        return root / ".cache"
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "recon" / _digest(str(root.resolve()))[:16]


# --- opening ----------------------------------------------------------------------------------------------


def _open(folder: Path, dataset: Dataset) -> ViewSet | None:
    """Map a complete cache; None when it is missing, partial or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        arrays = {name: _map_array(folder / f"{name}.npy", entry) for name, entry in meta["arrays"].items()}
        return ViewSet(
            names=meta["names"],
            categories=dataset.meta.categories,
            part_names=dataset.meta.parts,
            **arrays,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None


def _open_richer(
    folder_with: Callable[[Iterable[str]], Path], passes: set[str], dataset: Dataset
) -> ViewSet | None:
    """A cache that differs in holding more passes (training's, for evaluation), without those not asked for."""
    others = [one for one in PASSES if one not in passes]
    for count in range(1, len(others) + 1):
        for more in combinations(others, count):
            opened = _open(folder_with({*passes, *more}), dataset)
            if opened is not None:
                return replace(opened, **{_ARRAY_OF_PASS[one]: None for one in more})
    return None


def _map_array(path: Path, entry: dict[str, Any]) -> np.ndarray:
    if path.stat().st_size != entry["bytes"] or _spot_checksum(path) != entry["checksum"]:
        raise ValueError(f"{path} is damaged")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if list(array.shape) != entry["shape"] or array.dtype.str != entry["dtype"]:
        raise ValueError(f"{path} holds something else")
    return array


def _spot_checksum(path: Path) -> int:
    """CRC-32 of up to 64 blocks spread over a file: cheap for any size, finds holes and mixed-up files."""
    size, checksum = path.stat().st_size, 0
    with path.open("rb") as file:
        for spot in range(_SPOTS):
            file.seek(max(0, size - _SPOT_BYTES) * spot // (_SPOTS - 1))
            checksum = zlib.crc32(file.read(_SPOT_BYTES), checksum)
    return checksum


# --- building ---------------------------------------------------------------------------------------------


def _build(folder: Path, dataset: Dataset, recipe: _Recipe, progress: bool, workers: int) -> None:
    _make_room(folder, recipe.total_bytes())
    temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        for name, (shape, kind) in recipe.shapes().items():
            np.lib.format.open_memmap(temporary / f"{name}.npy", "w+", np.dtype(kind), shape)
        _fill_all(temporary, dataset, recipe, progress, workers)
        _write_meta(temporary, recipe)
        temporary.chmod(0o755)  # mkdtemp made it private
        _install(temporary, folder, dataset)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _make_room(folder: Path, needed: int) -> None:
    """Check the free space; remove what killed builds left behind a day ago and caches of changed data."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder.parent).free
    except OSError as error:
        raise DatasetError(f"{folder.parent} cannot hold the cache: {error}. Give another folder.") from error
    for old in folder.parent.glob(".building-*"):
        with suppress(FileNotFoundError):  # its builder may finish just now
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    for old in folder.parent.glob(folder.name.rpartition("-")[0] + "-*"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)
    if needed > free:
        raise DatasetError(
            f"The cache needs {needed / 1e9:.1f} GB, {folder.parent} has {free / 1e9:.1f} GB free. "
            "Use smaller sizes, fewer views or another cache folder."
        )


def _install(temporary: Path, folder: Path, dataset: Dataset) -> None:
    """Rename the finished cache into place, unless another process was faster; replace a damaged one."""
    for _ in range(2):
        try:
            os.rename(temporary, folder)
            return
        except OSError:
            if _open(folder, dataset) is not None:
                return
            shutil.rmtree(folder, ignore_errors=True)
    raise DatasetError(f"{folder} cannot be replaced; remove it by hand.")


def _write_meta(folder: Path, recipe: _Recipe) -> None:
    arrays = {}
    for name, (shape, kind) in recipe.shapes().items():
        path = folder / f"{name}.npy"
        arrays[name] = {
            "shape": list(shape),
            "dtype": np.dtype(kind).str,
            "bytes": path.stat().st_size,
            "checksum": _spot_checksum(path),
        }
    meta = {"version": FORMAT_VERSION, "split": recipe.split, "names": recipe.names, "arrays": arrays}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _fill_all(folder: Path, dataset: Dataset, recipe: _Recipe, progress: bool, workers: int) -> None:
    total = len(recipe.names)
    label = f"decoding {recipe.split}"
    with tqdm(total=total * recipe.views, desc=label, unit="view", disable=not progress) as bar:
        if workers <= 1 or total < 2:
            arrays = _writable(folder, recipe)
            for index in range(total):
                _fill_object(arrays, dataset, recipe, index)
                bar.update(recipe.views)
            return
        chunks = np.array_split(np.arange(total), min(total, workers * 8))
        # spawn: a forked child of a process with threads can hang
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            jobs = {
                pool.submit(_fill_chunk, folder, dataset.root, recipe, one.tolist()): one for one in chunks
            }
            try:
                for job in as_completed(jobs):
                    job.result()
                    bar.update(len(jobs[job]) * recipe.views)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def _fill_chunk(folder: Path, root: Path, recipe: _Recipe, indices: list[int]) -> None:
    dataset, arrays = Dataset.open(root), _writable(folder, recipe)
    for index in indices:
        _fill_object(arrays, dataset, recipe, index)


def _writable(folder: Path, recipe: _Recipe) -> dict[str, np.ndarray]:
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in recipe.shapes()}


def _fill_object(arrays: dict[str, np.ndarray], dataset: Dataset, recipe: _Recipe, index: int) -> None:
    name = recipe.names[index]
    if "parts" in recipe.passes:
        _check_part_names(dataset, name)
    chosen = np.arange(recipe.views) * dataset.views(name) // recipe.views  # spread over the rendered views
    arrays["symmetry_order"][index] = dataset.symmetry_order(name)
    _fill_cameras(arrays, dataset.cameras(name)[chosen.tolist()], recipe.mask_size, index)
    for place, view in enumerate(chosen.tolist()):
        _fill_view(arrays, dataset, recipe, (index, place), name, view)


def _check_part_names(dataset: Dataset, name: str) -> None:
    own, common = dataset.part_names(name), dataset.part_names(name.partition("/")[0])
    if own != common:
        raise DatasetError(
            f"{dataset.root}: {name} has the parts {own}, its category in dataset.json has {common}."
        )


def _fill_cameras(arrays: dict[str, np.ndarray], cameras: Cameras, mask_size: int, index: int) -> None:
    scaled = cameras.resized(mask_size, mask_size)
    arrays["world_to_cam"][index] = scaled.world_to_cam.numpy()
    for field in _CAMERA_FIELDS:
        arrays[field][index] = getattr(scaled, field).numpy()


def _fill_view(
    arrays: dict[str, np.ndarray],
    dataset: Dataset,
    recipe: _Recipe,
    at: tuple[int, int],
    name: str,
    view: int,
) -> None:
    image, mask = dataset.image(name, view), dataset.mask(name, view)
    rgba = np.dstack((image[..., :3], mask))
    try:
        box = fit_box(mask, recipe.margin)
    except InputError as error:
        raise DatasetError(
            f"{dataset.folder(name)} view {view}: {error} Render it again or take it out of the split."
        ) from error
    arrays["inputs"][at] = crop_square(rgba, box, recipe.input_size)
    arrays["masks"][at] = area_resized(mask, recipe.mask_size)
    if "image" in recipe.passes:
        arrays["images"][at] = area_resized(rgba, recipe.mask_size)[..., :3]
    if "parts" in recipe.passes:
        arrays["parts"][at] = center_resized(dataset.parts(name, view), recipe.mask_size)
    if "depth" in recipe.passes:
        arrays["depth"][at] = center_resized(dataset.depth(name, view), recipe.mask_size)
