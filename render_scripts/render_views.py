# SPDX-License-Identifier: GPL-3.0-or-later
"""Render meshes into a dataset folder; see --help. Runs inside Blender 3.4 or later, or under the bpy module."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

# Blender runs this file by its path; its neighbours are imported as a package, under the folder's own name.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
try:
    import bpy
except ImportError:
    sys.exit(
        "render_views: needs Blender's Python; run it with blender --background --python, or pip install bpy"
    )

from render_scripts import dataset_writer as writer
from render_scripts import options as cli
from render_scripts.axes import read_axes, rotation_from_axes
from render_scripts.backgrounds import Background
from render_scripts.import_mesh import MeshError
from render_scripts.parts import palette, read_mapping
from render_scripts.passes import RenderSettings, setup_scene
from render_scripts.progress import Progress, capture_stdout
from render_scripts.render_object import Job, render_object, seconds_since
from render_scripts.scratch import scratch_folder
from render_scripts.sources import Source, find_sources, read_only_list, sha256_of, shard_of
from render_scripts.viewset import ViewSettings, object_views

VERSION = "0.1.0"
ALL_RENDERED, NONE_RENDERED, SOME_FAILED, INTERRUPTED = 0, 1, 3, 130
PALETTE_PARTS = 12
LATER_KNOBS = {"roll": 0.0, "ground": 0.0, "materials": "keep"}  # option -> the value that changes nothing
_interrupts: list[int] = []  # signals that came in, acted upon after the view at work
# Bytes per pixel of PNGs, measured on chairs and cars at 128 px.
BYTES_PER_PIXEL = {"rgb": 0.55, "mask": 0.06, "parts": 0.04, "depth": 0.25, "normals": 0.3}
BYTES_PER_POINT = 28


def main(argv: list[str]) -> int:
    """Run the command line; return the exit status."""
    options = cli.parse(cli.script_arguments(argv, is_blender=bpy.app.binary_path != ""))
    progress = Progress(capture_stdout(), options.json_progress, options.quiet)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Blender's own handlers would leave the half object and the scratch folder behind.
        signal.signal(number, _interrupt)
    try:
        sources = select_sources(options)
        if not options.force:
            writer.check_same_settings(options.output, render_json(options), options.seed)
        if options.dry_run:
            return show_plan(options, sources, progress)
        with scratch_folder() as scratch:
            return render_all(make_job(options, scratch), sources, progress)
    except (ValueError, OSError) as error:
        progress.emit("error", None, error=str(error))
        print(f"render_views: {error}", file=sys.stderr)
        return NONE_RENDERED
    except KeyboardInterrupt:
        print("render_views: interrupted; the same command continues from here", file=sys.stderr)
        return INTERRUPTED


def _interrupt(number: int, frame: object) -> None:
    # Raising here could happen inside a callback of Blender's, which would swallow it.
    _interrupts.append(number)


def _stop_if_interrupted() -> None:
    if _interrupts:
        raise KeyboardInterrupt


def select_sources(options: argparse.Namespace) -> list[Source]:
    """Sources of this run: all, then --only, then the shard. Raises ValueError when nothing is left."""
    sources = find_sources(options.meshes, options.category)
    if not sources:
        raise ValueError(f"no mesh files (glb, gltf, obj, ply, stl, fbx, off, blend) in {options.meshes[0]}")
    if options.only is not None:
        wanted = read_only_list(options.only)
        missing = wanted - {source.key for source in sources} - {source.name for source in sources}
        if missing:
            raise ValueError(f"--only {options.only}: no such object: {', '.join(sorted(missing)[:5])}")
        sources = [source for source in sources if source.key in wanted or source.name in wanted]
    return shard_of(sources, *options.shard)


def make_job(options: argparse.Namespace, scratch: Path) -> Job:
    """Check everything that the user gave before the first render; raises ValueError."""
    rotation_from_axes(options.up, options.front)
    settings = RenderSettings(options.size, options.samples, options.passes, options.device)
    views = view_settings(options)
    views = views._replace(count=len(object_views(views, options.seed, "check")))
    mapping, axes = read_mapping(options.parts), read_axes(options.axes)
    scene = setup_scene(settings)
    return Job(options, scene, settings, views, mapping, axes, Background(options.background), scratch)


def view_settings(options: argparse.Namespace) -> ViewSettings:
    """Camera options as ViewSettings."""
    azimuth, elevation = tuple(options.azimuth), tuple(options.elevation)
    distance = None if options.distance == "auto" else _as_range(options.distance)
    return ViewSettings(
        options.cameras, options.views, distance, _as_range(options.lens), azimuth, elevation, options.roll
    )


def _as_range(value: float | tuple[float, float]) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


def render_json(options: argparse.Namespace) -> dict[str, object]:
    """Settings kept in dataset.json: everything that changes the images."""
    names = ("views", "size", "passes", "samples", "distance", "lens", "azimuth", "elevation", "cameras", "light",
             "background", "up", "front", "normalise", "points")  # fmt: skip
    # Knobs that came later are named only where they are turned: datasets made before them stay as they are.
    names += tuple(name for name, off in LATER_KNOBS.items() if getattr(options, name) != off)
    return {
        name: list(value) if isinstance(value := getattr(options, name), tuple) else value for name in names
    }


def write_index(options: argparse.Namespace, keys: list[str] | None) -> None:
    """Write dataset.json over what is complete, or over `keys` and what it says already."""
    generator = f"render_views {VERSION} / Blender {bpy.app.version_string}"
    rows = palette(PALETTE_PARTS)
    writer.write_dataset_json(options.output, render_json(options), rows, options.seed, generator, keys)


def render_all(job: Job, sources: list[Source], progress: Progress) -> int:
    """Render every source that is not complete; return the exit status."""
    options, counts = job.options, {"rendered": 0, "skipped": 0, "failed": 0}
    is_whole = options.shard == (0, 1) and options.only is None
    progress.emit("plan", None, objects=len(sources), views=job.views.count)
    options.output.mkdir(parents=True, exist_ok=True)
    write_index(options, [])  # the settings must be there before other shards look
    for number, source in enumerate(sources, 1):
        counts[render_one(job, source, f"[{number}/{len(sources)}]", progress)] += 1
    write_index(options, None if is_whole else [source.key for source in sources])
    if is_whole:
        writer.prune_failures(options.output)
        writer.write_splits(options.output)
    good = counts["rendered"] + counts["skipped"]
    status = ALL_RENDERED if not counts["failed"] else SOME_FAILED if good else NONE_RENDERED
    summary = ", ".join(f"{count} {name}" for name, count in counts.items())
    progress.emit("done", f"{options.output}: {summary}", status=status, **counts)
    return status


def render_one(job: Job, source: Source, number: str, progress: Progress) -> str:
    """Render one source; return "rendered", "skipped" or "failed"."""
    _stop_if_interrupted()
    start = time.perf_counter()

    def on_view(index: int, count: int) -> None:
        _stop_if_interrupted()
        progress.emit("view", None, object=source.key, view=index, views=count, seconds=seconds_since(start))

    try:
        sha256 = sha256_of(source.path)
        if not job.options.force and writer.is_complete(job.options.output, source.key, sha256):
            progress.emit("skipped", f"{number} {source.key}: complete, skipped", object=source.key)
            return "skipped"
        warnings = render_object(job, source, sha256, on_view)
    except (MeshError, ValueError, RuntimeError, OSError, MemoryError) as error:
        message = (
            f"{type(error).__name__}: {error}"
            if not isinstance(error, (MeshError, ValueError))
            else str(error)
        )
        writer.record_failure(job.options.output, source.key, source.relative, message)
        progress.emit("failed", f"{number} {source.key}: failed, {message}", object=source.key, error=message)
        return "failed"
    seconds = seconds_since(start)
    for warning in warnings:
        progress.emit("warning", f"{number} {source.key}: {warning}", object=source.key, warning=warning)
    views = job.views.count
    sentence = f"{number} {source.key}: {seconds:.1f} s, {seconds / views * 1000:.0f} ms a view"
    progress.emit("object", sentence, object=source.key, seconds=seconds, views=views)
    return "rendered"


def show_plan(options: argparse.Namespace, sources: list[Source], progress: Progress) -> int:
    """Print what would be rendered and how much disk that takes; writes nothing."""
    done = [source for source in sources if not options.force
            and writer.is_complete(options.output, source.key, sha256_of(source.path))]  # fmt: skip
    todo = len(sources) - len(done)
    views = len(object_views(view_settings(options), options.seed, "plan"))
    view_bytes = sum(BYTES_PER_PIXEL[name] for name in options.passes) * options.size**2
    megabytes = todo * (views * view_bytes + options.points * BYTES_PER_POINT + 20_000) / 1e6
    for source in sources:
        state = "complete" if source in done else "to render"
        sentence = f"{source.key}: {state} ({source.relative})"
        progress.emit("planned", sentence, object=source.key, state=state, source=source.relative)
    sentence = (
        f"{todo} objects of {len(sources)} to render, {views} views each, {todo * views} views at {options.size} px, "
        f"passes {','.join(options.passes)}, about {megabytes:.0f} MB in {options.output}"
    )
    progress.emit(
        "plan", sentence, objects=todo, views=views, complete=len(done), megabytes=round(megabytes, 1)
    )
    return ALL_RENDERED


def leave(status: int) -> None:
    """End the process with a status; the bpy module can hang or crash while Python shuts down."""
    sys.stderr.flush()
    if bpy.app.binary_path:
        sys.exit(status)
    os._exit(status)


if __name__ == "__main__":
    leave(main(sys.argv))
