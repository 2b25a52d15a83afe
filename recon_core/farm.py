# SPDX-License-Identifier: Apache-2.0
"""Rendering with many Blender processes: chunks, progress, timeouts, one retry, quarantine, clean Ctrl-C.

Each process runs render_scripts/render_views.py over a chunk of objects, reports one JSON line per event, and
then ends: Blender's memory grows, and a crash must not take the other objects with it.
"""

import os
import queue
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .blender import BlenderCommand, find_blender
from .children import Child, Inbox, stop_all, terminable
from .errors import InputError, ReconError
from .farm_index import read_failures, record_failure, remove_leftovers, remove_scratch, write_index
from .farm_progress import FarmProgress
from .farm_queue import WorkQueue, parse_event
from .resources import resource_dir

# Reading every source file to see which objects are complete takes a while on large sets.
PLAN_TIMEOUT_SECONDS = 3600.0
EXIT_SECONDS = 10.0
# Processes that die before their first object say nothing about an object: something else is wrong.
MAX_FAILED_STARTS = 3


@dataclass(frozen=True)
class FarmOptions:
    """What to render, with how many processes.

    `render_arguments` go to every render_views process as they are, `selection_arguments` only to the one that
    plans: they say which objects there are.
    """

    meshes: tuple[Path, ...]
    output: Path
    render_arguments: tuple[str, ...] = ()
    selection_arguments: tuple[str, ...] = ()
    blender: str = "auto"
    jobs: int = 0  # processes at a time; 0 = one per usable core
    chunk: int = 40  # objects per process
    timeout_seconds: float = 600.0  # per object
    retries: int = 1  # of an object that a process died or hung on
    skip_failed: bool = False  # leave objects alone that failed.jsonl names
    quiet: bool = False


@dataclass(frozen=True)
class Plan:
    """What a run would do: objects to render, how many are complete already, views and disk space."""

    todo: list[str]
    complete: int
    views: int
    sentence: str
    sources: dict[str, str] = field(default_factory=dict)  # name -> source file, where the script tells


@dataclass
class FarmResult:
    """What a run did; `failed` says why, by object."""

    rendered: int = 0
    complete_before: int = 0
    views: int = 0
    seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """0: everything is rendered; 3: some objects failed; 1: none could be rendered."""
        if not self.failed:
            return 0
        return 3 if self.rendered + self.complete_before else 1

    def __str__(self) -> str:
        rate = f", {self.views / self.seconds:.1f} views/s" if self.views else ""
        counts = (
            f"{self.rendered} rendered, {self.complete_before} complete before, {len(self.failed)} failed"
        )
        return f"{counts} in {self.seconds:.1f} s{rate}"


def usable_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_plan(options: FarmOptions, blender: BlenderCommand | None = None) -> Plan:
    """Ask render_views which objects there are; raises InputError for options or meshes it cannot use."""
    _check_output(options)
    command = _command(
        options, blender or find_blender(options.blender), *options.selection_arguments, "--dry-run"
    )
    events = _events_of_short_run(command)
    plans = [event for event in events if event["event"] == "plan"]
    if not plans:
        raise ReconError("render_views printed no plan; the render_scripts folder does not fit this version.")
    planned = [event for event in events if event["event"] == "planned"]
    todo = [event["object"] for event in planned if event["state"] != "complete"]
    if options.skip_failed:
        given_up = read_failures(options.output)
        todo = [name for name in todo if name not in given_up]
    views = int(plans[0]["views"])
    megabytes = plans[0].get("megabytes", 0)
    sentence = (
        f"{len(todo)} of {len(planned)} objects to render, {views} views each, about {megabytes} MB "
        f"in {options.output}"
    )
    sources = {event["object"]: event.get("source", "") for event in planned}
    return Plan(todo, len(planned) - len(todo), views, sentence, sources)


def render(
    options: FarmOptions, make_progress: Callable[[int, int, bool], FarmProgress] = FarmProgress
) -> FarmResult:
    """Render all objects that are not complete yet and bring the dataset's index up to date.

    On Ctrl-C the processes are ended, half objects removed, the index written, and KeyboardInterrupt goes on.
    Raises InputError for unusable meshes or options, MissingDependency without a Blender.
    """
    blender = find_blender(options.blender)
    plan = make_plan(options, blender)
    result = FarmResult(complete_before=plan.complete)
    if plan.todo:
        with tempfile.TemporaryDirectory(prefix="recon-farm-") as scratch, terminable():
            progress = make_progress(len(plan.todo), plan.views, options.quiet)
            _Farm(options, blender, plan, result, Path(scratch), progress).run()
    write_index(options.output)
    return result


