# SPDX-License-Identifier: Apache-2.0
"""Cards of models in the words of the panel; whatever a card holds, the panel can draw it."""

import json
import os

from hypothesis import given, settings
from hypothesis import strategies as st

from blender_addon import model_card

CARD = {
    "recipe": "splat_full",
    "file": "chairs.onnx",
    "categories": ["chair", "car"],
    "parts": [{"id": 1, "name": "back"}, {"id": 2, "name": "seat"}],
    "points": 2000,
    "data": {"folder": "dataset", "train": 1318, "val": 46, "views": 8},
    "licence": "CC0-1.0",
    "metrics": {
        "val_mask_iou": 0.668,
        "test": {"objects": 36, "scores": {"chamfer_sum": 4.4856, "mask_iou": 0.706, "part_miou": None}},
    },
    "limits": ["Knows chairs only.", "Predicts no colours."],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def test_a_card_in_words():
    text = model_card.describe(CARD)
    facts = dict(text.facts)
    assert facts["Name"] == "chairs (splat_full)"
    assert facts["Knows"] == "chair, car"
    assert facts["Parts"] == "back, seat"
    assert facts["Data"] == "dataset, 1,318 objects, 8 views each"
    assert facts["License"] == "CC0-1.0"
    assert text.scores_of == "36 test objects"
    assert text.scores == [("Chamfer x 100", "4.49"), ("Mask IoU", "0.71")]  # what is unknown is left out
    assert text.limits == CARD["limits"]


def test_without_an_evaluation_validation_speaks():
    text = model_card.describe({**CARD, "metrics": {"val_mask_iou": 0.5}})
    assert (text.scores_of, text.scores) == ("validation images", [("Mask IoU", "0.50")])
    assert model_card.describe({**CARD, "metrics": None}).scores == []


def test_an_export_without_parts_says_none():
    assert dict(model_card.describe({**CARD, "parts": []}).facts)["Parts"] == "none"


def test_parts_are_listed_by_category():
    """One row for each; a single category needs no name."""
    parts = {"chair": CARD["parts"], "car": [{"id": 1, "name": "roof"}], "lamp": []}
    facts = dict(model_card.describe({**CARD, "parts": parts}).facts)
    assert facts["Parts of chair"] == "back, seat"
    assert facts["Parts of car"] == "roof"
    assert "Parts of lamp" not in facts
    assert "Parts" not in facts
    assert (
        dict(model_card.describe({**CARD, "parts": {"chair": CARD["parts"]}}).facts)["Parts"] == "back, seat"
    )


def test_the_limits_of_an_export_are_shown():
    """The exporter's own sentences arrive, for what it writes of a model without colours and pose."""
    from recon_core.inference.limits import limits_of

    card = {**CARD, "input": {"size": 64}, "outputs": {"xyz": {}, "parts": {}}, "frame_note": ""}
    limits = model_card.describe({**card, "limits": limits_of(card)}).limits
    assert "Knows only: chair, car. All else comes out as one." in limits
    assert "Predicts no colours, no camera pose." in limits
    assert any("Does not say which" in limit for limit in limits)


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.sampled_from(sorted(CARD)), JSON))
def test_no_card_is_too_strange(changes):
    text = model_card.describe({**CARD, **changes})
    for name, value in (*text.facts, *text.scores):
        assert isinstance(name, str)
        assert value == " ".join(value.split())
        assert len(value) < 10_000
    assert all(isinstance(limit, str) and limit for limit in text.limits)


def test_a_card_is_read_again_when_its_file_changes(tmp_path):
    path, card = tmp_path / "m.onnx", tmp_path / "m.json"
    assert "not beside it" in model_card.read(path).problem
    card.write_text(json.dumps(CARD))
    first = model_card.read(path)
    assert dict(first.facts)["Points"] == "2,000"
    assert model_card.read(path) is first
    card.write_text(json.dumps({**CARD, "points": 9}))
    os.utime(card, ns=(1, 1))
    assert dict(model_card.read(path).facts)["Points"] == "9"
    card.write_text("no card")
    assert "not JSON" in model_card.read(path).problem
