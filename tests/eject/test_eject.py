"""Ejected files: what they give is what jnn gives, bit for bit, without jnn; and they read like a person's."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.eject import eject
from jnn.eject.__main__ import main
from jnn.laws import value_and_gradient
from tests.eject import scopes
from tests.eject.own import Config, network, network_spec, trained
from tests.eject.swapped import ejected_row, loaded
from tests.laws import SIZES, SPECS
from tests.table import BLOCKS

BESIDE = "is of what jnn.finetune, a prefix or an adapter puts beside declared parameters"
LEFT_OUT = {
    "linear-dora",
    "linear-low-rank",
    "linear-int8",
    "linear-w8a8",
    "linear-awq",
    "conv-int8",
    "linear-int4-dora",
    "unembed-int4",
    "attention-prefix",
    "block-adapters",
}
FEW = {"mlp", "cnn"}  # of the default suite
WITHOUT = "import sys; sys.modules['jnn'] = None\n"


def cases():
    for row in BLOCKS:
        if row.name not in LEFT_OUT:
            yield pytest.param(row, id=row.name, marks=() if row.name in FEW else pytest.mark.slow)


def assert_equal(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def both(row, apply):
    """Outputs and gradients, as one program."""
    return jax.jit(lambda *args: value_and_gradient(lambda p, *x: apply(p, *x, key=row.key), *args))


@pytest.mark.parametrize("row", [*cases()])
def test_outputs_and_gradients_are_those_of_jnn(row):
    """Of every row of the table the same program, to the letter; of a few it is run."""
    apply, text = ejected_row(row)
    assert "import jnn" not in text
    assert "from jnn" not in text
    args = (row.params, *row.inputs(2))
    assert both(row, apply).lower(*args).as_text() == both(row, row.apply).lower(*args).as_text()
    if row.name in FEW:
        assert_equal(both(row, apply)(*args), both(row, row.apply)(*args))


@pytest.mark.parametrize("row", [row for row in BLOCKS if row.name in LEFT_OUT], ids=lambda row: row.name)
def test_what_is_left_out_is_what_no_spec_of_the_function_declares(row):
    beside = {"lora", "prefix", "int8", "int4", "scales", "adapter1", "adapter2"}
    paths = jnn.flatten(row.spec)
    assert "w/down" in paths or any(beside & set(path.split("/")) for path in paths), BESIDE


def drawing(init, spec):
    """Initial values as one program, with the same options of the compiler, of which the last bit may depend."""
    return jax.jit(lambda key: init(spec, key))


def traced(spec):
    """How each parameter is drawn of its key."""
    draws = {path: param.draw for path, param in jnn.flatten(spec).items()}
    jaxpr = jax.make_jaxpr(lambda key: {path: draw(key) for path, draw in draws.items()})(jax.random.key(0))
    return without_names(str(jaxpr))


def declared():
    rooms = (jnn.models, jnn.layers, jnn.graphs, jnn.activations)
    for name, args in SPECS.items():
        room = next(room for room in rooms if hasattr(room, name))
        yield pytest.param(getattr(room, name), args, id=name, marks=() if name == "cnn_spec" else pytest.mark.slow)


@pytest.mark.parametrize(("spec", "args"), [*declared()])
def test_initial_values_are_those_of_jnn(spec, args):
    ejected, key = loaded(eject(spec)), jax.random.key(3)
    small = lambda tree: sum(np.prod(p.shape) for p in jax.tree.leaves(tree)) < 1e4
    ours = spec(*args, **SIZES.get(spec.__name__, {}))
    theirs = getattr(ejected, spec.__name__)(*args, **SIZES.get(spec.__name__, {}))
    assert jax.tree.structure(theirs) == jax.tree.structure(ours)
    assert traced(theirs) == traced(ours)
    if small(ours):
        assert_equal(drawing(ejected.init, theirs)(key), drawing(jnn.init, ours)(key))


def test_draws_of_narrow_and_stacked_parameters_are_those_of_jnn():
    ejected = loaded(eject("jnn.models.transformer"))
    sizes = {"layers": 2, "heads": 2, "embed": 4, "dtype": jnp.bfloat16}
    ours, theirs = (f(5, 3, **sizes) for f in (jnn.models.transformer_spec, ejected.transformer_spec))
    assert_equal(drawing(ejected.init, theirs)(jax.random.key(1)), drawing(jnn.init, ours)(jax.random.key(1)))


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_formulations_are_those_of_the_platform(platform):
    """The program that a backend would compile, traced here; and no other's kernel is in the file."""
    text = eject("jnn.models.transformer", platform=platform)
    assert [word in text for word in ("cudnn", "splash")] == [platform == "gpu", platform == "tpu"]
    ejected = loaded(text)
    spec = jnn.models.transformer_spec(5, 128, layers=1, heads=1, embed=64)
    params, tokens = jnn.abstract(spec), jax.ShapeDtypeStruct((2, 128), jnp.int32)
    trace = lambda f: str(jax.make_jaxpr(lambda p, tokens: f(p, tokens, key=None))(params, tokens))
    with jnn.backend.target(platform):
        ours = trace(jnn.models.transformer)
    assert without_names(trace(ejected.transformer)) == without_names(ours)


