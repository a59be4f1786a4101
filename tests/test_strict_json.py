"""What is written is JSON, and comes back as it was; and nobody writes JSON in another way."""

import json
import math
import random
import re
import struct
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jnn.metrics import Mean
from jnn.strict_json import dumps, loads
from jnn.train import Checkpoints, Ledger
from jnn.train._record import RunRecord
from jnn.train.checkpoint._manifest import body_of, seal, unseal
from jnn.train.log.rows import RowLog, read_rows
from tests.train.checkpoint.trees import Anything

ROOT = Path(__file__).parents[2]
ODD = [math.nan, math.inf, -math.inf]
WORDS = ["NaN", "Infinity", "-Infinity", "\\NaN", "\\\\-Infinity", "nan", "inf", "-NaN", 'NaN"', "", "\ud800", "é"]


def strict(text):
    """The values of a JSON text, by the letter of RFC 8259."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def same(a, b):
    """Equal, with NaN equal to NaN, -0.0 unequal to 0.0, and no number equal to a text."""
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return isinstance(b, float) and (struct.pack("d", a) == struct.pack("d", b) or (a != a and b != b))
    return type(a) is type(b) and a == b


def anything(draw, depth=0):
    """A JSON value, often with odd numbers and words."""
    kind = draw.randrange(4 if depth > 3 else 6)
    if kind == 4:
        return [anything(draw, depth + 1) for _ in range(draw.randrange(4))]
    if kind == 5:
        return {draw.choice(WORDS) + str(i): anything(draw, depth + 1) for i in range(draw.randrange(4))}
    plain = [draw.choice(ODD), draw.choice(WORDS), draw.choice([None, True, 0, -7, 10**30, -0.0, 5e-324])]
    return [*plain, struct.unpack("d", draw.randbytes(8))[0]][kind]


@pytest.mark.parametrize("seed", range(200))
def test_every_value_is_json_and_comes_back(seed):
    value = anything(random.Random(seed))
    if isinstance(value, float) and math.isnan(value):
        value = math.nan  # JSON has one
    text = dumps(value)
    strict(text)
    assert same(loads(text), value) or value != value
    assert same(loads(text.encode()), loads(text))
    assert dumps(loads(text)) == text


def test_a_restored_nan_equals_itself_in_settings_that_are_compared():
    """As `fit` compares those of a checkpoint with its own: else no run with one could go on."""
    settings = {"limit": float("nan"), "rates": (1.0, math.inf)}
    assert loads(dumps(settings)) == loads(dumps(loads(dumps(settings))))


@pytest.mark.parametrize("value", [object(), {1, 2}, np.float32(0.5), np.arange(3), jnp.ones(()), b"bytes"])
def test_what_would_come_back_as_something_else_is_refused(value):
    for beside in (0.5, math.nan):
        with pytest.raises(TypeError, match="is not JSON serializable"):
            dumps({"a": beside, "b": [value]})


def test_names_that_are_numbers_are_texts():
    assert dumps({math.nan: 1, 0.5: math.inf, 3: None}) == '{"NaN": 1, "0.5": "Infinity", "3": null}'


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": "NaN", "b": ' + "[" * 900 + "]" * 900 + "}"])
def test_what_is_nested_too_deeply_is_a_value_error_or_read(text):
    try:
        loads(text)
    except ValueError as error:
        assert "nested too deeply" in str(error)  # noqa: PT017


def test_no_other_file_writes_json():
    """All of them by `dumps`; of the exceptions two speak to their own kind, and two would refuse such a number."""
    allowed = {"strict_json.py", "processes.py", "rollcall.py", "live.py", "worker.py"}
    files = [path for room in ("jnn", "experiments") for path in (ROOT / room).rglob("*.py")]
    writers = {path.name for path in files if re.search(r"\bjson\.dumps?\(", path.read_text())}
    assert writers <= allowed


# ---- those who write


def test_rows_of_a_run(tmp_path):
    row = {"step": 3, "a": math.nan, "b": math.inf, "c": -math.inf, "d": 0.1}
    with RowLog(tmp_path) as log:
        log(row)
    strict((tmp_path / "metrics.jsonl").read_text())
    assert same(read_rows(tmp_path / "metrics.jsonl"), [row])


def test_a_ledger(tmp_path):
    result = {"fid": math.nan, "name": "NaN"}
    ledger = Ledger(tmp_path)
    assert same(ledger.once("hook", 1, lambda: result), result)
    ledger.merge([{"hook": "other", "step": 2, "result": -math.inf}])
    for line in (tmp_path / "hooks.jsonl").read_text().splitlines():
        strict(line)
    again = Ledger(tmp_path)
    assert same(again.once("hook", 1, None), result)
    assert again.once("other", 2, None) == -math.inf


def test_the_manifest_of_a_checkpoint():
    records = RunRecord(
        [{"step": 1, "train/loss": math.nan}], {"loss": Mean(np.array(math.inf), np.array(1.0))}
    ).records()
    body = body_of(1, {"w": jnp.ones(2)}, records, {"loss": math.nan})
    sealed = json.dumps(seal(body))  # as the store writes it
    strict(sealed)
    assert same(unseal(loads(sealed)), body)
    assert same(body["records"], records)


def test_a_record_goes_through_a_checkpoint_bit_for_bit(tmp_path):
    history = [{"step": 1, "train/loss": math.nan, "val/a": -math.inf}, {"step": 2, "train/loss": 0.1}]
    state = Anything(jnp.int32(1), {"w": jnp.ones(2)})
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, RunRecord(history, {"loss": Mean(np.array(math.nan), np.array(0.3))}).records())
        found = checkpoints.restore(state)
    assert same(found.records["history"], history)
    assert same(found.records["sums"], {"loss": [math.nan, 0.3]})
    for path in tmp_path.rglob("metadata"):
        strict(path.read_text())
