"""State dicts of torch onto specs: every kind of module computes what it did there; what does not fit is named."""

import copy
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.data import read_gguf, read_safetensors, write_safetensors
from jnn.interop.torch import load_state_dict, load_with_stats
from jnn.layers import (
    attention,
    attention_spec,
    batch_norm_spec,
    batch_norm_stats_spec,
    conv,
    conv_spec,
    conv_transpose,
    conv_transpose_spec,
    embed,
    embed_spec,
    layer_norm,
    layer_norm_spec,
    linear,
    linear_spec,
)
from tests.data.sources.lazy import Asked, Counted
from tests.data.sources.writers import gguf
from tests.oracle import assert_matches_torch
from tests.param.specs import mesh_of

RNG = np.random.default_rng(0)
last = lambda apply: lambda x: apply(x.movedim(-1, 1)).movedim(1, -1)  # channels
floats = lambda *shape: RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("spec", "apply", "module", "call", "x", "names"),
    [
        (linear_spec(4, 4), linear, torch.nn.Linear(4, 4), None, floats(3, 4), None),
        (layer_norm_spec(4), layer_norm, torch.nn.LayerNorm(4), None, floats(3, 4), None),
        (conv_spec(4, 4, (3, 3)), conv, torch.nn.Conv2d(4, 4, 3, padding=1), last, floats(2, 5, 5, 4), None),
        (
            conv_transpose_spec(4, 4, (3, 3)),
            conv_transpose,
            torch.nn.ConvTranspose2d(4, 4, 3, padding=1),
            last,
            floats(2, 5, 5, 4),
            {"w": ("weight", "i o y x -> y x i o")},
        ),
        (
            attention_spec(8, 2),
            attention,
            torch.nn.MultiheadAttention(8, 2, batch_first=True),
            lambda module: lambda x: module(x, x, x, need_weights=False)[0],
            floats(2, 5, 8),
            {
                f"{name}/{ours}": f"in_proj_{theirs}[{i}/3]"
                for i, name in enumerate("qkv")
                for ours, theirs in (("w", "weight"), ("b", "bias"))
            }
            | {"o/*": "out_proj.*"},
        ),
    ],
    ids=["linear", "layer_norm", "conv", "conv_transpose", "attention"],
)
def test_a_module_computes_what_it_did(spec, apply, module, call, x, names):
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    params = load_state_dict(spec, module.state_dict(), names)
    exact = copy.deepcopy(module).double()
    assert_matches_torch(lambda x: apply(params, x), call(exact) if call else exact, [x])


def test_an_embedding_is_not_transposed():
    module = torch.nn.Embedding(7, 7)
    params = load_state_dict(embed_spec(7, 7), module.state_dict())
    np.testing.assert_array_equal(embed(params, np.arange(7)), module.weight.detach().numpy())


def test_layers_are_stacked_and_parts_renamed():
    blocks = torch.nn.Sequential(*(torch.nn.ModuleDict({"fc": torch.nn.Linear(2, 3)}) for _ in range(4)))
    model = torch.nn.ModuleDict({"h": blocks})
    spec = {"blocks": {"fc": jnn.stack(linear_spec(2, 3), 4)}}
    params = load_state_dict(spec, model.bfloat16().state_dict(), {"blocks/*": "h.{i}.*"})
    assert params["blocks"]["fc"]["w"].shape == (4, 2, 3)
    np.testing.assert_array_equal(params["blocks"]["fc"]["w"][2], blocks[2]["fc"].weight.detach().float().numpy().T)


def test_a_map_of_several_comes_apart_in_rows_or_columns():
    """Queries of two heads, and keys and values of one."""
    spec = {name: linear_spec(3, size, bias=False) for name, size in {"q": 4, "k": 2, "v": 2}.items()}
    whole, parts = np.arange(24.0).reshape(8, 3), {"q": "0:2/4", "k": "2/4", "v": "3/4"}
    rows = {f"{name}/w": f"qkv.weight[{part}]" for name, part in parts.items()}
    columns = {f"{name}/w": (f"qkv.weight[:, {part}]", "i o -> i o") for name, part in parts.items()}
    for names, theirs in ((rows, whole), (columns, whole.T)):
        p = load_state_dict(spec, {"qkv.weight": theirs}, names)
        np.testing.assert_array_equal(np.concatenate([p[name]["w"] for name in "qkv"], 1), whole.T)


