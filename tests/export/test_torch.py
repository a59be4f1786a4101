"""torch: modules of generated source give what jnn gives; the source reads; what has no word in torch is named."""

import runpy
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import export

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def module_of(f, p, *inputs, path, **options):
    """The module, whose source has nothing that is not used or not sorted."""
    file = export.torch(f, p, *inputs, path=path / "model.py", **options)
    rules = ["--isolated", "--line-length", "100", "--select", "F,I,E9", "--output-format", "concise"]
    checked = subprocess.run([sys.executable, "-m", "ruff", "check", *rules, file], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stdout
    return runpy.run_path(str(file))["load"]()


def assert_same(f, *inputs, path, **options):
    """Of a function without parameters."""
    module = module_of(lambda p, *x: f(*x), {}, *inputs, path=path, **options)
    found, wanted = module(*map(torch.tensor, inputs)), jax.jit(f)(*inputs)
    for a, b in zip(jax.tree.leaves(found), map(np.asarray, jax.tree.leaves(wanted)), strict=True):
        assert a.numpy().dtype == b.dtype
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-4, atol=1e-4)


def test_the_source_reads(tmp_path):
    p = jnn.init(jnn.models.mlp_spec((4, 8, 2)), jax.random.key(0))
    file = export.torch(partial(jnn.models.mlp, key=None), p, normal(1, 4), path=tmp_path / "mlp.py")
    text = file.read_text()
    assert "class Mlp(nn.Module):" in text
    assert "return torch.relu(x @ self.fc0_w + self.fc0_b) @ self.fc1_w + self.fc1_b" in text
    assert "jax" not in text.replace("jnn", "").split("import", 1)[1]


def test_gradients_are_those_of_jnn(tmp_path):
    p, x = jnn.init(jnn.models.mlp_spec((4, 8, 2)), jax.random.key(0)), normal(3, 4)
    f = partial(jnn.models.mlp, key=None)
    module = module_of(f, p, x, path=tmp_path)
    module(torch.tensor(x)).square().sum().backward()
    wanted = jax.grad(lambda p: jnp.square(f(p, x)).sum())(p)
    for path, g in jnn.flatten(wanted).items():
        np.testing.assert_allclose(getattr(module, path.replace("/", "_")).grad, g, rtol=1e-4, atol=1e-5)


LOOPS = {
    "while": lambda x: jax.lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * 1.5), (0, x)),
    "choice": lambda x: jax.lax.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, x),
    "while, of a batch": jax.vmap(
        lambda r: jax.lax.while_loop(lambda c: c[0].sum() < 9, lambda c: (2 * c[0] + 1, c[1] + 1), (jnp.abs(r), 0))
    ),
    "switch": lambda x: jax.lax.switch((x.sum() > 0) * 2, [jnp.sin, jnp.cos, jnp.tanh], x),
    "reversed": lambda x: jax.lax.scan(lambda c, r: (c + r, (c * r, r)), x[0], x, reverse=True),
    "swapped": lambda x: jax.lax.fori_loop(0, 3, lambda i, c: (c[1] + i, c[0]), (x, 2 * x)),
    "nested": lambda x: jax.lax.scan(lambda c, r: (jax.lax.fori_loop(0, 2, lambda i, a: a + r, c), c), x[0], x)[1],
}
INDICES = {
    "dynamic": lambda x: jax.lax.dynamic_slice(x, (x.argmax() - 9, 1), (2, 2)),
    "updated": lambda x: jax.lax.dynamic_update_slice(x, x[:2, :2], (3, x.argmax())),
    "out of bounds": lambda x: x[jnp.array([0, 7, -1]), jnp.array([1, 0, 2])],
    "clipped": lambda x: x.at[jnp.array([0, 7])].get(mode="clip"),
    "set": lambda x: x.at[jnp.array([0, 9]), 1].set(5.0),
    "least": lambda x: x.at[jnp.array([1, 1])].min(0.0),
    "batched": lambda x: jnp.take_along_axis(x, x.argsort(-1), -1),
    "sorted by two": lambda x: jax.lax.sort((jnp.floor(x), -x, x), num_keys=2),
    "greatest": lambda x: jax.lax.top_k(x, 2),
    "padded": lambda x: jax.lax.pad(x, 1.0, ((1, -1, 2), (0, 2, 0))),
    "windows": lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2, 3), (1, 1), "SAME"),
    "running": lambda x: jax.lax.cumsum(x, 1, reverse=True) + jax.lax.cummax(x),
    "numbers": lambda x: {"n": jnp.int32(3), "x": [jnp.minimum(x, 0.5), jnp.clip(x, -0.1, 0.1), x**3, 1 / x]},
    "integers": lambda x: ((x * 9).astype(jnp.int32) // 4, (x * 9).astype(jnp.int8) % 5, x > 0),
    "as one": lambda x: jnp.einsum("ab,cb->ca", x, x) + jnp.tensordot(x, x),
}


