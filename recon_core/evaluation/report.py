# SPDX-License-Identifier: Apache-2.0
"""The evaluation as one HTML file that fetches nothing: tables, histograms, pictures and a cloud viewer."""

import html
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..pointcloud import PointCloud
from ..viewer.pack import cloud_picture, filled, packed, page, safe_json, unit_to_bytes, webp
from ..visual import color_labels, mask_overlay, palette
from .histogram import Series, histogram
from .scores import METHODS, MetricInfo
from .table import number

if TYPE_CHECKING:
    from .evaluate import Evaluation, Exhibit

PICTURE_SIZE_PX = 128
SIDES_DEG = ((30.0, 20.0), (120.0, 20.0), (0.0, 89.0))  # azimuth, elevation: front right, back right, top
ERROR_LIMIT = 0.1  # distance at the end of the viewer's colour ramp, object units


def render_report(evaluation: "Evaluation") -> str:
    """The page as text."""
    result = evaluation.result
    body = filled(
        "recon_core.evaluation",
        "report.html",
        {
            "summary": _summary(result),
            "notes": "".join(f"<li>{html.escape(note)}</li>" for note in result["notes"]),
            "histograms": _histograms(result),
            "order": _order(evaluation),
            "objects": "\n".join(_object(one) for one in evaluation.exhibits),
        },
    )
    title = f"Evaluation on the {html.escape(result['split'])} split"
    return page(title, _subtitle(result), body, _data(evaluation))


def _subtitle(result: dict[str, Any]) -> str:
    parts = [f"run {result['run']}" if result["run"] else "", f"data {result['data']}", result["generator"]]
    return html.escape(" · ".join(part for part in parts if part))


def _order(evaluation: "Evaluation") -> str:
    shown, total = len(evaluation.exhibits), evaluation.result["objects"]
    some = "" if shown == total else f" {shown} of {total} objects are shown, evenly chosen from the split."
    return (
        "By the model's mean Chamfer sum over views; pictures are of the prediction from the first view. In masks, red "
        f"is too much and blue is missing.{some}"
    )


