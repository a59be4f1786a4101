"""main: what is printed, and the exit code."""

import json

import jax
import jax.numpy as jnp
import optax
import pytest

from jnn.layers import linear, linear_spec
from jnn.losses import squared_error
from jnn.preflight import Budget, TrainingJob, main
from jnn.train import LossOutput
from tests.preflight.small import pretend, small


def linear_map(rows):
    """A job that compiles at once."""

    def loss(params, batch, ctx):
        return LossOutput(squared_error(linear(params, batch["x"]), batch["y"]))

    data = {name: jax.ShapeDtypeStruct((rows, 8), jnp.float32) for name in "xy"}
    return TrainingJob(linear_spec(8, 8), loss, optax.sgd(0.1), data)


def test_a_report_and_a_budget_that_holds(capsys):
    assert main(linear_map(8), "cpu:8", "data=-1", budget="fits") == 0
    out, err = capsys.readouterr()
    assert out.startswith("cpu:8: 8 chips, 8 devices, 1 host; data=8\n")
    assert err == ""


def test_over_budget_is_exit_code_1_and_says_why(capsys):
    assert main(linear_map(8), "cpu:8", "data=-1", budget="memory=100,bytes=10", json=True) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["machine"]["mesh"] == {"data": 8}
    assert [line.split(":")[1].strip() for line in err.splitlines()] == ["memory", "collectives"]


def test_without_a_budget_nothing_is_over(capsys):
    assert main(linear_map(8), "cpu:8", "data=-1") == 0
    assert capsys.readouterr().err == ""


def test_a_search_is_over_where_all_are(capsys):
    few = linear_map(4)  # on two devices: data=2, fsdp=2, tensor=2
    assert main(few, "cpu:2", "data=-1", searching=True, json=True, budget="memory=1") == 1
    out, err = capsys.readouterr()
    assert len(json.loads(out)["ranked"]) == 2 + 2 + 3  # micro-batches that the rows divide into, of each mesh
    assert err.splitlines()[-1] == "over budget: no layout is within the budget"


@pytest.mark.parametrize(
    ("fits", "first", "said"),
    [
        (False, "Nothing", "nothing that was compiled fits"),
        (True, "mesh", "no layout that was compiled is within the budget"),
    ],
)
def test_a_search_that_ran_out_of_compiles_decides_nothing(monkeypatch, capsys, fits, first, said):
    """Three meshes of two devices and four micro-batches each are twelve; a search compiles eight."""
    pretend(monkeypatch, lambda job: fits)
    assert main(small(), "cpu:2", "data=-1", searching=True, budget="memory=1") == 1
    out, err = capsys.readouterr()
    assert out.split()[0] == first
    assert err.splitlines()[-1] == f"undecided: {said}; 4 candidates were not compiled"


@pytest.mark.parametrize("text", ["", "memory", "memory=much", "hours=3", "memory=1,memory=2", "seconds=1,"])
def test_a_budget_of_another_form_is_one_clear_error(text):
    with pytest.raises(ValueError, match="Budget: expected 'fits', or such as 'memory=14e9"):
        Budget.parse(text)
