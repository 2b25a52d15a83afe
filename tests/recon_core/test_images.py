# SPDX-License-Identifier: Apache-2.0
"""Reading and writing images: every colour mode, every refusal."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from recon_core.errors import InputError
from recon_core.io.images import read_image, write_png

SIZE = (24, 16)  # width, height


def _picture(mode: str = "RGB") -> Image.Image:
    """A smooth colour gradient that survives lossy formats."""
    v, u = np.mgrid[: SIZE[1], : SIZE[0]]
    rgb = np.stack((u * 10, v * 15, np.full_like(u, 90)), -1).astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


def _saved(tmp_path: Path, picture: Image.Image, name: str, **options) -> Path:
    picture.save(tmp_path / name, **options)
    return tmp_path / name


def _expected(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_png_modes_without_alpha(tmp_path, mode):
    picture = _picture(mode)
    loaded = read_image(_saved(tmp_path, picture, "a.png"))
    assert loaded.rgba.dtype == np.uint8
    assert loaded.rgba.shape == (16, 24, 4)
    assert not loaded.has_alpha
    assert loaded.note == ""
    np.testing.assert_array_equal(loaded.rgba[..., :3], _expected(picture))
    assert (loaded.rgba[..., 3] == 255).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_alpha_is_straight(tmp_path, mode, name):
    picture = _picture("RGB").convert(mode)
    alpha = np.zeros((16, 24), np.uint8)
    alpha[4:12, 6:18], alpha[4, 6] = 255, 128
    picture.putalpha(Image.fromarray(alpha))
    options = {} if name.endswith("png") else {"lossless": True, "exact": True}
    loaded = read_image(_saved(tmp_path, picture, name, **options))
    assert loaded.has_alpha
    np.testing.assert_array_equal(loaded.rgba[..., 3], alpha)
    np.testing.assert_array_equal(loaded.rgba[..., :3], np.asarray(picture.convert("RGBA"))[..., :3])


def test_palette_with_transparency(tmp_path):
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((3, 2), 1)
    loaded = read_image(_saved(tmp_path, picture, "p.png", transparency=0))
    assert loaded.has_alpha
    assert loaded.rgba[2, 3].tolist() == [200, 100, 50, 255]
    assert loaded.rgba[..., 3].sum() == 255


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_transparent_colour_key(tmp_path, mode):
    picture = Image.new(mode, (6, 6), 255 if mode == "L" else (255, 255, 255))
    picture.putpixel((2, 4), 7 if mode == "L" else (7, 7, 7))
    key = 255 if mode == "L" else (255, 255, 255)
    loaded = read_image(_saved(tmp_path, picture, "k.png", transparency=key))
    assert loaded.has_alpha
    assert loaded.rgba[4, 2].tolist() == [7, 7, 7, 255]
    assert np.count_nonzero(loaded.rgba[..., 3]) == 1


def test_sixteen_bit_grey(tmp_path):
    grey = (np.arange(16 * 24).reshape(16, 24) * 170).astype(np.uint16)
    write_png(tmp_path / "g.png", grey)
    loaded = read_image(tmp_path / "g.png")
    assert "16-bit" in loaded.note
    np.testing.assert_array_equal(loaded.rgba[..., 0], np.rint(grey / 257).astype(np.uint8))
    assert (loaded.rgba[..., 3] == 255).all()


def test_sixteen_bit_colour(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 65536, (5, 7, 4)).astype(">u2")
    body = b"".join(b"\0" + row.tobytes() for row in rgba)
    header = struct.pack(">IIBBBBB", 7, 5, 16, 6, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header)
    data += _png_chunk(b"IDAT", zlib.compress(body)) + _png_chunk(b"IEND", b"")
    (tmp_path / "c16.png").write_bytes(data)
    loaded = read_image(tmp_path / "c16.png")
    assert np.abs(loaded.rgba.astype(int) - rgba.astype(int) / 257).max() <= 1.0


def test_jpeg_and_grey_jpeg(tmp_path):
    for mode in ("RGB", "L"):
        picture = _picture(mode)
        loaded = read_image(_saved(tmp_path, picture, "j.jpg", quality=97, subsampling=0))
        assert not loaded.has_alpha
        assert np.abs(loaded.rgba[..., :3].astype(int) - _expected(picture)).mean() < 3


def _cmyk_jpeg(inverted: bool) -> bytes:
    """A CMYK JPEG: with Adobe's marker the inks are stored inverted; without it, as they are."""
    buffer = io.BytesIO()
    cmyk = _picture("CMYK")
    (cmyk if inverted else cmyk.point(lambda value: 255 - value)).save(buffer, "JPEG", quality=97)
    data = buffer.getvalue()
    start = data.index(b"\xff\xee")
    length = struct.unpack(">H", data[start + 2 : start + 4])[0]
    return data if inverted else data[:start] + data[start + 2 + length :]


@pytest.mark.parametrize("inverted", [True, False])
def test_cmyk_jpeg_both_conventions(tmp_path, inverted):
    (tmp_path / "c.jpg").write_bytes(_cmyk_jpeg(inverted))
    loaded = read_image(tmp_path / "c.jpg")
    assert "CMYK" in loaded.note
    assert np.abs(loaded.rgba[..., :3].astype(int) - _expected(_picture("CMYK"))).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["e.jpg", "e.png", "e.webp"])
