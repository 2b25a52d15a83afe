# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of render_views: options with their defaults and units, checked before Blender does anything."""

import argparse
import re
import sys
from pathlib import Path

from .passes import PASSES
from .viewset import KINDS as CAMERA_KINDS
from .viewset import MAX_VIEWS

DESCRIPTION = """\
Render every mesh of a folder into a dataset folder: colour, mask, part, depth and normal images, cameras and surface
samples. Run as
  blender --background --factory-startup --python-exit-code 1 --python render_scripts/render_views.py -- MESHES ...
or, with the bpy module, as
  python render_scripts/render_views.py MESHES ..."""

EPILOG = """\
Axes are those Blender shows after importing the file by hand (importers turn glTF, FBX and OBJ from +Y up to +Z up).
Complete objects are skipped, so a killed run continues where it stopped.
Glass is rendered opaque. One sample gives masks without anti-aliasing.
Exit status: 0 all rendered, 3 some failed (see failed.jsonl), 1 none or wrong use."""


RANGE_OPTIONS = ("--lens", "--distance")
NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


def script_arguments(argv: list[str], is_blender: bool) -> list[str]:
    """Arguments meant for the script: after "--" under Blender, all under plain Python (a leading "--" is allowed)."""
    if "--" in argv:
        return argv[argv.index("--") + 1 :]
    return [] if is_blender else argv[1:]


def build_parser() -> argparse.ArgumentParser:
    """Parser with every option of render_views."""
    parser = argparse.ArgumentParser(
        "render_views", description=DESCRIPTION, epilog=EPILOG, formatter_class=_Formatter
    )
    parser.add_argument(
        "meshes", nargs="+", type=Path, metavar="MESHES", help="mesh files, or folders of them"
    )
    parser.add_argument("--output", type=Path, required=True, default=argparse.SUPPRESS, metavar="DATASET",
                        help="dataset folder to write")  # fmt: skip
    _add_image_options(parser.add_argument_group("images"))
    _add_camera_options(parser.add_argument_group("cameras"))
    _add_source_options(parser.add_argument_group("objects"))
    _add_run_options(parser.add_argument_group("run"))
    return parser


def _add_image_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--size", type=_whole(8, 4096), default=128, help="width and height in pixels")
    add("--passes", type=_passes, default=",".join(PASSES), help="images to write, separated by commas")
    add("--samples", type=_whole(1, 4096), default=16, help="samples per pixel")
    add(
        "--light",
        choices=("random", "fixed", "studio", "photo"),
        default="random",
        help="random: two suns and a sky per object; fixed: the same three suns; studio: suns on the camera; "
        "photo: sun, overcast, lamps, window or flash per object, soft and hard, warm and cold",
    )
    add("--materials", choices=("keep", "random", "mixed"), default="keep",
        help="keep the source's; random: colours, roughness and metal drawn per object or part; mixed: half of the "
        "objects keep theirs")  # fmt: skip
    add("--ground", type=_within(0.0, 1.0), default=0.0, metavar="SHARE",
        help="share of objects that stand on a ground: out of the picture, it hides the sky below and throws back "
        "light and shadow")  # fmt: skip
    add("--background", default="transparent", metavar="transparent|R,G,B|IMAGE",
        help="transparent, an sRGB colour in 0..255, or a picture (or folder of pictures) to crop from")  # fmt: skip
    add("--device", choices=("cpu", "gpu"), default="cpu", help="where Cycles renders")


def _add_camera_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--views", type=_whole(1, MAX_VIEWS), default=24, help="views per object")
    add(
        "--cameras",
        default="uniform",
        metavar="|".join(CAMERA_KINDS) + "|FILE.json",
        help="how cameras are placed",
    )
    add("--distance", type=_distance, default=2.0, metavar="D|FROM TO|auto",
        help="distance from the object's centre in object units: one, drawn per view, or auto: where the object fills "
        "the frame as with the defaults, whatever the lens")  # fmt: skip
    add("--lens", type=_range, default=60.0, metavar="MM|FROM TO",
        help="focal length in mm, on a 32 mm sensor; a range is drawn per view, even in its logarithm")  # fmt: skip
    add("--roll", type=_within(0.0, 180.0), default=0.0, metavar="DEG",
        help="camera roll, drawn per view within this many degrees either way")  # fmt: skip
    add("--azimuth", type=float, nargs=2, default=(0.0, 360.0), metavar=("FROM", "TO"),
        help="range in degrees; 0 sees the front, 90 stands at +X")  # fmt: skip
    add(
        "--elevation",
        type=float,
        nargs=2,
        default=(-20.0, 40.0),
        metavar=("FROM", "TO"),
        help="range in degrees",
    )


