"""State dicts written, of every family: what is read back is that bit for bit; what does not fit is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.interop.torch import load_state_dict, state_dict
from jnn.layers import conv_spec, linear_spec, lstm_cell_spec
from tests.models.hugging_face import CASES, fields_of, published


def counted(spec):
    """Params of numbers that are all different."""
    begin = iter(range(0, 10**9, 10**5))
    values = lambda s: np.arange(begin0 := next(begin), begin0 + np.prod(s.shape)).reshape(s.shape).astype(np.float32)
    return jax.tree.map(values, spec)


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_read_back(case):
    """Parts that are one array there, whatever is transposed or turned, experts in layers."""
    spec, names, _, _ = published(fields_of(case), jnp.float32)
    p = counted(spec)
    written = state_dict(spec, p, names)
    assert sum(np.prod(x.shape) for x in written.values()) == jnn.count_params(spec)
    assert_equal(load_state_dict(spec, written, names), p)


def test_a_module_takes_it():
    module = torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3), torch.nn.Linear(5, 6)).double()
    spec = {"0": conv_spec(2, 4, (3,), dtype=jnp.float64), "1": linear_spec(5, 6, dtype=jnp.float64)}
    with jax.enable_x64(True):
        p = load_state_dict(spec, module.state_dict())
        written = {name: torch.from_numpy(np.array(x)) for name, x in state_dict(spec, p).items()}
    assert written.keys() == module.state_dict().keys()
    for name, x in module.state_dict().items():
        assert torch.equal(written[name], x)


def test_stacks_within_stacks_are_counted_along_both():
    spec = jnn.stack(jnn.stack(linear_spec(2, 3, bias=False), 4, "experts"), 5)
    p, names = {"m": counted(spec)}, {"m/*": "h.{i}.e.{j+1}.*"}
    written = state_dict({"m": spec}, p, names)
    assert len(written) == 20
    np.testing.assert_array_equal(written["h.2.e.4.weight"], p["m"]["w"][2, 3].T)
    del written["h.3.e.2.weight"]
    with pytest.raises(ValueError, match=r"missing: h.3.e.2.weight of the stack h.{i}.e.{j\+1}.weight, for m/w"):
        load_state_dict({"m": spec}, written, names)


FC, W = {"fc": linear_spec(2, 3)}, {"w": np.zeros((2, 3)), "b": np.zeros(3)}


@pytest.mark.parametrize(
    ("spec", "params", "names", "message"),
    [
        (FC, {"fc": {"w": W["w"]}}, {}, "missing: fc/b"),
        (FC, {"fc": W, "more": W["b"]}, {}, "left over: more"),
        (FC, {"fc": W | {"w": np.zeros((3, 2))}}, {}, r"misshapen: fc/w: expected \(2, 3\), found \(3, 2\)"),
        (FC, {"fc": W}, {"fc/*": "{i}.*"}, "misshapen: fc/b: {i}.bias is of a stack"),
        (FC, {"fc": W}, {"fc/w": "x[1/3]", "fc/b": "y"}, r"x: expected each of its 3 parts once, found \[1\]"),
        (FC, {"fc": W}, {"fc/w": "x[0/2]", "fc/b": "x[1/3]"}, "x is cut in two ways"),
        (FC, {"fc": W}, {"fc/*": "x"}, "x: of two paths"),
        (FC, {"fc": W}, {"fc/w": ("x", "o i -> i a")}, "fc/w: expected the same axes on both sides"),
        ({"c": lstm_cell_spec(2, 3)}, {"c": counted(lstm_cell_spec(2, 3))}, {}, "gates have an order of their own"),
    ],
)
def test_what_makes_no_state_dict_is_named(spec, params, names, message):
    with pytest.raises(ValueError, match=f"state_dict: .*\n.*{message}"):
        state_dict(spec, params, names)
