# SPDX-License-Identifier: Apache-2.0
"""`recon bench renderers`: which cases are measured, what is left out, and the measuring itself."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import psutil
import torch
from tqdm import tqdm

from ..errors import InputError
from .cases import Case, Form, Renderer, Unit, make_scene, make_step, renderers_named, subdivisions_of
from .exponents import Exponent, fit_all
from .measure import Step, compare, describe, seconds
from .memory import MemoryServer, can_measure_memory

SIZES, POINTS, FACES = (32, 64, 128, 256), (1000, 2000, 4000, 8000, 16000, 32000), (1280, 5120, 20480)
# Where the two lines of the cross meet: the papers' sizes.
CENTRE: dict[Unit, tuple[int, int]] = {"points": (64, 8000), "faces": (224, 1280)}
FORMS = ("ours", "brute")
# A step that is foretold to take longer, or more of the free memory, is left out.
MOST_SECONDS, MOST_MEMORY_SHARE = 3.0, 0.5
# After this time no further turn of a case begins.
_CASE_SECONDS = 1.0
# A case that is quick for every form, measured first to foretell the others.
_CALIBRATION: dict[Unit, tuple[int, int]] = {"points": (32, 500), "faces": (32, 320)}
VERSION = 1


@dataclass(frozen=True)
class BenchOptions:
    """What to measure; None: the defaults."""

    sizes: tuple[int, ...] | None = None
    points: tuple[int, ...] | None = None
    faces: tuple[int, ...] | None = None
    only: tuple[str, ...] = ()
    views: int = 8
    repeats: int = 5
    threads: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    full: bool = False
    memory: bool = True
    quiet: bool = False
    with_brute: bool = True
    """Measure the brute force, too."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be measured."""
        numbers = [*(self.sizes or ()), *(self.points or ()), *(self.faces or ()), self.views]
        if min([*numbers, self.repeats, self.threads]) < 1:
            raise InputError("Sizes, points, faces, views, repeats and threads must be at least 1.")
        if max([*(self.sizes or ()), 1]) > 4096:
            raise InputError(f"Images of up to 4096 pixels can be measured, not {max(self.sizes or ())}.")
        for faces in self.faces or ():
            subdivisions_of(faces)


@dataclass(frozen=True)
class Figures:
    """What one form took in one case: milliseconds per view, and MiB of one call with all its views."""

    views: int
    forward_ms: float | None = None
    both_ms: float | None = None
    forward_mb: float | None = None
    both_mb: float | None = None
    left_out: str | None = None


@dataclass(frozen=True)
class Row:
    """One renderer at one size and count."""

    renderer: str
    unit: Unit
    size: int
    count: int
    ours: Figures
    brute: Figures

    @property
    def ratio(self) -> float | None:
        """How many times the brute force takes, forward and backward."""
        ours, brute = self.ours.both_ms, self.brute.both_ms
        return None if ours is None or brute is None else brute / ours


@dataclass(frozen=True)
class Report:
    """A whole run."""

    machine: dict[str, Any]
    rows: list[Row]
    exponents: list[Exponent]

    def as_json(self) -> dict[str, Any]:
        """What renderers.json holds."""
        rows = [asdict(row) | {"ratio": row.ratio} for row in self.rows]
        exponents = [asdict(exponent) for exponent in self.exponents]
        return {"version": VERSION, "machine": self.machine, "cases": rows, "exponents": exponents}


@dataclass
class Foresight:
    """Seconds per unit of work of forms measured so far, by renderer and form."""

    rates: dict[tuple[str, str], float] = field(default_factory=dict)

    def learn(self, renderer: str, form: str, work: float, took_s: float) -> None:
        """Remember the slowest rate of the last, largest case."""
        self.rates[renderer, form] = took_s / work

    def objection(
        self, renderer: Renderer, name: str, case: Case, free_bytes: float, most_s: float = MOST_SECONDS
    ) -> str | None:
        """Why a form should not be run on a case, or None."""
        form: Form = getattr(renderer, name)
        need = 4 * form.peak_values(case)
        if need > MOST_MEMORY_SHARE * free_bytes:
            return f"about {need / 2**30:.1f} GB"
        rate = self.rates.get((renderer.name, name), 0.0)
        foretold_s = rate * form.work(case)
        return f"about {foretold_s:.0f} s" if foretold_s > most_s else None


def plan(options: BenchOptions) -> list[tuple[Renderer, int, int]]:
    """Renderer, size and count of every case, small ones of a renderer before large ones."""
    chosen = []
    for renderer in renderers_named(list(options.only)):
        sizes, counts = axes(options, renderer.unit)
        size, count = centre(options, renderer.unit)
        grid = {(s, n) for s in sizes for n in counts}
        cross = {(s, count) for s in sizes} | {(size, n) for n in counts}
        cases = sorted(grid | cross if options.full else cross, key=lambda case: case[0] ** 2 * case[1])
        chosen += [(renderer, *case) for case in cases]
    return chosen


