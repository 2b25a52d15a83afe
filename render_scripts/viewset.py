# SPDX-License-Identifier: GPL-3.0-or-later
"""View sets: where the cameras stand. World +Z up, front towards -Y; azimuth 0 sees the front, 90 stands at +X."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
KINDS = ("uniform", "fibonacci", "turntable")
MAX_VIEWS = 10_000
DEFAULT_DISTANCE, DEFAULT_LENS_MM = 2.0, 60.0
BALL_RADIUS = 0.5  # of an object whose bounding box has the diagonal 1


class View(NamedTuple):
    """One camera: camera-to-world (4,4) OpenGL matrix and, for orbits, its angles and distance."""

    camera_to_world: np.ndarray
    azimuth_deg: float
    elevation_deg: float
    distance: float
    lens_mm: float
    roll_deg: float = 0.0


class ViewSettings(NamedTuple):
    """How to place cameras; `kind` is one of KINDS or the path of a JSON file. Angles in degrees, ranges (from, to).

    A `distance` of None is `framing_distance` of each view's lens; `roll_deg` is the largest roll either way.
    """

    kind: str = "uniform"
    count: int = 24
    distance: tuple[float, float] | None = (DEFAULT_DISTANCE, DEFAULT_DISTANCE)
    lens_mm: tuple[float, float] = (DEFAULT_LENS_MM, DEFAULT_LENS_MM)
    azimuth_deg: tuple[float, float] = (0.0, 360.0)
    elevation_deg: tuple[float, float] = (-20.0, 40.0)
    roll_deg: float = 0.0


class Lenses(NamedTuple):
    """What is drawn per view beside the direction: focal length, distance and roll, (V,) each."""

    lens_mm: np.ndarray
    distance: np.ndarray
    roll_deg: np.ndarray


def object_rng(seed: int, name: str, purpose: str) -> np.random.Generator:
    """Random numbers that depend on nothing but seed, object and purpose, so shards and reruns agree."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def object_views(settings: ViewSettings, seed: int, name: str) -> list[View]:
    """Cameras of one object; raises ValueError for unusable settings or camera files."""
    if settings.kind not in KINDS:
        return read_views(Path(settings.kind), settings, seed, name)
    rng = object_rng(seed, name, "cameras")
    angles = {"uniform": _uniform, "fibonacci": _fibonacci, "turntable": _turntable}[settings.kind](
        settings, rng
    )
    lenses = draw_lenses(settings, len(angles), seed, name)
    columns = (lenses.distance, lenses.lens_mm, lenses.roll_deg)
    return [orbit(*values) for values in np.column_stack((angles, *columns)).tolist()]


def draw_lenses(settings: ViewSettings, count: int, seed: int, name: str) -> Lenses:
    """Focal lengths, distances and rolls of an object's views; a stream each, so that no knob moves another's draw.

    Focal lengths are uniform in their logarithm, as lenses are spaced: as many between 25 and 50 as 50 and 100 mm.
    """
    low, high = settings.lens_mm
    lens_mm = low * (high / low) ** object_rng(seed, name, "lens").random(count)
    if settings.distance is None:
        distance = framing_distance(lens_mm)
    else:
        distance = _spread(object_rng(seed, name, "distance").random(count), settings.distance)
    roll_deg = _spread(object_rng(seed, name, "roll").random(count), (-settings.roll_deg, settings.roll_deg))
    return Lenses(lens_mm, distance, roll_deg)


def framing_distance(lens_mm: np.ndarray) -> np.ndarray:
    """Distance (V,) at which a ball of radius 1/2 fills the frame as much as with the default lens and distance.

    A ball of radius r at distance d has the half angle asin(r / d), whose tangent times the focal length is its
    radius in the image: kept the same, 0.97 of half the frame.
    """
    default = BALL_RADIUS / math.sqrt(DEFAULT_DISTANCE**2 - BALL_RADIUS**2)
    tangent = default * DEFAULT_LENS_MM / np.asarray(lens_mm)
    return BALL_RADIUS * np.sqrt(1 + 1 / tangent**2)


def orbit(
    azimuth_deg: float, elevation_deg: float, distance: float, lens_mm: float, roll_deg: float = 0.0
) -> View:
    """Camera on a sphere about the origin, looking at it; a positive roll turns the picture clockwise."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    eye = distance * np.array(
        [
            math.sin(azimuth) * math.cos(elevation),
            -math.cos(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ]
    )
    matrix = look_at(eye)
    if roll_deg:
        matrix[:3, :3] = matrix[:3, :3] @ _about_z(math.radians(roll_deg))
    return View(matrix, azimuth_deg, elevation_deg, distance, lens_mm, roll_deg)


def _about_z(angle_rad: float) -> np.ndarray:
    """Rotation (3,3) about +Z, counter-clockwise seen against it: of a camera, whose back is +Z."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def look_at(eye: np.ndarray) -> np.ndarray:
    """Camera-to-world (4,4) of a camera at eye (3,) that looks at the origin."""
    back = eye / np.linalg.norm(eye)
    up = np.array([0.0, 0.0, 1.0])
    # Straight above or below, "up" is undefined: the top of the image then points to +Y.
    if np.linalg.norm(np.cross(up, back)) < 1e-6:
        up = np.array([0.0, 1.0, 0.0])
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :4] = np.stack((right, np.cross(back, right), back, eye), 1)
    return matrix


