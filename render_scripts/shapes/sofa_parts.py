# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of a sofa: seats, upholstered backs, arms, feet; and the measures and materials they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kit, materials, sweeps
from .chair_frame import any_metal, any_wood
from .materials import Material
from .mesh import Mesh, Part, parts_of
from .rng import Rng
from .upholstery import block, cover, feet, leaned, mapped, pad, pillow, plain

ARMS = ("square", "rolled", "sloped", "padded", "bowed")


@dataclass(frozen=True)
class Body:
    """Measures of a sofa in metres.

    width, depth: outer; seat: height of the sitting surface; low: underside of the body; arm: width of an
    arm (0: none); arm_top, top: heights of arms and back; back: thickness of the back's frame; lean:
    backward shift per metre above the seat; soft: radius of the edges, in `facets` steps; pad: thickness
    of a seat cushion; cushion: of a back cushion (0: none); power, edge: shape of the cushions.
    """

    width: float
    depth: float
    seat: float
    low: float
    arm: float
    arm_top: float
    top: float
    back: float
    lean: float
    soft: float
    facets: int
    pad: float
    cushion: float
    power: float
    edge: float
    seats: int

    @property
    def inner(self) -> float:
        """Width between the arms."""
        return self.width - 2 * self.arm

    @property
    def front(self) -> float:
        """y of the front."""
        return -self.depth / 2

    @property
    def rear(self) -> float:
        """y of the rear."""
        return self.depth / 2


@dataclass(frozen=True)
class Dress:
    """Materials: body, seat and back cushions, two kinds of loose pillows, feet."""

    body: Material
    cushion: Material
    pillows: tuple[Material, Material]
    feet: Material


def dress(rng: Rng, flat: bool = False) -> Dress:
    """Materials that go together; flat: plain colours only, as simple models have."""
    make = plain if flat else cover
    body = make(rng)
    cushion = make(rng) if rng.chance(0.2) else body
    wood = materials.paint(rng, (0.42, 0.28, 0.18), 0.7) if flat else any_wood(rng)
    dark = materials.paint(rng, (0.1, 0.1, 0.11), 0.5)
    legs = {"wood": wood, "metal": any_metal(rng), "dark": dark}[
        rng.weighted({"wood": 5, "metal": 2, "dark": 2})
    ]
    return Dress(body, cushion, (make(rng), make(rng)), legs)


def seat_field(body: Body, made: Dress, low: tuple, high: tuple, columns: int, rows: int = 1) -> list[Part]:
    """Base and cushions on a rectangle between corners (x, y): `columns` by `rows` cushions."""
    (x0, y0), (x1, y1) = low, high
    top = body.seat - body.pad
    base = block((x0 - 0.004, y0 + 0.015, body.low), (x1 + 0.004, y1, top + 0.01), 0.02, 2)
    xs, ys = np.linspace(x0, x1, columns + 1), np.linspace(y0, y1, rows + 1)
    meshes = [
        _seat_pad(body, (xs[i], ys[j]), (xs[i + 1], ys[j + 1]), top)
        for i in range(columns)
        for j in range(rows)
    ]
    return parts_of("seat", made.body, base) + parts_of("seat", made.cushion, *meshes)


def _seat_pad(body: Body, low, high, top: float) -> Mesh:
    a, b = (low[0] + 0.002, low[1], top - 0.012), (high[0] - 0.002, high[1], body.seat)
    if body.facets == 1 or body.edge > 6:
        return block(a, b, body.soft, body.facets)
    return pad(a, b, body.power, body.edge)


def wall(body: Body, made: Dress, length: float, count: int, low: float | None = None) -> list[Part]:
    """A back along X: the rear face at y = 0, cushions towards -Y, from `low` up to body.top."""
    low = body.low if low is None else low
    half, t = length / 2, body.back
    frame = block((-half, -t, low), (half, 0, body.top), body.soft, body.facets)
    parts = parts_of("back", made.body, *leaned([frame], body.lean, body.seat))
    if body.cushion == 0:
        return parts
    edges = np.linspace(-half, half, count + 1)
    rise = body.top + 0.25 * body.cushion
    meshes = [_back_pad(body, edges[k], edges[k + 1], rise) for k in range(count)]
    return parts + parts_of("back", made.cushion, *leaned(meshes, body.lean, body.seat))


def _back_pad(body: Body, x0: float, x1: float, rise: float) -> Mesh:
    y, c = -body.back, body.cushion
    height, thick = rise - body.seat + 0.02, c + 0.03
    size = (x1 - x0 - 0.004, height, thick)
    if body.facets == 1 or body.edge > 6:
        mesh = kit.rounded_box(size[0], thick, height, min(body.soft, 0.4 * thick), body.facets)
    else:
        mesh = kit.cushion(*size, body.power * 0.8, max(2.3, body.edge * 0.75), 40).rotated("x", 90)
    return mesh.moved((x0 + x1) / 2, y + 0.03 - thick / 2, body.seat - 0.02 + height / 2)


def turned_to_side(parts: list[Part], x: float, y: float) -> list[Part]:
    """A wall along X turned so that its rear face lies at +x and runs along Y around y."""
    return mapped(parts, lambda mesh: mesh.rotated("z", -90).moved(x, y))


