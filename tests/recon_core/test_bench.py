# SPDX-License-Identifier: Apache-2.0
"""`recon bench renderers`: both forms agree, what is left out and why, exponents, files, and bad options."""

import builtins
import json
import math
import time

import pytest
import torch
from typer.testing import CliRunner

from recon_core.bench.cases import RENDERERS, Case, make_scene, make_step, renderers_named
from recon_core.bench.exponents import end_exponent, fit_exponent, line
from recon_core.bench.measure import compare, own_process_mb, seconds
from recon_core.bench.memory import MemoryServer, can_measure_memory
from recon_core.bench.report import write_report
from recon_core.bench.run import (
    BenchOptions,
    Figures,
    Foresight,
    Report,
    Row,
    axes,
    centre,
    free_memory_bytes,
    plan,
    run,
)
from recon_core.bench.table import as_text
from recon_core.cli import app
from recon_core.errors import InputError

CPU = torch.device("cpu")
# The splat's scatter is only bilinear; the others compute the same formula.
TOLERANCE = {"splat": 0.02, "voxel": 1e-4, "planes": 1e-5, "mesh": 1e-4}
KNOWN_GROWTH = """
import sys, torch
from recon_core.bench.measure import peak_growth_mb

def grow(mib):
    return lambda: torch.ones(mib * 2**18).sum().item()

print(peak_growth_mb(grow(int(sys.argv[1])), grow(1), torch.device("cpu")))
"""
TINY = BenchOptions(
    sizes=(16, 32), points=(40, 80), faces=(20, 80), views=2, repeats=1, memory=False, quiet=True
)


def tiny_case(renderer, views=2):
    return Case(24, 80, views)


@pytest.fixture(scope="module")
def tiny_report() -> Report:
    return run(TINY)


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: renderer.name)
def test_both_forms_render_the_same(renderer):
    scene = make_scene(renderer, tiny_case(renderer), CPU)
    ours, brute = renderer.ours.render(scene), renderer.brute.render(scene)
    assert len(ours) == len(brute)
    for image, reference in zip(ours, brute):
        assert image.shape == reference.shape
        assert reference.max() - reference.min() > 0.2
        assert (image - reference).abs().max() < TOLERANCE[renderer.family]


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: renderer.name)
def test_both_forms_have_the_same_gradients(renderer):
    scene = make_scene(renderer, tiny_case(renderer), CPU)
    ours, brute = (make_step(form, scene, backward=True)() for form in (renderer.ours, renderer.brute))
    found = 0
    for gradient, reference in zip(ours, brute):
        if gradient is None or reference is None:
            # The brute force of features differentiates by what has no gradient in ours, a step, and finds 0.
            assert reference is None or not reference.any() or gradient is None
            continue
        if gradient.shape == scene.depth.shape:
            # The nearest and the farthest point lie on the first and last slab: a kink, with two slopes.
            ends = (scene.depth == scene.depth.amin(1, keepdim=True)) | (
                scene.depth == scene.depth.amax(1, keepdim=True)
            )
            gradient, reference = gradient.masked_fill(ends, 0), reference.masked_fill(ends, 0)
        # Of a scatter that is only linear between pixels; tests of the splat itself hold its gradient to the formula.
        limit = 0.25 if renderer.family == "splat" else 1e-3
        assert (gradient - reference).norm() <= limit * reference.norm() + 1e-6
        found += bool(reference.any())
    assert found > 0


def test_forward_alone_keeps_no_graph():
    scene = make_scene(RENDERERS[0], tiny_case(RENDERERS[0]), CPU)
    (image,) = make_step(RENDERERS[0].ours, scene, backward=False)()
    assert not image.requires_grad
    assert scene.uv_px.requires_grad


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_exponents_of_powers(power):
    sizes = [1000, 2000, 8000, 32000]
    assert fit_exponent(sizes, [3e-3 * n**power for n in sizes]) == pytest.approx(power, abs=1e-9)


def test_exponent_of_noise_and_of_a_fixed_cost():
    generator = torch.Generator().manual_seed(0)
    sizes = [2**k for k in range(4, 14)]
    noise = (0.05 * torch.randn(len(sizes), generator=generator)).exp().tolist()
    assert fit_exponent(sizes, [n * f for n, f in zip(sizes, noise)]) == pytest.approx(1.0, abs=0.03)
    assert fit_exponent(sizes, [n + 500.0 for n in sizes]) < 0.8
    assert math.isnan(fit_exponent([64, 64], [1.0, 2.0]))