def test_what_was_flattened_is_said_and_never_guessed():
    """torch flattens channels first."""
    x, module = floats(2, 6, 5, 4), torch.nn.Linear(120, 3)
    spec = {"out": linear_spec((6, 5, 4), 3, axes=("y", "x", "channels", "classes"))}
    names = {"out/w": ("weight", "o (c y x) -> y x c o"), "out/b": "bias"}
    params = load_state_dict(spec, module.state_dict(), names)
    theirs = module(torch.tensor(x).movedim(-1, 1).flatten(1)).detach().numpy()
    np.testing.assert_allclose(linear(params["out"], x, in_axes=3), theirs, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r'torch flattens channels before y and x\. Say .*"o \(c y x\) -> y x c o"'):
        load_state_dict(spec, module.state_dict(), {"out/*": "*"})


def test_running_statistics_have_their_names():
    module = torch.nn.BatchNorm1d(3)
    spec = {"norm": batch_norm_spec(3), "stats": batch_norm_stats_spec(3)}
    params = load_state_dict(spec, module.state_dict(), {"norm/*": "*", "stats/*": "*"})
    np.testing.assert_array_equal(params["stats"]["var"], np.ones(3))


def test_parameters_and_statistics_come_by_one_table_of_names():
    module = torch.nn.ModuleDict({"bn": torch.nn.BatchNorm1d(3), "fc": torch.nn.Linear(3, 2)})
    module["bn"].running_mean.fill_(2)
    spec = {"norm": batch_norm_spec(3), "out": linear_spec(3, 2)}
    seen, names = {"norm": batch_norm_stats_spec(3)}, {"norm/*": "bn.*", "out/*": "fc.*"}
    params, stats = load_with_stats(spec, seen, module.state_dict(), names)
    assert jnn.flatten(params).keys() == jnn.flatten(spec).keys()
    assert (jnn.flatten(stats).keys(), stats["norm"]["mean"].tolist()) == ({"norm/mean", "norm/var"}, [2, 2, 2])
    with pytest.raises(ValueError, match=r"left over: fc\.weight"):
        load_with_stats({"norm": spec["norm"]}, seen, module.state_dict(), {"norm/*": "bn.*"})
    with pytest.raises(ValueError, match="spec and stats both declare norm/bias, norm/scale"):
        load_with_stats(spec, spec, module.state_dict(), names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"w": "weight[0/3]", "b": "bias[1/3]"}, r"left over: weight\[1/3\]\n.*weight\[2/3\]\n.*bias\[0/3\]"),
        ({"w": "weight[0/2]", "b": "bias"}, "its rows cannot be cut into 2 parts"),
        ({"w": "weight[0:2/3]", "b": "bias[2/3]"}, r"misshapen: w from .*left over: weight\[2/3\]\n.*bias\[0/3\]"),
        ({"w": "weight[:, 0/3]", "b": "bias"}, "its columns cannot be cut into 3 parts"),
        ({"w": "weight[2:2/3]"}, r"expected a part below 3, counted from 0, found 'weight\[2:2/3\]'"),
        ({"w": "weight[3/3]"}, r"expected a part below 3, counted from 0, found 'weight\[3/3\]'"),
        ({"*": "{i}.*"}, r"looked for as \{i\}.weight, counted from there without a gap"),
        ({"layers/*": "*"}, "no path is like 'layers/\\*'"),
    ],
)
def test_names_that_leave_something_out_are_an_error(names, message):
    state = {"weight": np.zeros((9, 2)), "bias": np.zeros(9)}
    with pytest.raises(ValueError, match=f"(?s){message}"):
        load_state_dict(linear_spec(2, 3), state, names)


