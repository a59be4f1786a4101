"""Parameters as declarations: a *spec* is a nested dict of `Param`s, before any array exists.

    init(spec, key) -> params       the arrays, each drawn from the key and its own path
    abstract(spec), shardings(...)  shapes and dtypes; a `NamedSharding` for every leaf
    stack(spec, n) -> spec          the same layer n times, for `jax.lax.scan`
    load(spec, arrays) -> params    somebody else's arrays, every misfit named at once
    spec_of(arrays) -> spec         a declaration of somebody else's arrays
    misfits(found, wanted) -> [..]  where one tree does not fit another, by path
    weight_mask(spec) -> mask       True where decay belongs: on linear maps, not biases or norms
    muon_dimension_numbers(spec)    the two sides of each linear map, for `optax.contrib.muon`
    count_params, summary           how many, and a table of them
    weights, linear_maps, matching  the parameters of a kind, and those whose paths fit a pattern; nested, trees of them

Laws: `init` returns the tree, shapes and dtypes that the spec declares, and a draw depends on the
key and the path alone: `init(spec, key)["fc"] == init(spec["fc"], path_key(key, "fc"))`. It is made in
float32 at least, and then cast. A Param that is changed by `dataclasses.replace` is drawn as changed,
stacked or not.
"""

from jnn.param._declare import Initializer, Param, Params, Rules, Spec, check_spec, stack
from jnn.param._load import load
from jnn.param._maps import abstract, count_params, init, shardings, summary
from jnn.param._misfits import array_type, misfits
from jnn.param._muon_dimension_numbers import muon_dimension_numbers
from jnn.param._paths import check_key, flatten, is_key, map_paths, path_key
from jnn.param._select import Where, is_linear_map, linear_maps, matching, nested, weights
from jnn.param._spec_of import Naming, spec_of
from jnn.param._weight_decay_mask import weight_mask

__all__ = [
    "Initializer",
    "Naming",
    "Param",
    "Params",
    "Rules",
    "Spec",
    "Where",
    "abstract",
    "array_type",
    "check_key",
    "check_spec",
    "count_params",
    "flatten",
    "init",
    "is_key",
    "is_linear_map",
    "linear_maps",
    "load",
    "map_paths",
    "matching",
    "misfits",
    "muon_dimension_numbers",
    "nested",
    "path_key",
    "shardings",
    "spec_of",
    "stack",
    "summary",
    "weight_mask",
    "weights",
]
