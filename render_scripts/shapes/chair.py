# SPDX-License-Identifier: GPL-3.0-or-later
"""Chairs: which seat, legs, back, arms and materials go together, and in what measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import chair_legs, chair_seats, sweeps
from .chair_arms import build_arms
from .chair_backs import build_back
from .chair_frame import Finish, Frame, finish
from .chair_stools import stool
from .chair_upholstered import armchair, shell, tub
from .mesh import Model, Part, parts_of
from .rng import Rng

PARTS = ("back", "seat", "leg", "arm")

TYPES = {
    "dining": 27.0,
    "windsor": 8.0,
    "metal": 13.0,
    "shell": 11.0,
    "office": 10.0,
    "armchair": 7.0,
    "tub": 4.0,
    "lounge": 4.0,
    "garden": 4.0,
    "barchair": 3.0,
    "rocker": 2.0,
    "folding": 2.0,
    "stool": 12.5,
}
DINING_BACKS = {
    "slats": 4.0,
    "ladder": 4.0,
    "cross": 1.5,
    "spindles": 2.0,
    "framed_panel": 1.8,
    "panel": 3.0,
    "medallion": 1.5,
    "padded": 2.5,
    "bentwood": 2.0,
}


def build(rng: Rng) -> Model:
    """One chair or stool, facing -Y, its feet at z = 0."""
    kind = rng.weighted(TYPES)
    if kind == "stool":
        parts, order, style = stool(finish(rng, _surface(rng)), rng)
        return Model(_on_floor(parts), order, style)
    parts, style = BUILDERS[kind](rng)
    return Model(_on_floor(parts), 1, {"type": kind, **style})


def _on_floor(parts: list[Part]) -> list[Part]:
    """The parts lifted or lowered so that the lowest point is at z = 0."""
    low = min(float(part.mesh.bounds()[0][2]) for part in parts)
    return [replace(part, mesh=part.mesh.moved(z=-low)) for part in parts]


Built = tuple[list[Part], dict]


def _surface(rng: Rng) -> str:
    return rng.weighted({"wood": 5, "painted": 2, "metal": 3, "plastic": 0.8})


def _frame(rng: Rng, **fixed) -> Frame:
    """Measures of an upright chair; any of them may be fixed."""
    width = fixed.pop("width", rng.uniform(0.40, 0.50))
    depth = fixed.pop("depth", rng.uniform(0.38, 0.47))
    taper = fixed.pop("taper", rng.choice([1.0, 1.0, rng.uniform(0.82, 0.95)]))
    values = {
        "height": rng.uniform(0.43, 0.485),
        "board": rng.uniform(0.018, 0.034),
        "back_height": rng.uniform(0.34, 0.56),
        "lean": rng.uniform(0.05, 0.24),
        "bend": rng.uniform(0.0, 0.25) if rng.chance(0.5) else 0.0,
        "curve": rng.uniform(0.01, 0.05) if rng.chance(0.6) else 0.0,
    }
    return Frame(width, depth, rear_width=width * taper, **{**values, **fixed})


def _seat(frame: Frame, made: Finish, rng: Rng, kinds: dict[str, float]) -> tuple[Frame, list[Part], str]:
    """A seat of one of the weighted kinds; the frame is returned with the pad's height set."""
    kind = rng.weighted(kinds)
    pad = {"upholstered": rng.uniform(0.035, 0.06), "cushion": rng.uniform(0.03, 0.05)}.get(kind, 0.0)
    values = {"pad": pad}
    if kind == "slats":
        values["board"] = 0.035
    if kind == "saddle":
        values["board"] = rng.uniform(0.03, 0.042)
    frame = replace(frame, **values)
    if kind == "cushion":
        return frame, chair_seats.board(frame, made, rng) + chair_seats.loose_cushion(frame, made, rng), kind
    return frame, SEATS[kind](frame, made, rng), kind


SEATS: dict[str, Callable[[Frame, Finish, Rng], list[Part]]] = {
    "board": chair_seats.board,
    "saddle": chair_seats.saddle,
    "slats": chair_seats.slats,
    "upholstered": chair_seats.upholstered,
    "weave": chair_seats.weave,
}


