"""What every shortened run of an experiment is asked, in processes of its own.

resumed(module, folder, options)      killed once in a save and started again, it ends with the bits of a whole run
flown(module, folder, options)        its pre-flight reports on eight devices
learned(module, folder, options)      its metrics, where it takes more time to compute than to compile
"""

import json
import os
import subprocess
import sys

from tests.experiments.test_kills import ROOT, check
from tests.programs import ALONE


def resumed(module, folder, options):
    came, _ = check(["save"], 1, module, folder, options)
    assert came == ["save"]


def flown(module, folder, options):
    flight = ["--preflight", "cpu:8", "--mesh", "data=8", "--workdir", str(folder / "none")]
    command = [sys.executable, "-m", module, *flight, *options]
    done = subprocess.run(command, cwd=ROOT, env=ALONE, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("cpu:8: 8 chips, 8 devices")
    assert not (folder / "none").exists()


def learned(module, folder, options):
    """Without the flags of the tests: programs compile for longer, and run in a third of the time."""
    command = [sys.executable, "-m", module, "--workdir", str(folder / "learned"), *options]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"XLA_FLAGS": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
