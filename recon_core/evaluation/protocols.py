# SPDX-License-Identifier: Apache-2.0
"""Evaluation protocols by name: what each published line of work measures, declared, so that figures say what they are.

Chamfer figures of different papers differ by squares, halves, units, point counts, frames, and by what is done with
an object's views. Each protocol below states all of these, and every metric's printed name carries them. The facts
are from the released evaluation code of each project; what a protocol leaves open and how it is filled here is in
docs/evaluation.md.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError

# Where clouds are compared. Our object frame has bounding-box diagonal 1, as ShapeNet v1's meshes have.
#   diag1      as they are
#   longest1   both scaled so that the longest edge of the truth's box is 1
#   ownbox1    each by itself: box centre to the origin, longest edge to 1
Frame = Literal["diag1", "longest1", "ownbox1"]
Views = Literal["mean", "min", "max"]


@dataclass(frozen=True)
class Protocol:
    """One way to measure. Counts are of points per cloud; None means all there are."""

    name: str
    title: str
    squared: bool = False  # squared Euclidean distances, and their mean
    halved: bool = False  # the average of both directions rather than their sum
    scale: float = 1.0  # factor of the printed Chamfer figures
    frame: Frame = "diag1"
    clip: float | None = None  # ownbox1: prediction coordinates are clipped to it before its box is taken
    predicted_points: int | None = None  # a random subset of this many
    true_points: int | None = None
    true_choice: Literal["table", "random", "farthest", "voxels"] = "table"
    voxel: float = 0.01  # edge of a cell for "voxels", object units
    inputs: int | None = None  # only the first so many views of each object
    views: tuple[Views, ...] = ("mean",)  # the first is the headline
    categories: bool = False  # mean of the categories' means, rather than of objects
    alignment: Literal["table", "dpc", "chamfer"] = "table"  # of learnt frames: see docs/evaluation.md
    f_thresholds: tuple[float, ...] = ()
    emd_squared: bool | None = None  # None: no EMD; matched by Euclidean cost either way
    colour: bool = False
    parts: bool = False
    pose: bool = False


PROTOCOLS = {
    one.name: one
    for one in (
        Protocol("native", "this project's table", scale=100, f_thresholds=(0.01, 0.02, 0.05)),
        Protocol(
            "dpc",
            "Insafutdinov and Dosovitskiy 2018 (DPC)",
            scale=100,
            true_choice="voxels",
            alignment="dpc",
            pose=True,
        ),
        Protocol(
            "drwr",
            "Han et al. 2020 (DRWR), and Chen et al. 2021 (2Dpm)",
            scale=100,
            true_choice="voxels",
            views=("mean", "min", "max"),
        ),
        Protocol(
            "dibr",
            "the single-image reconstruction released with DIB-R (Chen et al. 2019)",
            halved=True,
            scale=100,
            frame="longest1",
            predicted_points=2500,
            true_points=2500,
            true_choice="random",
            inputs=1,
            categories=True,
            f_thresholds=(0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040, 0.045, 0.050),
        ),
        Protocol(
            "ssl",
            "Navaneet et al. 2020 (ssl_3d_recon)",
            squared=True,
            scale=1000,
            frame="ownbox1",
            clip=0.5,
            predicted_points=1024,
            true_points=1024,
            true_choice="farthest",
            inputs=1,
            alignment="chamfer",
        ),
        Protocol(
            "differ",
            "Navaneet et al. 2019 (DIFFER)",
            frame="ownbox1",
            predicted_points=1024,
            true_points=1024,
            true_choice="farthest",
            emd_squared=False,
            colour=True,
            parts=True,
        ),
        Protocol(
            "capnet",
            "Navaneet et al. 2019 (CAPNet)",
            squared=True,
            frame="ownbox1",
            predicted_points=1024,
            true_points=1024,
            true_choice="farthest",
            emd_squared=True,
        ),
    )
}


@dataclass(frozen=True)
class ProtocolMetric:
    """One printed number: its full name, the per-view value that it is made of, and how."""

    name: str
    value: str  # key of a view's values (protocol_scores)
    views: Views
    scale: float
    lower_is_better: bool
    digits: int


def find_protocol(name: str) -> Protocol:
    """The protocol of a name; raises ConfigError that offers the nearest."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = difflib.get_close_matches(name, PROTOCOLS, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(f"There is no evaluation protocol {name!r}, only {', '.join(PROTOCOLS)}.{hint}")