def axes(options: BenchOptions, unit: Unit) -> tuple[Sequence[int], Sequence[int]]:
    """Sizes and counts that were asked for."""
    counts = (options.points or POINTS) if unit == "points" else (options.faces or FACES)
    return sorted(set(options.sizes or SIZES)), sorted(set(counts))


def centre(options: BenchOptions, unit: Unit) -> tuple[int, int]:
    """Size and count where the lines of the cross meet: the papers', or the nearest that was asked for."""
    size, count = CENTRE[unit]
    sizes, counts = axes(options, unit)
    if options.sizes:
        size = min(sizes, key=lambda one: abs(one - size))
    return size, min(counts, key=lambda one: abs(one - count))


def run(options: BenchOptions) -> Report:
    """Measure everything, in one process apart from the memory."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        order = [renderer.name for renderer, _, _ in plan(options)]
        rows = sorted(_measured(options), key=lambda row: (order.index(row.renderer), row.size, row.count))
        machine = describe_machine(options)
    finally:
        torch.set_num_threads(threads_before)
    return Report(machine, rows, fit_all(rows, {unit: centre(options, unit) for unit in CENTRE}))


def describe_machine(options: BenchOptions) -> dict[str, Any]:
    """Device, threads and versions."""
    return {
        "device": describe(options.device),
        "threads": options.threads,
        "torch": torch.__version__,
        "memory": options.memory and can_measure_memory(),
        "load": round(psutil.getloadavg()[0], 1),
        "cores": psutil.cpu_count(),
    }


def free_memory_bytes(device: torch.device) -> float:
    """Bytes that could be used now."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def _measured(options: BenchOptions) -> Iterator[Row]:
    cases = plan(options)
    foresight = Foresight()
    with ExitStack() as stack:
        server = None
        if options.memory and can_measure_memory():
            server = stack.enter_context(MemoryServer(options.device, options.threads))
        bar = stack.enter_context(tqdm(cases, desc="measuring", unit="case", disable=options.quiet))
        for renderer, size, count in bar:
            bar.set_postfix_str(f"{renderer.name}, {size} px, {count} {renderer.unit}")
            _calibrate(renderer, options, foresight)
            yield _row(renderer, size, count, options, foresight, server)


def _calibrate(renderer: Renderer, options: BenchOptions, foresight: Foresight) -> None:
    """Time a small case of the forms that will be measured, the first time that they are met."""
    for name in FORMS if options.with_brute else FORMS[:1]:
        if (renderer.name, name) in foresight.rates:
            continue
        form, case = getattr(renderer, name), Case(*_CALIBRATION[renderer.unit], views=1)
        step = make_step(form, make_scene(renderer, case, options.device), backward=True)
        step()
        foresight.learn(renderer.name, name, form.work(case), seconds(step, options.device))


def _row(
    renderer: Renderer,
    size: int,
    count: int,
    options: BenchOptions,
    foresight: Foresight,
    server: MemoryServer | None,
) -> Row:
    """Both forms of one case, timed in turns."""
    figures: dict[str, Figures] = {}
    steps: dict[tuple[str, bool], Step] = {}
    for name in FORMS:
        form: Form = getattr(renderer, name)
        case = Case(size, count, form.views(size, options.views))
        objection = _objection(renderer, name, case, options, foresight)
        figures[name] = Figures(case.views, left_out=objection)
        if not objection:
            scene = make_scene(renderer, case, options.device)
            steps |= {(name, back): make_step(form, scene, back) for back in (False, True)}
    times = compare(steps, options.device, options.repeats, most_s=_CASE_SECONDS)
    for (name, back), took_s in times.items():
        case = Case(size, count, figures[name].views)
        if back:
            foresight.learn(renderer.name, name, getattr(renderer, name).work(case), took_s)
        # The memory of a slow forward pass alone is not worth its time.
        wanted = server is not None and (back or took_s < _CASE_SECONDS)
        peak_mb = server.peak_mb(renderer.name, name, case, back) if server and wanted else None
        kind = "both" if back else "forward"
        found = {f"{kind}_ms": took_s / case.views * 1e3, f"{kind}_mb": peak_mb}
        figures[name] = replace(figures[name], **found)
    return Row(renderer.name, renderer.unit, size, count, figures["ours"], figures["brute"])


def _objection(
    renderer: Renderer, name: str, case: Case, options: BenchOptions, foresight: Foresight
) -> str | None:
    """Why this form is left out, or None."""
    if name == "brute" and not options.with_brute:
        return "not asked for"
    return foresight.objection(renderer, name, case, free_memory_bytes(options.device))
