"""The outputs of one request on their way to a client, until the text or the client is at its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from jnn.serving._request import RequestOutput
from jnn.serving.http._limits import Limits
from jnn.serving.http._reply import Reply, failure

EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


async def answer(reply: Reply, news: asyncio.Queue[RequestOutput], receive: Any, send: Any, limits: Limits) -> None:
    """Answers, and returns early where the client has gone."""
    gone: asyncio.Future[Any] = asyncio.ensure_future(_gone(receive))
    try:
        await (_events if reply.wanted.stream else _whole)(reply, _until_end(news, gone), _Sender(send, limits))
    except _Left:
        pass
    finally:
        gone.cancel()


class _Left(Exception):
    """The client is not there any more."""


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_end(news: asyncio.Queue[RequestOutput], gone: asyncio.Future[Any]) -> AsyncIterator[RequestOutput]:
    outcome = None
    while outcome is None:
        coming: asyncio.Future[Any] = asyncio.ensure_future(news.get())
        try:
            await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise _Left
        finally:
            coming.cancel()  # nothing, where it has come
        outcome = coming.result().outcome
        yield coming.result()


class _Sender:
    """Sends, and takes a client that reads nothing for one that has gone."""

    def __init__(self, send: Any, limits: Limits) -> None:
        self._send, self._limits = send, limits

    async def start(self, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def body(self, content: str, *, more: bool) -> None:
        message = {"type": "http.response.body", "body": content.encode(errors="replace"), "more_body": more}
        try:
            await asyncio.wait_for(self._send(message), self._limits.arrival)
        except (TimeoutError, OSError):
            raise _Left from None


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
