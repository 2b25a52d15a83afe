# SPDX-License-Identifier: Apache-2.0
"""Messages of `recon worker`: one JSON object per line, checked before anything is done (docs/worker.md).

Light on purpose: no torch, so that the worker answers at once.
"""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ..errors import InputError, ReconError

PROTOCOL = 1
MAX_MESSAGE_BYTES = 1 << 20
# Jobs that wait behind the one under way.
MAX_QUEUE = 8
# Names that later versions will know.
RESERVED = ("label",)
# A message quotes at most so much of what it complains about.
_QUOTE_CHARS = 200

Code = Literal[
    "bad_message", "too_long", "no_hello", "protocol", "unknown_type", "reserved", "queue_full", "duplicate_id",
    "unknown_id", "path", "failed", "cancelled", "crashed",
]  # fmt: skip
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Foreground = Literal["auto", "alpha", "border", "grabcut"]
# Left, top, width and height in pixels of the upright image.
Box = Annotated[list[float], Field(min_length=4, max_length=4)]
JobId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]


class ProtocolError(ReconError):
    """A message that is refused; `code` says why to a program, the text to a person."""

    def __init__(self, code: Code, text: str, job_id: str | None = None) -> None:
        super().__init__(text)
        self.code: Code = code
        self.job_id = job_id


class _Message(BaseModel):
    """Unknown fields and values of another type are refused: with the version agreed, they are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class Hello(_Message):
    """The first message: version of the protocol, who speaks, and where files may be."""

    type: Literal["hello"]
    protocol: int
    client: Annotated[str, Field(max_length=200)] = ""
    job_folder: Text
    """Absolute path of an existing folder that is the client's alone; results and the log go there."""
    read: Annotated[list[Text], Field(max_length=64)] = []
    """Absolute paths of further folders (or files) that jobs may read from."""
    write: Annotated[list[Text], Field(max_length=64)] = []
    """Absolute paths of further existing folders that jobs may write to, and read from."""


class ReconstructJob(_Message):
    """One image to a cloud."""

    type: Literal["reconstruct"]
    id: JobId
    run: Text
    image: Text
    out: Text
    mask: Text | None = None
    foreground: Foreground = "auto"
    box: Box | None = None
    scribbles: Text | None = None
    device: Annotated[str, Field(max_length=16)] = "auto"
    refine: bool = False


class TrainJob(_Message):
    """Train a recipe, or go on with a run."""

    type: Literal["train"]
    id: JobId
    data: Text
    out: Text | None = None
    recipe: Text | None = None
    set: Annotated[list[Text], Field(max_length=256)] = []
    resume: Text | None = None
    device: Annotated[str, Field(max_length=16)] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None


class RenderJob(_Message):
    """Mesh files to a dataset folder, by Blender in the background; objects that are complete are skipped."""

    type: Literal["render"]
    id: JobId
    meshes: Text
    data: Text
    views: Annotated[int, Field(ge=1, le=1000)] = 24
    size: Annotated[int, Field(ge=16, le=2048)] = 128
    samples: Annotated[int, Field(ge=1, le=4096)] = 16
    light: Literal["random", "fixed", "studio"] = "random"
    front: Literal["-Y", "Y", "X", "-X"] = "-Y"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    processes: Annotated[int, Field(ge=1, le=64)] | None = None


class CheckJob(_Message):
    """Whether a dataset folder is whole."""

    type: Literal["check"]
    id: JobId
    data: Text
    sheet: Text | None = None
    limit: Annotated[int, Field(ge=0)] = 0


class ExportJob(_Message):
    """A run to one ONNX file and its card."""

    type: Literal["export"]
    id: JobId
    run: Text
    out: Text


class MeshJob(_Message):
    """A cloud to a closed surface."""

    type: Literal["mesh"]
    id: JobId
    cloud: Text
    out: Text
    method: Literal["auto", "poisson", "density"] = "auto"
    smooth: Annotated[int, Field(ge=0, le=1000)] | None = None
    target_faces: Annotated[int, Field(ge=100)] | None = None
    resolution: Annotated[int, Field(ge=16, le=512)] | None = None
    depth: Annotated[int, Field(ge=5, le=10)] | None = None