def dining(rng: Rng) -> Built:
    """Four wooden legs and any of the wooden or padded backs; arms on some."""
    made = finish(rng, rng.weighted({"wood": 4, "painted": 1}))
    back = rng.weighted(DINING_BACKS)
    frame = _frame(rng)
    if back == "bentwood":  # the back follows the rim of the round seat
        frame = replace(frame, outline="round", rear_width=frame.width, curve=frame.depth / 4)
    seats = {
        "board": 3,
        "saddle": 2,
        "upholstered": 3,
        "cushion": 1.5,
        "weave": 0 if back == "bentwood" else 1,
    }
    frame, parts, seat = _seat(frame, made, rng, seats)
    style = rng.weighted(
        {"straight": 2, "tapered": 4, "turned": 2.5, "sabre": 1.5, "dowel": 1.5, "slab": 0.5}
    )
    parts += build_back(back, frame, made, rng)
    if style == "slab" and frame.outline != "round":
        parts += chair_legs.slab_sides(frame, made, rng)
    else:
        style = "tapered" if style == "slab" else style
        parts += chair_legs.four_legs(
            frame, made, rng, style, rng.choice([0.0, 0.0, rng.uniform(0.01, 0.05)])
        )[0]
        if frame.outline != "round" and rng.chance(0.6):
            parts += chair_seats.apron(frame, made, rng)
    arms = "none"
    if frame.outline != "round" and back != "medallion":
        arms = rng.weighted({"none": 7, "wooden": 3, "loop": 0.5})
    parts += build_arms(arms, frame, made, rng)
    return parts, {"seat": seat, "base": style, "back": back, "arms": arms, "finish": made.name}


def windsor(rng: Rng) -> Built:
    """Saddle seat, splayed turned legs, bow or comb back."""
    made = finish(rng, rng.weighted({"wood": 3, "painted": 2}))
    frame = _frame(
        rng, taper=rng.uniform(0.85, 0.98), curve=rng.uniform(0.02, 0.06), lean=rng.uniform(0.15, 0.28)
    )
    frame, parts, seat = _seat(frame, made, rng, {"saddle": 4, "board": 1, "cushion": 0.6})
    back, arms = rng.choice(["bow", "comb"]), rng.weighted({"none": 6, "windsor": 3, "wooden": 1})
    legs = rng.choice(["turned", "turned", "dowel"])
    parts += chair_legs.four_legs(frame, made, rng, legs, rng.uniform(0.035, 0.07))[0]
    parts += build_back(back, frame, made, rng) + build_arms(arms, frame, made, rng)
    return parts, {"seat": seat, "base": legs, "back": back, "arms": arms, "finish": made.name}


def metal(rng: Rng) -> Built:
    """Steel-tube chairs: four tubes, sled, cantilever or hairpins; panel, pad or bars in the back."""
    made = finish(rng, "metal")
    base = rng.weighted({"tube": 3, "sled": 3, "cantilever": 3, "hairpin": 1.2, "pedestal": 1})
    frame = _frame(rng, curve=rng.uniform(0.01, 0.05), board=rng.uniform(0.014, 0.022))
    frame, parts, seat = _seat(frame, made, rng, {"board": 2, "saddle": 1.5, "upholstered": 3, "weave": 0.6})
    back = rng.weighted({"tubular": 5, "panel": 2, "padded": 2})
    arms = rng.weighted({"none": 6, "tube": 3, "loop": 1})
    parts += _metal_base(base, frame, made, rng)
    parts += build_back(back, frame, made, rng) + build_arms(arms, frame, made, rng)
    return parts, {"seat": seat, "base": base, "back": back, "arms": arms, "finish": made.name}


def _metal_base(base: str, frame: Frame, made: Finish, rng: Rng) -> list[Part]:
    if base == "tube":
        return chair_legs.four_legs(frame, made, rng, "tube", rng.choice([0.0, rng.uniform(0.01, 0.05)]))[0]
    if base == "pedestal":
        return chair_legs.pedestal(frame, made, rng, rng.choice(["round", "trumpet", "square"]))
    return {"sled": chair_legs.sled, "cantilever": chair_legs.cantilever, "hairpin": chair_legs.hairpin}[
        base
    ](frame, made, rng)


def shell_chair(rng: Rng) -> Built:
    """A moulded shell on tubes, dowels, a sled, a pedestal or a star."""
    made = finish(rng, "plastic")
    arms = rng.chance(0.3)
    width = rng.uniform(0.46, 0.54)
    frame = _frame(
        rng,
        width=width,
        depth=rng.uniform(0.42, 0.47),
        taper=1.0,
        board=0.012,
        bend=0.0,
        pad=0.001 if rng.chance(0.3) else 0.0,
        back_height=rng.uniform(0.34, 0.44),
    )
    base = rng.weighted({"eiffel": 3, "tube": 2.5, "sled": 2, "pedestal": 1.5, "star": 2})
    parts = shell(frame, made, rng, arms)
    under = Frame(0.36, 0.36, frame.height - 0.026, 0.36, 0.004)
    if base == "eiffel":
        parts += chair_legs.eiffel(under, made, rng)
    elif base == "star":
        parts += chair_legs.star(under, made, rng, rng.choice([4, 5]), rng.chance(0.5))
    elif base == "tube":
        parts += _crossed_under(under, made, rng)
    else:
        parts += _metal_base(base, under, made, rng)
    return parts, {"seat": "shell", "base": base, "back": "shell", "arms": "shell" if arms else "none"}


