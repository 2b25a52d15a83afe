# SPDX-License-Identifier: Apache-2.0
"""`recon worker` as a client meets it: a real process, honest and hostile messages, cancels, kills and crashes."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tiny_dataset import make_tiny_dataset

from recon_core.io.images import write_png
from recon_core.io.ply import read_ply
from recon_core.training.start import TrainRequest, start_training
from recon_core.worker import protocol
from recon_core.worker.protocol import MAX_MESSAGE_BYTES

SMALL = [
    "model.points=60", "model.width=8", "model.features=32", "model.hidden=32", "optim.objects=2", "optim.views=2",
    "data.mask_size=32", "log.metrics=5",
]  # fmt: skip
PATIENCE_S = 120.0


class Client:
    """A worker process and what it said; every line of its output must be a JSON object."""

    def __init__(self, folder: Path, hello: bool = True, **fields: Any) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "recon_core.cli", "worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        self.heard: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.all: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, daemon=True).start()
        if hello:
            self.send(type="hello", protocol=1, job_folder=str(folder), **fields)
            self.answer = self.wait(lambda message: message["type"] in ("hello", "error"))

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            assert isinstance(message, dict)
            assert len(line) <= MAX_MESSAGE_BYTES
            self.heard.put(message)
        self.heard.put(None)

    def send(self, **message: Any) -> None:
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait(self, wanted, seconds: float = PATIENCE_S) -> dict[str, Any]:
        """The next message that is wanted; fails when the worker ends or takes too long."""
        end = time.monotonic() + seconds
        while True:
            message = self.heard.get(timeout=max(end - time.monotonic(), 0.01))
            assert message is not None, f"the worker ended: {self.all[-3:]}"
            self.all.append(message)
            if wanted(message):
                return message

    def end_of(self, job_id: str) -> dict[str, Any]:
        """How a job ends."""
        return self.wait(lambda m: m.get("id") == job_id and m["type"] in ("result", "error"))

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def close(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "jobs"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def start(folder):
    """Starts workers and ends whatever is left of them."""
    clients: list[Client] = []

    def make(**fields: Any) -> Client:
        clients.append(Client(folder, **fields))
        return clients[-1]

    yield make
    for client in clients:
        try:
            left = client.children()
        except psutil.NoSuchProcess:
            left = []
        for process in (*left, client.process):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        client.process.wait(30)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return make_tiny_dataset(tmp_path_factory.mktemp("worker") / "data", objects=4, views=3)


@pytest.fixture(scope="module")
def run(dataset) -> Path:
    """A run of two steps."""
    overrides = (*SMALL, "optim.steps=2")
    request = TrainRequest(
        dataset, "splat", dataset.parent / "run", overrides, device="cpu", threads=1
    )  # fmt: skip
    return start_training(request).run


def photo(path: Path) -> Path:
    """A white disc on transparent ground."""
    v, u = np.mgrid[:80, :100]
    rgba = np.full((80, 100, 4), 255, np.uint8)
    rgba[..., 3] = 255 * (np.hypot(u - 50, v - 40) < 30)
    write_png(path, rgba)
    return path


def gone(processes: list[psutil.Process], seconds: float = 15.0) -> bool:
    """Whether all of them end in time."""
    return not psutil.wait_procs(processes, seconds)[1]


# Messages, without a process.


def test_hello_garbage_flood_and_shutdown(start, folder):
    """Everything unusable gets an answer or is counted, memory stays small, and the worker still works."""
    client = start()
    assert client.answer["type"] == "hello"
    assert client.answer["protocol"] == 1
    assert client.answer["jobs"] == list(protocol.JOBS)
    client.send(type="hello", protocol=1, job_folder=str(folder))
    assert client.wait(lambda m: True)["code"] == "no_hello"
    client.send(type="label", id="m")
    assert client.wait(lambda m: True) | {"message": ""} == {
        "type": "error", "id": "m", "code": "reserved", "message": "",
    }  # fmt: skip
    client.send(type="cancel", id="nobody")
    assert client.wait(lambda m: True)["code"] == "unknown_id"
    rng = np.random.default_rng(0)
    garbage = [rng.bytes(200).replace(b"\n", b" ") + b"\n" for _ in range(5000)]
    client.send_bytes(b"".join(garbage))
    client.send_bytes(b'{"a":"' + b"x" * (3 * MAX_MESSAGE_BYTES) + b'"}\n')
    client.send(type="label", id="last")
    assert client.wait(lambda m: m.get("id") == "last")["code"] == "reserved"
    assert psutil.Process(client.process.pid).memory_info().rss < 300e6
    codes = {message.get("code") for message in client.all if message["type"] == "error"}
    assert "bad_message" in codes
    client.send(type="shutdown")
    assert client.process.wait(20) == 0
    assert client.process.stderr.read() == b""


def test_a_line_beyond_the_cap_is_answered(start):
    client = start()
    client.send_bytes(b"x" * (MAX_MESSAGE_BYTES + 1) + b"\n")
    assert client.wait(lambda m: True)["code"] == "too_long"
    padded = b'{"type":"label","id":"n","pad":"'
    padded += b"y" * (MAX_MESSAGE_BYTES - len(padded) - 3) + b'"}\n'
    assert len(padded) == MAX_MESSAGE_BYTES
    client.send_bytes(padded)
    assert client.wait(lambda m: True)["code"] == "reserved"


def test_another_version_is_refused(start, folder):
    client = start(hello=False)
    client.send(type="doctor", id="d")
    assert client.wait(lambda m: True)["code"] == "no_hello"
    client.send(type="hello", protocol=99, job_folder=str(folder), mood="new")
    answer = client.wait(lambda m: True)
    assert answer["code"] == "protocol"
    assert "99" in answer["message"]
    assert "Update recon" in answer["message"]
    assert client.process.wait(20) == 2


@pytest.mark.slow
def test_reconstruct_refuse_queue_and_crash(start, run, folder):
    """Results where they belong; paths outside refused; a killed job is reported, and the next one runs."""
    client = start(read=[str(run)])
    image = photo(folder / "disc.png")
    client.send(type="reconstruct", id="r1", run=str(run), image="disc.png", out="one", device="cpu")
    result = client.end_of("r1")
    assert result["type"] == "result", result
    assert Path(result["cloud"]) == folder / "one" / "disc.ply"
    assert len(read_ply(result["cloud"]).xyz) == 60
    assert Path(result["preview"]).is_file()
    assert result["record"] == json.loads(Path(result["json"]).read_text())
    stages = [m["stage"] for m in client.all if m["type"] == "progress"]
    assert "load" in stages

    refused = {
        "image": "/etc/hostname",
        "run": "/etc",
        "out": "../two",
        "mask": "../m.png",
        "scribbles": "/etc/hostname",
    }
    for field, path in refused.items():
        job = {"run": str(run), "image": "disc.png", "out": "two"} | {field: path}
        client.send(type="reconstruct", id="bad", **job)
        answer = client.end_of("bad")
        assert (answer["code"], field in answer["message"]) == ("path", True)
    boxed = {"run": str(run), "image": "disc.png", "out": "two", "device": "cpu", "foreground": "grabcut"}
    client.send(type="reconstruct", id="bad", **boxed, box=[900, 0, 50.5, 50])
    assert "of --box 900 0 50.5 50, less than" in client.end_of("bad")["message"]
    client.send(type="reconstruct", id="bad", run=str(run), image="none.png", out="two")
    assert "does not exist" in client.end_of("bad")["message"]
    (folder / "empty.png").touch()
    client.send(type="reconstruct", id="bad", run=str(run), image="empty.png", out="two", device="cpu")
    answer = client.end_of("bad")
    assert answer["code"] == "failed"
    assert "0 bytes" in answer["message"]

    # The image's own folder as out: the preview must not take its place.
    before = image.read_bytes()
    client.send(type="reconstruct", id="r2", run=str(run), image="disc.png", out=".", device="cpu")
    assert client.end_of("r2")["type"] == "result"
    assert image.read_bytes() == before

    (runner,) = client.children()
    runner.suspend()  # a job that hangs
    client.send(type="doctor", id="hung")
    for number in range(9):
        client.send(type="doctor", id=f"q{number}")
    assert client.end_of("q8")["code"] == "queue_full"
    client.send(type="doctor", id="q3")
    assert client.wait(lambda m: m["type"] == "error")["code"] == "duplicate_id"
    for number in range(8):
        client.send(type="cancel", id=f"q{number}")
        assert client.end_of(f"q{number}")["code"] == "cancelled"
    client.send(type="reconstruct", id="r3", run=str(run), image="disc.png", out="three", device="cpu")
    runner.kill()
    answer = client.end_of("hung")
    assert answer["code"] == "crashed"
    assert "memory" in answer["message"]
    assert client.end_of("r3")["type"] == "result"
    assert client.close() == 0


@pytest.mark.slow
def test_a_cancelled_reconstruction_ends_and_the_next_one_runs(start, run, folder):
    """At once, amid loading, and twice; the same id may be used again."""
    client = start(read=[str(run)])
    photo(folder / "disc.png")
    job = {
        "type": "reconstruct",
        "id": "r",
        "run": str(run),
        "image": "disc.png",
        "out": "out",
        "device": "cpu",
    }
    client.send(**job)
    client.send(type="cancel", id="r")
    assert client.end_of("r")["code"] == "cancelled"
    client.send(**job)
    client.wait(lambda m: m.get("stage") == "load")
    client.send(type="cancel", id="r")
    client.send(type="cancel", id="r")
    assert client.end_of("r")["code"] == "cancelled"
    assert not (folder / "out").exists()
    client.send(**job)
    assert client.end_of("r")["type"] == "result"
    # A process that waits for jobs, and says nothing, ends with its worker too.
    children = client.children()
    assert children
    client.process.kill()
    assert gone(children)


@pytest.mark.slow
def test_train_shows_progress_cancels_saves_and_resumes(start, dataset, folder):
    """Live steps, a cancel mid-train that leaves a run to go on with, and orderly ends of bad requests."""
    client = start(read=[str(dataset)])
    long = [*SMALL, "optim.steps=100000", "log.samples=10", "log.validation=50"]
    common = {"data": str(dataset), "device": "cpu", "threads": 1}
    client.send(type="train", id="t1", recipe="splat", out="run", set=long, **common)
    moving = client.wait(lambda m: m.get("stage") == "train" and m.get("sample"))
    assert moving["steps"] == 100_000
    assert moving["step"] >= 5
    assert moving["loss"] > 0
    assert Path(moving["sample"]).is_file()
    assert 0 < moving["fraction"] < 0.5
    client.send(type="cancel", id="t1")
    ended = client.end_of("t1")
    assert ended["type"] == "result", ended
    assert ended["interrupted"] is True
    assert ended["step"] >= moving["step"]
    assert (folder / "run" / "checkpoints" / f"step-{ended['step']:07d}" / "weights.safetensors").is_file()
    assert "splat:" not in (folder / "worker.log").read_text()  # no progress bars

    client.send(type="train", id="t2", resume="run", **common)
    again = client.wait(lambda m: m.get("stage") == "train" and m["id"] == "t2" and m["step"] > ended["step"])
    assert again["seconds_left"] is None or again["seconds_left"] > 0
    client.send(type="cancel", id="t2")
    assert client.end_of("t2")["step"] >= again["step"]

    for fields, word in (
        ({"recipe": "splat"}, "recipe and out"),
        ({"resume": "run", "set": ["optim.lr=1"]}, "resume"),
        ({"recipe": "splat", "out": "new", "set": ["optim.speed=1"]}, "speed"),
        ({"recipe": "nothing", "out": "new"}, "nothing"),
        ({"recipe": "splat", "out": "run"}, "already holds a run"),
        ({"recipe": "../r.yaml", "out": "new"}, "outside"),
        (
            {
                "recipe": "splat",
                "out": "new",
                "set": ["model.encoder={kind: resnet18, weights: /etc/hostname}"],
            },
            "outside",
        ),
    ):
        client.send(type="train", id="bad", **fields, **common)
        answer = client.end_of("bad")
        assert answer["type"] == "error"
        assert word in answer["message"]
    assert client.close() == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stdin", "kill", "terminate"])
def test_an_ended_worker_leaves_nothing_behind(start, dataset, folder, how):
    """Its input closed, itself killed, or asked to end, mid-train: no process is left."""
    client = start(read=[str(dataset)])
    steps = [*SMALL, "optim.steps=100000"]
    client.send(
        type="train", id="t", recipe="splat", data=str(dataset), out="run", set=steps, device="cpu", threads=1
    )
    client.wait(lambda m: m.get("stage") == "train")
    children = client.children()
    assert children
    if how == "stdin":
        client.process.stdin.close()
    else:
        client.process.send_signal(signal.SIGKILL if how == "kill" else signal.SIGTERM)
    assert gone(children, 30)
    assert client.process.wait(30) == (-signal.SIGKILL if how == "kill" else 0)
    if how != "kill":
        assert list((folder / "run" / "checkpoints").glob("step-*"))  # saved on the way out
