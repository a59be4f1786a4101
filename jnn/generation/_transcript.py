"""The text of one sequence of tokens as it grows: pieces that no later token changes, up to a stop string.

Law: the pieces, one after the other, are the text of all tokens, however they come; a piece costs the decoding of a
few tokens, however long the text is, but where later tokens change what earlier ones say.
"""

from __future__ import annotations

from collections.abc import Sequence

from jnn.generation._tokenizer import Detokenizer

BROKEN = "\ufffd"  # of bytes that are no text yet
CONTEXT = 16  # tokens that say how what follows is decoded


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

    def __init__(self, tokenizer: Detokenizer, prompt: Sequence[int], stop: Sequence[str] = ()) -> None:
        self._decode, self._context, self.stop, self.shown = tokenizer.decode, list(prompt[-CONTEXT:]), stop, ""
        self._window, self._known, self._text, self._searched = self._context, 0, "", 0

    def grown(self, drawn: list[int]) -> str:
        """What is new once these tokens are drawn, behind those of the call before."""
        text = self._whole(drawn)
        self._move(drawn, text)
        return self._show(settled(text, self.stop))

    def last(self, drawn: list[int]) -> str:
        """What is new when these tokens are all."""
        return self._show(before_stop(self._whole(drawn), self.stop))

    def stops(self, drawn: list[int]) -> int | None:
        """The fewest of these tokens whose text has a stop string: more than those that had none in the call before."""
        has = lambda text: any(one in text for one in self.stop)
        if not has(text := self._whole(drawn)):
            self._move(drawn, text)
            self._searched = len(drawn)
            return None
        return next(n for n in range(self._searched + 1, len(drawn) + 1) if has(self._whole(drawn[:n])))

    def _whole(self, drawn: list[int]) -> str:
        """The text of these tokens, of which the first ones are known already, and decoded no more."""
        given, text = self._behind(self._window, drawn[self._known :])
        if len(drawn) >= self._known and text.startswith(given):
            return self._text + text[len(given) :]
        given, text = self._behind(self._context, drawn)
        return text[len(given) :]

    def _behind(self, before: list[int], tokens: list[int]) -> tuple[str, str]:
        """The text of some tokens, and that of these with more behind them."""
        return self._decode(before).rstrip(BROKEN), self._decode(before + tokens)

    def _move(self, drawn: list[int], text: str) -> None:
        """Takes the last tokens as what the next ones are decoded behind, where they say by themselves what they say.

        So they do not where they are bytes of half a character, parts of a word, or no text at all.
        """
        last = drawn[self._known :]
        if len(last) >= CONTEXT and not text.endswith(BROKEN) and (own := self._decode(last)) and text.endswith(own):
            self._window, self._known, self._text = last, len(drawn), text

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