def test_a_module_is_no_state_dict_and_a_layer_no_stack():
    with pytest.raises(TypeError, match=r"found Linear: \.state_dict\(\)\?"):
        load_state_dict(linear_spec(2, 3), torch.nn.Linear(2, 3))
    params = jnn.init(linear_spec(2, 3), jax.random.key(0))
    with pytest.raises(TypeError, match="load_state_dict: expected a spec, found ArrayImpl at 'b'"):
        load_state_dict(params, torch.nn.Linear(2, 3).state_dict())
    with pytest.raises(ValueError, match="the spec declares one layer, not a stack of them"):
        load_state_dict(linear_spec(2, 3), torch.nn.Sequential(torch.nn.Linear(2, 3)).state_dict(), {"*": "{i}.*"})


def test_a_first_layer_of_its_own_and_the_others_are_stacked():
    norms = torch.nn.Sequential(*(torch.nn.BatchNorm1d(2) for _ in range(3)))
    for i, norm in enumerate(norms):
        norm.running_mean.fill_(i)
    stats = batch_norm_stats_spec(2)
    spec, names = {"first": stats, "rest": jnn.stack(stats, 2)}, {"first/*": "0.*", "rest/*": "{i+1}.*"}
    found = load_state_dict(spec, norms.state_dict(), names, ignore=["*weight", "*bias"])
    assert found["first"]["mean"].tolist() == [0, 0]
    assert found["rest"]["mean"].tolist() == [[1, 1], [2, 2]]


def test_all_that_does_not_fit_is_named():
    state = {"fc.weight": np.zeros((4, 3)), "old.bias": np.zeros(2), "bn.num_batches_tracked": np.zeros(())}
    with pytest.raises(ValueError, match="does not fit the spec") as error:
        load_state_dict({"fc": linear_spec(3, 5)}, state)
    lines = str(error.value).splitlines()
    assert lines[0].endswith("say it by names={path: name}, ignore=[name]:")
    assert lines[1:] == [
        "  missing: fc/b float32[5], looked for as fc.bias",
        "  misshapen: fc/w from fc.weight float64[4,3]: expected (5, 3), of which (3, 5) are made.",
        "  left over: old.bias float64[2]",
    ]


@pytest.mark.parametrize("axes", ["o i", "o i -> i", "o i x -> x i o"])
def test_axes_that_are_no_order_of_them_are_an_error(axes):
    state = {"weight": np.zeros((3, 2)), "bias": np.zeros(3)}
    with pytest.raises(ValueError, match="expected its 2 axes in one order and the 2 declared ones in another"):
        load_state_dict(linear_spec(2, 3), state, {"w": ("weight", axes)})


def test_gates_are_not_guessed():
    cell = torch.nn.LSTMCell(3, 3)
    with pytest.raises(ValueError, match="gates have an order of their own"):
        load_state_dict(jnn.layers.lstm_cell_spec(3, 3), cell.state_dict(), {"input/w": "weight_ih"})


LAYERS, WIDTH = 6, 32
STACK = {"blocks/*": "h.{i}.*", "table": "emb.weight"}
ARRAYS = {f"h.{i}.fc.weight": floats(WIDTH, 2 * WIDTH) for i in range(LAYERS)} | {
    f"h.{i}.fc.bias": floats(WIDTH) for i in range(LAYERS)
}
ARRAYS |= {"emb.weight": floats(2 * WIDTH, WIDTH), "out.weight": floats(WIDTH, WIDTH), "out.bias": floats(WIDTH)}


def stack_spec(dtype=jnp.float32):
    blocks = jnn.stack({"fc": linear_spec(2 * WIDTH, WIDTH, dtype=dtype)}, LAYERS)
    return {"blocks": blocks, "out": linear_spec(WIDTH, WIDTH, dtype=dtype)} | embed_spec(2 * WIDTH, WIDTH, dtype=dtype)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("kind", ["arrays", "mapping"])