def _crossed_under(under: Frame, made: Finish, rng: Rng) -> list[Part]:
    """Four tubes joined by a cross that carries the shell's lowest part, which hangs between them."""
    splay = rng.choice([0.02, rng.uniform(0.03, 0.07)])
    legs, stance = chair_legs.four_legs(under, made, rng, "tube", splay)
    z = under.underside
    cross = [sweeps.bar(stance.at(a, z), stance.at(b, z), 0.009) for a, b in ((0, 2), (1, 3))]
    return legs + parts_of("leg", made.frame, *cross)


def office(rng: Rng) -> Built:
    """Swivel chairs: star base, padded seat and back, bracket arms on most."""
    made = finish(rng, "metal")
    frame = _frame(
        rng,
        width=rng.uniform(0.46, 0.53),
        depth=rng.uniform(0.44, 0.5),
        taper=rng.uniform(0.9, 1.0),
        back_height=rng.uniform(0.4, 0.68),
        curve=rng.uniform(0.02, 0.06),
        board=0.02,
    )
    frame, parts, seat = _seat(frame, made, rng, {"upholstered": 1})
    parts += chair_legs.star(frame, made, rng, rng.choice([5, 5, 5, 4]), rng.chance(0.85))
    arms = rng.weighted({"none": 3, "bracket": 6})
    parts += build_back("office", frame, made, rng) + build_arms(arms, frame, made, rng)
    return parts, {"seat": seat, "base": "star", "back": "office", "arms": arms}


def armchair_(rng: Rng) -> Built:
    """An upholstered armchair."""
    made = finish(rng, "wood")
    frame = _frame(
        rng,
        width=rng.uniform(0.7, 0.9),
        depth=rng.uniform(0.68, 0.82),
        height=rng.uniform(0.4, 0.46),
        taper=1.0,
        back_height=rng.uniform(0.35, 0.6),
        lean=rng.uniform(0.05, 0.22),
        curve=0.0,
        bend=0.0,
    )
    return armchair(frame, made, rng), {"seat": "box", "base": "stubs", "back": "box", "arms": "closed"}


def tub_(rng: Rng) -> Built:
    """A round tub chair."""
    made = finish(rng, rng.choice(["wood", "metal"]))
    frame = _frame(
        rng,
        width=rng.uniform(0.6, 0.74),
        depth=rng.uniform(0.58, 0.7),
        height=rng.uniform(0.41, 0.46),
        taper=1.0,
        back_height=rng.uniform(0.26, 0.42),
    )
    return tub(frame, made, rng), {"seat": "drum", "base": "stubs", "back": "tub", "arms": "tub"}


def lounge(rng: Rng) -> Built:
    """A low padded easy chair in a wooden or tubular frame, with arms."""
    made = finish(rng, rng.weighted({"wood": 3, "metal": 2}))
    frame = _frame(
        rng,
        width=rng.uniform(0.54, 0.62),
        depth=rng.uniform(0.5, 0.58),
        height=rng.uniform(0.39, 0.43),
        taper=1.0,
        back_height=rng.uniform(0.42, 0.56),
        lean=rng.uniform(0.22, 0.36),
    )
    frame, parts, seat = _seat(frame, made, rng, {"upholstered": 2, "cushion": 2})
    wooden = made.name == "wood"
    base = rng.choice(["tapered", "dowel", "sabre"]) if wooden else rng.choice(["sled", "cantilever", "tube"])
    arms = rng.choice(["wooden", "loop"]) if wooden else rng.choice(["tube", "loop"])
    back = rng.choice(["padded", "ladder", "slats"]) if wooden else rng.choice(["padded", "tubular"])
    if wooden:
        parts += chair_legs.four_legs(frame, made, rng, base, rng.uniform(0.01, 0.05))[0]
    else:
        parts += _metal_base(base, frame, made, rng)
    parts += build_back(back, frame, made, rng) + build_arms(arms, frame, made, rng)
    return parts, {"seat": seat, "base": base, "back": back, "arms": arms, "finish": made.name}