@dataclass
class _Running:
    """One process at work: the objects it has not finished, in its order, and when it must have done the next."""

    child: Child
    names: list[str]
    deadline: float
    started: bool = False  # it has read its options and begins to render
    ended: bool = False  # it has said that it is done
    error: str = ""


class _Farm:
    """The state of one run: a queue, the processes and what they reported."""

    def __init__(
        self,
        options: FarmOptions,
        blender: BlenderCommand,
        plan: Plan,
        result: FarmResult,
        scratch: Path,
        progress: FarmProgress,
    ) -> None:
        self.options, self.blender, self.plan, self.result = options, blender, plan, result
        self.scratch, self.progress = scratch, progress
        self.jobs = min(options.jobs or usable_cores(), len(plan.todo))
        self.queue = WorkQueue(plan.todo, self.jobs, options.chunk, options.retries)
        self.inbox: Inbox = queue.Queue()
        self.running: dict[Child, _Running] = {}
        self.failed_starts = 0

    def run(self) -> None:
        """Work until the queue is empty; whatever happens, no process and no half object is left."""
        start = time.monotonic()
        try:
            while self.queue or self.running:
                self.start_processes()
                self.handle_messages()
                self.end_late_processes()
        finally:
            self.result.seconds = time.monotonic() - start
            # Taken before the processes end: what each was working on.
            unfinished = [name for one in self.running.values() for name in one.names]
            stop_all(list(self.running))
            remove_scratch(child.pid for child in self.running)
            self.progress.close()
            remove_leftovers(self.options.output, [*unfinished, *self.result.failed])
            if unfinished:
                write_index(self.options.output)

    def start_processes(self) -> None:
        """Fill the free places with chunks."""
        while self.queue and len(self.running) < self.jobs:
            names = self.queue.take()
            only = self.scratch / f"only-{time.monotonic_ns()}.txt"
            only.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
            child = Child(_command(self.options, self.blender, "--only", str(only)), self.inbox)
            self.running[child] = _Running(child, names, self.new_deadline())

    def new_deadline(self) -> float:
        return time.monotonic() + self.options.timeout_seconds

    def handle_messages(self) -> None:
        """Wait until a process reports or one is late; then take what is there."""
        wait = min((one.deadline for one in self.running.values()), default=0.0) - time.monotonic()
        try:
            child, line = self.inbox.get(timeout=min(max(wait, 0.0), 1.0))
        except queue.Empty:
            return
        one = self.running.get(child)
        if one is None:
            return  # the last words of a process that was stopped
        if line is None:
            self.process_ended(one)
        elif event := parse_event(line):
            self.handle_event(one, event)

    def handle_event(self, one: _Running, event: dict[str, Any]) -> None:
        """Book what a process reported; events of later versions are let pass."""
        kind, name = event["event"], event.get("object")
        if kind == "plan":
            one.started, one.deadline = True, self.new_deadline()
        elif kind == "done":
            one.ended, one.deadline = True, time.monotonic() + EXIT_SECONDS
        elif kind == "error":
            one.error = str(event.get("error", ""))
        elif kind == "warning":
            self.progress.say(f"{name}: {event.get('warning')}")
        elif name in one.names:
            self.handle_object_event(one, event)

    def handle_object_event(self, one: _Running, event: dict[str, Any]) -> None:
        kind, name = event["event"], event["object"]
        if kind == "view":
            self.progress.view(name)
        elif kind in ("object", "skipped", "failed"):
            one.names.remove(name)
            one.deadline = self.new_deadline()
            if kind == "failed":  # a bad source stays bad: no second attempt, and the process has recorded it
                self.give_up(name, str(event.get("error", "no reason given")))
            else:
                self.result.rendered += 1
                self.result.views += self.plan.views
                self.progress.rendered(name)

    def process_ended(self, one: _Running) -> None:
        """A process closed its output: all is well, it crashed on an object, or it could not start."""
        del self.running[one.child]
        status = one.child.finish(EXIT_SECONDS)
        remove_scratch([one.child.pid])
        if one.error:
            raise InputError(one.error)
        if one.ended and not one.names:
            return
        reason = _death(status, one.child.error_text())
        if not one.started:
            self.could_not_start(one, reason)
        elif one.names:
            self.blame(one, reason)

    def could_not_start(self, one: _Running, reason: str) -> None:
        self.failed_starts += 1
        if self.failed_starts >= MAX_FAILED_STARTS:
            raise ReconError(
                f"{self.blender} does not get as far as rendering: {reason}. Try `recon doctor`."
            )
        self.queue.give_back(one.names)

    def end_late_processes(self) -> None:
        """Stop processes whose object took too long."""
        for one in [one for one in self.running.values() if one.deadline < time.monotonic()]:
            del self.running[one.child]
            one.child.stop()
            remove_scratch([one.child.pid])
            if one.names:
                self.blame(one, f"took longer than {self.options.timeout_seconds:g} s")

    def blame(self, one: _Running, reason: str) -> None:
        """The first object that a dead process had not finished is the culprit; the others go back."""
        culprit, *others = one.names
        self.queue.give_back(others)
        remove_leftovers(self.options.output, [culprit])
        if self.queue.blame(culprit):
            self.progress.again(culprit, reason)
            return
        message = f"{reason} ({self.queue.attempts(culprit)} attempts)"
        record_failure(self.options.output, culprit, self.plan.sources.get(culprit, ""), message)
        self.give_up(culprit, message)

    def give_up(self, name: str, message: str) -> None:
        self.result.failed[name] = message
        self.progress.failed(name, message)