def _add_source_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--up", default="Z", help="up axis of the sources (X, Y, Z, -X, -Y, -Z; write --up=-Z)")
    add("--front", default="-Y", help="front axis of the sources, written --front=-Y")
    add(
        "--axes",
        type=Path,
        metavar="AXES.json",
        help='axes by file or object: {"chair/old_*": {"front": "X"}, ...}',
    )
    add("--normalise", choices=("bbox", "none"), default="bbox",
        help="bbox: centre at the origin, diagonal 1; none: keep the source's position and size")  # fmt: skip
    add("--category", metavar="NAME", help="category of all objects instead of the folder names")
    add(
        "--parts",
        type=Path,
        metavar="MAPPING.json",
        help="part names, and rules from object and material names",
    )
    add(
        "--points",
        type=_whole(0, 1_000_000),
        default=16384,
        help="surface samples in points.ply; 0 writes none",
    )
    add("--only", type=Path, metavar="NAMES.txt", help="render the objects listed here, one per line")
    add(
        "--shard",
        type=_shard,
        default=(0, 1),
        metavar="I/N",
        help="render every N-th object from the I-th, I < N",
    )


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--seed", type=int, default=0, help="seed of cameras, lights and samples")
    add("--resume", action="store_true", default=True, help="skip complete objects; always on unless --force")
    add("--force", action="store_true", help="render complete objects again")
    add(
        "--dry-run", action="store_true", help="print what would be rendered and the disk it needs, then stop"
    )
    add("--quiet", action="store_true", help="print failures only")
    add("--json-progress", action="store_true", help="print one JSON line per view and object")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse and cross-check; wrong use prints one line and exits with status 1."""
    parser = build_parser()
    parser.error = _fail  # type: ignore[method-assign]
    options = parser.parse_args(join_ranges(arguments))
    options.passes = _passes(options.passes) if isinstance(options.passes, str) else options.passes
    for name in ("azimuth", "elevation"):
        low, high = getattr(options, name)
        if not (abs(low) <= 720 and abs(high) <= 720 and low <= high):
            _fail(f"--{name} {low} {high}: the range must rise and be finite")
    if not (options.elevation[0] >= -90 and options.elevation[1] <= 90):
        _fail(f"--elevation {options.elevation[0]} {options.elevation[1]}: must lie in -90..90 degrees")
    if options.distance == "auto" and options.normalise != "bbox":
        _fail("--distance auto needs --normalise bbox: it counts on a bounding box of diagonal 1")
    return options


def join_ranges(arguments: list[str]) -> list[str]:
    """Arguments with the two numbers of "--lens FROM TO" joined to one word; argparse has no "one or two"."""
    joined, rest = [], list(arguments)
    while rest:
        word = rest.pop(0)
        if (
            word in RANGE_OPTIONS
            and len(rest) > 1
            and NUMBER.fullmatch(rest[0])
            and NUMBER.fullmatch(rest[1])
        ):
            word = f"{word}={rest.pop(0)}..{rest.pop(0)}"
        joined.append(word)
    return joined


def _fail(message: str) -> None:
    # argparse would exit with 2; the exit statuses of this script are 0, 1 and 3.
    print(f"render_views: {message} (see --help)", file=sys.stderr)
    raise SystemExit(1)


def _whole(low: int, high: int):
    def convert(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{value} is not in {low}..{high}")
        return value

    convert.__name__ = "whole number"  # argparse shows it when int() fails
    return convert


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e12:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def _within(low: float, high: float):
    def convert(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not in {low:g}..{high:g}")
        return value

    convert.__name__ = "number"
    return convert


def _range(text: str) -> float | tuple[float, float]:
    """A positive number, or two that rise, as FROM..TO."""
    low, dots, high = text.partition("..")
    try:
        ends = _positive(low), _positive(high if dots else low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor a range FROM..TO") from None
    if ends[0] > ends[1]:
        raise argparse.ArgumentTypeError(f"{text}: the range must rise")
    return ends if ends[0] < ends[1] else ends[0]


def _distance(text: str) -> float | tuple[float, float] | str:
    return text if text == "auto" else _range(text)


def _passes(text: str) -> tuple[str, ...]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in PASSES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"unknown pass {', '.join(unknown) or text!r}; choose from {','.join(PASSES)}"
        )
    return tuple(name for name in PASSES if name in names or name == "mask")  # masks cost nothing


def _shard(text: str) -> tuple[int, int]:
    try:
        index, count = (int(word) for word in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N") from None
    if not 0 <= index < count:
        raise argparse.ArgumentTypeError(
            f"{text}: shards count from 0, so I must be in 0..{max(count - 1, 0)}"
        )
    return index, count
