# SPDX-License-Identifier: GPL-3.0-or-later
"""Toy vehicles, as low-polygon model kits have them: short, tall, on large wheels, flat colours, bright windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kit, materials, sweeps
from .car_toy_loads import add_load
from .car_toy_parts import Paints, box, discs, narrowed, prism, wheels_at
from .mesh import Mesh, Model, Part, both_sides
from .rng import Rng

KINDS = {"car": 40.0, "van": 14.0, "pickup": 12.0, "truck": 16.0, "bus": 6.0, "race": 8.0, "tractor": 4.0}
PAINTS = (0.0, 0.02, 0.06, 0.1, 0.14, 0.28, 0.36, 0.45, 0.55, 0.6, 0.68, 0.78, 0.92)
SIZES = {  # ranges of length and height, by the width
    "car": ((1.35, 2.5), (0.65, 1.0)),
    "van": ((1.5, 2.5), (0.95, 1.35)),
    "pickup": ((1.6, 2.6), (0.8, 1.1)),
    "truck": ((1.8, 3.4), (1.0, 1.45)),
    "bus": ((2.4, 4.0), (1.0, 1.35)),
}
GLASSES = (
    (0.55, 0.82, 0.92),
    (0.72, 0.9, 0.97),
    (0.4, 0.62, 0.78),
    (0.2, 0.28, 0.36),
    (0.08, 0.09, 0.11),
    (0.85, 0.92, 0.95),
)


@dataclass(frozen=True)
class Body:
    """Measures in metres: the lower body from sill to belt, the cabin from cowl_y to back_y up to height.

    hood_z: height of the lower body at the front's top edge; axles: y of the wheels; tyre: their radius.
    """

    length: float
    width: float
    sill: float
    belt: float
    height: float
    hood_z: float
    cowl_y: float
    screen_y: float
    roof_y: float
    back_y: float
    axles: tuple[float, ...]
    tyre: float
    taper: float

    @property
    def bed_z(self) -> float:
        """Height of the floor behind the cab of what carries loads."""
        return self.sill + 0.55 * (self.belt - self.sill)


def build(rng: Rng) -> Model:
    """One toy vehicle with its front towards -Y, on wheels that touch z = 0."""
    kind = rng.weighted(KINDS)
    paints = draw_paints(rng)
    makers = {"race": _race, "tractor": _tractor}
    parts = makers[kind](rng, paints) if kind in makers else _road(rng, kind, paints)
    return Model(parts, 1, {"type": f"toy {kind}"})


def draw_paints(rng: Rng) -> Paints:
    """Flat colours that go together: coat, second colour, glass, dark and light trim."""
    return Paints(
        coat=materials.Material("paint", _color(rng), rng.uniform(0.3, 0.9)),
        second=materials.Material("accent", _color(rng), rng.uniform(0.3, 0.9)),
        glass=materials.Material("glass", rng.choice(GLASSES), rng.uniform(0.08, 0.6)),
        dark=materials.Material("plastic", (0.12, 0.12, 0.14) if rng.chance(0.6) else (0.3, 0.31, 0.36), 0.7),
        light=materials.Material("trim", (0.85, 0.86, 0.88) if rng.chance(0.6) else (0.6, 0.62, 0.66), 0.5),
        tyre=materials.Material(
            "rubber", rng.choice([(0.07, 0.07, 0.08), (0.16, 0.16, 0.19), (0.25, 0.25, 0.28)]), 0.9
        ),
    )


def _color(rng: Rng) -> tuple[float, float, float]:
    if rng.chance(0.3):
        grey = rng.choice([0.95, 0.85, 0.6, 0.4, 0.2, 0.1])
        return (grey, grey, grey)
    return materials.hsv(rng.choice(PAINTS), rng.uniform(0.45, 0.95), rng.uniform(0.4, 0.98))


def _road(rng: Rng, kind: str, paints: Paints) -> list[Part]:
    """Cars, vans, pickups, trucks and buses: a lower body with arches, a cabin, what they carry, lamps."""
    body = draw_body(rng, kind)
    lower = prism(side_view(body, kind), body.width, rng.uniform(0.005, 0.025))
    parts = [
        Part("body", lower, paints.coat),
        *_hood(body, kind, paints, rng),
        *_cabin(rng, body, kind, paints),
    ]
    parts += wheels_at(rng, body.axles, body.width, body.tyre, paints)
    parts += _ends(rng, body, paints)
    if kind in ("truck", "pickup"):
        parts += add_load(rng, kind, body, paints)
    return parts + _on_roof(rng, body, kind, paints)


def draw_body(rng: Rng, kind: str) -> Body:
    """Measures of a family; lengths go by the width."""
    width = rng.uniform(1.5, 1.9)
    long, tall = SIZES[kind]
    length, height = width * rng.uniform(*long), width * rng.uniform(*tall)
    tyre = min(width * rng.uniform(0.17, 0.27) * (0.9 if kind == "bus" else 1.0), 0.155 * length)
    sill = tyre * rng.uniform(0.45, 1.0)
    belt = sill + (height - sill) * (
        rng.uniform(0.4, 0.62) if kind in ("car", "pickup") else rng.uniform(0.35, 0.55)
    )
    half, overhang = length / 2, tyre * rng.uniform(1.35, 1.9)
    snub = kind in ("bus",) or (kind in ("van", "truck") and rng.chance(0.6))
    cowl = -half + (rng.uniform(0.0, 0.06) if snub else rng.uniform(0.2, 0.32)) * length
    rake = rng.uniform(0.02, 0.14) * width if snub or rng.chance(0.3) else rng.uniform(0.1, 0.35) * width
    roof_end, back = _rear(rng, kind, half, length, width, cowl + rake)
    axles = (-half + overhang, half - overhang)
    if kind in ("truck", "bus") and rng.chance(0.4) and axles[1] - axles[0] > 4.8 * tyre:
        axles = (*axles, axles[1] - 2.4 * tyre)
    return Body(
        length, width, sill, belt, height, belt * rng.uniform(0.82, 1.0), cowl, cowl + rake, roof_end, back, axles,
        tyre, rng.uniform(0.0, 0.1) if snub else rng.uniform(0.03, 0.22),
    )  # fmt: skip


def _rear(
    rng: Rng, kind: str, half: float, length: float, width: float, screen: float
) -> tuple[float, float]:
    """y of the roof's rear end and of the rear glass's foot."""
    if kind in ("van", "bus"):
        return half - rng.uniform(0.0, 0.05) * width, half
    if kind in ("truck", "pickup"):
        end = screen + rng.uniform(0.4, 0.62) * width
        return end, end + rng.uniform(0.0, 0.08) * width
    if rng.chance(0.45):  # hatchbacks and estates end with the body
        back = half - rng.uniform(0.0, 0.04) * length
        return back - rng.uniform(0.02, 0.25) * width, back
    back = half - rng.uniform(0.12, 0.24) * length
    return max(back - rng.uniform(0.1, 0.35) * width, screen + 0.2 * width), back


def side_view(body: Body, kind: str) -> np.ndarray:
    """(S,2) outline (y, z) of the lower body with its wheel arches, from the front's foot by the rear."""
    half, arch = body.length / 2, body.tyre * 1.12
    deck = body.bed_z if kind in ("truck", "pickup") else body.belt
    roof = max(min(deck, body.hood_z) - 0.06, body.sill + 0.05)  # the arches stay below what is above them
    bottom = [(-half, body.sill)]
    for axle in sorted(body.axles):
        reach = float(np.sqrt(max(arch**2 - (body.sill - body.tyre) ** 2, 1e-6)))
        start = (
            float(np.arctan2(body.sill - body.tyre, -reach)) % kit.TAU
        )  # from the front's foot over the top
        turn = np.linspace(start, np.pi - start, 7)
        bottom += [
            (axle + arch * float(np.cos(a)), min(body.tyre + arch * float(np.sin(a)), roof)) for a in turn
        ]
    bottom.append((half, body.sill))
    rear = [(half, deck * 0.97), (half - 0.06, deck)]
    if kind in ("truck", "pickup"):
        rear += [(body.back_y + 0.06, deck), (body.back_y + 0.05, body.belt)]
    front = [(body.cowl_y, body.belt), (-half + 0.1, body.hood_z), (-half, body.hood_z * 0.92)]
    if body.cowl_y < -half + 0.14:
        front = [(-half + 0.02, body.belt), (-half, body.belt * 0.97)]
    return np.array([*bottom, *rear, *front])


