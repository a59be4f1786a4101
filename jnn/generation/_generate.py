"""Text drawn token by token from any model that has a cache.

    generate(p, prompt, steps, model, sampling, key=key) -> Generated(tokens, lengths, log_probs)

Laws: `generate` compiles twice, what reads the prompt and what draws, whatever the number of steps, up to the size of
the cache. Many tokens are drawn in one call of the device; which ones does not depend on how many. Prompts of different
lengths give the texts that each gives alone. Within another program it is a loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.generation._calls import PER_CALL, Generated, begin, calls, finished
from jnn.generation._checks import end_tokens
from jnn.generation._decode import Allow
from jnn.generation._sampling import PLAIN, Sampling
from jnn.generation._stop import Stop
from jnn.generation._tokenizer import Detokenizer
from jnn.param import Params


def generate(
    p: Params,
    prompt: jax.Array,
    steps: int,
    model: CachedModel,
    sampling: Sampling = PLAIN,
    *,
    key: jax.Array | None = None,
    lengths: jax.Array | None = None,
    end: int | Sequence[int] = (),
    stop: Sequence[str] = (),
    tokenizer: Detokenizer | None = None,
    allow: Allow | None = None,
    per_call: int = PER_CALL,
) -> Generated:
    """Text generation: the prompt, and up to `steps` tokens drawn after it, each given all before it.

    With learned positions, prompt and steps must fit them. To go on for longer, call again with the last
    tokens as the prompt, always as many: nothing is compiled again.

    Args:
      p: the model's parameters.
      prompt: (..., t), integers in 0..vocab-1.
      steps: how many tokens to draw, at least 1.
      model: such as `jnn.models.TRANSFORMER` or `jnn.models.decoder_model(config)`.
      sampling: how a token is drawn.
      key: a PRNG key; draw i is a function of the key and i. Or keys (...), one a row, with which a row's text is the
        same in any batch. A temperature of 0 needs none.
      lengths: (...), integers: how many of a row's t tokens are its prompt, where prompts differ; all by default.
      end: the token that ends a text, or several; a batch ends with the last of its texts.
      stop: strings that end a text as soon as it has one; the token that completes it is the last.
      tokenizer: what decodes tokens, where there are stop strings.
      allow: (tokens (..., size), lengths (...)) -> bool (..., vocab): which tokens may come next. It is traced; see
        `host_mask` for what cannot be.
      per_call: how many tokens are drawn before the device hands control back.

    Returns:
      `Generated`. Under `jit` and `jax.export`, which trace one loop for all, a token is -1 where the logits (or the
      temperature) are NaN or nothing is allowed, and from there on.

    Raises:
      TypeError: prompt is not of integers, or key is no PRNG key.
      ValueError: prompt is out of range, t + steps exceeds the learned positions; steps, lengths, end or sampling make
        no sense; there is no key where one is needed; the logits are NaN, or nothing is allowed.

    >>> import jax.numpy as jnp
    >>> from jnn.param import init
    >>> from jnn.models import TRANSFORMER, transformer_spec
    >>> p = init(transformer_spec(65, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> prompt = jnp.array([1, 2, 3])
    >>> generate(p, prompt, 5, TRANSFORMER, Sampling(top_k=10), key=jax.random.key(1)).tokens.shape
    (8,)
    """
    checks.count("generate", "per_call", per_call)
    ends = Stop("generate", stop, tokenizer)
    tokens = end_tokens(end)
    begun = begin("generate", p, prompt, steps, model, sampling, key, lengths, tokens, allow)
    text = begun[0]
    for longer in calls("generate", *begun, steps, per_call, ends):
        text = longer
    return finished("generate", text, prompt.shape[-1] + steps, tokens)