EDGES = {
    "bases": lambda x: jnp.power(-2.0, jnp.round(x)),
    "signs": lambda x: jnp.sign(jnp.where(x > 0.5, jnp.nan, x)),
    "away from zero": lambda x: jax.lax.round(jnp.concatenate([x[0] * 9, jnp.array([8388609.0, 0.49999997, -0.5])])),
    "equals": lambda x: jax.lax.top_k(jnp.maximum(jnp.repeat(x, 9, 1), 0), 20),
    "unsigned": lambda x: _unsigned((x * 1e9).astype(jnp.int32).astype(jnp.uint32)),
    "bits": lambda x: jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(x, jnp.uint32) >> 1, jnp.float32),
    "narrow": lambda x: ((x * 999).astype(jnp.uint8), (x * 999).astype(jnp.int8), (x > 0) | jnp.maximum(x > 1, True)),
    "window of integers": lambda x: jax.lax.reduce_window(
        (x * 9).astype(jnp.int32), jnp.iinfo(jnp.int32).min, jax.lax.max, (2, 3), (1, 1), "SAME"
    ),
    "padding beside a window": lambda x: jax.lax.reduce_window(
        x[None, :, :, None], -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 1, 1, 1), ((0, 0), (0, 0), (1, 1), (1, 0))
    ),
}


def _unsigned(u):
    row = jnp.full(u.shape[1], 3, u.dtype)
    parts = [jnp.square(u), u**3, jnp.cumprod(u, 1), jnp.zeros_like(u).at[:, 1].add(u @ row), u.prod(1)[:, None] + u]
    return jnp.concatenate(parts, 1).astype(jnp.float32)


@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_choices(name, tmp_path):
    x = normal(4, 4)
    assert_same(LOOPS[name], x, path=tmp_path, shapes=None)
    assert_same(LOOPS[name], -x, path=tmp_path, shapes=None)


@pytest.mark.parametrize("name", INDICES)
def test_indices_and_numbers(name, tmp_path):
    assert_same(INDICES[name], normal(4, 3), path=tmp_path, shapes=None)


@pytest.mark.parametrize("name", EDGES)
def test_numbers_at_their_edges(name, tmp_path):
    assert_same(EDGES[name], normal(4, 3), path=tmp_path, shapes=None)


