# SPDX-License-Identifier: Apache-2.0
"""Weights as safetensors with a JSON card beside them; nothing is ever unpickled."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..errors import CheckpointError


def save_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write named tensors; the caller makes the folder they stand in appear at once."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, str(path))


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read named tensors to the CPU; raise CheckpointError when the file is missing, truncated or not safetensors."""
    try:
        return load_file(str(path))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing. The checkpoint is incomplete; use another one.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error}).") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raise CheckpointError when it is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing.") from None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}).") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} must hold a JSON object.")
    return value
