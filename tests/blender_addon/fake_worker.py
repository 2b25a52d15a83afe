# SPDX-License-Identifier: Apache-2.0
"""A worker that speaks the protocol and misbehaves as its first argument says; started by a Python without recon."""

import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any


def say(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def write_cloud(path: Path) -> None:
    """Five labelled points."""
    names = "".join(f"property float {axis}\n" for axis in "xyz")
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex 5\n{names}property uchar label\nend_header\n"
    )
    rows = b"".join(struct.pack("<fffB", i, 2 * i, -i, 1 + i % 2) for i in range(5))
    path.write_bytes(header.encode() + rows)


def answer(job: dict[str, Any], folder: Path, **changes: Any) -> None:
    """The result of a reconstruction."""
    out = folder / job["out"]
    out.mkdir(exist_ok=True)
    write_cloud(out / "photo.ply")
    record = {"category": "box", "parts": {"seat": 3, "leg": 2}, "run": {"recipe": "fake"}}
    say(**{"type": "result", "id": job["id"], "cloud": str(out / "photo.ply"), "record": record, **changes})


def main(fault: str, mark: Path) -> None:
    hello = hear()
    folder = Path(hello["job_folder"])
    if fault == "old":
        say(type="error", id=None, code="protocol", message="The client speaks protocol 1, this worker 0.")
        sys.exit(2)
    say(type="hello", protocol=1, version="9", python="3", pid=os.getpid())
    while True:
        job = hear()
        if job["type"] == "shutdown":
            return
        if job["type"] != "reconstruct":
            continue
        mark.write_text(str(os.getpid()))
        if fault == "crash once" and not (mark.parent / "crashed").exists():
            (mark.parent / "crashed").touch()
            sys.stderr.write("Segmentation fault in the driver\n")
            os._exit(139)
        elif fault == "slow":
            for step in range(20):
                say(type="progress", id=job["id"], stage="reconstruct", fraction=step / 20)
                time.sleep(0.05)
        elif fault == "hang":
            time.sleep(600)
        elif fault == "flood":
            for _ in range(20_000):
                say(type="progress", id=job["id"], stage="reconstruct", fraction=0.5, note="x" * 100)
        elif fault == "garbage":
            while True:
                sys.stdout.write("Warning: deprecated\n" * 10)
        elif fault == "outside":
            answer(job, folder, cloud="/etc/passwd")
            continue
        elif fault == "half a cloud":
            answer_half(job, folder)
            continue
        answer(job, folder)


def answer_half(job: dict[str, Any], folder: Path) -> None:
    write_cloud(folder / "half.ply")
    data = (folder / "half.ply").read_bytes()
    (folder / "half.ply").write_bytes(data[:-9])
    say(type="result", id=job["id"], cloud="half.ply", record={})


main(sys.argv[1], Path(sys.argv[2]))