def _spread(unit: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return limits[0] + unit * (limits[1] - limits[0])


def _uniform(settings: ViewSettings, rng: np.random.Generator) -> np.ndarray:
    """Azimuth and elevation drawn independently, each uniform in degrees (DRC's view set), (V,2)."""
    unit = rng.random((settings.count, 2))
    return np.stack(
        (_spread(unit[:, 0], settings.azimuth_deg), _spread(unit[:, 1], settings.elevation_deg)), 1
    )


def _fibonacci(settings: ViewSettings, rng: np.random.Generator) -> np.ndarray:
    """Even over the area of the band of the sphere (golden-angle spiral), turned by a random angle, (V,2)."""
    index = np.arange(settings.count) + 0.5
    low, high = (math.sin(math.radians(angle)) for angle in settings.elevation_deg)
    elevation = np.degrees(np.arcsin(np.clip(_spread(index / settings.count, (low, high)), -1, 1)))
    turn = (index * GOLDEN_ANGLE / (2 * math.pi) + rng.random()) % 1.0
    return np.stack((_spread(turn, settings.azimuth_deg), elevation), 1)


def _turntable(settings: ViewSettings, rng: np.random.Generator) -> np.ndarray:
    """Even steps of azimuth from its lower limit, at the middle elevation, (V,2)."""
    azimuth = _spread(np.arange(settings.count) / settings.count, settings.azimuth_deg)
    return np.stack((azimuth, np.full(settings.count, sum(settings.elevation_deg) / 2)), 1)


def read_views(path: Path, settings: ViewSettings, seed: int, name: str) -> list[View]:
    """Cameras of a JSON file: {"views": [...]} or {"frames": [...]}, each entry either angles or a matrix.

    An entry has "azimuth_deg" and "elevation_deg" (optional "distance", "lens_mm", "roll_deg"), or
    "transform_matrix" (camera-to-world, OpenGL, 4x4; optional "lens_mm"). What is left out comes from `settings`.
    Raises ValueError naming the file and the entry.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"--cameras {path}: cannot be read ({error.strerror}); use {', '.join(KINDS)} or a file"
        ) from error
    except ValueError as error:
        raise ValueError(f"--cameras {path}: not valid JSON ({error})") from error
    entries = document.get("views", document.get("frames")) if isinstance(document, dict) else document
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_VIEWS:
        raise ValueError(f"--cameras {path}: expected a list 'views' of 1 to {MAX_VIEWS} cameras")
    lenses = draw_lenses(settings, len(entries), seed, name)
    return [
        _view_entry(
            entry, settings, [float(column[index]) for column in lenses], f"--cameras {path}: view {index}"
        )
        for index, entry in enumerate(entries)
    ]


def _view_entry(entry: Any, settings: ViewSettings, drawn: list[float], where: str) -> View:
    try:
        lens_mm = float(entry.get("lens_mm", drawn[0]))
        if "transform_matrix" in entry:
            return _matrix_view(np.asarray(entry["transform_matrix"], np.float64), lens_mm)
        otherwise = float(framing_distance(np.array(lens_mm))) if settings.distance is None else drawn[1]
        distance, roll_deg = float(entry.get("distance", otherwise)), float(entry.get("roll_deg", drawn[2]))
        angles = (float(entry["azimuth_deg"]), float(entry["elevation_deg"]))
        if not (np.isfinite([*angles, distance, lens_mm, roll_deg]).all() and distance > 0 and lens_mm > 0):
            raise ValueError("values must be finite, distance and lens above 0")
        return orbit(*angles, distance, lens_mm, roll_deg)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{where} needs azimuth_deg and elevation_deg, or transform_matrix ({error})"
        ) from error


def _matrix_view(matrix: np.ndarray, lens_mm: float) -> View:
    rotation = matrix[:3, :3] if matrix.shape == (4, 4) else np.zeros((3, 3))
    if not np.isfinite(matrix).all() or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4):
        raise ValueError("transform_matrix must be 4x4 with an orthonormal rotation")
    eye = matrix[:3, 3]
    distance = float(np.linalg.norm(eye))
    elevation = math.degrees(math.asin(np.clip(eye[2] / max(distance, 1e-12), -1, 1)))
    return View(matrix, math.degrees(math.atan2(eye[0], -eye[1])) % 360.0, elevation, distance, lens_mm)
