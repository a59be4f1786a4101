"""A folder with two checkpoints, to be harmed; and processes to which something of `faults` happens."""

import shutil
import subprocess
import sys

import pytest

from tests.train.checkpoint.faults import filled


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with the steps 10 and 20, to be copied."""
    return filled(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def program(what, folder, *more, **options):
    command = [sys.executable, "-m", "tests.train.checkpoint.faults", what, str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finished(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out
