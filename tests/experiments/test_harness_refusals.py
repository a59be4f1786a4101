"""What a launch refuses: one line, its exit code, and nothing written; a fault of the program keeps its traceback."""

import pytest

import jnn
from experiments import harness, training
from jnn.data import Batches
from jnn.train import LossOutput
from tests.experiments.launches import needs_files, refused, run
from tests.train import tiny


def test_a_missing_file_is_one_line_and_exit_code_1(tmp_path, capsys):
    options = ["--data-dir", str(tmp_path / "nothing")]
    assert str(tmp_path / "nothing") in refused(capsys, 1, tmp_path / "run", *options, experiment=needs_files)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mesh", "foo=8"], "mesh: axis 'foo' is none of slice, stage, data"),
        (["--mesh", "data"], "mesh: expected a string such as 'data=4,fsdp=8', found 'data'"),
        (["--mesh", "data=3"], "the sizes of 'data=3' (3) do not make up the number of devices, 8"),
        (["--mesh", "data=16"], "the sizes of 'data=16' (16) do not make up the number of devices, 8"),
        (["--batch-size", "12"], "train: 8 devices do not divide the 12 rows of batch/x (12,)"),
        (["--lanes", "3"], "lanes: expected a multiple of the 8 devices that share the batch, found 3"),
        (["--lanes", "16"], "train: 16 lanes do not divide the 8 rows of the batch"),
        (["--lanes", "4", "--mesh", "data=4,context=2"], "lanes: each is computed on one device"),
        (["--steps", "0"], "--steps: expected a whole number of at least 1, found 0"),
        (["--serve", "70000"], "--serve: expected a port from 0 to 65535"),
        (["--preflight.search"], "--preflight.search: of a pre-flight alone. Add --preflight"),
        (
            ["--preflight.json", "--preflight.budget", "fits"],
            "--preflight.budget, --preflight.json: of a pre-flight alone. Add --preflight",
        ),
        (["--preflight.price", "1.2"], "--preflight.price: of a pre-flight alone. Add --preflight"),
        (["--preflight.tokens", "1e9"], "--preflight.tokens: of a pre-flight alone. Add --preflight"),
        (["--preflight.epochs", "2"], "--preflight.epochs: of a pre-flight alone. Add --preflight"),
        (
            ["--preflight", "cpu:8", "--preflight.epochs", "2", "--preflight.tokens", "9"],
            "--preflight.tokens and --preflight.epochs: expected at most one",
        ),
        (
            ["--preflight", "cpu:8", "--preflight.epochs", "nan"],
            "--preflight.epochs: expected a positive number, found nan",
        ),
        (
            ["--preflight", "cpu:8", "--preflight.tokens", "-1"],
            "--preflight.tokens: expected a positive number, found -1",
        ),
        (["--preflight", "cpu:8", "--preflight.tokens", "9"], "preflight: found no tokens"),
        (["--preflight", "v9:2x2"], "topology: expected a name such as v5p:8x8x8"),
        (["--preflight", "cpu:8", "--preflight.budget", "much"], "Budget: expected 'fits'"),
        (["--preflight", "cpu:8", "--mesh", "data=3"], "mesh: the sizes of 'data=3'"),
        (["--preflight", "cpu:8", "--batch-size", "12"], "preflight: 8 devices do not divide the 12 rows"),
        (["--preflight", "cpu:8", "--lanes", "3"], "lanes: expected a multiple of the 8 devices"),
    ],
)
def test_what_was_typed_wrongly_is_one_line_and_exit_code_2_and_leaves_no_claim(tmp_path, capsys, options, message):
    assert message in refused(capsys, 2, tmp_path, *options)
    assert list(tmp_path.iterdir()) == []


def test_a_mesh_that_does_not_divide_a_parameter_names_it(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        run(capsys, tmp_path, "--mesh", "data=4,tensor=2")  # one output unit, on two devices
    assert exit.value.code == 2
    heading, line = capsys.readouterr().err.splitlines()[:2]
    assert heading == "error: These parameters cannot be sharded by the rules:"
    assert line.startswith("  out/b (1,)")
    assert list(tmp_path.iterdir()) == []


def test_processes_that_do_not_come_are_one_line(tmp_path, capsys, monkeypatch):
    def join():
        raise TimeoutError("rendezvous: waited 60 s, and of 2 processes [1] never called.")

    monkeypatch.setattr(harness, "initialize", join)
    assert "of 2 processes [1] never called" in refused(capsys, 1, tmp_path)


def test_a_fault_of_the_program_keeps_its_traceback(tmp_path, capsys):
    def faulty(config):
        raise ValueError("a fault of the program")

    with pytest.raises(ValueError, match="a fault of the program"):
        run(capsys, tmp_path, experiment=faulty)
    assert list(tmp_path.iterdir()) == []  # nothing was begun: the folder is anybody's

    def late(config):
        def loss(params, batch, ctx):
            return LossOutput(jnn.losses.squared_error(batch["x"], batch["y"]))  # what jnn refuses is the program's own

        training.train(config, tiny.SPEC, loss, tiny.OPTIMIZER, Batches(tiny.arrays(), 8, seed=0), every=10)

    with pytest.raises(ValueError, match="squared_error"):
        run(capsys, tmp_path, experiment=late)


def test_steps_that_are_no_multiple_of_a_call_are_refused_before_anything_is_written(tmp_path, capsys):
    def called(config):
        batches = Batches(tiny.arrays(), 8, seed=0)
        training.train(config, tiny.SPEC, tiny.loss, tiny.OPTIMIZER, batches, every=10, steps_per_call=10)

    message = refused(capsys, 2, tmp_path, "--steps", "45", experiment=called)
    assert "train: --steps is a positive multiple of 10, found 45" in message
    assert list(tmp_path.iterdir()) == []