class PlaceJob(_Message):
    """The camera under which a known object covers a photograph's mask."""

    type: Literal["place"]
    id: JobId
    object: Text
    image: Text
    out: Text
    mask: Text | None = None
    foreground: Foreground = "auto"
    box: Box | None = None
    scribbles: Text | None = None
    start: Text | None = None
    focal_mm: Annotated[float, Field(ge=1, le=10_000)] | None = None
    sensor_mm: Annotated[float, Field(ge=1, le=10_000)] = 36.0
    up: bool = False
    roll_deg: Annotated[float, Field(ge=0, le=90)] = 5.0
    ground: bool = False
    elevation_deg: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    cropped: bool = False
    margin: Annotated[float, Field(ge=0, le=1)] = 0.02
    colors: bool = True
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class RefineJob(_Message):
    """A cloud fitted to the outline and the colours in one image or several."""

    type: Literal["refine"]
    id: JobId
    source: Text
    images: Annotated[list[Text], Field(min_length=1, max_length=64)]
    out: Text
    masks: Annotated[list[Text], Field(max_length=64)] = []
    cameras: Annotated[list[Text], Field(max_length=64)] = []
    foreground: Foreground = "auto"
    pose: Literal["auto", "fit", "keep"] = "auto"
    symmetry: Literal["auto", "on", "off"] = "auto"
    steps: Annotated[int, Field(ge=1, le=10_000)] = 120
    colors: Literal["auto", "fit", "keep"] = "auto"


class DoctorJob(_Message):
    """What this machine has."""

    type: Literal["doctor"]
    id: JobId


class Cancel(_Message):
    """Stop one job, under way or waiting."""

    type: Literal["cancel"]
    id: JobId


class Shutdown(_Message):
    """Stop everything and end."""

    type: Literal["shutdown"]


Job = (
    ReconstructJob | TrainJob | RenderJob | CheckJob | ExportJob | MeshJob | PlaceJob | RefineJob | DoctorJob
)
Message = Hello | Job | Cancel | Shutdown
JOBS = ("reconstruct", "train", "render", "check", "export", "mesh", "place", "refine", "doctor")
TYPES = ("hello", *JOBS, "cancel", "shutdown")
_ANY: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


def parse_message(line: bytes) -> Message:
    """Check one line; raises ProtocolError with the job's id where there is one."""
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        text = f"This line is not a JSON object in UTF-8 ({error}): {quoted(line)}"
        raise ProtocolError("bad_message", text) from None
    if not isinstance(value, dict):
        raise ProtocolError("bad_message", f"Expected a JSON object, got {type(value).__name__}.")
    kind, job_id = value.get("type"), value.get("id")
    job_id = job_id if isinstance(job_id, str) and len(job_id) <= 64 else None
    if isinstance(kind, str) and kind in RESERVED:
        text = f"This version of recon does not have {kind!r} yet. It has: {', '.join(JOBS)}."
        raise ProtocolError("reserved", text, job_id)
    if not isinstance(kind, str) or kind not in TYPES:
        text = f"Unknown type {quoted(kind)}. Expected one of: {', '.join(TYPES)}."
        raise ProtocolError("unknown_type", text, job_id)
    if kind == "hello":
        require_version(value.get("protocol"))
    try:
        return _ANY.validate_python(value)
    except ValidationError as error:
        raise ProtocolError("bad_message", f"{kind}: {_faults(error)}.", job_id) from None


def require_version(protocol: object) -> None:
    """Raise ProtocolError unless the client speaks this version (checked before the other fields, which may differ)."""
    if type(protocol) is int and protocol == PROTOCOL:
        return
    older = type(protocol) is int and protocol < PROTOCOL
    fix = "Update the add-on." if older else "Update recon in the Python that runs the worker."
    text = f"The client speaks protocol {quoted(protocol)}, this worker {PROTOCOL}. {fix}"
    raise ProtocolError("protocol", text)