def _hood(body: Body, kind: str, paints: Paints, rng: Rng) -> list[Part]:
    """The bonnet: a slab on the lower body in front of the windscreen; snub noses have none."""
    front = -body.length / 2 + 0.12
    if body.cowl_y - front < 0.15:
        return []
    slope = (body.belt - body.hood_z) / (body.cowl_y - front + 0.02)
    thick = rng.uniform(0.02, 0.06)
    ends = [(front, body.hood_z), (body.cowl_y - 0.03, body.belt - 0.05 * slope)]
    outline = [*ends, *((y, z + thick) for y, z in reversed(ends))]
    coat = paints.second if rng.chance(0.1) else paints.coat
    return [Part("hood", prism(np.array(outline), body.width * rng.uniform(0.7, 0.96), 0.008), coat)]


def _cabin(rng: Rng, body: Body, kind: str, paints: Paints) -> list[Part]:
    """A block of glass with a roof on it and painted pillars; vans have painted sides behind the first window."""
    width, top = body.width * rng.uniform(0.86, 0.99), body.height - rng.uniform(0.04, 0.09)
    foot, head = (body.cowl_y, body.back_y), (body.screen_y, body.roof_y)
    wide = width * (1 - body.taper)

    def narrow(mesh: Mesh) -> Mesh:
        return narrowed(mesh, body.belt, top, body.taper)

    glass = [(foot[0], body.belt - 0.02), (foot[1], body.belt - 0.02), (head[1], top), (head[0], top)]
    roof_paint = paints.second if rng.chance(0.2) else paints.coat
    over = rng.uniform(-0.02, 0.06)
    slab = [
        (head[0] - over, top),
        (head[1] + max(over, 0), top),
        (head[1], body.height),
        (head[0], body.height),
    ]
    parts = [
        Part("body", narrow(prism(np.array(glass), width, 0.01)), paints.glass),
        Part("roof", prism(np.array(slab), wide + 0.03, 0.015), roof_paint),
    ]
    thick = rng.uniform(0.03, 0.07)
    places = [(foot[0], head[0]), (foot[1], head[1])]
    blind = kind == "van" and rng.chance(0.75)
    if kind in ("car", "bus", "van") and not blind:
        count = rng.integer(1, 2) if kind != "bus" else rng.integer(3, 6)
        places += [(_between(foot, t), _between(head, t)) for t in np.linspace(0, 1, count + 2)[1:-1]]
    if blind:
        split = rng.uniform(0.3, 0.5)
        wall = [
            (_between(foot, split), body.belt - 0.02),
            (foot[1] + 0.01, body.belt - 0.02),
            (head[1] + 0.01, top),
            (_between(head, split), top),
        ]
        parts.append(Part("roof", narrow(prism(np.array(wall), width + 0.02, 0.01)), paints.coat))
    for low, high in places:
        bar = sweeps.bar((0.495 * width, low, body.belt - 0.02), (0.495 * wide, high, top), thick, 4)
        parts += [Part("roof", side, paints.coat) for side in both_sides(bar)]
    return parts


