# SPDX-License-Identifier: Apache-2.0
"""The leaderboard's numbers: lengths from speeds, fingerprints of recipes, charts."""

import re
from dataclasses import replace

import numpy as np
import pytest

from recon_core.errors import ConfigError, TrainingError
from recon_core.evaluation.protocols import PROTOCOLS, protocol_metrics
from recon_core.leaderboard.chart import Line, chart
from recon_core.leaderboard.plan import parse_budget
from recon_core.leaderboard.speed import Speed, fingerprint, fitting_length, speed_of
from recon_core.leaderboard.table import bare
from recon_core.methods.recipe import load_recipe


def test_budgets_are_read() -> None:
    """Seconds, minutes, hours; anything else is refused with an example."""
    assert [parse_budget(text) for text in ("600", "90s", "10m", "1.5h", " 2 min ")] == [
        600,
        90,
        600,
        5400,
        120,
    ]
    for text in ("", "ten", "0", "-5m", "10d", "1e3s"):
        with pytest.raises(ConfigError, match="90s, 10m"):
            parse_budget(text)


def test_speed_is_told_apart_from_start_validation_and_slow_first_steps() -> None:
    """A log as training writes it, with known costs: dear first steps, a validation amid and one at the end."""
    n, step, start, validation, samples = 40, 0.5, 7.0, 2.0, 1.0
    costs = [step + (5.0 if k == 1 else 0.0) + (validation if k == n // 2 else 0.0) for k in range(1, n + 1)]
    before = [start + sum(costs[:k]) for k in range(n)]
    found = speed_of(before, before[-1] + step + samples + validation)
    assert found == Speed(*(pytest.approx(value) for value in (step, validation, samples, start)))
    with pytest.raises(TrainingError, match="too short"):
        speed_of(before[:6], 9.0)


def test_the_mean_step_of_a_schedule_is_the_probes() -> None:
    """Steps that grow dearer along the run: the probe's mean is the long run's, within what it leaves out."""

    def cost(progress: float) -> float:
        return 0.1 + 0.9 * progress

    before = np.concatenate(([0.0], np.cumsum([cost(k / 40) for k in range(39)])))
    found = speed_of(list(before), float(before[-1]) + cost(39 / 40))
    long = np.mean([cost(k / 5000) for k in range(5000)])
    assert found.step_s == pytest.approx(long, rel=0.08)


def test_a_run_ends_with_its_budget() -> None:
    """All costs add up to at most the budget and to more than it less one step; validation keeps to its share."""
    speed = Speed(step_s=0.25, validation_s=0.5, samples_s=1.0, start_s=20.0)
    length = fitting_length(speed, 100.0)
    total = 20 + 1 + length.validations * 0.5 + length.steps * 0.25
    assert 100 - 0.25 < total <= 100
    assert length.validations == 10
    assert fitting_length(replace(speed, validation_s=4.0), 100.0).validations == 2
    with pytest.raises(TrainingError, match=r"too small.*first poses takes 20"):
        fitting_length(speed, 20.0)


def test_fingerprints_tell_recipes_apart_but_not_their_length() -> None:
    """Seed, steps and logs do not matter for the speed; the number of points does."""
    same = load_recipe("splat", ["seed=3", "optim.steps=7", "log.metrics=1"])
    assert fingerprint(load_recipe("splat")) == fingerprint(same)
    assert fingerprint(load_recipe("splat")) != fingerprint(load_recipe("splat", ["model.points=300"]))


def test_names_without_counts_are_common_to_models() -> None:
    """Points and alignment differ between models; the metric's name without them does not."""
    for protocol in PROTOCOLS.values():
        some = [bare(one.name) for one in protocol_metrics(protocol, 2000, "4096", False)]
        voxels = "voxels0.01" if protocol.true_choice == "voxels" else "16"
        others = [bare(one.name) for one in protocol_metrics(protocol, 17, voxels, True)]
        assert some == others
        assert len(set(some)) == len(some)
        assert not any(re.search(r"N\d", name) for name in some)


def test_charts_hold_their_points() -> None:
    """Marks lie in the picture and in the data's order; the budget is marked; nothing gives no figure."""
    rng = np.random.default_rng(0)
    curve = [(float(x), float(y)) for x, y in zip(np.arange(1, 9), rng.uniform(0.2, 0.7, 8))]
    text = chart([Line("a < b", [curve], 9), Line("none", [[]], 1)], "Mask IoU", budget_s=8.0)
    places = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)]
    assert len(places) == 8
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    order = np.argsort([y for _, y in places])[::-1]  # down the picture is less
    capped = np.minimum([y for _, y in curve], np.quantile([y for _, y in curve], 0.95))
    assert (np.diff(capped[order]) >= 0).all()
    assert all(0 < x < 640 and 0 < y < 320 for x, y in places)
    assert "a &lt; b" in text
    assert ">budget<" in text
    assert chart([Line("none", [[]], 0)], "x") == ""