def garden(rng: Rng) -> Built:
    """Outdoor chairs of boards: slatted seat, broad arms, boards or a fan in the back."""
    made = finish(rng, rng.choice(["wood", "painted"]))
    low = rng.chance(0.4)
    frame = _frame(
        rng,
        width=rng.uniform(0.5, 0.58),
        depth=rng.uniform(0.46, 0.54),
        taper=1.0,
        curve=0.0,
        bend=0.0,
        height=rng.uniform(0.36, 0.4) if low else rng.uniform(0.42, 0.46),
        lean=rng.uniform(0.25, 0.4) if low else rng.uniform(0.1, 0.22),
    )
    frame, parts, seat = _seat(frame, made, rng, {"slats": 1})
    back = rng.choice(["fan", "boards", "slats"])
    arms = rng.weighted({"board": 4, "none": 1})
    parts += chair_legs.four_legs(frame, made, rng, rng.choice(["straight", "tapered"]))[0]
    parts += build_back(back, frame, made, rng) + build_arms(arms, frame, made, rng)
    return parts, {"seat": seat, "base": "legs", "back": back, "arms": arms, "finish": made.name}


def barchair(rng: Rng) -> Built:
    """Bar stools with a low back."""
    made = finish(rng, rng.choice(["wood", "metal"]))
    frame = _frame(
        rng,
        width=rng.uniform(0.38, 0.44),
        depth=rng.uniform(0.36, 0.42),
        height=rng.uniform(0.64, 0.78),
        back_height=rng.uniform(0.2, 0.34),
        lean=rng.uniform(0.1, 0.2),
    )
    frame, parts, seat = _seat(frame, made, rng, {"board": 2, "saddle": 1, "upholstered": 2})
    wooden = made.name == "wood"
    back = (
        rng.choice(["ladder", "slats", "panel", "padded"])
        if wooden
        else rng.choice(["tubular", "panel", "padded"])
    )
    style = rng.choice(["tapered", "straight", "turned"]) if wooden else "tube"
    parts += chair_legs.four_legs(frame, made, rng, style, rng.uniform(0.02, 0.05))[0]
    return parts + build_back(back, frame, made, rng), {
        "seat": seat,
        "base": style,
        "back": back,
        "arms": "none",
    }


def rocker(rng: Rng) -> Built:
    """A rocking chair: runners under a wooden armchair."""
    made = finish(rng, rng.choice(["wood", "painted"]))
    frame = _frame(
        rng,
        width=rng.uniform(0.48, 0.54),
        depth=rng.uniform(0.44, 0.5),
        height=rng.uniform(0.42, 0.45),
        back_height=rng.uniform(0.5, 0.66),
        lean=rng.uniform(0.22, 0.32),
        taper=rng.uniform(0.88, 1.0),
    )
    frame, parts, seat = _seat(frame, made, rng, {"saddle": 3, "board": 1, "cushion": 1})
    legs, stance = chair_legs.four_legs(
        frame, made, rng, rng.choice(["turned", "dowel"]), rng.uniform(0.0, 0.03)
    )
    back, arms = rng.choice(["comb", "ladder", "slats", "spindles"]), rng.choice(["wooden", "wooden", "none"])
    parts += legs + chair_legs.rockers(stance, made, rng)
    parts += build_back(back, frame, made, rng) + build_arms(arms, frame, made, rng)
    return parts, {"seat": seat, "base": "rockers", "back": back, "arms": arms, "finish": made.name}


def folding(rng: Rng) -> Built:
    """A folding chair with crossed legs."""
    made = finish(rng, rng.choice(["wood", "painted"]))
    frame = _frame(rng, taper=1.0, bend=0.0)
    frame, parts, seat = _seat(frame, made, rng, {"slats": 2, "board": 1, "weave": 1})
    back = rng.choice(["boards", "ladder", "framed_panel"])
    parts += chair_legs.crossed(frame, made, rng) + build_back(back, frame, made, rng)
    return parts, {"seat": seat, "base": "crossed", "back": back, "arms": "none", "finish": made.name}


BUILDERS: dict[str, Callable[[Rng], Built]] = {
    "dining": dining,
    "windsor": windsor,
    "metal": metal,
    "shell": shell_chair,
    "office": office,
    "armchair": armchair_,
    "tub": tub_,
    "lounge": lounge,
    "garden": garden,
    "barchair": barchair,
    "rocker": rocker,
    "folding": folding,
}
