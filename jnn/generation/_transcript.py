"""The text of one sequence of tokens as it grows: pieces that no later token changes, up to a stop string.

Law: the pieces, one after the other, are the text of all tokens, however they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

BROKEN = "\ufffd"  # of bytes that are no text yet
CONTEXT = 16  # tokens of a prompt that say how what follows is decoded


class Tokenizer(Protocol):
    """What makes text of tokens, such as a `tokenizers.Tokenizer`."""

    def decode(self, ids: list[int], /) -> str:
        """The text of these tokens."""
        ...


class Transcript:
    """Transcript: the text behind a prompt, in which it is decoded, since its first token may begin with a space there.

    Args:
      tokenizer: what decodes tokens.
      prompt: its tokens.
      stop: strings before which the text ends.

    Attributes:
      shown: all pieces so far.

    >>> from types import SimpleNamespace
    >>> letters = SimpleNamespace(decode=lambda tokens: bytes(tokens).decode(errors="replace"))
    >>> text = Transcript(letters, list(b"Say "), ("!",))
    >>> text.grown(list(b"ah")), text.grown(list(b"ah!")), text.last(list(b"ah!"))
    ('ah', '', '')
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int], stop: Sequence[str] = ()) -> None:
        self._decode, self._context, self.stop, self.shown = tokenizer.decode, list(prompt[-CONTEXT:]), stop, ""

    def grown(self, drawn: list[int]) -> str:
        """What is new once these tokens are drawn."""
        return self._show(settled(self._whole(drawn), self.stop))

    def last(self, drawn: list[int]) -> str:
        """What is new when these tokens are all."""
        return self._show(before_stop(self._whole(drawn), self.stop))

    def stops(self, drawn: list[int], known: int = 0) -> int | None:
        """The fewest of the tokens whose text has a stop string; the first `known` of them have none."""
        has = lambda n: any(one in text for one in self.stop) if (text := self._whole(drawn[:n])) else False
        if not self.stop or not has(len(drawn)):
            return None
        return next(n for n in range(known + 1, len(drawn) + 1) if has(n))

    def _whole(self, drawn: list[int]) -> str:
        given = self._decode(self._context).rstrip(BROKEN)
        return self._decode(self._context + drawn)[len(given) :]

    def _show(self, text: str) -> str:
        piece, self.shown = text[len(self.shown) :], max(text, self.shown, key=len)
        return piece


def before_stop(text: str, stop: Sequence[str]) -> str:
    """A text up to the first stop string.

    >>> before_stop("yes. no.", (".",))
    'yes'
    """
    return text[: min((at for one in stop if (at := text.find(one)) >= 0), default=len(text))]


def settled(text: str, stop: Sequence[str]) -> str:
    """What no later token changes of a text: without bytes that are no character yet, or a stop string's beginning.

    >>> settled("yes\\n", ("\\n\\n",)), settled("caf\\ufffd", ())
    ('yes', 'caf')
    """
    text = before_stop(text.rstrip(BROKEN), stop)
    begun = (n for one in stop for n in range(len(one) - 1, 0, -1) if text.endswith(one[:n]))
    return text[: len(text) - max(begun, default=0)]