def test_the_end_is_between_sizes_that_differ():
    sizes = [32**2, 64**2, 224**2, 256**2]
    times = [1.0, 4.0, 300.0, 64.0]  # noise between sizes that hardly differ says nothing
    assert end_exponent(sizes, times) == pytest.approx(1.0)
    assert end_exponent([100, 150], [1.0, 1.5]) == pytest.approx(1.0)


def test_lines_go_through_the_centre():
    rows = [
        Row(
            "splat mask",
            "points",
            size,
            count,
            Figures(1, both_ms=size * count),
            Figures(1, left_out="about 9 s"),
        )
        for size in (32, 64)
        for count in (1000, 8000)
    ]
    assert line(rows, "splat mask", "ours", "points", (64, 8000)) == [(1000.0, 64000), (8000.0, 512000)]
    assert line(rows, "splat mask", "ours", "pixels", (64, 8000)) == [(1024.0, 256000), (4096.0, 512000)]
    assert line(rows, "splat mask", "brute", "points", (64, 8000)) == []


def test_default_plan_is_a_cross_and_the_full_one_a_grid():
    options = BenchOptions(only=("splat mask", "mesh"))
    cases = {(r.name, size, count) for r, size, count in plan(options)}
    assert {(s, n) for name, s, n in cases if name == "splat mask"} == {
        (s, 8000) for s in (32, 64, 128, 256)
    } | {(64, n) for n in (1000, 2000, 4000, 8000, 16000, 32000)}
    assert ("mesh mask", 224, 20480) in cases
    assert ("mesh mask", 64, 1280) in cases
    full = plan(BenchOptions(only=("splat mask",), full=True))
    assert len(full) == len({case[1:] for case in full}) == 24


def test_centre_is_the_nearest_to_the_papers():
    assert centre(BenchOptions(), "points") == (64, 8000)
    assert centre(BenchOptions(), "faces") == (224, 1280)
    assert centre(BenchOptions(sizes=(16, 100), points=(500, 9000)), "points") == (100, 9000)
    assert axes(BenchOptions(sizes=(64, 16, 64)), "points")[0] == [16, 64]


def test_what_needs_too_much_memory_is_refused_before_it_runs():
    renderer = renderers_named(["plane features"])[0]
    foresight, case = Foresight(), Case(256, 32000, 1)
    need = 4 * renderer.brute.peak_values(case)
    assert need > 32000 * 256 * 256 * 4
    objection = foresight.objection(renderer, "brute", case, free_bytes=1.9 * need)
    assert objection is not None
    assert objection.endswith("GB")
    assert foresight.objection(renderer, "brute", case, free_bytes=2.1 * need) is None
    assert foresight.objection(renderer, "ours", case, free_bytes=1.9 * need) is None


def test_what_takes_too_long_is_foretold_from_what_was_measured():
    renderer = renderers_named(["mesh mask"])[0]
    foresight = Foresight()
    foresight.learn("mesh mask", "brute", renderer.brute.work(Case(32, 1280, 1)), took_s=0.5)  # 2^20 pairs
    plenty = 1e15
    assert foresight.objection(renderer, "brute", Case(64, 1280, 1), plenty) is None  # 2 s
    objection = foresight.objection(renderer, "brute", Case(224, 5120, 1), plenty)  # 0.5 * 49 * 4
    assert objection == "about 98 s"
    assert foresight.objection(renderer, "ours", Case(224, 5120, 1), plenty) is None


def test_refused_cases_are_not_run(monkeypatch):
    monkeypatch.setattr("recon_core.bench.run.free_memory_bytes", lambda device: 1e6)
    options = BenchOptions(
        sizes=(32,), points=(2000,), only=("splat mask",), repeats=1, memory=False, quiet=True
    )
    report = run(options)
    (row,) = report.rows
    assert row.brute.left_out == "about 0.0 GB"
    assert row.brute.both_ms is None
    assert row.ratio is None
    assert "left out: about 0.0 GB" in as_text(report)
    assert report.as_json()["cases"][0]["ratio"] is None


def test_volumes_have_fewer_views_in_large_images():
    voxel, splat = renderers_named(["voxel mask", "splat mask"])[::-1]
    assert voxel.ours.views(64, 8) == 8
    assert voxel.ours.views(256, 8) == 1
    assert splat.ours.views(256, 8) == 8
    assert splat.brute.views(32, 8) == 1


def test_report_has_every_case(tiny_report):
    rows = {(row.renderer, row.size, row.count): row for row in tiny_report.rows}
    assert len(rows) == len(tiny_report.rows) == len(RENDERERS) * 3
    for row in tiny_report.rows:
        for figures in (row.ours, row.brute):
            assert figures.left_out is None
            assert figures.forward_ms > 0
            assert figures.both_ms > 0
            assert figures.both_mb is None
        assert row.ours.views == 2
        assert row.brute.views == 1
        assert row.ratio == row.brute.both_ms / row.ours.both_ms
    along = {(e.renderer, e.form, e.along) for e in tiny_report.exponents}
    assert len(along) == len(tiny_report.exponents) == len(RENDERERS) * 4
    assert ("splat mask", "ours", "pixels") in along
    assert ("mesh colours", "brute", "faces") in along


