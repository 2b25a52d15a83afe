# SPDX-License-Identifier: GPL-3.0-or-later
"""Light as photographs have it: sun, overcast sky, lamps, a window or a flash; soft or hard, warm or cold.

An exposure fixes how bright a white surface that faces all light is; the sky's share of that is the contrast. All
values are plain numbers, so that they can be kept beside the images.
"""

import math
from typing import Any, NamedTuple

import numpy as np

# Linear radiance of a white surface that faces all light; 1 is the brightest a picture can show.
EXPOSURE = (0.65, 1.7)


class Scene(NamedTuple):
    """Ranges of one kind of scene: how often, how many sources, and how they are. Angles in degrees."""

    share: float
    sources: tuple[int, int]
    softness_deg: tuple[float, float]  # diameter of a sun as the object sees it; shadows are as soft
    elevation_deg: tuple[float, float]
    sky_share: tuple[float, float]  # of the whole light; less is more contrast
    warmth: tuple[float, float]  # of the sources: -1 cold, 1 warm
    sky_warmth: tuple[float, float]
    kind: str = "sun"  # or "lamp": near enough to fall off; "camera": beside the lens, turns with it


SCENES = {
    "sunny": Scene(0.25, (1, 1), (0.5, 4.0), (12.0, 75.0), (0.15, 0.4), (-0.1, 0.6), (-0.6, 0.0)),
    "overcast": Scene(0.2, (1, 1), (50.0, 110.0), (45.0, 90.0), (0.55, 0.85), (-0.3, 0.2), (-0.3, 0.1)),
    "lamps": Scene(0.25, (2, 3), (0.0, 0.0), (15.0, 80.0), (0.12, 0.4), (-0.2, 1.0), (-0.1, 0.6), "lamp"),
    "window": Scene(0.2, (1, 2), (20.0, 60.0), (0.0, 45.0), (0.06, 0.25), (-0.5, 0.2), (-0.3, 0.5)),
    "flash": Scene(0.1, (1, 1), (3.0, 20.0), (-5.0, 25.0), (0.12, 0.35), (-0.2, 0.2), (-0.2, 0.7), "camera"),
}
LAMP_DISTANCE, LAMP_RADIUS = (0.9, 2.5), (0.05, 0.4)  # object units
FLASH_AZIMUTH_DEG = 15.0


def choose_photo(rng: np.random.Generator) -> dict[str, Any]:
    """Light of one object: {"kind": "photo", "scene", "suns", "lamps", "sky"}; `rng` decides everything."""
    names = list(SCENES)
    name = names[int(rng.choice(len(names), p=[SCENES[one].share for one in names]))]
    scene = SCENES[name]
    exposure = EXPOSURE[0] * (EXPOSURE[1] / EXPOSURE[0]) ** rng.random()
    sky_share = rng.uniform(*scene.sky_share)
    count = int(rng.integers(scene.sources[0], scene.sources[1] + 1))
    shares = rng.dirichlet(np.full(count, 2.0)) * (1 - sky_share)
    # A white diffuse surface sends back irradiance / pi.
    sources = [_source(rng, scene, float(share) * exposure * math.pi) for share in shares]
    is_lamp = scene.kind == "lamp"
    return {"kind": "photo", "scene": name, "suns": [] if is_lamp else sources, "lamps": sources if is_lamp else [],
            "sky": _sky(rng, scene, sky_share * exposure)}  # fmt: skip


def _source(rng: np.random.Generator, scene: Scene, irradiance: float) -> dict[str, Any]:
    """A sun, or a lamp that shines as bright at the object's centre."""
    limit = FLASH_AZIMUTH_DEG if scene.kind == "camera" else 180.0
    azimuth, elevation = rng.uniform(-limit, limit), rng.uniform(*scene.elevation_deg)
    direction = _direction(azimuth, elevation, scene.kind == "camera")
    source: dict[str, Any] = {"color": warm_color(rng.uniform(*scene.warmth))}
    if scene.kind == "lamp":
        distance = rng.uniform(*LAMP_DISTANCE)
        power = irradiance * 4 * math.pi * distance**2  # watts of a source that shines alike all around
        radius = round(rng.uniform(*LAMP_RADIUS), 4)
        return source | {
            "position": _rounded(direction * distance),
            "power": round(power, 4),
            "radius": radius,
        }
    softness = round(rng.uniform(*scene.softness_deg), 3)
    source |= {"direction": _rounded(direction), "strength": round(irradiance, 4), "angle_deg": softness}
    return source | ({"on_camera": True} if scene.kind == "camera" else {})


def _direction(azimuth_deg: float, elevation_deg: float, in_camera: bool) -> np.ndarray:
    """Unit vector to a source (3,): of the object frame, from the front on; of the camera frame, from the lens on."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    side, ahead = math.sin(azimuth) * math.cos(elevation), math.cos(azimuth) * math.cos(elevation)
    up = math.sin(elevation)
    return np.array([side, up, ahead] if in_camera else [side, -ahead, up])


def warm_color(warmth: float) -> list[float]:
    """Linear RGB of a light from cold (-1, a blue sky) over white (0) to warm (1, a light bulb)."""
    if warmth >= 0:
        return _rounded([1.0, 1.0 - 0.28 * warmth, 1.0 - 0.6 * warmth])
    return _rounded([1.0 + 0.45 * warmth, 1.0 + 0.18 * warmth, 1.0])


def _sky(rng: np.random.Generator, scene: Scene, level: float) -> dict[str, Any]:
    up = level * np.array(warm_color(rng.uniform(*scene.sky_warmth)))
    down = level * rng.uniform(0.2, 0.8) * np.array(warm_color(rng.uniform(-0.2, 0.7)))
    return {"up": _rounded(up), "down": _rounded(down)}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]