def _check_output(options: FarmOptions) -> None:
    """A dataset inside the folder of meshes would be taken for meshes by the next run (its points.ply)."""
    for folder in options.meshes:
        if folder.is_dir() and options.output.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"--output {options.output} lies inside the meshes {folder}: choose a folder elsewhere."
            )


def render_arguments(given: Mapping[str, object]) -> tuple[str, ...]:
    """Command-line arguments for render_views of options by name; None and False are left out."""
    arguments: list[str] = []
    for name, value in given.items():
        if value is True:
            arguments.append(f"--{name}")
        elif isinstance(value, tuple):
            # Plain decimals: argparse takes -1e-05 for an option.
            arguments += [f"--{name}", *(f"{number:.9f}" for number in value)]
        elif value is not None and value is not False:
            arguments.append(f"--{name}={value}")
    return tuple(arguments)


def selection_arguments(only: Path | None, shard: str) -> tuple[str, ...]:
    """Arguments that choose among the objects."""
    return render_arguments({"only": only, "shard": shard})


def _command(options: FarmOptions, blender: BlenderCommand, *more: str) -> list[str]:
    """Command line of one render_views process; absolute paths, which cannot be taken for options."""
    return blender.argv(
        resource_dir("render_scripts") / "render_views.py",
        *(str(path.absolute()) for path in options.meshes),
        "--output",
        str(options.output.absolute()),
        *options.render_arguments,
        *more,
        "--json-progress",
    )


def _events_of_short_run(command: list[str]) -> list[dict[str, Any]]:
    """Events of a process that does no rendering; raises InputError with its words when it fails."""
    inbox: Inbox = queue.Queue()
    child = Child(command, inbox)
    events: list[dict[str, Any]] = []
    try:
        while (line := inbox.get(timeout=PLAN_TIMEOUT_SECONDS)[1]) is not None:
            if event := parse_event(line):
                events.append(event)
        status = child.finish(EXIT_SECONDS)
    except queue.Empty:
        raise ReconError(f"render_views found no plan within {PLAN_TIMEOUT_SECONDS:g} s.") from None
    finally:
        child.stop()
    errors = [str(event.get("error")) for event in events if event["event"] == "error"]
    if errors or status:
        raise InputError(errors[0] if errors else _death(status, child.error_text()))
    return events


def _death(status: int, stderr: str) -> str:
    """Say in one line how a process ended: its last error line, or the signal."""
    lines = [
        line.strip() for line in stderr.splitlines() if "rror" in line or line.startswith("render_views:")
    ]
    last = lines[-1].removeprefix("render_views: ") if lines else ""
    if status < 0:
        return f"Blender was killed by signal {-status}" + (f" ({last})" if last else "")
    return last or f"Blender ended with status {status} before it was done"
