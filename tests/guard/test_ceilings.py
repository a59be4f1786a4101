"""No step computes, moves, compiles or calls more than it did: counts under recorded ceilings, `ceilings.json`.

A ceiling is the count, of large ones the first two digits, rounded up. Lower it where a change lowers the count. It is
raised only with a reason: in place of the number stands {"was": 320, "now": 340, "why": "a sentence"}.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

TABLE = Path(__file__).with_name("ceilings.json")
CEILINGS = json.loads(TABLE.read_text())
CELLS = [(program, count) for program, row in CEILINGS.items() for count in row]

pytestmark = pytest.mark.skipif(jax.__version_info__[:2] != (0, 10), reason="JAX's own counts differ by version")


@pytest.fixture(scope="module")
def found():
    """What one fresh process counts, on the CPU whatever the other tests run on."""
    asked = [sys.executable, "-m", "tests.guard.counts"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(asked, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("program", "count"), CELLS)
def test_no_count_is_above_its_ceiling(found, program, count):
    cell, now = CEILINGS[program][count], found[program][count]
    ceiling = cell["now"] if isinstance(cell, dict) else cell
    assert now <= ceiling, (
        f"{program}: found {now:,} {count}, the ceiling is {ceiling:,}. Look for what the change adds and take it out: "
        f"`python -m tests.guard.counts` counts again. Where it must be, write into tests/guard/{TABLE.name}, in place "
        f'of this number: {{"was": {ceiling}, "now": {now}, "why": "..."}}.'
    )


def test_whatever_is_counted_has_a_ceiling(found):
    assert {program: row.keys() for program, row in found.items()} == {p: row.keys() for p, row in CEILINGS.items()}


@pytest.mark.parametrize(("program", "count"), CELLS)
def test_a_ceiling_is_raised_with_a_reason(program, count):
    cell = CEILINGS[program][count]
    if isinstance(cell, dict):
        assert cell.keys() == {"was", "now", "why"}
        assert cell["was"] < cell["now"], f"{program}, {count}: what is lowered is a number alone."
        assert len(cell["why"].split()) > 4, f"{program}, {count}: found no reason in {cell['why']!r}; say it in words."


def test_depth_adds_nothing_to_the_text(found):
    """The layers are one body of code, however many there are."""
    shallow, deep = (found[f"decoder of {layers} layers"] for layers in (2, 48))
    assert shallow["equations"] == deep["equations"]
