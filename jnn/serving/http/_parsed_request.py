"""What the fields of a request say: read strictly, so that nothing that was asked for is silently left out.

wanted = read_chat(body, talk, limits) or read_completion(body, talk, limits)
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jnn.generation import Sampling, Tokenizer, chat_tokens
from jnn.serving._request import GenerationRequest
from jnn.serving.http._limits import Limits
from jnn.serving.http._problem import Problem, wrong

# said by clients, and of no consequence for a text
ABOUT = ("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
# fields that mean nothing at these values, and are not known at others
ONLY: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "tools": ([],),
    "tool_choice": ("none",),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "logit_bias": ({},),
    "top_logprobs": (0,),
}
SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
BOTH = ("model", "max_tokens", "stop", "seed", "stream", "stream_options", "logprobs", *SAMPLING)
ROLES = ("system", "developer", "user", "assistant")
STOPS, STOP = 16, 256  # strings, and letters of each


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """Served model: what a server knows of it.

    Attributes:
      name: by which clients ask for it.
      tokenizer: text to tokens, and back.
      template: what puts the messages of a chat into words; raises ValueError where it cannot. None for no chats.
      ends: the tokens that end a text.
      longest: how many tokens a request may have.
    """

    name: str
    tokenizer: Tokenizer
    template: Callable[[Sequence[Mapping[str, str]]], str] | None
    ends: frozenset[int]
    longest: int


@dataclasses.dataclass(frozen=True)
class ParsedRequest:
    """Parsed request: what is to be drawn, and how it is to be told."""

    ask: GenerationRequest
    stream: bool
    usage: bool
    logprobs: bool


def read_chat(body: Any, talk: ServedModel, limits: Limits) -> ParsedRequest:
    """What `/v1/chat/completions` is asked."""
    fields = _fields(body, talk, "messages", "max_completion_tokens")
    if talk.template is None:
        raise Problem(400, f"{talk.name} has no chat template. Ask for /v1/completions.")
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "a list with at least one message", messages)
    read = [_message(one, i) for i, one in enumerate(messages)]
    _check_text("".join(one["content"] for one in read))
    try:
        tokens = tuple(chat_tokens(read, talk.template, talk.tokenizer))
    except ValueError as error:
        raise Problem(400, f"messages: the model's template refuses them: {error}", param="messages") from error
    logprobs = _flag(fields, "logprobs")
    name = "max_completion_tokens" if fields.get("max_completion_tokens") is not None else "max_tokens"
    return _wanted(fields, talk, limits, tokens, name, limits.tokens, logprobs)


def read_completion(body: Any, talk: ServedModel, limits: Limits) -> ParsedRequest:
    """What `/v1/completions` is asked."""
    fields = _fields(body, talk, "prompt")
    prompt, logprobs = fields.get("prompt"), fields.get("logprobs")
    if isinstance(prompt, list) and len(prompt) == 1 and not _is_whole(prompt[0]):
        prompt = prompt[0]
    if isinstance(prompt, str):
        _check_text(prompt)
        try:
            tokens = tuple(talk.tokenizer.encode(prompt, add_special_tokens=True).ids)
        except ValueError as error:  # of one of characters, which knows those that it was made of
            raise Problem(400, f"prompt: {error}", param="prompt") from error
    elif isinstance(prompt, list) and all(map(_is_whole, prompt)):
        tokens = tuple(prompt)
    else:
        raise wrong("prompt", "one text, or a list of the tokens of one", prompt)
    if logprobs not in (None, 0, False) or logprobs is True:
        raise wrong("logprobs", "0, for those of the tokens that are drawn, or none", logprobs)
    return _wanted(fields, talk, limits, tokens, "max_tokens", 16, logprobs is not None and logprobs is not False)


def _fields(body: Any, talk: ServedModel, *own: str) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Problem(400, f"Expected a JSON object, found {type(body).__name__}.")
    for name, value in body.items():
        if name in ONLY and value is not None and not any(value is one or value == one for one in ONLY[name]):
            raise wrong(name, f"{ONLY[name][0]!r} or nothing, since no other is supported", value)
        if name not in (*ONLY, *ABOUT, *BOTH, *own):
            raise Problem(400, f"{name}: this field is not supported. Leave it out.", param=name, code="unknown_field")
    if body.get("model") != talk.name:
        message = f"There is no model {body.get('model')!r} here: there is {talk.name!r}."
        raise Problem(404, message, param="model", code="model_not_found")
    return body


def _message(message: Any, at: int) -> dict[str, str]:
    where = f"messages[{at}]"
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise wrong(where, f"a role of {', '.join(ROLES)}, and content", message)
    if more := [name for name, value in message.items() if name not in ("role", "content") and value]:
        text = f"{where}.{more[0]}: this field is not supported. Leave it out."
        raise Problem(400, text, param=where, code="unknown_field")
    content = message.get("content")
    if isinstance(content, list) and all(map(_is_text, content)):
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise wrong(f"{where}.content", "a text, or parts of the type text", message.get("content"))
    return {"role": "system" if message["role"] == "developer" else message["role"], "content": content}


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Problem(400, f"The text has half a character: {error.reason}.") from error


def _wanted(
    fields: dict[str, Any],
    talk: ServedModel,
    limits: Limits,
    prompt: tuple[int, ...],
    limit: str,
    tokens: int,
    logprobs: bool,
) -> ParsedRequest:
    stream, options = _flag(fields, "stream"), fields.get("stream_options")
    if options is not None and (not isinstance(options, dict) or not stream):
        raise wrong("stream_options", "an object, with stream", options)
    room = talk.longest - len(prompt)
    if room < 1:
        message = f"The prompt has {len(prompt)} tokens: expected at most {talk.longest - 1}. Shorten it."
        raise Problem(400, message, code="context_length_exceeded")
    steps = fields.get(limit)
    if steps is not None and (not _is_whole(steps) or steps < 1):
        raise wrong(limit, "a whole number of at least 1", steps)
    if steps is not None and steps > room:
        message = f"{limit}: the prompt of {len(prompt)} tokens leaves room for {room}, found {steps}. Ask for fewer."
        raise Problem(400, message, param=limit, code="context_length_exceeded")
    ask = GenerationRequest(
        prompt,
        min(tokens, room) if steps is None else steps,
        _sampling(fields),
        seed=_seed(fields.get("seed")),
        ends=talk.ends,
        stop=_stop(fields.get("stop")),
        seconds=limits.seconds,
    )
    return ParsedRequest(ask, stream, _flag(options or {}, "include_usage"), logprobs)


def _sampling(fields: dict[str, Any]) -> Sampling:
    presence = _number(fields, "presence_penalty", 0.0, "from -2 to 2", lambda x: -2 <= x <= 2)
    frequency = _number(fields, "frequency_penalty", 0.0, "from -2 to 2", lambda x: -2 <= x <= 2)
    top_p = _number(fields, "top_p", 1.0, "over 0 and at most 1", lambda x: 0 < x <= 1)
    return Sampling(
        _number(fields, "temperature", 1.0, "from 0 to 2", lambda x: 0 <= x <= 2),
        top_p=None if top_p == 1 else top_p,
        presence=presence or None,
        frequency=frequency or None,
    )


def _number(fields: dict[str, Any], name: str, default: float, expected: str, fits: Callable[[float], bool]) -> float:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise wrong(name, f"a number {expected}", value)
    return float(value)


def _flag(fields: dict[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(name, "true or false", value)
    return bool(value)


def _seed(value: Any) -> int:
    if value is None:
        return secrets.randbits(32)
    if not _is_whole(value) or not 0 <= value < 2**32:
        raise wrong("seed", "a whole number of at least 0 and less than 2**32", value)
    return int(value)


def _stop(value: Any) -> tuple[str, ...]:
    some = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(some, list) or len(some) > STOPS:
        raise wrong("stop", f"a text, or up to {STOPS} of them", value)
    if not all(isinstance(one, str) and 0 < len(one) <= STOP for one in some):
        raise wrong("stop", f"texts of 1 to {STOP} letters", value)
    return tuple(some)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
