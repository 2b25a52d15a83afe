# SPDX-License-Identifier: GPL-3.0-or-later
"""The model's card, folded below the section Reconstruct."""

from pathlib import Path
from typing import Any

from . import model_card
from .jobs import UserError
from .operators_reconstruct import model_file
from .panel_base import Section, wrapped


def _model(context: Any) -> Path | None:
    """The exported model that is chosen, if there is one."""
    settings = context.scene.recon
    if settings.engine != "BUILT_IN":
        return None
    try:
        path = model_file(settings)
    except UserError:
        return None
    return path if path.is_file() else None


class RECON_PT_model_card(Section):
    """What the chosen model knows, what it learnt from, how well it does and what it cannot do."""

    bl_idname = "RECON_PT_model_card"
    bl_label = "Model Card"
    bl_parent_id = "RECON_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return _model(context) is not None

    def draw(self, context: Any) -> None:
        path = _model(context)
        if path is None:
            return
        card, layout = model_card.read(path), self.layout
        if card.problem:
            wrapped(layout, card.problem, "ERROR")
            return
        rows = layout.column(align=True)
        for name, text in card.facts:
            wrapped(rows, f"{name}: {text}")
        if card.scores:
            _scores(layout, card)
        if card.limits:
            _limits(layout, card)


def _scores(layout: Any, card: model_card.CardText) -> None:
    box = layout.box().column(align=True)
    box.label(text=f"Scores on {card.scores_of}:")
    for name, text in card.scores:
        row = box.split(factor=0.65)
        row.label(text=name)
        row.label(text=text)


def _limits(layout: Any, card: model_card.CardText) -> None:
    box = layout.box().column(align=True)
    box.label(text="Limits:")
    for limit in card.limits:
        wrapped(box, limit, "DOT", margin=5)


CLASSES = (RECON_PT_model_card,)
