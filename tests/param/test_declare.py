"""A declaration is copied, pickled and drawn by either style of key; one clear error for each that is none."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import Param
from jnn.initializers import he_normal, ones, zeros
from jnn.layers import linear_spec
from tests.param.specs import KEY, assert_equal, mesh_of


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Param((2, 3), zeros, ("a",)), r"shape \(2, 3\) needs 2 distinct names, not \('a',\)"),
        (lambda: Param((2, 2), zeros, ("a", "a")), "needs 2 distinct names"),
        (
            lambda: Param((2,), zeros, ("a",), fan_in=("b",)),
            r"fans name \['b'\], which are not among its axes \('a',\)",
        ),
        (lambda: jnn.init({"w": Param((2,), he_normal, ("a",))}, KEY), r"needs fans, but the Param with axes \('a',\)"),
        (lambda: Param((2, 2), zeros, ("a", "b"), fan_in=("a",), receptive=("a",)), "share a name"),
        (lambda: Param((2, 2), zeros, ("a", "b"), fan_in=("a",), stacked=1), r"\['a'\], which are not among its axes"),
        (lambda: jnn.stack(linear_spec(2, 2), -1), r"found shape \(-1, 2, 2\)|found shape \(-1, 2\)"),
        (
            lambda: jnn.init({"w": Param((2,), lambda *_: jnp.ones(3), ("a",))}, KEY),
            r"init returned shape \(3,\), declared is \(2,\)",
        ),
        (lambda: jnn.init({"w": Param((2,), ones, ("a",), np.float64)}, KEY), "float64, while JAX is set to 32 bits"),
    ],
)
def test_a_bad_declaration_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_error_of_a_draw_says_where():
    with pytest.raises(ValueError, match="needs fans") as error:
        jnn.init({"deep": {"w": Param((2,), he_normal, ("a",))}}, KEY)
    assert error.value.__notes__[0] == "while drawing deep/w (2,)"


SPEC, PARAMS = linear_spec(3, 2), {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jnn.init(SPEC, 0), r"init: expected one PRNG key, found 0\. jax.random.key\(0\) makes one"),
        (lambda: jnn.init(SPEC, -1), "init: expected one PRNG key, found -1"),
        (lambda: jnn.init(SPEC, None), "init: expected one PRNG key, found None"),
        (lambda: jnn.init(SPEC, jnp.array(3)), r"init: expected one PRNG key, found int32\[\]"),
        (lambda: jnn.init(SPEC, jax.random.split(KEY, 4)), r"found key<fry>\[4\].* for several keys, jax.vmap"),
        (lambda: jnn.path_key(0, "a"), "path_key: expected one PRNG key, found 0"),
        (lambda: jnn.init(PARAMS, KEY), r"init: expected a spec, found ArrayImpl at 'b'"),
        (lambda: jnn.summary(PARAMS), r"summary: expected a spec, found ArrayImpl at 'b'\..* jnn.spec_of\(params\)"),
        (lambda: jnn.weight_mask(PARAMS), "weights: expected a spec"),
        (lambda: jnn.abstract(PARAMS), "abstract: expected a spec"),
        (lambda: jnn.stack(PARAMS, 2), "stack: expected a spec"),
        (lambda: jnn.shardings(PARAMS, mesh_of(x=8), {}), "shardings: expected a spec"),
        (lambda: jnn.load(PARAMS, PARAMS), "load: expected a spec"),
        (lambda: jnn.load(SPEC, SPEC), r"load: expected arrays, found a Param at 'b'\. jnn.init"),
        (lambda: jnn.init({"w": Param((2,), lambda *_: jnp.ones(2), ("a",), jnp.int32)}, KEY), "init returned float32"),
    ],
)
def test_what_is_no_spec_or_no_key_is_one_clear_error(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: jnn.layers.linear(SPEC, jnp.ones((2, 3))),
        lambda: jnn.models.transformer(jnn.models.transformer_spec(5, 4, layers=1, heads=1, embed=2), KEY, key=None),
        lambda: jnn.layers.layer_norm(jnn.layers.layer_norm_spec(3), jnp.ones((2, 3))),
    ],
)
def test_a_spec_where_params_belong_says_what_to_do(call):
    with pytest.raises((AttributeError, TypeError), match=r"params = jnn\.init\(spec|expected integers"):
        call()


def test_a_declaration_is_copied_and_pickled():
    param = Param((2,), ones, ("embed",))
    assert copy.deepcopy(param) == pickle.loads(pickle.dumps(param)) == param


def test_the_keys_of_both_styles_draw_the_same():
    assert_equal(jnn.init(SPEC, jax.random.PRNGKey(3)), jnn.init(SPEC, jax.random.key(3)))
