"""The table of formulations, and choosing from it for another backend."""

import os
import sys

import jax
import pytest

from experiments.harness import launch
from experiments.options import Common
from jnn import backend
from jnn.launch._supervise import LaunchConfig, supervise


@pytest.mark.parametrize("name", backend.TABLE)
def test_a_row_names_formulations_and_why(name):
    row = backend.TABLE[name]
    assert row.cpu != row.other
    assert len(row.why.split()) >= 8
    assert backend.choose(name) == row.cpu
    with backend.target("tpu"):
        assert backend.choose(name) == (row.tpu or row.other)
        with backend.target("cpu"):
            assert backend.choose(name) == row.cpu
        with backend.target("cuda"):
            assert backend.choose(name) == (row.gpu or row.other)
        assert backend.choose(name) == (row.tpu or row.other)


def test_a_kernel_that_cannot_run_gives_way_and_the_record_says_why():
    refusals = {"splash": lambda: "found 3 queries", "cudnn": lambda: ""}
    with backend.target("tpu"), backend.recording() as chosen:
        assert backend.choose("attention", refusals) == "fused"
    assert chosen[0].why == "no splash here: found 3 queries"
    with backend.target("gpu"), backend.recording() as chosen:
        assert backend.choose("attention", refusals) == "cudnn"
    assert chosen[0].why == backend.TABLE["attention"].why


def test_the_target_ends_with_its_block_even_after_an_error():
    name = next(iter(backend.TABLE))
    with pytest.raises(RuntimeError, match="broken"), backend.target("gpu"):
        raise RuntimeError("broken")
    assert backend.choose(name) == backend.TABLE[name].cpu


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match=r"choose: expected one of .*dense.*; found .no such row"):
        backend.choose("no such row")


def test_recording_collects_what_a_trace_chooses_though_it_was_traced_before():
    chosen_here = jax.jit(lambda x: x if backend.choose("dense") == "flat" else 2 * x)
    assert chosen_here(1.0) == 1
    with backend.recording() as outer:
        with backend.recording() as inner:
            chosen_here(1.0)
        backend.choose("attention")
    assert [str(choice) for choice in inner] == ["dense: flat"]
    assert [str(choice) for choice in outer] == ["dense: flat", "attention: heads_first"]
    assert inner[0].why == backend.TABLE["dense"].why
    assert inner[0].file == outer[1].file == inner[0].callers[0][0] == __file__
    assert outer[1].function == "test_recording_collects_what_a_trace_chooses_though_it_was_traced_before"
    backend.choose("lstm")
    assert len(outer) == 2


def test_a_function_that_was_traced_for_one_backend_is_traced_again_for_another():
    doubled = jax.jit(lambda x: x if backend.choose("dense") == "flat" else 2 * x)
    assert doubled(1.0) == 1
    with backend.target("tpu"):
        assert doubled(1.0) == 2
    assert doubled(1.0) == 1


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (None, "--xla_gpu_deterministic_ops=true"),
        ("--xla_dump_to=a", "--xla_dump_to=a --xla_gpu_deterministic_ops=true"),
        ("--xla_gpu_deterministic_ops=false", "--xla_gpu_deterministic_ops=false"),  # the user's word
        ("--xla_gpu_deterministic_ops", "--xla_gpu_deterministic_ops"),
        (
            "--xla_gpu_deterministic_ops_of_mine=1",
            "--xla_gpu_deterministic_ops_of_mine=1 --xla_gpu_deterministic_ops=true",
        ),
    ],
)
def test_a_gpu_is_asked_for_the_same_bits_unless_the_user_said_otherwise(flags, expected):
    environ = {} if flags is None else {"XLA_FLAGS": flags}
    for _ in range(2):  # again changes nothing
        backend.make_deterministic(environ)
        assert environ == {"XLA_FLAGS": expected}


@pytest.mark.parametrize(
    ("flags", "fine"),
    [
        ("", False),
        ("--xla_gpu_deterministic_ops=true", True),
        ("--xla_gpu_deterministic_ops", True),
        ("--xla_gpu_deterministic_ops=true --xla_gpu_deterministic_ops=false", False),  # the last counts
    ],
)
def test_what_is_not_deterministic_says_so(flags, fine, monkeypatch):
    assert backend.nondeterminism({"XLA_FLAGS": flags}) == ""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert (backend.nondeterminism({"XLA_FLAGS": flags}) == "") == fine
    assert fine or "make_deterministic() first" in backend.nondeterminism({"XLA_FLAGS": flags})


def test_experiments_and_the_launchers_processes_ask_for_it(monkeypatch, tmp_path):
    """And XLA takes the flag on a CPU, too."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    program = (
        "import os, sys, jax; jax.numpy.ones(2).sum(); print(os.environ['XLA_FLAGS'], file=open(sys.argv[1], 'w'))"
    )
    assert supervise([sys.executable, "-c", program, str(tmp_path / "flags")], LaunchConfig(1)) == 0
    assert (tmp_path / "flags").read_text().strip() == "--xla_gpu_deterministic_ops=true"
    with pytest.raises(SystemExit):
        launch(lambda config: None, Common, ["--no-such-option"])
    assert os.environ["XLA_FLAGS"] == "--xla_gpu_deterministic_ops=true"