def find_protocols(names: Sequence[str]) -> tuple[Protocol, ...]:
    """The protocols of several names, each once, in the order given."""
    return tuple(find_protocol(name) for name in dict.fromkeys(names))


def protocol_metrics(
    protocol: Protocol, predicted_points: int, true_points: str, pose_is_learnt: bool
) -> list[ProtocolMetric]:
    """Every metric of a protocol under its full name.

    predicted_points: how many took part in each predicted cloud; true_points: the same of true ones, as text
    because voxels leave different numbers. Poses are counted apart, over all views: see `pose_names`.
    """
    end = _end(protocol, f"N{predicted_points}_M{true_points}", pose_is_learnt)
    end_emd = _end(protocol, f"N{predicted_points}_M{predicted_points}", pose_is_learnt)
    metrics = []
    for views in protocol.views:
        over = "one-view" if protocol.inputs == 1 else f"{views}-over-views"
        over += "_mean-of-categories" if protocol.categories else ""
        metrics += _chamfer_metrics(protocol, views, over, end)
        if views == protocol.views[0]:
            metrics += _other_metrics(protocol, views, f"{over}_{end}", f"{over}_{end_emd}")
    return metrics


def _end(protocol: Protocol, counts: str, pose_is_learnt: bool) -> str:
    """The end of a metric's name: frame, counts and alignment."""
    frame = protocol.frame + (f"-clip{protocol.clip:g}" if protocol.clip else "")
    return "_".join((frame, counts, *([_turned(protocol)] if pose_is_learnt else [])))


def _turned(protocol: Protocol) -> str:
    return "one-rotation-" + {"table": "consensus"}.get(protocol.alignment, protocol.alignment)


def _chamfer_metrics(protocol: Protocol, views: Views, over: str, end: str) -> list[ProtocolMetric]:
    distance = "squared" if protocol.squared else "euclidean"
    combined = "half-sum" if protocol.halved else "sum"
    digits = 4 if protocol.scale == 1 else 3
    names = {"chamfer": f"chamfer_{distance}_{combined}"}
    if views == "mean":  # least and largest are of the sum: of the directions apart they would be other views
        names |= {"precision": f"precision_{distance}", "coverage": f"coverage_{distance}"}
    return [
        ProtocolMetric(f"{name}_x{protocol.scale:g}_{over}_{end}", value, views, protocol.scale, True, digits)
        for value, name in names.items()
    ]


def _other_metrics(protocol: Protocol, views: Views, end: str, end_emd: str) -> list[ProtocolMetric]:
    metrics = [
        ProtocolMetric(f"fscore_at{limit:g}_{end}", f"fscore_{limit:g}", views, 1, False, 3)
        for limit in protocol.f_thresholds
    ]
    if protocol.emd_squared is not None:
        kind = "squared" if protocol.emd_squared else "euclidean"
        metrics.append(ProtocolMetric(f"emd_{kind}_mean_x1_{end_emd}", "emd", views, 1, True, 4))
    if protocol.colour:
        name = f"colour_mse_sum-of-directions_{end}"
        metrics.append(ProtocolMetric(name, "colour_mse", views, 1, True, 4))
    if protocol.parts:
        name = f"part_miou_mean-of-directions_absent-part-is-1_{end}"
        metrics.append(ProtocolMetric(name, "part_miou", views, 1, False, 3))
    return metrics


def pose_names(protocol: Protocol, pose_is_learnt: bool = True) -> tuple[str, str]:
    """Full names of the pose accuracy and the median error of a protocol that has them."""
    end = f"_{_turned(protocol)}" if pose_is_learnt else ""
    return f"pose_accuracy_below30deg_all-views{end}", f"pose_median-upper_deg_all-views{end}"
