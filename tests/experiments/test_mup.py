"""muP: a toy run on made images; a run on real ones learns, and the best rate of a narrow network is a wide one's."""

import pytest

from experiments import mup
from experiments.widths import make_task, parametrized
from tests.experiments.made_images import write
from tests.experiments.shortened import flown, resumed
from tests.needed_data import needs

OPTIONS = ["--steps", "2", "--networks", "cnn", "--widths", "16", "32", "--rates", "0.001", "0.01"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("widths", [(16,), pytest.param((16, 32), marks=pytest.mark.slow)], ids=len)
def test_a_run_compares_every_width_in_both_parametrizations(tmp_path, data_dir, widths):
    how = {"steps": 2, "networks": ("cnn",), "widths": widths, "rates": (0.01, 0.001), "data_dir": data_dir}
    outcome = mup.experiment(mup.Config(workdir=str(tmp_path), batch_size=8, **how))
    assert len(outcome.metrics) == 2 * len(widths) * 3
    assert outcome.metrics["cnn_mup_16_regret"] == 0
    assert outcome.metrics["cnn_mup_16_loss"] == outcome.metrics["cnn_standard_16_loss"]  # the base is as it was
    sweeps, checks = (figure() for figure in outcome.figures.values())
    assert len(sweeps.axes) == len(checks.axes) == 2
    assert sweeps.axes[0].lines[0].get_xdata().tolist() == [0.001, 0.01]


def test_widths_are_heads_of_16(tmp_path):
    with pytest.raises(SystemExit):
        mup.experiment(mup.Config(workdir=str(tmp_path), widths=(64, 72)))


def test_the_standard_parametrization_is_no_other(data_dir):
    task = make_task("cnn", mup.Config(data_dir=data_dir))
    scaled = parametrized(task, "standard", 32, 16)
    assert scaled.rates["head"]["fc0"]["w"] == 1
    assert parametrized(task, "mup", 32, 16).rates["head"]["fc0"]["w"] == 0.5


@pytest.mark.slow
def test_a_rate_holds_at_another_width(tmp_path):
    needs("fashion_mnist")
    how = {"networks": ("cnn",), "widths": (32, 128), "steps": 60}
    found = mup.experiment(mup.Config(workdir=str(tmp_path), **how)).metrics
    assert found["cnn_mup_128_loss"] < found["cnn_mup_32_loss"] < 1.5
    assert found["cnn_mup_128_regret"] <= found["cnn_standard_128_regret"] + 0.02


@pytest.mark.slow
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path, data_dir):
    resumed("experiments.mup", tmp_path, ["--data-dir", data_dir, *OPTIONS])


@pytest.mark.slow
def test_its_pre_flight_reports(tmp_path, data_dir):
    flown("experiments.mup", tmp_path, ["--data-dir", data_dir, *OPTIONS])