def _summary(result: dict[str, Any]) -> str:
    """The table: a row per method, a column per metric, grouped, the best of the first three marked."""
    infos = [MetricInfo(**one) for one in result["metrics"]]
    infos = [
        info for info in infos if any(values[info.key] is not None for values in result["methods"].values())
    ]
    starts = {
        info.key for place, info in enumerate(infos) if not place or infos[place - 1].group != info.group
    }
    heads, titles = ["<th></th>"], ["<th>method</th>"]
    for info in infos:
        if info.key in starts:
            span = sum(other.group == info.group for other in infos)
            heads.append(f'<th class="group" colspan="{span}">{html.escape(info.group)}</th>')
        hint = html.escape(
            f"{info.title}\n{info.meaning}\n{'Lower' if info.lower_is_better else 'Higher'} is better."
        )
        arrow = "↓" if info.lower_is_better else "↑"
        titles.append(f'<th{_group(info, starts)} title="{hint}">{html.escape(info.short)} {arrow}</th>')
    rows = [_summary_row(result, method, infos, starts) for method in METHODS if method in result["methods"]]
    body = "".join(rows)
    return (
        f'<table class="summary"><thead><tr>{"".join(heads)}</tr><tr>{"".join(titles)}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _group(info: MetricInfo, starts: set[str], extra: str = "") -> str:
    names = " ".join(filter(None, ("group" if info.key in starts else "", extra)))
    return f' class="{names}"' if names else ""


def _summary_row(result: dict[str, Any], method: str, infos: list[MetricInfo], starts: set[str]) -> str:
    cells = []
    for info in infos:
        rivals = [result["methods"][one][info.key] for one in METHODS if one != "noise_floor"]
        present = [value for value in rivals if value is not None]
        value = result["methods"][method][info.key]
        leader = (min if info.lower_is_better else max)(present, default=None)
        best = "best" if method != "noise_floor" and value is not None and value == leader else ""
        text = number(value, info.digits).replace("-", "–") if value is None else number(value, info.digits)
        cells.append(f"<td{_group(info, starts, best)}>{text}</td>")
    return f'<tr class="{method}"><th>{METHODS[method]}</th>{"".join(cells)}</tr>'


def _histograms(result: dict[str, Any]) -> str:
    def of_objects(method: str) -> list[float]:
        return [row["methods"][method]["chamfer_sum"] for row in result["rows"]]

    chamfer = [Series("model", of_objects("model")), Series("retrieval", of_objects("retrieval"))]
    figures = [histogram(chamfer, "Chamfer sum x100 per object", "objects")]
    errors = result["pose_errors_deg"]["symmetric"]
    if errors:
        series = [Series("model", errors)]
        figures.append(
            histogram(series, "Pose error in degrees up to symmetry, per view", "views", upper=180.0)
        )
    return "".join(figures)


def _object(exhibit: "Exhibit") -> str:
    values, truth = exhibit.values, exhibit.truth
    facts = [f"Chamfer {number(values['chamfer_sum'], 2)}", f"retrieval {number(exhibit.retrieval, 2)}"]
    for key, label, digits in (("mask_iou", "mask IoU", 2), ("part_miou", "part mIoU", 2)):
        facts += [f"{label} {number(values[key], digits)}"] if values[key] is not None else []
    if values["pose_median_deg_symmetric"] is not None:
        facts.append(f"pose {number(values['pose_median_deg_symmetric'], 1)}°")
    spans = "".join(f"<span>{html.escape(fact)}</span>" for fact in facts)
    figures = "".join(_figure(label, pictures) for label, pictures in _pictures(exhibit))
    return (
        f'<article class="card object"><header><b>{html.escape(truth.name)}</b>{spans}</header>'
        f'<div class="pictures">{figures}</div></article>'
    )


def _figure(label: str, pictures: list[str]) -> str:
    images = "".join(f'<img alt="{html.escape(label)}" src="{picture}">' for picture in pictures)
    return f"<figure><div>{images}</div><figcaption>{html.escape(label)}</figcaption></figure>"


def _pictures(exhibit: "Exhibit") -> list[tuple[str, list[str]]]:
    judged, truth = exhibit.judged, exhibit.truth
    rows = [("input", [webp(truth.inputs[0])])]
    if exhibit.unseen:
        view = exhibit.unseen[0]
        predicted = judged.coverage[judged.views.index(view)].numpy()
        # Cut at 0.5 as the metric does.
        overlay = Image.fromarray(mask_overlay(predicted > 0.5, truth.masks[view].numpy() > 0.5))
        large = overlay.resize((PICTURE_SIZE_PX, PICTURE_SIZE_PX), Image.Resampling.NEAREST)
        rows.append(("mask, another view", [webp(np.asarray(large))]))
    kind = _color_kind(judged.cloud)
    rows.append(("prediction: front, back, top", _three_sides(judged.cloud, kind)))
    rows.append(("truth", _three_sides(truth.cloud, kind)))
    return rows


def _color_kind(cloud: PointCloud) -> str:
    """What both clouds are painted with: what the prediction has."""
    if cloud.colors is not None:
        return "colors"
    return "labels" if cloud.labels is not None else ""


def _three_sides(cloud: PointCloud, kind: str) -> list[str]:
    values = getattr(cloud, kind) if kind else None
    colors = color_labels(values) if kind == "labels" and values is not None else values
    return [
        cloud_picture(cloud, colors, azimuth, elevation, PICTURE_SIZE_PX) for azimuth, elevation in SIDES_DEG
    ]


def _data(evaluation: "Evaluation") -> str:
    """What the viewer reads: clouds and how they are painted."""
    parts = evaluation.result["parts"]
    objects = [
        {
            "name": one.truth.name,
            "parts": parts.get(one.truth.name.partition("/")[0], []),
            "prediction": _packed(one.judged.cloud, one.judged.matches.pred_to_truth.numpy()),
            "truth": _packed(one.truth.cloud, one.judged.matches.truth_to_pred.numpy()),
        }
        for one in evaluation.exhibits
    ]
    count = max((len(names) for names in parts.values()), default=0)
    return safe_json(
        {
            "clouds": {
                "prediction": {"name": "prediction", "color": [92, 146, 222]},
                "truth": {"name": "truth", "color": [206, 160, 96]},
            },
            "channels": {
                "error": {"low": "distance to the other cloud: 0", "high": f"{ERROR_LIMIT:g} or more"},
            },
            "palette": palette(count).tolist(),
            "objects": objects,
        }
    )


def _packed(cloud: PointCloud, error: np.ndarray) -> dict[str, Any]:
    """A cloud with the error (N,) of its points, 255 = ERROR_LIMIT."""
    return packed(cloud, {"error": unit_to_bytes(error, ERROR_LIMIT)})
