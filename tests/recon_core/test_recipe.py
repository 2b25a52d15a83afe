# SPDX-License-Identifier: Apache-2.0
"""Recipes: shipped ones load, overrides apply, and each mistake gets its own sentence."""

from pathlib import Path

import pytest

from recon_core.errors import ConfigError
from recon_core.methods.config import geometric, linear
from recon_core.methods.recipe import load_recipe

SHIPPED = sorted(p.stem for p in (Path(__file__).parents[2] / "configs").glob("*.yaml") if p.stem != "base")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load_by_path_and_by_name(name):
    """A recipe is found by its path and by its bare name."""
    recipe = load_recipe(name)
    assert recipe.name == name
    assert load_recipe(Path(__file__).parents[2] / "configs" / f"{name}.yaml") == recipe


def test_overrides_reach_nested_values_and_lists():
    """Dotted keys, list indices, and YAML 1.1's odd floats."""
    recipe = load_recipe("splat", ["optim.lr=1e-3", "terms.0.weight=2", "model.heads=[xyz]", "data.augment.blur=0.05"])
    assert recipe.optim.lr == 1e-3
    assert recipe.terms[0].weight == 2
    assert recipe.model.heads == ("xyz",)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.stepz=3", "optim.stepz: unknown key. Did you mean 'steps'?"),
        ("modle.points=3", "modle: unknown key. Did you mean 'model'?"),
        ("terms.0.sigma=3", "terms.0.sigma: unknown key. Did you mean 'sigma_px'?"),
        ("terms.0.kind=splat_maks", "terms.0.kind: unknown kind 'splat_maks'. Did you mean 'splat_mask'?"),
        ("pose.kind=ensembel", "pose.kind: unknown kind 'ensembel'. Did you mean 'ensemble'?"),
        ("model.encoder=vit", "model.encoder"),
        ("model.heads=[xyz,colour]", "Did you mean 'color'?"),
        ("optim.lr=-1", "optim.lr: Input should be greater than 0"),
        ("optim.lr=.nan", "optim.lr: Input should be"),
        ("optim.steps=many", "optim.steps: Input should be a valid integer"),
        ("terms=[]", "terms: "),
        ("terms.7.weight=1", "'7' is not an index from 0 to 0"),
        ("optim.lr.x=1", "'lr' is a value, not a group"),
        ("optim.lr", "expected key=value"),
        ("optim.lr=[1,", "not valid YAML"),
        ("model.points=1000000000", "model.points: Input should be less than or equal to 100000"),
    ],
)
def test_each_mistake_is_explained(override, message):
    """Where, what, and the nearest valid name."""
    with pytest.raises(ConfigError) as caught:
        load_recipe("splat", [override])
    assert message in str(caught.value)


def test_terms_need_their_heads():
    """A colour term without a colour head cannot be trained."""
    with pytest.raises(ConfigError, match="needs the head 'color'"):
        load_recipe("splat", ["terms.0.kind=splat_color", "terms.0={kind: splat_color}"])


def test_turned_inputs_need_known_poses():
    """A turn of the input changes its camera, which an unposed recipe does not have."""
    assert load_recipe("splat", ["data.augment.rotation_deg=10"]).data.augment.rotation_deg == 10
    with pytest.raises(ConfigError, match=r"needs pose\.kind known"):
        load_recipe("splat_unposed", ["data.augment.rotation_deg=10"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "must be a mapping"),
        ("extends: other.yaml\nterms: [{kind: splat_mask}]", "one level deep"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_broken_files(tmp_path, text, message):
    """Not YAML, not a mapping, chains of extends, and tags that would run code."""
    (tmp_path / "other.yaml").write_text("extends: third.yaml\n")
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_recipe(tmp_path / "recipe.yaml")


def test_unknown_recipe_names_the_shipped_ones():
    """The nearest name is offered."""
    with pytest.raises(ConfigError, match="Did you mean 'splat'"):
        load_recipe("splatt")


def test_schedules():
    """Geometric and linear interpolation hit both ends."""
    assert geometric((4.0, 1.0), 0.5) == pytest.approx(2.0)
    assert linear((4.0, 1.0), 0.5) == pytest.approx(2.5)
    assert geometric((4.0, 1.0), 1.0) == pytest.approx(1.0)
