"""Conformer: the paper's equations in torch, Hugging Face's block, what lengths mean, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import jnn
from jnn.models import conformer, conformer_spec, conformer_stats_spec
from jnn.param import map_paths
from tests.models.decoders import moved
from tests.oracle import assert_matches_torch, configurations

SPEC = conformer_spec(8, layers=2, heads=2, hidden=6, kernel=3)
X = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
LENGTHS = np.array([5, 2, 3])


def rotated(x):
    """(b, t, h, k), each pair of features turned by its angle."""
    t, k = x.shape[1], x.shape[-1]
    angles = torch.arange(t)[:, None] * 10_000.0 ** (-torch.arange(k // 2) / (k // 2))
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]
    y = torch.complex(*x.chunk(2, dim=-1)) * turn
    return torch.cat([y.real, y.imag], -1)


def block_in_torch(p, x, real, *, own, epsilon=1e-5):
    """One block of frames x (b, t, d), of which some are real; batch norm by their own statistics, or by 0 and 1."""
    d = x.shape[-1]
    norm = lambda x, name: F.layer_norm(x, (d,), p[f"{name}/scale"], p[f"{name}/bias"])
    dense = lambda x, name: x @ p[f"{name}/w"].reshape(x.shape[-1], -1) + p[f"{name}/b"].flatten()
    forward = lambda x, name: dense(F.silu(dense(norm(x, f"norm_{name}"), f"{name}/up")), f"{name}/down")
    x = x + forward(x, "forward1") / 2

    h, heads = norm(x, "norm_attention"), p["attention/q/w"].shape[1]
    q, k, v = (dense(h, f"attention/{n}").unflatten(-1, (heads, -1)) for n in "qkv")
    q, k, v = (a.transpose(1, 2) for a in (rotated(q), rotated(k), v))
    h = F.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None]).transpose(1, 2).flatten(2)
    x = x + dense(h, "attention/o")

    h = F.glu(dense(norm(x, "norm_conv"), "conv/in"), -1) * real[..., None]
    kernel = p["conv/depthwise/w"][:, 0].T[:, None]
    h = F.conv1d(h.mT, kernel, padding="same", groups=d).mT
    mean, var = (h[real].mean(0), h[real].var(0, correction=0)) if own else (0, torch.ones(()))
    h = (h - mean) / torch.sqrt(var + epsilon)
    x = x + dense(F.silu(h * p["conv/norm/scale"] + p["conv/norm/bias"]), "conv/out")
    return norm(x + forward(x, "forward2") / 2, "norm")


@pytest.mark.parametrize("rng", configurations(fast=(0, 8)), ids=range(20))
def test_matches_the_equations_in_torch(rng):
    b, t, layers, heads, pairs, hidden = (int(n) for n in rng.integers(1, 4, 6))
    b, t, kernel, own = b + 1, t + 2, int(rng.choice([1, 3, 5])), bool(rng.integers(2))
    spec = conformer_spec(2 * pairs * heads, layers=layers, heads=heads, hidden=hidden, kernel=kernel)
    params, stats = moved(spec), None if own else jnn.init(conformer_stats_spec(spec), jax.random.key(0))
    lengths = rng.integers(1, t + 1, b)
    real = np.arange(t) < lengths[:, None]
    leaves = jnn.flatten(params)

    def theirs(x, *arrays):
        x = x * torch.tensor(real)[..., None]
        for i in range(layers):
            p = {path.removeprefix("blocks/"): a[i] for path, a in zip(leaves, arrays, strict=True)}
            x = block_in_torch(p, x, torch.tensor(real), own=own)
        return x * torch.tensor(real)[..., None]

    def ours(x, *arrays):
        p = jax.tree.unflatten(jax.tree.structure(params), arrays)
        return conformer(p, x, stats, lengths=lengths, key=None)[0]

    x = rng.normal(size=(b, t, 2 * pairs * heads)).astype(np.float32)
    assert_matches_torch(ours, theirs, [x, *(np.array(leaf) for leaf in leaves.values())], tolerance=1e-4)


def test_what_stands_past_a_length_changes_nothing():
    p = moved(SPEC)
    run = jax.jit(lambda x, n, stats=None: conformer(p, x, stats, lengths=n, key=None))
    y, seen = run(X, LENGTHS)
    past = np.arange(5) >= LENGTHS[:, None]
    other, told = run(np.where(past[..., None], np.nan, X), LENGTHS)
    np.testing.assert_array_equal(other, y)
    jax.tree.map(np.testing.assert_array_equal, told, seen)
    assert not np.asarray(y)[past].any()
    np.testing.assert_array_equal(seen["blocks"]["conv"]["norm"]["count"], [10, 10])
    given, _ = run(X, LENGTHS, seen)
    np.testing.assert_allclose(given, y, rtol=1e-5, atol=1e-5)
    alone, _ = jax.jit(lambda x: conformer(p, x, seen, key=None))(X[2, :3])
    np.testing.assert_allclose(y[2, :3], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
def test_a_row_of_weight_0_is_in_no_statistic(lengths):
    p, run = moved(SPEC), jax.jit(lambda p, x, n, w: conformer(p, x, lengths=n, weight=w, key=None))
    y, seen = run(p, X, lengths, np.array([1.0, 0.0, 1.0], np.float32))
    kept = np.array([0, 2])
    alone, told = run(p, X[kept], lengths if lengths is None else lengths[kept], np.ones(2, np.float32))
    np.testing.assert_allclose(y[kept], alone, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), seen, told)


def test_the_papers_small_one_has_its_size():
    """10.3 million, of which 2.1 are its front, its decoder's and its projections', which are not here."""
    params = jnn.count_params(conformer_spec(144, layers=16, heads=4))
    d = 144
    forwards, attention, conv = 2 * (8 * d * d + 5 * d), 4 * (d * d + d), 3 * d * d + 3 * d + 31 * d + 2 * d
    assert params == 16 * (forwards + attention + conv + 5 * 2 * d)
    assert 7.5e6 < params < 10.3e6


HUGGING_FACE = {
    **{f"norm_forward{i}": f"ffn{i}_layer_norm" for i in (1, 2)},
    **{f"forward{i}/up": f"ffn{i}.intermediate_dense" for i in (1, 2)},
    **{f"forward{i}/down": f"ffn{i}.output_dense" for i in (1, 2)},
    **{f"attention/{name}": f"self_attn.linear_{name}" for name in "qkv"},
    "attention/o": "self_attn.linear_out",
    "norm_attention": "self_attn_layer_norm",
    "norm_conv": "conv_module.layer_norm",
    "conv/in": "conv_module.pointwise_conv1",
    "conv/depthwise": "conv_module.depthwise_conv",
    "conv/norm": "conv_module.batch_norm",
    "conv/out": "conv_module.pointwise_conv2",
    "norm": "final_layer_norm",
}


def stacked(spec, weights):
    """A stack of one block of Hugging Face's weights; biases that it has not are 0."""

    def leaf(path, param):
        part, leaf = path.removeprefix("blocks/").rsplit("/", 1)
        name = f"{HUGGING_FACE[part]}.{'weight' if leaf in ('w', 'scale') else 'bias'}"
        w = weights[name].detach().numpy() if name in weights else np.zeros(param.shape, np.float32)
        w = w if part == "conv/depthwise" or w.ndim < 3 else w.squeeze(-1)
        return jnp.asarray(w.T.reshape(param.shape) if leaf == "w" else w.reshape(param.shape))

    return map_paths(leaf, spec)


