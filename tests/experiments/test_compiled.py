"""Compiled programs on the disk: where they are, and that a second start finds them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from experiments import compiled
from tests.experiments.launches import ROOT
from tests.programs import ALONE


@pytest.fixture
def _untold():
    """As it is where nobody has told JAX a place."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    told = {name: getattr(jax.config, name) for name in names}
    jax.config.update(names[0], None)
    yield
    for name, value in told.items():
        jax.config.update(name, value)


@pytest.mark.usefixtures("_untold")
def test_they_are_kept_by_instruction_set_below_the_home(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    compiled.keep()
    folder = Path(jax.config.jax_compilation_cache_dir)
    assert folder == tmp_path / ".cache" / "jnn" / "compiled" / compiled.instruction_set()


def _homeless():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.usefixtures("_untold")
@pytest.mark.parametrize("home", [_homeless, lambda: Path(os.devnull)], ids=["none", "of no folders"])
def test_without_a_place_nothing_is_kept_and_the_run_goes_on(home, monkeypatch):
    monkeypatch.setattr(Path, "home", home)
    compiled.keep()
    assert jax.config.jax_compilation_cache_dir is None


def test_a_place_that_was_told_stays():
    told = jax.config.jax_compilation_cache_dir
    compiled.keep()
    assert jax.config.jax_compilation_cache_dir == told


@pytest.mark.slow
def test_a_second_start_compiles_nothing_anew_and_computes_the_same(tmp_path):
    def ran(name):
        command = [sys.executable, "-m", "experiments.perceptron", "--workdir", str(tmp_path / name)]
        env = ALONE | {"HOME": str(tmp_path), "JAX_ENABLE_COMPILATION_CACHE": "true"}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        assert "compilation" not in done.stderr
        return json.loads(done.stdout.splitlines()[-1])["params_digest"], {
            file for file in os.listdir(folder) if file.endswith("-cache")
        }

    folder = tmp_path / ".cache" / "jnn" / "compiled" / compiled.instruction_set()
    (first, files), (second, more) = ran("first"), ran("second")
    assert files
    assert files == more
    assert first == second