def encode(message: dict[str, Any]) -> bytes:
    """One line of ASCII JSON; a message beyond the size cap becomes an error that says so."""
    line = json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    if len(line) <= MAX_MESSAGE_BYTES:
        return line
    text = f"The {message.get('type')} has {len(line)} bytes, more than a message may have ({MAX_MESSAGE_BYTES})."
    return json.dumps(error_message("too_long", text, message.get("id"))).encode() + b"\n"


def error_message(code: Code, text: str, job_id: str | None = None) -> dict[str, Any]:
    """An `error`; a job's id says that this job has ended."""
    return {"type": "error", "id": job_id, "code": code, "message": text}


def lines_of(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Lines without their end, as they come; None for one longer than the cap, which is read over and not kept."""
    while line := stream.readline(MAX_MESSAGE_BYTES + 1):
        if len(line) <= MAX_MESSAGE_BYTES or line.endswith(b"\n"):
            yield line.rstrip(b"\r\n")
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_MESSAGE_BYTES)
        yield None


def quoted(value: object) -> str:
    """At most 200 characters of a value, as Python writes it."""
    text = repr(value)
    return text if len(text) <= _QUOTE_CHARS else text[:_QUOTE_CHARS] + "..."


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _faults(error: ValidationError) -> str:
    """Up to three faults in words."""
    faults = []
    for fault in error.errors(include_url=False)[:3]:
        where = ".".join(str(part) for part in fault["loc"][1:]) or "the message"
        unknown = fault["type"] == "extra_forbidden"
        faults.append(f"{where}: {'unknown field' if unknown else fault['msg']}")
    return "; ".join(faults)


@dataclass(frozen=True)
class Folders:
    """Where a client's files may be: everything in the job folder, and what it named for reading and writing."""

    job: Path
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()

    @classmethod
    def of(cls, hello: Hello) -> "Folders":
        """Check the folders of a hello; raises ProtocolError when one is missing or open to others."""
        job = _absolute(hello.job_folder, "job_folder")
        if not job.is_dir():
            raise ProtocolError("path", f"job_folder {job} is not a folder. Make it before the hello.")
        if not _is_private(job):
            raise ProtocolError(
                "path", f"job_folder {job} belongs to, or can be written by, others. Expected mode 0700."
            )
        write = tuple(_absolute(text, "write") for text in hello.write)
        for folder in write:
            if not folder.is_dir():
                raise ProtocolError(
                    "path", f"hello: write {folder} is not a folder. Make it before the hello."
                )
        return cls(job, tuple(_absolute(text, "read") for text in hello.read), write)

    def to_read(self, text: str, field: str, job_id: str) -> Path:
        """The file or folder that a field names, links resolved; raises ProtocolError outside the folders."""
        return self._within(text, field, job_id, (*self._writable, *self.read), "read or write")

    def to_write(self, text: str, field: str, job_id: str) -> Path:
        """The same within the job folder and what the hello named for writing."""
        return self._within(text, field, job_id, self._writable, "write")

    @property
    def _writable(self) -> tuple[Path, ...]:
        return (self.job, *self.write)

    def _within(self, text: str, field: str, job_id: str, roots: tuple[Path, ...], named: str) -> Path:
        try:
            path = (self.job / text).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise ProtocolError("path", f"{field} {quoted(text)} is not a path ({error}).", job_id) from None
        if not any(path == root or root in path.parents for root in roots):
            where = f" and what the hello named under {named}" if len(roots) > 1 else ""
            raise ProtocolError(
                "path", f"{field} {quoted(text)} leads to {path}, outside the job folder{where}.", job_id
            )
        return path


def _absolute(text: str, field: str) -> Path:
    """An existing path with its links resolved; raises ProtocolError for a relative or broken one."""
    try:
        path = Path(text)
        if not path.is_absolute():
            raise InputError("it is relative")
        return path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError, InputError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProtocolError("path", f"hello: {field} {quoted(text)} cannot be used: {reason}.") from None


def _is_private(folder: Path) -> bool:
    """Whether only this user can put files there (where the system has owners)."""
    if not hasattr(os, "getuid"):
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