def _between(ends: tuple[float, float], t: float) -> float:
    return float(ends[0] + (ends[1] - ends[0]) * t)


def _ends(rng: Rng, body: Body, paints: Paints) -> list[Part]:
    """Bumpers, lamps, grille and plates: what tells the front from the rear."""
    half, w = body.length / 2, body.width
    front_z = body.hood_z if body.cowl_y > -half + 0.14 else body.belt
    parts: list[Part] = []
    if rng.chance(0.7):
        tall, deep = rng.uniform(0.1, 0.22), rng.uniform(0.06, 0.16)
        trim = rng.choice([paints.dark, paints.light, paints.second])
        for end in (-1, 1):
            bar = kit.rounded_box(w * rng.uniform(0.96, 1.04), deep, tall, 0.02)
            parts.append(Part("body", bar.moved(0, end * (half + 0.3 * deep), body.sill + 0.5 * tall), trim))
    high = body.sill + rng.uniform(0.5, 0.75) * (front_z - body.sill)
    lamp = materials.Material(
        "lamp", rng.choice([(1.0, 0.98, 0.85), (1.0, 0.88, 0.45), (0.95, 0.97, 1.0)]), 0.3
    )
    size = rng.uniform(0.09, 0.16)
    parts += discs(rng.chance(0.5), 0.36 * w, -half, high, size, lamp)
    back = materials.Material("lamp", rng.choice([(0.8, 0.08, 0.08), (0.9, 0.3, 0.15)]), 0.3)
    parts += discs(False, 0.38 * w, half, body.sill + 0.4 * (body.belt - body.sill), size * 0.9, back)
    if rng.chance(0.65):
        grille = box(w * rng.uniform(0.3, 0.5), 0.03, rng.uniform(0.1, 0.2), 0, -half, high - 0.03)
        parts.append(Part("body", grille, rng.choice([paints.dark, paints.light])))
    if rng.chance(0.3):
        parts.append(Part("body", box(0.4, 0.03, 0.12, 0, half, body.sill + 0.3), paints.light))
    return parts


