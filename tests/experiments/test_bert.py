"""Pre-training and tuning: of made reviews hidden words are learned and tries agree; a run is resumed and planned."""

import jax
import numpy as np
import pytest

import jnn
from experiments import bert, datasets, masked_words
from experiments.bert import Config
from jnn.data import Words
from jnn.train import Context
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

TINY = {"layers": 1, "heads": 2, "embed": 8, "length": 12, "tokens": 12, "batch_size": 8, "warmup": 1, "steps": 2}
TUNED = {"labels": (8,), "tries": 2, "tuning_steps": 2, "rates": (1e-2, 1e-2), "test_reviews": 8}
SHORT = {"layers": 1, "embed": 16, "length": 32, "tokens": 32, "steps": 60, "warmup": 5, "learning_rate": 1e-2}
SHORT |= {"labels": (50,), "tries": 2, "tuning_steps": 30, "test_reviews": 100}
OPTIONS = [f"--{k.replace('_', '-')}={v[0] if isinstance(v, tuple) else v}" for k, v in SHORT.items()]


def reviews(n, seed):
    """Made ones: of n a half is favourable, and says so in every other word."""
    rng, y = np.random.default_rng(seed), (np.arange(n) % 2).astype(np.int32)
    x = rng.integers(4, 20, (n, 20)).astype(np.int32)
    x[:, ::2] = 2 + y[:, None]
    return {"x": x, "length": rng.integers(8, 21, n).astype(np.int32), "y": y}


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(datasets, "VOCABULARY", 20)
    monkeypatch.setattr(masked_words, "MASK", 20)
    data = datasets.Data(reviews(40, 0), reviews(24, 1), reviews(16, 2))
    words = Words(tuple(f"w{i}" for i in range(20)))
    monkeypatch.setattr(datasets, "reviews", lambda data_dir=None: (data, words))
    return data


def test_tries_side_by_side_are_tries_alone(made):
    """Each try's loss is of its own parameters and reviews; its reviews are of its own seed."""
    config = Config(**TINY | TUNED)
    both = {"encoder": masked_words.encoder_spec(8, 2, 1), "out": jnn.layers.linear_spec(8, 1)}
    params = jnn.init(jnn.stack(both, 2, "tries"), jax.random.key(0))
    rows = masked_words.endings(made.train, 8, 12, [0, 1])
    assert rows["x"].shape == (8, 2, 12)
    assert (rows["x"][:, 0] != rows["x"][:, 1]).any()

    @jax.jit
    def every_way(params):
        batch, context = rows | {"weight": np.ones(8, np.float32)}, Context(None, None, 0)
        one = lambda i: bert.score(
            jax.tree.map(lambda x: x[i], params), rows["x"][:, i], rows["length"][:, i], None, config
        )
        return bert.judge(params, batch, context, config), jax.numpy.stack([one(0), one(1)], 1)

    found, logits = every_way(params)
    np.testing.assert_allclose(found.values, np.logaddexp(0, (1 - 2 * rows["y"]) * logits).mean(1), rtol=1e-5)
    for i, right in enumerate(((logits > 0) == rows["y"]).mean(0)):
        assert found.metrics[f"accuracy_{i}"].value() == pytest.approx(right)


def test_hidden_words_are_guessed_and_no_others(made):
    params = jnn.init(masked_words.encoder_spec(8, 2, 1), jax.random.key(0))
    batch = {"x": made.train["x"][:4, :12]}
    out = jax.jit(lambda p: masked_words.guess(p, batch, Context(None, jax.random.key(1), 0), 0.3))(params)
    assert out.values.shape == (4, 4)  # up to a fourth more than 0.3 of 12
    assert 0 < out.weights.sum() <= 16
    page = masked_words.filled(params, batch["x"], Words(tuple(f"w{i}" for i in range(20))), 0.15)
    assert page.count("[") == (np.random.default_rng(datasets.SPLIT_SEED).random((4, 12)) < 0.15).sum()


@pytest.mark.slow
def test_a_run_on_made_reviews_measures_both_ways(tmp_path, made, monkeypatch):
    monkeypatch.setattr(bert, "VALIDATING", 16)
    config = Config(workdir=str(tmp_path), **TINY | TUNED | {"tuning_steps": 40})
    outcome = bert.experiment(config)
    metrics = outcome.metrics
    assert np.min([metrics["pretrained"], metrics["scratch"]]) > 0.8
    np.testing.assert_allclose(metrics["gain"], metrics["pretrained"] - metrics["scratch"])
    assert all(figure().axes or figure().texts for figure in outcome.figures.values())


@pytest.mark.slow
def test_a_short_run_learns_goes_on_and_is_planned(tmp_path):
    needs("imdb")
    outcome = bert.experiment(Config(workdir=str(tmp_path / "run"), **SHORT))
    losses = [row["val/loss"] for row in outcome.history]
    assert losses[-1] < losses[0] - 0.5
    resumed("experiments.bert", tmp_path, OPTIONS)
    flown("experiments.bert", tmp_path, OPTIONS)
