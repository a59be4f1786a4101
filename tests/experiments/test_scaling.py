"""Scaling laws: a law is found again, a toy run, and a short one that learns, is killed, is planned."""

import logging
import re

import jax
import numpy as np
import pytest

import jnn
from experiments import scaling, scaling_law
from experiments.scaling_law import Law, Runs, bootstrap, exponent, fit_law, interval, law_of, optimum
from jnn.layers import embed_spec
from jnn.train import LossOutput
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

SHORT = ["--steps", "32", "--widths", "8", "16", "24", "--repeats", "5"]


def grid(law, noise=0.0):
    """Runs that follow a law."""
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(2e3, 2e5, 6), np.geomspace(2e5, 8e6, 5)))
    return Runs(n, d, law.loss(n, d) * np.exp(noise * np.random.default_rng(0).normal(size=n.shape)))


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
def test_a_law_is_found_from_its_own_points(seed):
    rng = np.random.default_rng(seed)
    alpha, beta = rng.uniform(0.25, 0.6, 2)
    law = Law(E=rng.uniform(0.8, 1.6), A=2e3**alpha, B=2e5**beta, alpha=alpha, beta=beta)
    np.testing.assert_allclose(fit_law(grid(law)), law, rtol=1e-6)


@pytest.mark.parametrize("rows", [slice(4), slice(0, 30, 6), slice(24, 30), slice(0, 1)])
def test_runs_that_determine_no_law_have_none(rows):
    """Fewer than its numbers; as many of one size; of one length; one alone."""
    runs = grid(Law(E=1.2, A=30.0, B=200.0, alpha=0.4, beta=0.42))
    assert law_of(runs) is not None
    assert law_of(Runs(*(x[rows] for x in runs))) is None


@pytest.mark.parametrize("losses", [np.full(30, 2.0), np.linspace(1, 2, 30)])
def test_losses_that_do_not_fall_follow_no_law(losses):
    assert law_of(grid(Law(E=1.2, A=30.0, B=200.0, alpha=0.4, beta=0.42))._replace(losses=losses)) is None


def test_the_gradient_of_the_fit_is_that_of_its_loss():
    x, logs = np.array([3.0, 5.0, 0.2, 0.3, 0.4]), np.log(np.stack(grid(Law(1.0, 30.0, 90.0, 0.4, 0.35))))
    steps = 1e-6 * np.eye(5)
    slopes = [(scaling_law._huber(x + e, logs)[0] - scaling_law._huber(x - e, logs)[0]) / 2e-6 for e in steps]
    np.testing.assert_allclose(scaling_law._huber(x, logs)[1], slopes, rtol=1e-4)


def test_intervals_hold_what_is_true():
    law = Law(E=1.2, A=30.0, B=200.0, alpha=0.4, beta=0.42)
    laws = bootstrap(grid(law, noise=0.003), 30, seed=0)
    low, high = interval(np.array([exponent(one) for one in laws]))
    assert low < exponent(law) < high < low + 0.2


def test_the_optimum_is_one():
    law = Law(E=1.0, A=20.0, B=300.0, alpha=0.4, beta=0.5)
    n, d = optimum(law, 1e12)
    np.testing.assert_allclose(6 * n * d, 1e12)
    assert all(law.loss(n, d) < law.loss(n * f, d / f) for f in (0.9, 1.1))


class Toy(scaling.Decoder):
    """Logits of the next character by the last, and no more: as wide as a decoder, and soon compiled."""

    def __init__(self, vocab, width):
        self.scaled = jnn.mup(embed_spec(vocab, width), embed_spec(vocab, width))
        self.params = jnn.count_params(self.scaled.spec)

    def loss(self, params, batch, ctx):
        rows = params["table"][batch["x"]]
        return LossOutput(jnn.losses.cross_entropy(rows @ params["table"].T, batch["y"]), batch["weight"])


def made(context, data_dir=None):
    """Texts of a few characters in turn."""
    rows = np.arange(40 * context).reshape(40, context) % 5
    return {"x": rows, "y": (rows + 1) % 5}, {"x": rows[:4], "y": (rows[:4] + 1) % 5}, 5


@pytest.mark.parametrize("law", [None, Law(E=1.2, A=30.0, B=200.0, alpha=0.4, beta=0.42)])
def test_a_run_of_a_few_steps(tmp_path, monkeypatch, capsys, law):
    """Runs of two sizes determine no law, which is said; where there is one, it predicts the widest."""
    monkeypatch.setattr(scaling, "old_texts", made)
    monkeypatch.setattr(scaling, "Decoder", Toy)
    if law:
        monkeypatch.setattr(scaling, "law_of", lambda runs: law)
    config = scaling.Config(steps=4, widths=(8, 16, 24), repeats=2, workdir=str(tmp_path))
    found = scaling.experiment(config)
    assert found.metrics["runs"] == 2 * 3
    held = {name: set(row) for name, row in found.metrics.items() if name.startswith("held_out")}
    assert held.keys() == {"held_out_1024", "held_out_2048"}
    said = "6 runs of 2 sizes and 3 lengths determine no law of five numbers" in capsys.readouterr().err
    assert said == (law is None)
    assert ("alpha" in found.metrics) == (law is not None)
    assert held["held_out_1024"] == ({"measured", "predicted", "interval"} if law else {"measured"})
    assert len(found.figures) == (2 if law else 0)
    for draw in found.figures.values():
        draw()


def test_widths_are_heads_of_8(tmp_path):
    with pytest.raises(SystemExit):
        scaling.experiment(scaling.Config(workdir=str(tmp_path), widths=(8, 16, 20)))


@pytest.mark.slow
def test_a_shortened_run_learns_and_compiles_no_program_twice(tmp_path, caplog):
    needs("shakespeare/input.txt", "sotu")
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        config = scaling.Config(steps=128, widths=(8, 16, 24), repeats=5, workdir=str(tmp_path))
        found = scaling.experiment(config).metrics
    compiled = re.findall(r"Finished XLA compilation of jit\((\w+)\)", caplog.text)
    assert compiled.count("over") <= 3 * 2  # begin, train and evaluate, of two widths
    first, second = (found[f"held_out_{steps * 512}"]["measured"] for steps in (16, 32))
    assert second < first < np.log(100)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [resumed, flown])
def test_a_run_goes_on_and_is_planned(asked, tmp_path):
    needs("shakespeare/input.txt", "sotu")
    asked("experiments.scaling", tmp_path, SHORT)