def extremes(dtype, n=300):
    """Random integers of a dtype, its least and greatest, single bits, and what is beside them."""
    info = np.iinfo(dtype)
    edges = [info.min, info.max, 0, 1, info.max // 2, *(-1 for _ in range(info.min < 0))]
    powers = [min(2**i + more, info.max) for i in range(info.bits) for more in (-1, 0, 1)]
    drawn = np.frombuffer(RNG.bytes(n * info.bits // 8), dtype)
    return np.concatenate([np.array(edges + powers, dtype), drawn])


BITS = {
    "clz": lambda x, n: jax.lax.clz(x),
    "population count": lambda x, n: jax.lax.population_count(x),
    "logical shift": jax.lax.shift_right_logical,
    "logical shift by a number": lambda x, n: jax.lax.shift_right_logical(x, x.dtype.type(3)),
    "tile": lambda x, n: jax.lax.tile(x[None] ^ n[None], (2, 3)),
}


@pytest.mark.parametrize("name", BITS)
def test_bits_of_integers_are_exactly_those_of_jax(name, tmp_path):
    """Over the whole range of every integer, by shifts that are beyond their bits and negative ones, too."""
    with jax.enable_x64(True):
        for dtype in ("int8", "int16", "int32", "int64", "uint8"):
            x = extremes(dtype)
            bits, signed = np.iinfo(dtype).bits, np.iinfo(dtype).min < 0
            n = RNG.integers(-2 if signed else 0, bits + 3, len(x)).astype(dtype)
            path = tmp_path / dtype
            path.mkdir()
            module = module_of(lambda p, x, n: BITS[name](x, n), {}, x, n, path=path, shapes=None)
            found, wanted = module(torch.tensor(x), torch.tensor(n)).numpy(), np.asarray(BITS[name](x, n))
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted, err_msg=dtype)


@pytest.mark.parametrize("name", [name for name in BITS if name != "tile"])
def test_bits_of_what_torch_has_only_in_a_wider_dtype(name, tmp_path):
    f = lambda x: jax.lax.bitcast_convert_type(BITS[name](x.astype(jnp.uint32), x.astype(jnp.uint32)), jnp.int32)
    x = extremes("int32")
    module = module_of(lambda p, x: f(x), {}, x, path=tmp_path, shapes=None)
    np.testing.assert_array_equal(module(torch.tensor(x)).numpy(), np.asarray(f(x)))


def test_a_scan_of_no_rows(tmp_path):
    f = lambda x: jax.lax.scan(lambda c, r: (c + r, c * r), jnp.zeros(3), x)
    module = module_of(lambda p, x: f(x), {}, normal(2, 3), path=tmp_path)
    for n in (0, 2):
        x = normal(n, 3)
        for a, b in zip(module(torch.tensor(x)), f(x), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_constant_of_a_double_keeps_its_digits(tmp_path):
    with jax.enable_x64(True):
        x = RNG.normal(size=3)
        f = lambda p, x: x * jnp.float64(np.float32(0.1))
        module = module_of(f, {}, x, path=tmp_path)
        np.testing.assert_array_equal(module(torch.tensor(x)), f({}, x))


def test_names_that_are_alike_or_a_modules_own(tmp_path):
    p = {"a_b": 1.0, "a": {"b": 2.0}, "a_b_": 3.0, "modules": 4.0, "training": 5.0}
    p = jax.tree.map(jnp.float32, p)
    f = lambda p, x: x * p["a_b"] + p["a"]["b"] - x * x * p["a_b_"] + p["modules"] * p["training"]
    x = normal(3)
    np.testing.assert_allclose(module_of(f, p, x, path=tmp_path)(torch.tensor(x)).detach(), f(p, x), rtol=1e-6)


def test_what_torch_has_no_word_for_is_named_with_its_line(tmp_path):
    noisy = lambda p, x: x + jax.random.normal(jax.random.key(0), x.shape)
    with pytest.raises(
        ValueError, match=r"export.torch: no torch code for the primitive 'random_\w+', at .*test_torch"
    ):
        export.torch(noisy, {}, normal(2, 3), path=tmp_path / "model.py")
    with pytest.raises(ValueError, match=r"expected shapes of the inputs float32\[2, 3\]"):
        export.torch(noisy, {}, normal(2, 3), path=tmp_path / "model.py", shapes="b")
    of_jax = lambda p, x: jax.numpy.linalg.svd(x)[1]  # no frame of it is the user's
    with pytest.raises(ValueError, match=r"the primitive 'svd', at export/test_torch\.py:\d+"):
        export.torch(of_jax, {}, normal(2, 3), path=tmp_path / "model.py")
    of_two = lambda p, x: x.reshape(2, 3)
    with pytest.raises(ValueError, match=r"holds for 2 rows, and not for one more\. Take sizes from x\.shape"):
        export.torch(of_two, {}, normal(2, 3), path=tmp_path / "model.py")
    with pytest.raises(ValueError, match=r"a file that Python imports, such as my_net\.py, found 'my-net\.py'"):
        export.torch(noisy, {}, normal(2, 3), path=tmp_path / "my-net.py")
    with pytest.raises(TypeError, match=r"params\['w'\], found jnn\.Param\. That is a spec"):
        export.torch(
            noisy, {"w": jnn.Param((2,), jnn.initializers.zeros, ("a",))}, normal(2, 3), path=tmp_path / "m.py"
        )
    with pytest.raises(TypeError, match=r"found dict as number 1\. The order is function, parameters, inputs"):
        export.torch(noisy, normal(2, 3), {}, path=tmp_path / "model.py")
    with pytest.raises(TypeError, match=r"expected a function of \(p, \*inputs\), found str"):
        export.torch("jnn.models.mlp", {}, normal(2, 3), path=tmp_path / "model.py")
    assert not any(tmp_path.iterdir())
