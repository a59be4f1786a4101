"""Speculative decoding: several tokens are guessed cheaply, and the model reads all of them in one step.

    speculative_generate(p, prompt, steps, model, draft, sampling, key=key) -> Generated

Laws: greedily, the tokens are those of `generate`; by chance, their distribution is (`_verify`), whatever the draft.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.generation._calls import Generated, finished
from jnn.generation._checks import check_end, check_keys, check_text, room
from jnn.generation._decode import Text, last_token, prefill, read, token_log_prob
from jnn.generation._draft import DraftModel, PromptLookup
from jnn.generation._sampling import PLAIN, History, Sampling, adjusted_logits, as_numbers, check_sampling
from jnn.generation._verify import verify
from jnn.param import Params


def speculative_generate(
    p: Params,
    prompt: jax.Array,
    steps: int,
    model: CachedModel,
    draft: DraftModel | PromptLookup,
    sampling: Sampling = PLAIN,
    *,
    key: jax.Array | None = None,
    lengths: jax.Array | None = None,
    end: int | Sequence[int] = (),
    ahead: int = 4,
) -> Generated:
    """Speculative decoding: as `generate`, in fewer steps of the model, as many as guesses are right.

    See "Fast Inference from Transformers via Speculative Decoding", Leviathan, Kalman and Matias, 2023.

    Args:
      p, prompt, steps, model, sampling, lengths, end: as in `generate`; the model has a paged cache, which can go back.
      draft: what guesses: `DraftModel(p, model)` or `PromptLookup()`.
      key: one PRNG key.
      ahead: how many tokens it guesses at a time.

    Returns:
      `Generated`.

    Raises:
      TypeError, ValueError: as `generate`; a model without a paged cache, or a draft of another vocabulary.

    >>> from jnn.generation import GREEDY
    >>> from jnn.models import TRANSFORMER, transformer_spec
    >>> from jnn.param import init
    >>> p = init(transformer_spec(26, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> speculative_generate(p, jnp.array([1, 2, 1, 2]), 5, TRANSFORMER, PromptLookup(), GREEDY).tokens.shape
    (9,)
    """
    where = "speculative_generate"
    t = checks.integers(where, prompt, ndim=1, name="prompt").shape[-1]
    whole = jnp.full(prompt.shape[:-1], t, jnp.int32) if lengths is None else lengths
    check_text(where, p, prompt, steps, model, whole)
    vocab = model.vocab(p)
    check_sampling(where, sampling, vocab, key, whole.shape)
    checks.count(where, "ahead", ahead)
    _check_draft(where, draft, prompt, steps, whole, vocab)
    key, ends = check_keys(where, key, ()), check_end(where, end, vocab)
    size = room(where, t, steps, model.longest(p), beyond=ahead)
    text = _rounds(
        p,
        draft,
        prompt,
        whole,
        jax.random.key(0) if key is None else key,  # at a temperature of 0, whatever is drawn is the same
        as_numbers(sampling),
        np.int32(steps),
        model=model,
        size=size,
        end=ends,
        ahead=ahead,
    )
    return finished(where, text, t + steps, end)


def _check_draft(where: str, draft: Any, prompt: jax.Array, steps: int, lengths: jax.Array, vocab: int) -> None:
    if isinstance(draft, PromptLookup):
        return checks.count(where, "longest", draft.longest)
    if not isinstance(draft, DraftModel):
        raise TypeError(f"{where}: expected a DraftModel or a PromptLookup to guess, found {checks.describe(draft)}.")
    check_text(where, draft.p, prompt, steps, draft.model, lengths)
    if (theirs := draft.model.vocab(draft.p)) != vocab:
        raise ValueError(f"{where}: expected a draft of the same {vocab} tokens, found one of {theirs}.")


@partial(jax.jit, static_argnames=("model", "size", "end", "ahead"))
def _rounds(
    p: Params,
    draft: DraftModel | PromptLookup,
    prompt: jax.Array,
    lengths: jax.Array,
    key: jax.Array,
    sampling: Sampling,
    steps: jax.Array,
    *,
    model: CachedModel,
    size: int,
    end: tuple[int, ...],
    ahead: int,
) -> Text:
    """Rounds of guesses and a step of the model, until all texts have ended."""
    at_each = jax.tree.map(lambda x: x[..., None] if jnp.ndim(x) else x, sampling)  # a row's own, at each of its tokens

    def one(state: tuple[Text, Any]) -> tuple[Text, Any]:
        text, memory = state
        guessing, judging = jax.random.split(jax.random.fold_in(key, text.drawn))
        drafted, draft_chances, memory = draft.propose(text, memory, guessing, sampling, ahead)
        chunk = jnp.concatenate([last_token(text), drafted], -1)
        logits, cache = read(model, p, chunk, text.cache, None)
        chances = jax.nn.softmax(adjusted_logits(logits, at_each, _histories(text, drafted)))
        if draft_chances is None:
            draft_chances = jax.nn.one_hot(drafted, chances.shape[-1])
        count, token = verify(judging, drafted, draft_chances, chances)
        text = _written(text, logits, drafted, count, token, steps, end)
        back = {"next": text.lengths - 1}  # all but the last token are read: what was refused is not remembered
        return text._replace(cache=cache | back), memory | back

    text, _ = prefill(p, prompt, lengths, model=model, size=size)
    begun = text, draft.begin(prompt, lengths, size)
    return jax.lax.while_loop(lambda state: ~state[0].done.all(), one, begun)[0]._replace(cache=None)


def _histories(text: Text, drafted: jax.Array) -> History:
    """What stands before each token of a chunk: (..., ahead + 1, size)."""
    k = drafted.shape[-1]
    at = jax.lax.broadcasted_iota(jnp.int32, text.tokens.shape, text.tokens.ndim - 1) - text.lengths[..., None]
    guess = jnp.take_along_axis(drafted, jnp.clip(at, 0, k - 1), -1)
    tokens = jnp.where((at >= 0) & (at < k), guess, text.tokens)
    beside = lambda x: jnp.broadcast_to(x[..., None], (*x.shape, k + 1))
    order = jax.lax.broadcasted_iota(jnp.int32, (*text.lengths.shape, k + 1), text.lengths.ndim)
    many = jnp.broadcast_to(tokens[..., None, :], (*tokens.shape[:-1], k + 1, tokens.shape[-1]))
    return History(many, beside(text.prompt), beside(text.lengths) + order)


def _written(
    text: Text,
    logits: jax.Array,
    drafted: jax.Array,
    count: jax.Array,
    token: jax.Array,
    steps: jax.Array,
    end: tuple[int, ...],
) -> Text:
    """With the first `count` drafted tokens and the one behind them, up to one that ends the text."""
    k = drafted.shape[-1]
    order = jax.lax.broadcasted_iota(jnp.int32, (*count.shape, k + 1), count.ndim)
    new = jnp.concatenate([drafted, drafted[..., -1:]], -1)
    new = jnp.where(order == count[..., None], token[..., None], new)
    new, logs = token_log_prob(logits, new)
    ends = jnp.isin(new, jnp.array((-1, *end), jnp.int32))
    until = jnp.where(ends.any(-1), ends.argmax(-1), k) + 1
    many = jnp.minimum(jnp.minimum(count + 1, until), text.prompt + steps - text.lengths)
    many = jnp.where(text.done, 0, many)
    at = jax.lax.broadcasted_iota(jnp.int32, text.tokens.shape, text.tokens.ndim - 1) - text.lengths[..., None]
    here, which = (at >= 0) & (at < many[..., None]), jnp.clip(at, 0, k)
    lengths = text.lengths + many
    return text._replace(
        tokens=jnp.where(here, jnp.take_along_axis(new, which, -1), text.tokens),
        log_probs=jnp.where(here, jnp.take_along_axis(logs, which, -1), text.log_probs),
        lengths=lengths,
        done=text.done | (ends.any(-1) & (many == until)) | (lengths == text.prompt + steps),
        drawn=text.drawn + 1,
    )