@pytest.mark.slow
def test_a_block_is_that_of_transformers():
    """Without positions: its rotary ones turn what queries and keys are made of, and not these."""
    transformers = pytest.importorskip("transformers", reason="the oracle is Hugging Face's: pip install jnn[oracles]")
    from transformers.models.wav2vec2_conformer.modeling_wav2vec2_conformer import Wav2Vec2ConformerEncoderLayer

    config = transformers.Wav2Vec2ConformerConfig(
        **{"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 6, "conv_depthwise_kernel_size": 3},
        **{"position_embeddings_type": None, "hidden_act": "swish", "attn_implementation": "eager"},
    )
    torch.manual_seed(0)
    layer = Wav2Vec2ConformerEncoderLayer(config)
    for weights in layer.parameters():
        torch.nn.init.normal_(weights, 0.1, 0.5)
    layer(torch.tensor(X))  # in training: batch norm has seen something
    expected = layer.eval()(torch.tensor(X))
    spec = conformer_spec(8, layers=1, heads=2, hidden=6, kernel=3)
    norm = layer.conv_module.batch_norm
    seen = {"mean": norm.running_mean.numpy()[None], "var": norm.running_var.numpy()[None]}
    stats = {"blocks": {"conv": {"norm": seen}}}
    found, _ = conformer(stacked(spec, dict(layer.named_parameters())), X, stats, key=None, rotate=None)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=2e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: conformer(p, X.astype(int), key=None), TypeError, "conformer: expected floating-point input"),
        (lambda p: conformer(p, X[..., :4], key=None), ValueError, r"layer_norm: .*\[3,5,4\]"),
        (lambda p: conformer(p, X, lengths=np.ones(3), key=None), TypeError, "conformer: expected integers"),
        (
            lambda p: conformer(p, X, lengths=np.array([1, 2]), key=None),
            ValueError,
            r"expected lengths \(3,\), one for",
        ),
        (lambda p: conformer(p, X, lengths=np.array([6, 1, 1]), key=None), ValueError, r"lengths in 0..5 .*5 frames"),
        (lambda p: conformer(p["blocks"], X, key=None), ValueError, "conformer: expected params, a dict with 'blocks'"),
        (lambda p: conformer_spec(8, layers=1, heads=2, kernel=4), ValueError, "expected an odd kernel, found 4"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnn.init(SPEC, jax.random.key(0)))