def _on_roof(rng: Rng, body: Body, kind: str, paints: Paints) -> list[Part]:
    """A light bar, a sign, a rack or a spoiler, now and then."""
    y, z, w = body.screen_y + 0.3 * (body.roof_y - body.screen_y), body.height, body.width
    choice = rng.weighted({"none": 6.0, "bar": 1.6, "sign": 0.8, "rack": 0.6, "spoiler": 1.0})
    if choice == "bar":
        red, blue = (materials.Material("lamp", c, 0.3) for c in ((0.85, 0.1, 0.1), (0.15, 0.3, 0.9)))
        pair = [rng.choice([red, blue]), rng.choice([red, blue])]
        return [
            Part("roof", box(0.3 * w, 0.2, 0.12, s * 0.17 * w, y, z + 0.05), m) for s, m in zip((-1, 1), pair)
        ]
    if choice == "sign":
        return [Part("roof", box(0.4 * w, 0.18, 0.16, 0, y, z + 0.07), paints.second)]
    if choice == "rack":
        long = 0.8 * (body.roof_y - body.screen_y)
        rail = box(0.05, long, 0.06, 0.3 * w, 0.5 * (body.screen_y + body.roof_y), z + 0.03)
        return [Part("roof", side, paints.dark) for side in both_sides(rail)]
    if choice == "spoiler" and kind == "car":
        at, up = body.length / 2 - 0.12, body.belt + rng.uniform(0.1, 0.3)
        post = box(0.06, 0.1, up - body.belt + 0.1, 0.3 * w, at, 0.5 * (up + body.belt) - 0.03)
        wing = Part("body", box(0.9 * w, 0.24, 0.05, 0, at, up), paints.second)
        return [wing, *(Part("body", side, paints.dark) for side in both_sides(post))]
    return []


