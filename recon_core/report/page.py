# SPDX-License-Identifier: Apache-2.0
"""`recon report`: one HTML file for one or many photographs, that fetches nothing."""

import html
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .. import __version__
from ..confidence.visibility import NAMES
from ..errors import ConfigError
from ..io.atomic import write_text
from ..pointcloud import PointCloud
from ..viewer.pack import filled, packed, page, safe_json, text, unit_to_bytes
from ..visual import palette
from .pictures import CONFIDENCE_RAMP, VISIBILITY_COLORS, Figure, photo_figures, side_figures
from .results import Result, read_results, section

CLOUD_COLORS = {"predicted": [92, 146, 222], "refined": [206, 160, 96]}


def write_report(paths: Sequence[Path], out: Path, photos: Path | None = None) -> list[Result]:
    """Write the page of results (JSON files, or folders of them) to `out`; the results in the page's order.

    Raises InputError for files that cannot be used, ConfigError for an ending other than .html.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out {out}: expected a file that ends in .html.")
    results = read_results(paths, photos)
    try:
        write_text(out, render_page(results))
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror or error}.") from error
    return results


def render_page(results: Sequence[Result]) -> str:
    """The page as text; there is at least one result."""
    kinds = _kinds(results)
    count = len(results)
    body = filled(
        "recon_core.report",
        "page.html",
        {
            "objects": "\n".join(_card(one) for one in results),
            "show": _buttons([*kinds, *(["both"] if len(kinds) > 1 else [])]),
            "one_kind": "hidden" if len(kinds) == 1 else "",
            "one_result": "hidden" if count == 1 else "",
            "paint": _buttons(["plain", "rgb", "part", *_channels(results)]),
        },
    )
    title = "Reconstruction" if count == 1 else f"{count} reconstructions"
    style = text("recon_core.report", "page.css")
    return page(title, html.escape(_subtitle(results)), body, _data(results, kinds), style)


def _subtitle(results: Sequence[Result]) -> str:
    scored = [one.score for one in results if one.score is not None]
    facts = [f"recon {__version__}"]
    if len(results) > 1 and scored:
        some = "" if len(scored) == len(results) else f" of the {len(scored)} with a camera"
        facts += ["best outline first", f"median mask IoU {median(scored):.2f}{some}"]
    elif len(results) > 1 and any(one.confidence is not None for one in results):
        facts.append("most confident first")
    return " · ".join(facts)


def _buttons(values: Sequence[str]) -> str:
    return "".join(f'<button data-value="{value}">{value}</button>' for value in values)


def _card(result: Result) -> str:
    facts = "".join(f"<span>{html.escape(fact)}</span>" for fact in _facts(result))
    notes = "".join(f'<p class="soft">{html.escape(note)}</p>' for note in result.notes)
    names = part_names(result)
    rows = (("pictures photos", photo_figures(result)), ("pictures sides", side_figures(result, names)))
    pictures = "".join(
        f'<div class="{kind}">{"".join(map(_figure, figures))}</div>' for kind, figures in rows if figures
    )
    return (
        f'<article class="card object"><header><b>{html.escape(result.name)}</b>{facts}</header>'
        f"{pictures}{notes}{_details(result)}</article>"
    )


def _facts(result: Result) -> list[str]:
    record = result.record
    facts = []
    category, probability = record.get("category"), record.get("category_probability")
    if category:
        facts.append(f"{category} {probability:.2f}" if isinstance(probability, float) else str(category))
    facts.append(f"{len(result.cloud):,} points")
    if result.score is not None:
        facts.append(f"mask IoU {result.score:.2f}")
    if result.confidence is not None:
        facts.append(f"confidence {result.confidence:.2f}")
    if result.ambiguous:
        facts.append(
            f"{result.ambiguous} other {'view fits' if result.ambiguous == 1 else 'views fit'} about as well"
        )
    return facts


def _details(result: Result) -> str:
    """What is known in words, folded away."""
    record = result.record
    confidence, run = section(record, "confidence"), section(record, "run")
    total = section(record, "timings_ms").get("total")
    rows = [
        ("image", section(record, "image").get("note")),
        ("frame", record.get("frame")),
        ("colour", record.get("colour")),
        ("confidence", confidence.get("meaning")),
        ("", confidence.get("calibration")),
        ("expected distance", _percent(confidence.get("expected_distance_percent"))),
        (
            "model",
            ", ".join(str(run[key]) for key in ("recipe", "steps", "folder") if run.get(key) is not None),
        ),
        ("time", f"{total:.0f} ms" if isinstance(total, (int, float)) else ""),
    ]
    body = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(text))}</dd>" for name, text in rows if text
    )
    return f"<details><summary>more</summary><dl>{body}</dl></details>" if body else ""


def _percent(value: Any) -> str:
    return f"{value:.1f} % of the diagonal, on average" if isinstance(value, (int, float)) else ""


def part_names(result: Result) -> list[str]:
    """The names of the labels 1, 2, ...: from the cloud's comment, else from the JSON file."""
    words = result.cloud.comments.get("parts")
    if words:
        return [word.replace("_", " ") for word in words.split()]
    parts = result.record.get("parts")
    return [str(name) for name in parts] if isinstance(parts, dict) else []


