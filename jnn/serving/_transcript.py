"""The text of a request as it grows: pieces that no later token changes, up to a stop string.

Law: the pieces, one after the other, are what `jnn.generation.stream` shows, however tokens come.
"""

from __future__ import annotations

from collections.abc import Sequence

from jnn.generation import Tokenizer, before_stop, new_text, settled

CONTEXT = 16  # tokens of a prompt that say how what follows is decoded


class Transcript:
    """The text behind a prompt.

    Attributes:
      shown: all pieces so far.

    >>> from types import SimpleNamespace
    >>> letters = SimpleNamespace(decode=lambda tokens: bytes(tokens).decode(errors="replace"))
    >>> text = Transcript(letters, list(b"Say "), ("!",))
    >>> text.grown(list(b"ah")), text.grown(list(b"ah!")), text.last(list(b"ah!"))
    ('ah', '', '')
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int], stop: tuple[str, ...] = ()) -> None:
        self._decode, self._context, self.stop, self.shown = tokenizer.decode, list(prompt[-CONTEXT:]), stop, ""

    def grown(self, drawn: list[int]) -> str:
        """What is new once these tokens are drawn."""
        return self._show(settled(self._whole(drawn), self.stop))

    def last(self, drawn: list[int]) -> str:
        """What is new when these tokens are all."""
        return self._show(before_stop(self._whole(drawn), self.stop))

    def stops(self, drawn: list[int], known: int) -> int | None:
        """The fewest of the tokens whose text has a stop string; the first `known` of them have none."""
        has = lambda n: any(one in text for one in self.stop) if (text := self._whole(drawn[:n])) else False
        if not self.stop or not has(len(drawn)):
            return None
        return next(n for n in range(known + 1, len(drawn) + 1) if has(n))

    def _whole(self, drawn: list[int]) -> str:
        return new_text(self._decode, self._context + drawn, len(self._context))

    def _show(self, text: str) -> str:
        piece, self.shown = text[len(self.shown) :], max(text, self.shown, key=len)
        return piece
