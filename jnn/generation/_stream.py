"""Text as it is drawn: pieces of it, none of which a later token changes.

Law: the pieces, one after the other, are the text of all tokens, up to a stop string.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from jnn import checks
from jnn.cached_model import CachedModel
from jnn.generation._calls import PER_CALL, Advance, begin, calls, finished
from jnn.generation._checks import check_tokenizer, end_tokens
from jnn.generation._decode import Allow, Text
from jnn.generation._sampling import PLAIN, Sampling
from jnn.generation._stop import Stop
from jnn.generation._tokenizer import Detokenizer
from jnn.generation._transcript import Transcript
from jnn.param import Params


def stream(
    p: Params,
    prompt: jax.Array,
    steps: int,
    model: CachedModel,
    sampling: Sampling = PLAIN,
    *,
    tokenizer: Detokenizer,
    key: jax.Array | None = None,
    lengths: jax.Array | None = None,
    end: int | Sequence[int] = (),
    stop: Sequence[str] = (),
    allow: Allow | None = None,
    per_call: int = PER_CALL,
) -> Iterator[str]:
    """Streamed text: what `generate` draws after one prompt, in pieces, as soon as it is there.

    Bytes that are no character yet, and what may be the beginning of a stop string, are held back.

    Args:
      prompt: (t,), integers in 0..vocab-1.
      tokenizer: what decodes tokens, such as a `tokenizers.Tokenizer`.
      p, steps, model, sampling, key, end, allow, per_call: as in `generate`.
      lengths: (), an integer: how many of the t tokens are the prompt; prompts that are padded to one length need no
        program each.
      stop: strings before which the text ends.

    Returns:
      An iterator over pieces of text, none of them empty.

    Raises:
      TypeError, ValueError: as `generate`; there is more than one prompt.

    >>> import jax.numpy as jnp
    >>> from types import SimpleNamespace
    >>> from jnn.models import TRANSFORMER, transformer_spec
    >>> from jnn.param import init
    >>> letters = SimpleNamespace(decode=lambda tokens: "".join(chr(97 + token) for token in tokens))
    >>> p = init(transformer_spec(26, 64, layers=2, heads=2, embed=8), jax.random.key(0))
    >>> text = stream(p, jnp.array([1, 2]), 9, TRANSFORMER, tokenizer=letters, key=jax.random.key(1), per_call=4)
    >>> [len(piece) for piece in text]
    [4, 4, 1]
    """
    if np.ndim(prompt) != 1:
        raise ValueError(
            f"stream: expected one prompt (t,), found {np.shape(prompt)}. Several at a time are for `generate`."
        )
    checks.count("stream", "per_call", per_call)
    check_tokenizer("stream", tokenizer)
    ends = Stop("stream", stop, tokenizer)
    tokens = end_tokens(end)
    begun = begin("stream", p, prompt, steps, model, sampling, key, lengths, tokens, allow)
    if begun[-1]:
        raise ValueError("stream: text is what the host has, and nothing is there within `jit`. Take `generate`.")
    return _pieces(begun, steps, tokens, per_call, ends, tokenizer)


def _pieces(
    begun: tuple[Text, Advance, bool],
    steps: int,
    end: Sequence[int],
    per_call: int,
    stop: Stop,
    tokenizer: Detokenizer,
) -> Iterator[str]:
    given = int(begun[0].prompt)
    transcript = Transcript(tokenizer, np.asarray(begun[0].tokens)[:given].tolist(), stop.strings)
    for longer in calls("stream", *begun, steps, per_call, stop):
        found = finished("stream", longer, int(longer.lengths), end)
        drawn, last = found.tokens.tolist()[given:], bool(longer.done) or int(longer.lengths) == given + steps
        drawn = drawn[:-1] if drawn and drawn[-1] in end else drawn
        if piece := (transcript.last if last else transcript.grown)(drawn):
            yield piece