def _figure(figure: Figure) -> str:
    label = html.escape(figure.caption)
    images = "".join(f'<img alt="{label}" src="{picture}">' for picture in figure.pictures)
    keys = "".join(
        f' <span><i class="key" style="background:rgb{color}"></i>{html.escape(name)}</span>'
        for color, name in figure.keys
    )
    ramp = ""
    if figure.ramp:
        stops = ",".join(f"rgb{color}" for color in CONFIDENCE_RAMP)
        ramp = f' 0<i class="ramp" style="background:linear-gradient(90deg,{stops})"></i>1'
    return (
        f'<figure class="{figure.kind}"><div>{images}</div>'
        f"<figcaption>{label}{ramp}{keys}</figcaption></figure>"
    )


def _kinds(results: Sequence[Result]) -> list[str]:
    return [kind for kind in CLOUD_COLORS if any(kind in one.clouds for one in results)]


def _channels(results: Sequence[Result]) -> list[str]:
    clouds = [cloud for one in results for cloud in one.clouds.values()]
    return [
        name for name in ("confidence", "visibility") if any(getattr(one, name) is not None for one in clouds)
    ]


def _data(results: Sequence[Result], kinds: Sequence[str]) -> str:
    """What the viewer reads."""
    objects = [
        {"name": one.name, "parts": part_names(one)}
        | {kind: _packed(cloud) for kind, cloud in one.clouds.items()}
        for one in results
    ]
    clouds = [cloud for one in results for cloud in one.clouds.values()]
    highest = [int(cloud.labels.max(initial=0)) for cloud in clouds if cloud.labels is not None]
    most = max([0, *highest, *(len(part_names(one)) for one in results)])
    return safe_json(
        {
            "clouds": {kind: {"name": kind, "color": CLOUD_COLORS[kind]} for kind in kinds},
            "channels": {
                "confidence": {"low": "not trusted: 0", "high": "1: trusted", "falling": True},
                "visibility": {
                    "classes": [
                        {"name": name, "color": list(color)}
                        for name, color in zip(NAMES, VISIBILITY_COLORS, strict=True)
                    ]
                },
            },
            "palette": palette(most).tolist(),
            "objects": objects,
        }
    )


def _packed(cloud: PointCloud) -> dict[str, Any]:
    channels = {}
    if cloud.confidence is not None:
        channels["confidence"] = unit_to_bytes(cloud.confidence)
    if cloud.visibility is not None:
        channels["visibility"] = cloud.visibility
    return packed(cloud, channels)
