"""What generation needs of a tokenizer: the methods of the package `tokenizers`, whatever has them.

(What makes ids of texts for training is `jnn.data.Tokenizer`; its `inner` is one of these.)
"""

from __future__ import annotations

from typing import Any, Protocol


class Detokenizer(Protocol):
    """Detokenizer: what makes text of tokens, such as a `tokenizers.Tokenizer`."""

    def decode(self, ids: list[int], /) -> str:
        """The text of these tokens."""
        ...


class Tokenizer(Detokenizer, Protocol):
    """Tokenizer: what makes tokens of text, too."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Any:
        """Something with the tokens as `ids`."""
        ...
