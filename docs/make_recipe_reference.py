# SPDX-License-Identifier: Apache-2.0
"""Print docs/recipe_reference.md: every key of a recipe, from the classes that validate it.

    python docs/make_recipe_reference.py > docs/recipe_reference.md

A test compares the file with this output. Meanings are the text under a field in its class, or its description;
the few that have none there are given in MEANINGS.
"""

import ast
import inspect
import json
import textwrap
from typing import Any

from pydantic import BaseModel

from recon_core.data.augment import AugmentConfig
from recon_core.methods.network import ModelConfig
from recon_core.methods.recipe import (
    DataConfig,
    EnsemblePose,
    KnownPose,
    LogConfig,
    OptimConfig,
    Recipe,
    RegressedPose,
)
from recon_core.methods.terms import TERMS
from recon_core.models.decoders import (
    CapnetDecoderConfig,
    DifferDecoderConfig,
    DpcDecoderConfig,
    MeshDecoderConfig,
    PointDecoderConfig,
)
from recon_core.models.encoders import (
    CapnetEncoderConfig,
    ConvEncoderConfig,
    DifferEncoderConfig,
    DpcEncoderConfig,
    ResnetEncoderConfig,
)
from recon_core.models.pose import PoseNetConfig
from recon_core.models.viewpoint import ViewpointConfig
from recon_core.training.bootstrap import BootstrapConfig

ENCODERS = (
    ConvEncoderConfig,
    DpcEncoderConfig,
    CapnetEncoderConfig,
    DifferEncoderConfig,
    ResnetEncoderConfig,
)
DECODERS = (PointDecoderConfig, DpcDecoderConfig, CapnetDecoderConfig, DifferDecoderConfig, MeshDecoderConfig)


def _kind(model: type[BaseModel]) -> str:
    return model.model_fields["kind"].default


SECTIONS: list[tuple[str, str, type[BaseModel]]] = [
    ("Top level", "", Recipe),
    ("`model`", "model", ModelConfig),
    *((f"`model.encoder`, kind `{_kind(one)}`", "model.encoder", one) for one in ENCODERS),
    *((f"`model.decoder`, kind `{_kind(one)}`", "model.decoder", one) for one in DECODERS),
    ("`pose`, kind `known`", "pose", KnownPose),
    ("`pose.student` (of known cameras)", "pose.student", ViewpointConfig),
    ("`pose`, kind `regressed`", "pose", RegressedPose),
    ("`pose`, kind `ensemble`", "pose", EnsemblePose),
    ("`pose.net` (of poses that are learnt)", "pose.net", PoseNetConfig),
    ("`pose.bootstrap` (of an ensemble)", "pose.bootstrap", BootstrapConfig),
    *((f"`terms`, kind `{_kind(term)}`", "terms.N", term) for term in TERMS),
    ("`optim`", "optim", OptimConfig),
    ("`data`", "data", DataConfig),
    ("`data.augment`", "data.augment", AugmentConfig),
    ("`log`", "log", LogConfig),
]
# Keys whose classes say nothing further about them; "*" stands for any class.
MEANINGS = {
    "*.kind": "which part this is",
    "*.weight": "factor of the term in the loss",
    "*.slabs": "depth layers per view",
    "Recipe.name": "name of the method; part of the default run folder",
    "Recipe.seed": "seed of the weights, the batches and the bootstrap",
    "Recipe.model": "see `model`",
    "Recipe.pose": "see `pose`",
    "Recipe.terms": "list of supervision terms, at least one; see `terms`",
    "Recipe.optim": "see `optim`",
    "Recipe.data": "see `data`",
    "Recipe.log": "see `log`",
    "BootstrapConfig.templates": "template clouds of the mixture",
    "BootstrapConfig.azimuths": "azimuths of the grid of views, evenly over the full turn",
    "BootstrapConfig.elevations_deg": "elevations of the grid of views, degrees",
    "BootstrapConfig.points": "points per template",
    "MeshMask.loss": "how masks are compared; `iou` is 1 - soft IoU, DIB-R's",
    "SplatMask.loss": "how coverage is compared, mean over pixels; `iou` is 1 - soft IoU",
    "OptimConfig.betas": "decay rates of Adam's two moments",
    "OptimConfig.steps": "length of the run in steps",
    "DataConfig.augment": "see `data.augment`",
    "LogConfig.metrics": "steps between lines of metrics.jsonl and TensorBoard",
    "LogConfig.samples": "steps between sample pictures",
    "LogConfig.validation": "steps between validations",
    "LogConfig.checkpoint": "steps between checkpoints",
}
HEAD = """\
# Recipe reference

Written by `python docs/make_recipe_reference.py`; do not edit. How recipes are composed: [training.md](training.md).

A change on the command line is `--set KEY=VALUE`, for example `--set optim.lr=0.0005` or
`--set terms.0.weight=2`. Pixels of `sigma_px` are those of masks 64 px wide; lengths in the object frame are in
bounding-box diagonals. The shipped recipes are short: read them in [configs/](../configs/)."""


def main() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, prefix, model in SECTIONS:
        parts += ["", f"## {title}", "", _first_line(model), "", *_table(prefix, model)]
    return "\n".join(parts) + "\n"


def _first_line(model: type[BaseModel]) -> str:
    """The first paragraph of a class's text, on one line."""
    return " ".join((inspect.getdoc(model) or "").split("\n\n")[0].split())


def _table(prefix: str, model: type[BaseModel]) -> list[str]:
    rows = ["| key | values | default | meaning |", "|---|---|---|---|"]
    schema, texts = model.model_json_schema(), _attribute_texts(model)
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}" if prefix else name
        meaning = texts.get(name) or field.description or _own_meaning(model, name)
        default = (
            "required" if field.is_required() else _default(field.get_default(call_default_factory=True))
        )
        rows.append(f"| `{key}` | {_values(schema['properties'][name])} | {default} | {_one_line(meaning)} |")
    return rows


def _own_meaning(model: type[BaseModel], name: str) -> str:
    for key in (f"{model.__name__}.{name}", f"*.{name}"):
        if key in MEANINGS:
            return MEANINGS[key]
    raise SystemExit(f"{model.__name__}.{name} has no text; add it to the class, or to MEANINGS here.")


def _attribute_texts(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the string that stands under it, own fields and inherited ones."""
    texts: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if owner in (BaseModel, object) or not issubclass(owner, BaseModel):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:]):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
                texts[field.target.id] = str(below.value.value)
    return texts


def _values(schema: dict[str, Any]) -> str:
    """What a field may hold, in a few words, from its JSON schema."""
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "discriminator" in schema:
        return "mapping with a `kind`"
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return "mapping"
    if schema.get("type") == "array":
        return _array(schema)
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "null": "null",
    }
    return words[schema["type"]] + _limits(schema)


def _array(schema: dict[str, Any]) -> str:
    if "prefixItems" in schema:
        inner = {_values(one) for one in schema["prefixItems"]}
        return f"list of {len(schema['prefixItems'])}: {', '.join(sorted(inner))}"
    return f"list of {_values(schema['items'])}"


def _limits(schema: dict[str, Any]) -> str:
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema]
    if "multipleOf" in schema:
        limits.append(f"multiple of {schema['multipleOf']}")
    return f" {', '.join(limits)}" if limits else ""


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        kind = getattr(value, "kind", None)
        return f"`kind: {kind}`" if kind else "the defaults"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(one) for one in value) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def _one_line(text: str) -> str:
    words = " ".join(text.split()).replace("|", "\\|").rstrip(".")
    return words[:1].upper() + words[1:]


if __name__ == "__main__":
    print(main(), end="")
