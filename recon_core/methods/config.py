# SPDX-License-Identifier: Apache-2.0
"""The base of every configuration class, schedules, and messages for wrong keys."""

import difflib
import types
import typing
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Config(BaseModel):
    """A frozen configuration that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def geometric(schedule: tuple[float, float], progress: float) -> float:
    """Value of a [start, end] schedule at progress in [0, 1], by equal ratios (for positive widths and rates)."""
    start, end = schedule
    return start * (end / start) ** progress


def linear(schedule: tuple[float, float], progress: float) -> float:
    """Value of a [start, end] schedule at progress in [0, 1], by equal differences."""
    return schedule[0] + (schedule[1] - schedule[0]) * progress


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One line per fault: where, what was wrong, and for an unknown name the nearest valid ones."""
    return "\n".join(_explain_one(fault, model) for fault in error.errors())


def _explain_one(fault: Any, model: type[BaseModel]) -> str:
    location = [part for part in fault["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    where = ".".join(str(part) for part in _without_tags(location, model))
    if fault["type"] == "extra_forbidden":
        valid = sorted(_model_at(location[:-1], model).model_fields)
        return f"{where}: unknown key. {nearest(str(location[-1]), valid)}"
    if fault["type"] == "union_tag_invalid":
        valid = [tag.strip(" '") for tag in fault["ctx"]["expected_tags"].split(",")]
        return f"{where}.kind: unknown kind {fault['ctx']['tag']!r}. {nearest(fault['ctx']['tag'], valid)}"
    if fault["type"] == "literal_error":
        valid = [word.strip(" '") for word in fault["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return f"{where}: unknown name {fault['input']!r}. {nearest(str(fault['input']), valid)}"
    return f"{where}: {fault['msg']} (got {fault.get('input')!r})"


def nearest(name: str, valid: list[str]) -> str:
    """A sentence that offers the nearest valid name, or all of them."""
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    offer = f"Did you mean {close[0]!r}? " if close else ""
    return f"{offer}Valid: {', '.join(valid)}."


def _choices(annotation: Any) -> list[type[BaseModel]]:
    """The configuration classes that an annotation may hold, through lists, unions and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list, tuple, typing.Annotated):
        return [choice for part in typing.get_args(annotation) for choice in _choices(part)]
    return []


def _step(choices: list[type[BaseModel]], part: Any) -> list[type[BaseModel]]:
    """Follow one element of an error's location: an index, a union's tag, or a field's name."""
    if isinstance(part, int):
        return choices
    tagged = [c for c in choices if "kind" in c.model_fields and c.model_fields["kind"].default == part]
    if tagged:
        return tagged
    fields = [c.model_fields[part].annotation for c in choices if part in c.model_fields]
    return [choice for annotation in fields for choice in _choices(annotation)]


def _model_at(location: list[Any], model: type[BaseModel]) -> type[BaseModel]:
    choices = [model]
    for part in location:
        choices = _step(choices, part) or choices
    return choices[0]


def _without_tags(location: list[Any], model: type[BaseModel]) -> list[Any]:
    """Drop the names of union members, which a user never typed as keys."""
    kept: list[Any] = []
    choices = [model]
    for part in location:
        following = _step(choices, part)
        is_tag = (
            isinstance(part, str) and not any(part in c.model_fields for c in choices) and bool(following)
        )
        if not is_tag:
            kept.append(part)
        choices = following or choices
    return kept
