# SPDX-License-Identifier: Apache-2.0
"""`recon pack`: a finished run as a folder to hand on, weights in half precision, ONNX model and a card for people."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import ConfigError
from ..io.atomic import write_json, write_text
from ..io.weights import load_tensors, read_json, save_tensors
from ..methods.run import read_run_recipe
from ..training.checkpoints import find_checkpoint
from .export import export_run
from .half_weights import LEAST_VALUES

KEPT = ("config.yaml", "confidence.json", "canonical.json")


@dataclass(frozen=True)
class Packed:
    """The folder, and the size of all that is in it."""

    folder: Path
    bytes: int


def pack_run(run: str | Path, out: str | Path, name: str, licence: str) -> Packed:
    """Write OUT (a run folder without what only training needs, model.onnx with its card, README.md) at once.

    `recon reconstruct --run OUT` takes it, the extension's build takes OUT/model.onnx. Raises CheckpointError for what
    is not a run, ConfigError for an OUT that exists and is not such a folder, or weights beyond half precision.
    """
    checkpoint, out = find_checkpoint(Path(run)), Path(out)
    folder = checkpoint.parent.parent
    read_run_recipe(folder)
    if out.exists() and not (out / "model.onnx").is_file():
        raise ConfigError(
            f"--out {out} exists and holds no packed model: expected a new folder, or one to replace."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _copy_run(folder, checkpoint, temporary, licence)
        _write_onnx(checkpoint, temporary, licence)
        write_text(temporary / "README.md", card_page(name, read_json(temporary / "model.json"), folder))
        temporary.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Packed(out, sum(path.stat().st_size for path in out.rglob("*") if path.is_file()))


def _copy_run(folder: Path, checkpoint: Path, target: Path, licence: str) -> None:
    for name in KEPT:
        if (folder / name).is_file():
            shutil.copy(folder / name, target / name)
    kept = target / "checkpoints" / checkpoint.name
    kept.mkdir(parents=True)
    save_tensors(kept / "weights.safetensors", _halved(load_tensors(checkpoint / "weights.safetensors")))
    (kept / "weights.safetensors").chmod(0o644)
    card = read_json(checkpoint / "card.json") | {"weights": "float16", "licence": licence}
    write_json(kept / "card.json", card)


def _halved(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    # What the ONNX file keeps whole stays whole here too, so that both are one model.
    halved = {
        name: t.half() if t.dtype == torch.float32 and t.numel() >= LEAST_VALUES else t
        for name, t in tensors.items()
    }
    spoilt = [name for name, tensor in halved.items() if not torch.isfinite(tensor.float()).all()]
    if spoilt:
        raise ConfigError(
            f"The weights {spoilt[0]!r} do not fit half precision (65504): they cannot be packed."
        )
    return halved


def _write_onnx(checkpoint: Path, target: Path, licence: str) -> None:
    """The model and its card; the card keeps the scores of the run that is packed."""
    exported = export_run(checkpoint, target / "model.onnx", half=True)
    write_json(target / "model.json", exported.content | {"licence": licence})


def card_page(name: str, card: dict[str, Any], run: Path) -> str:
    """The card in words (Markdown): what the model is, of what data, how good, what it cannot do."""
    data = card.get("data") or {}
    lines = [
        f"# {name}",
        "",
        f"Made by {card['generator']}, recipe `{card['recipe']}`, {card['steps']:,} steps.",
        "",
    ]
    lines += ["| | |", "|---|---|"]
    lines += [f"| knows | {', '.join(card['categories'])} |"]
    lines += [f"| parts | {_parts(card)} |"]
    lines += [f"| trained on | {data.get('train')} objects, {data.get('views')} renders of each |"]
    lines += [f"| gives | {card['points']:,} points: {', '.join(card['outputs'])} |"]
    lines += [
        f"| weights | half precision; ONNX file {card['bytes'] / 1e6:.1f} MB, sha256 `{card['sha256'][:16]}` |"
    ]
    lines += [f"| licence | {card['licence']} |", "", *_scores(run), "## Limits", ""]
    return "\n".join([*lines, *(f"- {limit}" for limit in card["limits"]), ""])


def _parts(card: dict[str, Any]) -> str:
    return "; ".join(
        f"{category}: {', '.join(one['name'] for one in parts)}" for category, parts in card["parts"].items()
    )


def _scores(run: Path) -> list[str]:
    """The table of `recon eval` on the test split, when there is one."""
    try:
        table = (run / "evaluation" / "test" / "table.txt").read_text(encoding="utf-8").rstrip()
    except OSError:
        return []
    return ["## Scores on test objects of its own kind", "", "```", table, "```", ""]
