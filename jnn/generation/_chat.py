"""A conversation as tokens: the words of a template with the tokens that they mark, and the mere text of what was said.

    chat_tokens(messages, template, tokenizer) -> tokens

Laws: nothing that is said is a special token, whatever is written in it; where nothing like one is, the tokens are
those of the whole text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jnn.generation._tokenizer import Tokenizer

Messages = Sequence[Mapping[str, str]]
PRIVATE = range(0xE000, 0x110000)  # code points of which the first that nobody has written stands for what they wrote


def chat_tokens(messages: Messages, template: Callable[[Messages], str], tokenizer: Tokenizer) -> list[int]:
    """Chat prompt: the tokens of a conversation, in which "<|im_end|>" ends a message where the template has it alone.

    Args:
      messages: each {"role": ..., "content": ...}; contents are what somebody may have written.
      template: puts them into words, those that the model was trained on.
      tokenizer: such as a `tokenizers.Tokenizer`. Of one that does not tell its special tokens
        (`get_added_tokens_decoder`), or cannot do without them (`encode_special_tokens`), the whole is encoded as it
        stands.

    Returns:
      The tokens, to which none are added beside the template's.

    Raises:
      ValueError: whatever the template refuses.

    >>> from types import SimpleNamespace
    >>> letters = SimpleNamespace(encode=lambda text, add_special_tokens: SimpleNamespace(ids=list(text.encode())))
    >>> bytes(chat_tokens([{"role": "user", "content": "Hi"}], lambda some: f"<{some[0]['content']}>", letters))
    b'<Hi>'
    """
    special = _special(tokenizer)
    said = "".join(one["content"] for one in messages)
    if special is None or not special.search(said):
        return list(tokenizer.encode(template(messages), add_special_tokens=False).ids)
    mark = next(chr(code) for code in PRIVATE if chr(code) not in said)
    written: list[str] = []

    def hidden(found: re.Match[str]) -> str:
        written.append(found[0])
        return f"{mark}{len(written) - 1}{mark}"

    text = template([{**one, "content": special.sub(hidden, one["content"])} for one in messages])
    parts = re.split(f"{mark}(\\d+){mark}", text)  # every second one is a number
    package: Any = tokenizer  # `_special` has found that it is the package's
    plain, ids = _plain(package), list[int]()
    for i, part in enumerate(parts):
        own, words = (plain, written[int(part)]) if i % 2 else (tokenizer, part)
        ids += own.encode(words, add_special_tokens=False).ids
    return ids


def _special(tokenizer: Any) -> re.Pattern[str] | None:
    """What finds special tokens, the longest first; None of a tokenizer that has none, or cannot do without them."""
    if not all(hasattr(tokenizer, name) for name in ("get_added_tokens_decoder", "encode_special_tokens")):
        return None
    found = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    return re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True)))) if found else None


@functools.lru_cache(2)
def _plain(tokenizer: Any) -> Any:
    """The tokenizer, for which special tokens are text like any other; a copy, since others use it meanwhile."""
    plain = type(tokenizer).from_str(tokenizer.to_str())
    plain.encode_special_tokens = True
    return plain
