"""GRPO on arithmetic: the rule knows sums, each policy is drawn from when it should be, and rewards rise."""

import jax.numpy as jnp
import pytest

from experiments import grpo
from jnn.train import digest


def encoded(*texts):
    return jnp.array([[grpo.CHARACTERS.index(c) for c in text] for text in texts])


def test_the_rule_asks_for_the_sum_and_an_end():
    right = encoded("102.", "102.", "7...", "7...", "7...", "102.")
    drawn = encoded("102.", "102+", "7.13", "7+..", ".7..", "12..")
    assert grpo.rewards(drawn, right).tolist() == [1, 0, 1, 0, 0, 0]
    assert grpo.upto_end(drawn).sum(-1).tolist() == [4, 4, 2, 3, 1, 3]


def test_sums_are_right_and_each_once():
    data = grpo.sums()
    text = lambda row: "".join(grpo.CHARACTERS[i] for i in row)
    problems, answers = ([text(row) for row in data[name]] for name in ("x", "y"))
    assert len(set(problems)) == 10_000
    assert all(int(p[:2]) + int(p[3:5]) == int(a.strip(".")) for p, a in zip(problems, answers, strict=True))


def tiny(folder, **changes):
    sizes = {"layers": 1, "heads": 1, "embed": 16, "batch_size": 8, "group": 4}
    return grpo.Config(workdir=str(folder), **sizes | {"first_steps": 10, "steps": 4, "every": 2} | changes)


def test_a_run_goes_on(tmp_path):
    outcome = grpo.experiment(tiny(tmp_path))
    assert sorted(outcome.metrics) == ["first_greedy", "first_sampled", "last_greedy", "last_sampled"]
    assert [row["step"] for row in outcome.history] == [2, 4]
    assert digest(grpo.experiment(tiny(tmp_path)).params) == digest(outcome.params)


@pytest.mark.slow
def test_rewards_rise_on_problems_that_were_held_out(tmp_path):
    found = grpo.experiment(grpo.Config(workdir=str(tmp_path), batch_size=32, steps=120)).metrics
    assert found["last_sampled"] > found["first_sampled"] + 0.05
    assert found["last_greedy"] > found["first_greedy"]
