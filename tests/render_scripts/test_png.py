# SPDX-License-Identifier: Apache-2.0
"""render_scripts/png.py against Pillow."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from render_scripts.png import encode_png

SIDES = st.integers(1, 30)


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()  # checks the CRCs
    return image


@given(SIDES, SIDES, st.sampled_from([(4, "RGBA"), (3, "RGB"), (0, "L")]), st.integers(0, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_eight_bits(height: int, width: int, kind: tuple[int, str], level: int, data: st.DataObject) -> None:
    channels, mode = kind
    shape = (height, width, channels) if channels else (height, width)
    pixels = data.draw(hnp.arrays(np.uint8, shape))
    image = decoded(encode_png(pixels, level=level))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image), pixels)


@given(hnp.arrays(np.uint16, st.tuples(SIDES, SIDES)))
@settings(max_examples=40, deadline=None)
def test_sixteen_bits(pixels: np.ndarray) -> None:
    image = decoded(encode_png(pixels))
    assert image.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(image), pixels)


@given(st.integers(1, 256), SIDES, SIDES, st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_palette(colors: int, height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, (colors, 3))
    pixels = rng.integers(0, colors, (height, width)).astype(np.uint8)
    image = decoded(encode_png(pixels, palette.tolist()))
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), pixels)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette[pixels])


def test_not_contiguous() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (10, 12)).astype(np.uint16)
    for view in (pixels[::2, ::3], pixels.T, pixels[::-1]):
        np.testing.assert_array_equal(np.asarray(decoded(encode_png(view))), view)


@pytest.mark.parametrize(
    ("pixels", "palette", "message"),
    [
        (np.zeros((0, 4), np.uint8), None, "with pixels"),
        (np.zeros(4, np.uint8), None, "with pixels"),
        (np.zeros((4, 4), np.float32), None, "float32"),
        (np.zeros((4, 4, 2), np.uint8), None, "shape"),
        (np.zeros((4, 4, 3), np.uint16), None, "uint16"),
        (np.zeros((4, 4), np.uint16), [[0, 0, 0]], "uint8 indices"),
        (np.full((4, 4), 2, np.uint8), [[0, 0, 0], [1, 1, 1]], "outside the palette"),
        (np.zeros((4, 4), np.uint8), [[0, 0, 256]], r"0\.\.255"),
        (np.zeros((4, 4), np.uint8), [[0, 0]], "1 to 256"),
    ],
)
def test_refused(pixels: np.ndarray, palette: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_png(pixels, palette)