def test_one_array_at_a_time_is_read_onto_a_mesh(kind, dtype):
    spec, mesh, rules, counted = stack_spec(dtype), mesh_of(x=8), {"embed": "x"}, Counted()
    lazy = {name: counted.of(x) for name, x in ARRAYS.items()} if kind == "arrays" else Asked(counted, ARRAYS)
    params = load_state_dict(spec, lazy, STACK, mesh=mesh, rules=rules)
    assert counted.most == max(x.nbytes for x in ARRAYS.values())
    # to place it, to see whether it can be cast, to see what it is
    assert counted.made == len(ARRAYS) * (1 + (dtype != jnp.float32) + (kind == "mapping"))
    assert jax.tree.map(lambda x: x.sharding, params) == jnn.shardings(spec, mesh, rules)
    jax.tree.map(np.testing.assert_array_equal, params, load_state_dict(spec, ARRAYS, STACK))
    weights = np.stack([ARRAYS[f"h.{i}.fc.weight"].T for i in range(LAYERS)])
    np.testing.assert_array_equal(params["blocks"]["fc"]["w"], weights.astype(dtype))


def test_the_host_has_room_for_one_array():
    n, size = 8, 2**20
    spec = {
        f"l{i}": jnn.stack({"w": jnn.Param((size // 4,), jax.nn.initializers.zeros, ("embed",))}, 4) for i in range(n)
    }
    names = {f"l{i}/w": f"{i}." + "{i}" for i in range(n)}
    counted = Counted()
    arrays = {f"{i}.{j}": counted.of(np.broadcast_to(np.float32(i), (size // 4,))) for i in range(n) for j in range(4)}
    tracemalloc.start()
    try:
        params = load_state_dict(spec, arrays, names, mesh=mesh_of(x=8), rules={"embed": "x"})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [float(params[f"l{i}"]["w"][3, -1]) for i in range(n)] == [*range(n)]
    assert peak < 3 * 4 * size  # of a stack of 4 MiB: it, its copy, and a layer; eight of them would be 32


def test_files_go_onto_a_mesh(tmp_path):
    mesh, rules = mesh_of(x=8), {"embed": "x"}
    expected = load_state_dict(stack_spec(), ARRAYS, STACK)
    folder = write_safetensors(tmp_path / "model.safetensors", ARRAYS, max_shard_bytes=20_000).parent
    params = load_state_dict(stack_spec(), read_safetensors(folder), STACK, mesh=mesh, rules=rules)
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    content = {name: np.float16(0.5).tobytes() + bytes(range(32)) for name in ("0", "1")}
    blocks = [(f"h.{name}.fc.weight", (1, 32), 8, x) for name, x in content.items()]
    (tmp_path / "a.gguf").write_bytes(gguf(blocks))
    spec = {"fc": jnn.stack({"w": linear_spec(32, 1)["w"]}, 2)}
    params = load_state_dict(spec, read_gguf(tmp_path / "a.gguf")[1], {"fc/*": "h.{i}.fc.*"}, mesh=mesh, rules=rules)
    np.testing.assert_array_equal(params["fc"]["w"], np.broadcast_to(np.arange(32)[:, None] / 2, (2, 32, 1)))


def test_layers_of_one_stack_have_one_shape():
    spec = {"norm": jnn.stack(layer_norm_spec(4), 2)}
    arrays = {f"{i}.{name}": np.ones(4 + i) for i in range(2) for name in ("weight", "bias")}
    with pytest.raises(ValueError, match=r"misshapen: norm/\w+ from 0\.\w+ .*: 1\.\w+ is float64\[5\], the first of"):
        load_state_dict(spec, arrays, {"norm/*": "{i}.*"})


def test_thirds_and_sixths_of_an_array_are_told_from_each_other():
    w, spec = np.arange(24.0).reshape(12, 2), {"q": linear_spec(2, 4, bias=False), "k": linear_spec(2, 8, bias=False)}
    found = load_state_dict(spec, {"qk.weight": w}, {"q/w": "qk.weight[0/3]", "k/w": "qk.weight[2:6/6]"})
    np.testing.assert_array_equal(np.concatenate([found["q"]["w"], found["k"]["w"]], 1), w.T)
    spec["k"] = linear_spec(2, 6, bias=False)
    with pytest.raises(ValueError, match=r"left over: qk\.weight\[2/6\]$"):
        load_state_dict(spec, {"qk.weight": w}, {"q/w": "qk.weight[0/3]", "k/w": "qk.weight[3:6/6]"})
