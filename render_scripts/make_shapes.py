# SPDX-License-Identifier: GPL-3.0-or-later
"""Make procedural, part-labelled objects: model.glb, points.ply and object.json for each.

Runs in Blender:      blender --background --python make_shapes.py -- --category chair --output DIR
and in plain Python:  python make_shapes.py --category chair --output DIR     (numpy is all it needs)
"""

from __future__ import annotations

import argparse
import difflib
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # Blender does not add the script's folder

from shapes import objects


def main(argv: list[str]) -> int:
    """Parse, make what is missing, report; 0 done, 1 a file could not be written, 2 wrong arguments."""
    options = _parse(argv)
    if options.category not in objects.CATEGORIES:
        return _fail(_unknown_category(options.category), 2)
    if options.count < 1 or options.start < 0 or options.seed < 0:
        return _fail("--count must be at least 1, --start and --seed at least 0", 2)
    if not 0 <= options.stylised <= 1:
        return _fail(f"--stylised {options.stylised}: expected a share from 0 to 1", 2)
    try:
        made, skipped, seconds = _make_all(options)
    except OSError as error:
        return _fail(f"cannot write {error.filename or options.output}: {error.strerror or error}", 1)
    rate = f", {made / seconds:.1f} objects/s" if made else ""
    print(f"{made} made, {skipped} already there in {options.output / options.category}{rate}")
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make_shapes", description=__doc__, formatter_class=_HelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--category", required=True, help="one of: " + ", ".join(objects.CATEGORIES))
    parser.add_argument(
        "--output", required=True, type=Path, help="folder; objects go to OUTPUT/CATEGORY/NAME"
    )
    parser.add_argument("--count", type=int, default=200, help="how many objects")
    parser.add_argument("--start", type=int, default=0, help="index of the first one")
    parser.add_argument("--seed", type=int, default=0, help="object = f(category, seed, index)")
    parser.add_argument(
        "--stylised",
        type=float,
        default=0.0,
        help="share (0 to 1) of objects as simple model kits have them: other proportions, thick parts, toy cars",
    )
    parser.add_argument("--force", action="store_true", help="make objects again that are already there")
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    return parser.parse_args(argv)


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults shown, the description's lines kept."""


def _make_all(options: argparse.Namespace) -> tuple[int, int, float]:
    """Number of objects made and skipped, and the seconds it took."""
    begin, made, skipped = time.perf_counter(), 0, 0
    for done in range(options.count):
        index = options.start + done
        name = objects.object_name(options.category, options.seed, index)
        folder = options.output / options.category / name
        if objects.is_complete(folder) and not options.force:
            skipped += 1
        else:
            objects.write_object(options.category, options.seed, index, folder, options.stylised)
            made += 1
        if not options.quiet:
            _show_progress(done + 1, options.count, made, time.perf_counter() - begin)
    return made, skipped, time.perf_counter() - begin


def _show_progress(done: int, count: int, made: int, seconds: float) -> None:
    """One line rewritten in place on a terminal; every 50th object elsewhere."""
    terminal = sys.stderr.isatty()
    if terminal or done % 50 == 0 or done == count:
        left = (count - done) * seconds / max(made, 1)
        print(
            f"\r{done}/{count} objects, {left:.0f} s left ",
            end="" if terminal else "\n",
            file=sys.stderr,
            flush=True,
        )
    if terminal and done == count:
        print(file=sys.stderr)


def _unknown_category(name: str) -> str:
    near = difflib.get_close_matches(name, objects.CATEGORIES, 1, 0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"unknown category {name!r}: expected one of {', '.join(objects.CATEGORIES)}{hint}"


def _fail(message: str, status: int) -> int:
    print(f"make_shapes: {message}", file=sys.stderr)
    return status


def _script_arguments() -> list[str]:
    """What follows "--" under Blender; all arguments under plain Python."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]


if __name__ == "__main__":
    sys.exit(main(_script_arguments()))
