"""How the branches of a block are added to its stream: before or after a norm, one after another or at once.

    pre_norm(p, x, branches, norm) -> x
    post_norm, sandwich_norm, parallel      the same signature

A branch is the name of its norm in p, and a function of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
from jax.ad_checkpoint import checkpoint_name

from jnn import checks
from jnn.param import Params

Branch = tuple[str, Callable[[jax.Array], jax.Array]]
Norm = Callable[[Params, jax.Array], jax.Array]
Arrange = Callable[[Params, jax.Array, Sequence[Branch], Norm], jax.Array]


def pre_norm(p: Params, x: jax.Array, branches: Sequence[Branch], norm: Norm) -> jax.Array:
    """Pre-norm: `x + f(norm(x))`, branch after branch.

    See "On Layer Normalization in the Transformer Architecture", Xiong et al., 2020.

    >>> import jax.numpy as jnp
    >>> pre_norm({"n": jnp.ones(1) / 2}, jnp.ones(1), [("n", lambda h: h)], lambda p, x: p * x).tolist()
    [1.5]
    """
    checks.params("pre_norm", p, *(name for name, _ in branches))
    for i, (name, branch) in enumerate(branches):
        x = checkpoint_name(x, "stream") if i else x
        x = x + branch(norm(p[name], x))
    return x


def post_norm(p: Params, x: jax.Array, branches: Sequence[Branch], norm: Norm) -> jax.Array:
    """Post-norm: `norm(x + f(x))`, branch after branch.

    See "Attention Is All You Need", Vaswani et al., 2017.

    >>> import jax.numpy as jnp
    >>> post_norm({"n": jnp.ones(1) / 2}, jnp.ones(1), [("n", lambda h: 2 * h)], lambda p, x: p * x).tolist()
    [1.5]
    """
    checks.params("post_norm", p, *(name for name, _ in branches))
    for i, (name, branch) in enumerate(branches):
        x = checkpoint_name(x, "stream") if i else x
        x = norm(p[name], x + branch(x))
    return x


def sandwich_norm(p: Params, x: jax.Array, branches: Sequence[Branch], norm: Norm) -> jax.Array:
    """Sandwich norm: `x + norm_post(f(norm(x)))`, branch after branch; the second norm of "norm1" is "norm1_post".

    See "CogView: Mastering Text-to-Image Generation via Transformers", Ding et al., 2021; "Gemma 2", Gemma Team, 2024.

    >>> import jax.numpy as jnp
    >>> p = {"n": jnp.ones(1) / 2, "n_post": jnp.ones(1) * 3}
    >>> sandwich_norm(p, jnp.ones(1), [("n", lambda h: h)], lambda p, x: p * x).tolist()
    [2.5]
    """
    checks.params("sandwich_norm", p, *(name for name, _ in branches), *(f"{name}_post" for name, _ in branches))
    for i, (name, branch) in enumerate(branches):
        x = checkpoint_name(x, "stream") if i else x
        x = x + norm(p[f"{name}_post"], branch(norm(p[name], x)))
    return x


def parallel(p: Params, x: jax.Array, branches: Sequence[Branch], norm: Norm) -> jax.Array:
    """Parallel block: `x + f(norm(x)) + g(norm(x))`, with the first branch's norm for all.

    See "GPT-J-6B: A 6 Billion Parameter Autoregressive Language Model", Wang and Komatsuzaki, 2021; "PaLM: Scaling
    Language Modeling with Pathways", Chowdhery et al., 2022.

    >>> import jax.numpy as jnp
    >>> branches = [("n", lambda h: h), ("m", lambda h: h)]
    >>> parallel({"n": jnp.ones(1) / 2}, jnp.ones(1), branches, lambda p, x: p * x).tolist()
    [2.0]
    """
    (first, _), *_ = branches
    checks.params("parallel", p, first)
    h = norm(p[first], x)
    return x + sum(branch(h) for _, branch in branches)
