"""An experiment starts again with huge pages, once, and nothing else does."""

import sys

import pytest

from experiments import huge_pages

COMMAND = ("python", "-X", "dev", "-m", "experiments.cifar10", "--seed", "1")


@pytest.mark.parametrize(
    ("argv", "environ", "platform"),
    [
        (COMMAND, {"GLIBC_TUNABLES": ""}, "linux"),
        (COMMAND, {}, "darwin"),
        (("python", "-m", "experiments.benchmarks", "--only", "mlp"), {}, "linux"),
        (("python", "-m", "experiments.benchmarks.sweeps"), {}, "linux"),
        (("python", "-m", "pytest", "-m", "experiments.cifar10"), {}, "linux"),
        (("python", "-m"), {}, "linux"),
        (("python", "-c", "import experiments"), {}, "linux"),
    ],
)
def test_whoever_chose_and_whatever_is_no_experiment_is_left_alone(argv, environ, platform):
    assert not huge_pages.is_due(argv, environ, platform)


def test_the_same_command_starts_again_as_the_same_process(monkeypatch):
    started = []
    monkeypatch.setattr(huge_pages.os, "execve", lambda *args: started.append(args))
    monkeypatch.setattr(sys, "orig_argv", [*COMMAND])
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    huge_pages.ask()
    [(program, argv, environ)] = started
    assert (program, argv) == (sys.executable, [sys.executable, *COMMAND[1:]])
    assert environ["GLIBC_TUNABLES"] == huge_pages.VALUE
    monkeypatch.setenv("GLIBC_TUNABLES", environ["GLIBC_TUNABLES"])
    huge_pages.ask()
    assert len(started) == 1
