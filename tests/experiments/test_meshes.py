"""An experiment on any devices, and moved between them: with lanes to the bit, without within rounding."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.programs import ALONE

ROOT = Path(__file__).parents[2]
SMALL = ["--steps", "100", "--hidden", "64", "--channels", "8", "16", "--dense", "32"]


def digits(folder, processes, devices, options, *, kinds=()):
    """The exit code and the digest of a job of so many processes, with so many devices each."""
    launch = ["jnn.launch", "-n", f"{processes}", "--devices", f"{devices}", "--restarts", "0", "--"]
    killed = ["tests.experiments.killed", ",".join(kinds), f"{folder}.deaths"] if kinds else []
    command = [sys.executable, "-m", *launch, sys.executable, "-m", *killed, "experiments.digits", *options]
    command += ["--workdir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=ALONE, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode in (0, 143), done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if '"params_digest"' in line]
    return done.returncode, json.loads(lines[-1][lines[-1].index("{") :])["params_digest"] if lines else None


@pytest.mark.slow
def test_any_number_of_devices_and_processes(tmp_path):
    options = ["--steps", "100", "--lanes", "4"]
    shapes = [(1, 1), (1, 2), (1, 4), (2, 2), (4, 1)]
    found = {shape: digits(tmp_path / str(shape), *shape, options)[1] for shape in shapes}
    assert len(set(found.values())) == 1, found


@pytest.fixture(scope="module", params=[("--lanes", "16"), ()], ids=["lanes", "without"])
def eight(request, tmp_path_factory):
    """Options; the folder and the digest of a run on eight devices; and the folder of one that was ended early."""
    options, folder = [*SMALL, *request.param], tmp_path_factory.mktemp("eight")
    code, whole = digits(folder / "whole", 1, 8, options)
    assert code == 0
    assert digits(folder / "ended", 1, 8, options, kinds=["term"]) == (143, None)
    return options, folder / "whole", whole, folder / "ended"


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 1), (1, 16)], ids=["two processes", "sixteen devices"])
def test_begun_on_eight_devices_and_ended_on_others(tmp_path, eight, shape):
    options, whole, expected, ended = eight
    shutil.copytree(ended, tmp_path / "moved")
    code, found = digits(tmp_path / "moved", *shape, options)
    assert code == 0
    if "--lanes" in options:
        assert found == expected
    ours, theirs = losses(tmp_path / "moved"), losses(whole)
    assert ours.keys() == theirs.keys()
    for name in ours:  # the order of sums, in a hundred steps: less than one part in a thousand
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, err_msg=name)


def losses(folder):
    """Every loss of a run, by the network's name, in what, and the step."""
    found = {}
    for network in ("mlp", "cnn"):
        for line in (folder / network / "metrics.jsonl").read_text().splitlines():
            row = json.loads(line)
            found |= {(network, k, row["step"]): v for k, v in row.items() if k.endswith("/loss")}
    return found