def test_exif_orientation(tmp_path, orientation, name):
    picture = _picture()
    upright = np.asarray(picture)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright, 1), 7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name.endswith("webp") else {"quality": 98}
    path = _saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), name, exif=exif, **options)
    loaded = read_image(path)
    assert loaded.rgba.shape == (16, 24, 4)
    assert np.abs(loaded.rgba[..., :3].astype(int) - upright).mean() < 6
    assert ("upright" in loaded.note) == (orientation > 1)


def test_broken_exif_is_ignored(tmp_path):
    path = _saved(tmp_path, _picture(), "x.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fgarbage")
    assert read_image(path).rgba.shape == (16, 24, 4)


def test_colour_profiles(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_image(_saved(tmp_path, _picture(), "s.png", icc_profile=srgb)).note == ""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for name, profile in (("lab.png", lab), ("junk.png", b"not a profile" * 20)):
        loaded = read_image(_saved(tmp_path, _picture(), name, icc_profile=profile))
        assert "profile" in loaded.note
        np.testing.assert_array_equal(loaded.rgba[..., :3], _expected(_picture()))


@pytest.mark.parametrize("name", ["m.png", "m.webp"])
def test_animation_gives_its_first_frame(tmp_path, name):
    frames = [Image.new("RGB", (20, 10), color) for color in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    loaded = read_image(tmp_path / name)
    assert loaded.note == "animated: the first of 3 frames is used"
    assert loaded.rgba[5, 5].tolist() == [250, 0, 0, 255]


def test_name_ending_is_not_trusted(tmp_path):
    _picture().save(tmp_path / "really.png", format="JPEG")
    assert read_image(tmp_path / "really.png").rgba.shape == (16, 24, 4)


def _refusal(path, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_refuses_missing_folder_and_empty(tmp_path):
    assert "does not exist" in _refusal(tmp_path / "none.png")
    assert "is a folder" in _refusal(tmp_path)
    (tmp_path / "zero.png").touch()
    assert "is empty (0 bytes)" in _refusal(tmp_path / "zero.png")


def test_refuses_a_pipe_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "not a regular file" in _refusal(tmp_path / "pipe.png")


def test_refuses_impossible_names():
    assert "does not exist" in _refusal("a\0b.png")
    assert "cannot be read" in _refusal("n" * 5000 + ".png")


def test_refuses_what_is_no_image(tmp_path):
    (tmp_path / "text.png").write_text("I am no image.")
    assert "is not an image" in _refusal(tmp_path / "text.png")


@pytest.mark.parametrize(("kind", "name"), [("GIF", "GIF"), ("BMP", "BMP"), ("TIFF", "TIFF")])
def test_refuses_unsupported_formats_by_name(tmp_path, kind, name):
    _picture().save(tmp_path / "a.png", format=kind)
    message = _refusal(tmp_path / "a.png")
    assert f"is a {name} file" in message
    assert "convert it to PNG" in message


def test_refuses_heif_by_name(tmp_path):
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    assert "is a HEIC file" in _refusal(tmp_path / "phone.jpg")


@pytest.mark.parametrize("side", [9000, 12000, 30000, 1_000_000])
def test_refuses_bombs_from_the_header_alone(tmp_path, side, recwarn):
    (tmp_path / "bomb.png").write_bytes(_png_header(side, side) + _png_chunk(b"IDAT", b"") * 2)
    message = _refusal(tmp_path / "bomb.png")
    assert "megapixels" in message
    assert not recwarn.list


def test_pixel_limit_is_exact(tmp_path):
    path = _saved(tmp_path, Image.new("RGB", (100, 100)), "l.png")
    assert read_image(path, max_megapixels=0.01).rgba.shape == (100, 100, 4)
    message = _refusal(path, max_megapixels=0.0099)
    assert "100 x 100 pixels" in message


def test_refuses_compressed_text_bombs(tmp_path):
    data = _png_header(4, 4) + _png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 9))
    (tmp_path / "ztxt.png").write_bytes(data + _png_chunk(b"IEND", b""))
    assert "damaged" in _refusal(tmp_path / "ztxt.png")


def test_leaves_pillow_settings_alone(tmp_path):
    from PIL import ImageFile

    limit, truncated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    read_image(_saved(tmp_path, _picture(), "a.png"))
    assert limit == Image.MAX_IMAGE_PIXELS
    assert truncated == ImageFile.LOAD_TRUNCATED_IMAGES


def _encoded(kind: str) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_truncation_is_refused_with_its_sentence(tmp_path, kind):
    data = _encoded(kind)
    path = tmp_path / "t.img"
    for share in (0.05, 0.3, 0.6, 0.95):
        path.write_bytes(data[: int(len(data) * share)])
        assert f"damaged or truncated {kind} file" in _refusal(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_damage_anywhere_is_an_image_or_a_sentence(tmp_path, data, kind):
    content = bytearray(_encoded(kind))
    cut = data.draw(st.integers(0, len(content)))
    content = content[:cut] if data.draw(st.booleans()) else content
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "fuzz.img"
    path.write_bytes(bytes(content))
    try:
        rgba = read_image(path, max_megapixels=1).rgba
    except InputError:
        return
    assert rgba.shape[2] == 4


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_png_round_trip(tmp_path, shape):
    array = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    write_png(tmp_path / "new" / "w.png", array)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "w.png")), array)
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["w.png"]


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_png_refuses_other_arrays(tmp_path, array):
    with pytest.raises(InputError, match="Expected uint8"):
        write_png(tmp_path / "w.png", array)
    assert not (tmp_path / "w.png").exists()


def test_png_into_an_impossible_place(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot write"):
        write_png(tmp_path / "file" / "w.png", np.zeros((4, 4), np.uint8))