def arm(body: Body, made: Dress, rng: Rng, kind: str, y0: float, y1: float) -> list[Part]:
    """One arm whose outer face is at x = 0 and which reaches inwards to x = -body.arm, from y0 to y1."""
    w, low, top, soft = body.arm, body.low, body.arm_top, body.soft
    steps = body.facets
    if kind == "sloped":
        return parts_of("arm", made.body, _sloped_arm(body, rng, y0, y1))
    if kind == "bowed":
        return parts_of("arm", made.body, _bowed_arm(body, y0, y1))
    if kind == "rolled":
        radius = w * rng.uniform(0.46, 0.56)
        box = block((-w, y0 + 0.01, low), (-0.06 * w, y1, top - radius * 0.6), soft, steps)
        roll = kit.cylinder(radius, y1 - y0, 0.012, 8 if steps == 1 else 28, 2).rotated("x", 90)
        return parts_of("arm", made.body, box, roll.moved(-w * 0.47, (y0 + y1) / 2, top - radius))
    if kind == "padded":
        over = rng.uniform(0.07, 0.11)
        box = block((-w, y0, low), (0, y1, top - over + 0.02), soft, steps)
        top_pad = pad((-w - 0.006, y0 - 0.008, top - over), (0.006, y1, top), 9, 3)
        return parts_of("arm", made.body, box, top_pad)
    return parts_of("arm", made.body, block((-w, y0, low), (0, y1, top), soft, steps))


def _sloped_arm(body: Body, rng: Rng, y0: float, y1: float) -> Mesh:
    """A side that falls towards the front."""
    low, drop = body.low, rng.uniform(0.04, 0.12)
    z = min(body.arm_top + rng.uniform(0.0, 0.12), body.top)
    outline = [[y0, low], [y1, low], [y1, z], [y0 + 0.55 * (y1 - y0), body.arm_top - 0.3 * drop]]
    outline += [[y0 + 0.12 * (y1 - y0), body.arm_top - drop], [y0, body.arm_top - 1.3 * drop]]
    steps, soft = max(1, body.facets), min(body.soft, 0.03, 0.3 * body.arm)
    side = kit.extrude(outline, body.arm, soft, steps, grain="y").rotated("x", 90).rotated("z", 90)
    return side.moved(x=-body.arm / 2)


def _bowed_arm(body: Body, y0: float, y1: float) -> Mesh:
    """A side with a front corner rounded in a large arc."""
    low, top = body.low, body.arm_top
    r = 0.75 * min(top - low, y1 - y0)
    t = np.linspace(0, np.pi / 2, 9)
    arc = np.stack([y0 + r - r * np.sin(t[::-1]), top - r + r * np.cos(t[::-1])], 1)  # front, then top
    outline = [[y1, top], *arc[::-1].tolist(), [y0, low], [y1, low]]
    soft = min(body.soft, 0.03, 0.3 * body.arm)
    side = kit.extrude(outline, body.arm, soft, max(1, body.facets), grain="y").rotated("x", 90)
    return side.rotated("z", 90).moved(x=-body.arm / 2)


def both_arms(body: Body, made: Dress, rng: Rng, kind: str) -> list[Part]:
    """Two equal arms from the front to the rear."""
    over = rng.choice([0.0, 0.0, rng.uniform(0.0, 0.05)])
    right = mapped(
        arm(body, made, rng, kind, body.front - over, body.rear - 0.01), lambda m: m.moved(body.width / 2)
    )
    return right + mapped(right, lambda mesh: mesh.mirrored("x"))


def ground(body: Body, made: Dress, rng: Rng, kind: str, places: list, size: float) -> list[Part]:
    """Feet at places (x, y), up to a little inside the body."""
    if body.low <= 0.0:
        return []
    return parts_of("leg", made.feet, *feet(rng, kind, places, body.low + 0.03, size))


def corners(x: float, y: float, inset: float) -> list[tuple[float, float]]:
    """Places of feet under a rectangle centred on the axis; more in the middle of a long one."""
    a, b = x / 2 - inset, y / 2 - inset
    columns = (-a, a) if x < 2.0 else (-a, 0.0, a)
    return [(s, t) for s in columns for t in (-b, b)]


def sled_feet(body: Body, made: Dress, rng: Rng) -> list[Part]:
    """Two or three bent metal bars that run along the floor from front to rear."""
    r = rng.uniform(0.008, 0.014)
    y, top = body.depth / 2 - 0.08, body.low + 0.006
    path = sweeps.filleted([[0, y, top], [0, y, r], [0, -y, r], [0, -y, top]], 0.02, 4)
    loop = sweeps.tube(path, r, 8 if rng.chance(0.5) else 4)
    reach = body.width / 2 - rng.uniform(0.08, 0.25)
    places = (-reach, reach) if body.width < 2.2 else (-reach, 0.0, reach)
    return parts_of("leg", made.feet, *(loop.moved(x) for x in places))


def loose_pillows(body: Body, made: Dress, rng: Rng, x0: float, x1: float, y: float) -> list[Part]:
    """One to four throw pillows that lean on the back; y: its front face at the seat's height."""
    parts: list[Part] = []
    count = rng.integer(1, 4)
    ends = [x0 + 0.2, x1 - 0.2, x0 + 0.5, x1 - 0.5]
    for k in range(count):
        size, thick = rng.uniform(0.34, 0.48), rng.uniform(0.12, 0.17)
        tall = size * rng.choice([1.0, 1.0, 0.7])
        one = pillow(size, tall, thick, rng.uniform(0.04, 0.1)).rotated("x", 90 - rng.uniform(14, 26))
        one = one.rotated("z", rng.uniform(-14, 14))
        x = min(max(ends[k], x0 + 0.15), x1 - 0.15) + rng.uniform(-0.03, 0.03)
        low = one.bounds()[0][2]
        lift = one.moved(x, y - 0.35 * thick - 0.1 * tall - 0.05 * (k // 2), body.seat - 0.02 - low)
        parts += parts_of("back", made.pillows[k % 2], lift)
    return parts
