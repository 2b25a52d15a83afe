# SPDX-License-Identifier: Apache-2.0
"""Clouds and pictures as text inside a page, and the script and style that show them."""

import base64
import io
import json
from collections.abc import Mapping
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from ..pointcloud import PointCloud
from ..visual import draw_cloud

_COORDINATE_UNITS = 16384  # of the viewer's 16-bit coordinates
_BACKDROP = (1, 254, 3)  # becomes transparent; no shaded point has exactly this colour


def page(title: str, subtitle: str, body: str, data: str, style: str = "") -> str:
    """A whole HTML page that fetches nothing; title, subtitle and body are HTML, data is JSON (safe_json)."""
    own = "recon_core.viewer"
    known = {"style": text(own, "style.css") + style, "script": text(own, "viewer.js")}
    return filled(
        own, "page.html", {"title": title, "subtitle": subtitle, "body": body, "data": data, **known}
    )


def filled(package: str, name: str, values: Mapping[str, str]) -> str:
    """A package's template with its $names replaced."""
    return Template(text(package, name)).substitute(values)


def text(package: str, name: str) -> str:
    """A file that comes with a package."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def packed(cloud: PointCloud, channels: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A cloud as base64: int16 xyz, each channel's (N,) uint8, then rgb and labels where they are there."""
    limit = np.iinfo(np.int16).max
    xyz = np.clip(np.rint(cloud.xyz * _COORDINATE_UNITS), -limit, limit).astype("<i2")
    pieces = [xyz.tobytes(), *(values.astype(np.uint8).tobytes() for values in channels.values())]
    pieces += [values.tobytes() for values in (cloud.colors, cloud.labels) if values is not None]
    return {
        "count": len(cloud),
        "channels": list(channels),
        "rgb": cloud.colors is not None,
        "labels": cloud.labels is not None,
        "bytes": base64.b64encode(b"".join(pieces)).decode(),
    }


def unit_to_bytes(values: np.ndarray, limit: float = 1.0) -> np.ndarray:
    """Numbers (N,) in [0, limit] as uint8; those beyond are cut."""
    return np.rint(np.clip(values / limit, 0, 1) * 255).astype(np.uint8)


def safe_json(value: Any) -> str:
    """JSON that is safe inside a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def webp(pixels: np.ndarray) -> str:
    """A picture (H,W,3 or 4) uint8 as a data URL."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "WEBP", quality=88, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def cloud_picture(
    cloud: PointCloud, colors: np.ndarray | None, azimuth_deg: float, elevation_deg: float, size_px: int
) -> str:
    """A cloud on no background, in colors (N,3) uint8 or a plain one, as a data URL."""
    image = draw_cloud(cloud.xyz, colors, azimuth_deg, elevation_deg, size_px, background=_BACKDROP)
    alpha = (image != _BACKDROP).any(-1)
    # Lossy compression mixes neighbours: the backdrop must not shine through at the outline.
    image = np.where(alpha[..., None], image, 128).astype(np.uint8)
    return webp(np.dstack((image, alpha * np.uint8(255))))