def without_names(jaxpr):
    """A jaxpr as text, without the addresses of functions."""
    return [word for word in jaxpr.split() if " at 0x" not in word and "0x" not in word]


RUN = """
exec(open({path!r}).read(), globals())
import jax, numpy as np
params = init(transformer_spec(5, 8, layers=2, heads=2, embed=8), jax.random.key(0))
loss = lambda p: transformer(p, np.arange(5)[None], key=jax.random.key(1), rate=0.1).sum()
print(float(loss(params)), float(sum(abs(g).sum() for g in jax.tree.leaves(jax.grad(loss)(params)))))
"""


def test_the_file_runs_where_there_is_no_jnn(tmp_path):
    path = tmp_path / "transformer.py"
    assert main(["jnn.models.transformer", "--backend", "cpu", "--output", str(path)]) == 0
    code = WITHOUT + RUN.format(path=str(path))
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    params = jnn.init(jnn.models.transformer_spec(5, 8, layers=2, heads=2, embed=8), jax.random.key(0))
    loss = lambda p: jnn.models.transformer(p, np.arange(5)[None], key=jax.random.key(1), rate=0.1).sum()
    slope = sum(abs(g).sum() for g in jax.tree.leaves(jax.grad(loss)(params)))
    np.testing.assert_allclose(np.array(found.stdout.split(), float), [loss(params), slope], rtol=1e-5)


def test_a_users_own_function():
    text = eject(network)
    ejected, key = loaded(text), jax.random.key(0)
    params = drawing(jnn.init, network_spec(Config("large")))(key)
    assert_equal(drawing(ejected.init, ejected.network_spec(ejected.Config("large")))(key), params)
    x = jax.random.normal(key, (2, 6, 6, 1))
    assert_equal(ejected.network(params, x, key=key), network(params, x, key=key))
    with pytest.raises(ValueError, match="three axes"):
        ejected.network(params, x[0, 0], key=key)
    assert "# `conv` is a number here, not the layer" in text
    assert "second paragraph" not in text


@pytest.mark.slow
def test_a_whole_training_is_ejected():
    """The step with its optimizer, noise and state: the parameters after three steps."""
    ours, theirs = trained(3), loaded(eject(trained)).trained(3)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), theirs, ours)


@pytest.mark.parametrize("f", [scopes.both, scopes.summed, scopes.by_names_of_one_value])
def test_names_are_what_they_are_where_they_stand(f):
    x = jnp.arange(1.0, 4.0)
    assert_equal(getattr(loaded(eject(f)), f.__name__)(x), f(x))


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (scopes.by_branches, "binds 'steep' more than once, or changes it"),
        (scopes.by_table, "binds 'OFFSETS' more than once, or changes it"),
        (scopes.by_sum, "binds 'STEPS' more than once, or changes it"),
        (scopes.by_unpacking, "line .* of tests.eject.scopes binds 'NARROW' by unpacking.* its own: NARROW = "),
        (scopes.counted, "changes the global calls in line"),
        (scopes.either, "either imports .* and .* by one name"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_what_has_no_one_definition_is_refused(f, message):
    with pytest.raises(ValueError, match=message):
        eject(f)


def test_the_file_is_short_and_formatted():
    text = eject("jnn.models.mlp", platform="cpu")
    for word in ("checks", "raise ", "lora", "int8", "backend.", "constrain"):
        assert word not in text
    assert max(map(len, text.splitlines())) <= 100
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "100", "--select", "F,I,E9", "-"]
    assert subprocess.run(command, input=text, text=True, capture_output=True, check=False).returncode == 0


def test_what_cannot_be_written_out_is_said(capsys):
    for wrong in ("jnn.models", "jnn.nowhere.mlp", "mlp"):
        assert main([wrong]) == 2
    assert "expected a function" in capsys.readouterr().err
    with pytest.raises(ValueError, match="platform"):
        eject("jnn.models.mlp", platform="abacus")
    with pytest.raises(ValueError, match=r"binds 'perceptrons'\. Do you mean perceptron\?"):
        eject("jnn.models.perceptrons")
    with pytest.raises(ValueError, match=r"found the module jnn\.models\. Say which: jnn\.models:function"):
        eject("jnn.models")
    with pytest.raises(
        ValueError, match=r"no module 'jnn/models/mlp\.py'\. A file work/model\.py is the module work\.model"
    ):
        eject("jnn/models/mlp.py:mlp")
    for wrong in (lambda x: x, {"w": 1.0}, functools.partial(eject, platform="cpu")):
        with pytest.raises(ValueError, match=r"at the top level of a module.* Put it into a file of its own"):
            eject(wrong)
    with pytest.raises(ValueError, match="one or more functions, found none"):
        eject()


def test_a_file_that_cannot_be_written_is_one_line(tmp_path, capsys):
    assert main(["jnn.layers.linear", "--output", str(tmp_path / "none" / "linear.py")]) == 2
    assert "linear.py cannot be written: No such file or directory" in capsys.readouterr().err
