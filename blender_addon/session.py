# SPDX-License-Identifier: GPL-3.0-or-later
"""What lives as long as Blender does: running jobs, the timer that polls them, the last message."""

import atexit
from typing import Any

import bpy

from . import engine_onnx, log, worker_client
from .compat import redraw_panels
from .jobs import FAILED, Job, JobList

POLL_SECONDS = 0.05
jobs = JobList()
message = ""


def start(job: Job, wait: bool = False) -> Job:
    """Start a job and poll it; `wait` blocks until it has ended, for scripts and Blender without a window."""
    say("")
    jobs.start(job)
    if wait or bpy.app.background:
        job.wait()
        poll()
    elif not bpy.app.timers.is_registered(poll):
        bpy.app.timers.register(poll, first_interval=0.01, persistent=True)
    return job


def poll() -> float | None:
    """The timer's function: hand over results, draw progress; ends itself when nothing is left."""
    busy = jobs.poll()
    if jobs.last is not None and jobs.last.state == FAILED and jobs.last.error != message:
        say(jobs.last.error, jobs.last.details)
    redraw_panels()
    return POLL_SECONDS if busy else None


def say(text: str, details: str = "") -> None:
    """Show one line in the panel; details go to the text block "Recon log"."""
    global message
    message = text
    if details:
        log.write(text, details)


def cancel_all(*_: Any, wait_s: float = 0.0) -> None:
    """Cancel everything: another file is about to be loaded, or the add-on is being removed."""
    jobs.cancel_all(wait_s)
    if bpy.app.timers.is_registered(poll):
        bpy.app.timers.unregister(poll)


# Handlers without this mark are removed when a file is loaded.
bpy.app.handlers.persistent(cancel_all)


def register() -> None:
    atexit.register(worker_client.close_worker)
    bpy.app.handlers.load_pre.append(cancel_all)


def unregister() -> None:
    cancel_all(wait_s=2.0)
    worker_client.close_worker()
    engine_onnx.forget_models()
    atexit.unregister(worker_client.close_worker)
    if cancel_all in bpy.app.handlers.load_pre:
        bpy.app.handlers.load_pre.remove(cancel_all)
    say("")
    jobs.last = None