def _race(rng: Rng, paints: Paints) -> list[Part]:
    """A racer: a low body with a pointed nose between open wheels, a cockpit, wings."""
    width, tyre = rng.uniform(1.5, 1.8), rng.uniform(0.3, 0.42)
    length, slim = width * rng.uniform(1.7, 2.5), rng.uniform(0.38, 0.6)
    half, floor, deck = length / 2, tyre * rng.uniform(0.3, 0.6), tyre * rng.uniform(1.3, 1.9)
    nose = [(-half, floor), (-0.1 * length, floor), (-0.1 * length, deck), (-half, floor + 0.14)]
    rear = [(-0.1 * length, floor), (half - 0.1, floor), (half - 0.1, deck * 0.9), (-0.1 * length, deck)]
    thin = rng.uniform(0.3, 0.7)

    def pointed(v: np.ndarray) -> np.ndarray:
        share = np.clip((v[:, 1] + half) / (0.4 * length), 0, 1)
        return v * np.stack([thin + (1 - thin) * share, np.ones(len(v)), np.ones(len(v))], -1)

    bonnet = Part("hood", prism(np.array(nose), slim * width, 0.03).warped(pointed), paints.coat)
    parts = [bonnet, Part("body", prism(np.array(rear), slim * width, 0.03), paints.coat)]
    seat = rng.uniform(-0.02, 0.1) * length
    parts.append(Part("body", box(0.6 * slim * width, 0.4, 0.1, 0, seat, deck), paints.dark))
    hoop = prism(
        np.array(
            [
                (seat + 0.22, deck - 0.05),
                (half - 0.4, deck - 0.05),
                (seat + 0.3, deck + rng.uniform(0.2, 0.4)),
            ]
        ),
        0.3,
        0.02,
    )
    parts.append(Part("roof", hoop, paints.second))
    if rng.chance(0.5):
        parts.append(
            Part(
                "roof",
                kit.lathe([(0, -0.16), (0.12, -0.11), (0.16, 0), (0.12, 0.11), (0, 0.16)], 10).moved(
                    0, seat + 0.05, deck + 0.15
                ),
                paints.light,
            )
        )
    if rng.chance(0.8):
        parts.append(Part("body", box(width * 0.9, 0.3, 0.05, 0, -half + 0.1, floor + 0.05), paints.second))
    if rng.chance(0.8):
        up = deck + rng.uniform(0.15, 0.35)
        post = box(0.06, 0.12, up - floor, 0.2 * slim * width, half - 0.15, 0.5 * (up + floor))
        parts.append(Part("body", box(width * 0.8, 0.32, 0.06, 0, half - 0.12, up), paints.second))
        parts += [Part("body", side, paints.dark) for side in both_sides(post)]
    axles = (-half + tyre * rng.uniform(1.3, 2.2), half - tyre * rng.uniform(1.1, 1.6))
    return parts + wheels_at(rng, axles, width, tyre, paints)


def _tractor(rng: Rng, paints: Paints) -> list[Part]:
    """A tractor: a narrow bonnet, a tall cab over large rear wheels, an exhaust."""
    width, big = rng.uniform(1.5, 1.8), rng.uniform(0.6, 0.8)
    small, length = big * rng.uniform(0.5, 0.75), width * rng.uniform(1.5, 1.9)
    half, floor, deck = length / 2, small * 0.8, big * rng.uniform(1.3, 1.6)
    slim, split = width * rng.uniform(0.35, 0.5), rng.uniform(-0.02, 0.1) * length
    hood = [(-half, floor), (split, floor), (split, deck), (-half, deck * rng.uniform(0.85, 1.0))]
    parts = [Part("hood", prism(np.array(hood), slim, 0.03), paints.coat)]
    parts.append(
        Part(
            "body",
            box(width * 0.62, half - split, deck - floor, 0, 0.5 * (split + half), 0.5 * (floor + deck)),
            paints.coat,
        )
    )
    height, back = deck + rng.uniform(0.6, 0.9), half - rng.uniform(0.0, 0.1) * length
    cab = [
        (split + 0.02, deck - 0.02),
        (back, deck - 0.02),
        (back - 0.05, height),
        (split + rng.uniform(0.02, 0.15), height),
    ]
    parts.append(Part("body", prism(np.array(cab), width * 0.6, 0.01), paints.glass))
    parts.append(
        Part(
            "roof", box(width * 0.68, back - split, 0.1, 0, 0.5 * (split + back), height + 0.04), paints.coat
        )
    )
    for y in (split + 0.05, back - 0.03):
        bar = sweeps.bar((0.3 * width, y, deck - 0.02), (0.3 * width, y, height), 0.035, 4)
        parts += [Part("roof", side, paints.coat) for side in both_sides(bar)]
    if rng.chance(0.7):
        pipe = kit.cylinder(0.05, 0.6, 0.01, 8).moved(rng.choice([0.0, 0.3 * slim]), -half * 0.5, deck + 0.25)
        parts.append(Part("body", pipe, paints.dark))
    lamp = materials.Material("lamp", (1.0, 0.95, 0.7), 0.3)
    parts += discs(True, 0.3 * slim, -half, 0.75 * deck, 0.09, lamp)
    parts.append(Part("body", box(0.7 * slim, 0.03, 0.3, 0, -half, 0.62 * deck), paints.dark))
    parts += wheels_at(rng, (-half + small * 1.05,), width * 0.85, small, paints)
    return parts + wheels_at(rng, (half - big * rng.uniform(0.8, 1.0),), width, big, paints)