def test_files(tiny_report, tmp_path):
    pytest.importorskip("matplotlib")
    text, lines = write_report(tiny_report, TINY, tmp_path)
    saved = json.loads((tmp_path / "renderers.json").read_text())
    assert set(saved) == {"version", "machine", "cases", "exponents"}
    assert set(saved["cases"][0]) == {"renderer", "unit", "size", "count", "ours", "brute", "ratio"}
    assert set(saved["cases"][0]["ours"]) == {
        "views", "forward_ms", "both_ms", "forward_mb", "both_mb", "left_out",
    }  # fmt: skip
    assert set(saved["exponents"][0]) == {
        "renderer", "form", "along", "at", "exponent", "at_the_end", "least", "most",
    }  # fmt: skip
    assert saved["machine"]["threads"] == 1
    assert (tmp_path / "renderers.txt").read_text() == text + "\n"
    for renderer in RENDERERS:
        assert renderer.name in text
    assert (tmp_path / "renderers.png").read_bytes()[:4] == b"\x89PNG"
    assert len(lines) == 3


def test_without_matplotlib_the_rest_is_written(tiny_report, tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    _, lines = write_report(tiny_report, TINY, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"renderers.json", "renderers.txt"}
    assert "pip install 'recon3d[plots]'" in lines[-1]


def test_times_are_taken_in_turns_and_medians():
    calls = []
    steps = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    times = compare(steps, CPU, repeats=3, least_s=0.0)
    assert calls == ["a", "b"] + ["a", "b"] * 3
    assert set(times) == {"a", "b"}
    calls.clear()
    compare(steps, CPU, repeats=3, least_s=0.0, most_s=0.0)
    assert calls == ["a", "b"] * 2  # one turn at least


def test_one_thread_counts_processor_time_and_more_wall_time():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert seconds(lambda: time.sleep(0.05), CPU) < 0.02
        torch.set_num_threads(2)
        assert seconds(lambda: time.sleep(0.05), CPU) >= 0.05
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not can_measure_memory(), reason="the system does not tell a process's peak")
def test_memory_of_a_known_size(tmp_path):
    # In a process of its own: in this one, blocks that earlier tests freed may serve the step.
    script = tmp_path / "grow.py"
    script.write_text(KNOWN_GROWTH)
    assert 40 < own_process_mb(str(script), [48]) < 60


@pytest.mark.skipif(not can_measure_memory(), reason="the system does not tell a process's peak")
def test_memory_server_sees_the_dense_tensor():
    case = Case(64, 500, 1)
    with MemoryServer(CPU, threads=1) as server:
        dense = server.peak_mb("splat mask", "brute", case, backward=True)
        ours = server.peak_mb("splat mask", "ours", case, backward=True)
        assert server.peak_mb("splat mask", "ours", Case(64, 0, -1), backward=True) is None  # the fork failed
        again = server.peak_mb("splat mask", "brute", case, backward=True)
    one_tensor = 500 * 64 * 64 * 4 / 2**20
    assert dense is not None
    assert ours is not None
    assert again is not None
    assert dense > 1.5 * one_tensor
    assert ours < 0.5 * one_tensor
    assert again == pytest.approx(dense, rel=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "3x"], "whole numbers separated by commas"),
        (["--sizes", "0"], "must be at least 1"),
        (["--sizes", "5000"], "up to 4096 pixels"),
        (["--only", "nurbs"], "There is no renderer 'nurbs'"),
        (["--faces", "100", "--only", "mesh", "--quiet"], "no sphere of 100 faces"),
        (["--device", "abacus"], "Unknown device"),
    ],
)
def test_bad_options_are_explained(arguments, message, tmp_path):
    result = CliRunner().invoke(app, ["bench", "renderers", "--out", str(tmp_path), *arguments])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_command_writes_and_prints(tmp_path):
    words = "bench renderers --sizes 16 --points 30,60 --only splat --batch 1 --repeats 1 --no-memory --quiet"
    result = CliRunner().invoke(app, [*words.split(), "--out", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert "splat colours" in result.output
    assert "plane mask" not in result.output
    assert (tmp_path / "new" / "renderers.json").is_file()


def test_free_memory_is_a_number():
    assert free_memory_bytes(CPU) > 2**20
