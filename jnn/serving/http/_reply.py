"""What is told of a request, as OpenAI's clients read it: whole, or in chunks."""

from __future__ import annotations

import abc
import secrets
import time
from collections.abc import Sequence
from typing import Any

from jnn.serving._request import Request, RequestOutput
from jnn.serving.http._parsed_request import ParsedRequest, ServedModel
from jnn.serving.http._problem import Problem


class Reply(abc.ABC):
    """The answer to one request; what differs between chats and completions is below."""

    whole: str
    part: str
    prefix: str

    def __init__(self, wanted: ParsedRequest, talk: ServedModel) -> None:
        self.wanted, self._talk, self._offset = wanted, talk, 0
        self._id, self._created = f"{self.prefix}-{secrets.token_hex(12)}", int(time.time())

    def all(self, news: Sequence[RequestOutput]) -> dict[str, Any]:
        """The whole answer."""
        request = news[-1].request
        text = "".join(one.text for one in news)
        choice = self.choice(text) | {"logprobs": self._logprobs(request.drawn, request.log_probs)}
        return self._envelope(self.whole, choice, finish(news[-1])) | {"usage": usage(request)}

    def begin(self) -> list[dict[str, Any]]:
        """The chunks before there is a text."""
        return []

    def chunk(self, news: RequestOutput) -> dict[str, Any]:
        """What is new of the answer."""
        choice = self.delta(news.text) | {"logprobs": self._logprobs(news.tokens, news.log_probs)}
        return self._envelope(self.part, choice, finish(news))

    def last(self, request: Request) -> list[dict[str, Any]]:
        """The chunks behind the text."""
        bare = self._envelope(self.part, {}, None)
        return [bare | {"choices": [], "usage": usage(request)}] if self.wanted.usage else []

    def _envelope(self, kind: str, choice: dict[str, Any], reason: str | None) -> dict[str, Any]:
        choices = [{"index": 0, "finish_reason": reason} | choice]
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._talk.name,
            "choices": choices,
        }

    def _logprobs(self, tokens: Sequence[int], log_probs: Sequence[float]) -> dict[str, Any] | None:
        if not self.wanted.logprobs:
            return None
        return self.logprobs([self._talk.tokenizer.decode([token]) for token in tokens], log_probs)

    @abc.abstractmethod
    def choice(self, text: str) -> dict[str, Any]:
        """A whole text."""

    @abc.abstractmethod
    def delta(self, text: str) -> dict[str, Any]:
        """A piece of a text."""

    @abc.abstractmethod
    def logprobs(self, texts: Sequence[str], log_probs: Sequence[float]) -> dict[str, Any]:
        """Of tokens with these texts."""


class ChatReply(Reply):
    """Of `/v1/chat/completions`."""

    whole, part, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def begin(self) -> list[dict[str, Any]]:
        return [self._envelope(self.part, {"delta": {"role": "assistant", "content": ""}}, None)]

    def choice(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def delta(self, text: str) -> dict[str, Any]:
        return {"delta": {"content": text} if text else {}}

    def logprobs(self, texts: Sequence[str], log_probs: Sequence[float]) -> dict[str, Any]:
        each = [
            {"token": text, "logprob": log, "bytes": _bytes(text), "top_logprobs": []}
            for text, log in zip(texts, log_probs, strict=True)
        ]
        return {"content": each, "refusal": None}


def _bytes(text: str) -> list[int] | None:
    """Of a token; None where it is a part of a character, whose bytes its text does not tell."""
    return None if "\ufffd" in text else list(text.encode())


class CompletionReply(Reply):
    """Of `/v1/completions`."""

    whole, part, prefix = "text_completion", "text_completion", "cmpl"

    def choice(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def delta(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def logprobs(self, texts: Sequence[str], log_probs: Sequence[float]) -> dict[str, Any]:
        offsets = []
        for text in texts:
            offsets.append(self._offset)
            self._offset += len(text)
        return {"tokens": texts, "token_logprobs": log_probs, "top_logprobs": None, "text_offset": offsets}


def finish(news: RequestOutput) -> str | None:
    """Why a text has ended, or None."""
    return news.outcome if news.outcome in ("stop", "length") else None


def usage(request: Request) -> dict[str, Any]:
    """How many tokens it took."""
    given, drawn = len(request.ask.prompt), len(request.drawn)
    return {
        "prompt_tokens": given,
        "completion_tokens": drawn,
        "total_tokens": given + drawn,
        "prompt_tokens_details": {"cached_tokens": request.cached or 0},
    }


def failure(news: RequestOutput) -> Problem | None:
    """Why there is no whole text, if there is none."""
    seconds = news.request.ask.seconds
    problems = {
        "timeout": Problem(
            504, f"The text was not complete after {seconds:.0f} s. Ask for fewer tokens.", code="timeout"
        ),
        "cancelled": Problem(503, "The server is closing.", code="closing"),
        "failed": Problem(500, "The model's logits are NaN, or the engine failed.", code="failed"),
    }
    return problems.get(str(news.outcome))
