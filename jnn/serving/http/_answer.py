"""The outputs of one request on their way to a client, until the text or the client is at its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from jnn.serving._request import Request, RequestOutput
from jnn.serving.http._limits import Limits
from jnn.serving.http._reply import Reply, failure

EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
OVERDUE = 5.0  # seconds beyond its own that a request is given: the engine tells of its end between calls of the device
JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


async def answer(
    reply: Reply, request: Request, news: asyncio.Queue[RequestOutput], receive: Any, send: Any, limits: Limits
) -> None:
    """Answers, and returns early where the client has gone."""
    gone: asyncio.Future[Any] = asyncio.ensure_future(_gone(receive))
    until = asyncio.get_running_loop().time() + limits.seconds + OVERDUE
    try:
        coming = _until_end(request, news, gone, until)
        await (_events if reply.wanted.stream else _whole)(reply, coming, _Sender(send))
    except Left:
        pass
    finally:
        gone.cancel()


class Left(Exception):
    """The client is not there any more."""


def within(send: Any, seconds: float) -> Any:
    """What sends, and takes a client that reads nothing for so long for one that has gone."""

    async def sent(message: dict[str, Any]) -> None:
        try:
            await asyncio.wait_for(send(message), seconds)
        except (TimeoutError, OSError):
            raise Left from None

    return sent


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_end(
    request: Request, news: asyncio.Queue[RequestOutput], gone: asyncio.Future[Any], until: float
) -> AsyncIterator[RequestOutput]:
    """What is told of a request up to its outcome, which is a time-out where nothing is told of it any more."""
    now, outcome = asyncio.get_running_loop().time, None
    while outcome is None:
        coming: asyncio.Future[Any] = asyncio.ensure_future(news.get())
        try:
            await asyncio.wait({coming, gone}, timeout=until - now(), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise Left
            one = coming.result() if coming.done() else RequestOutput(request, outcome="timeout")
        finally:
            coming.cancel()  # nothing, where it has come
        outcome = one.outcome
        yield one


class _Sender:
    """A response's messages."""

    def __init__(self, send: Any) -> None:
        self._send = send

    async def start(self, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def body(self, content: str, *, more: bool) -> None:
        message = {"type": "http.response.body", "body": content.encode(errors="replace"), "more_body": more}
        await self._send(message)


async def _whole(reply: Reply, news: AsyncIterator[RequestOutput], sender: _Sender) -> None:
    all_news = [one async for one in news]
    if (problem := failure(all_news[-1])) is not None:
        raise problem
    await sender.start(JSON)
    await sender.body(json.dumps(reply.all(all_news)), more=False)


async def _events(reply: Reply, news: AsyncIterator[RequestOutput], sender: _Sender) -> None:
    """As server-sent events; what goes wrong in mid-stream is one of them."""
    event = lambda content: sender.body(f"data: {json.dumps(content)}\n\n", more=True)
    await sender.start(EVENTS)
    for content in reply.begin():
        await event(content)
    async for one in news:
        if (problem := failure(one)) is not None:
            await event(problem.body)
        elif one.text or one.outcome is not None or reply.wanted.logprobs:
            await event(reply.chunk(one))
    if failure(one) is None:
        for content in reply.last(one.request):
            await event(content)
    await sender.body("data: [DONE]\n\n", more=False)
