"""The web server's resources, as an ASGI application: what uvicorn, or another such server, runs.

    POST /v1/chat/completions  /v1/completions        as OpenAI's API has them
    GET  /v1/models  /health  /metrics
    GET  /                                            a page to chat on

Laws: whoever goes away before the end has their request cancelled; every answer that is none is a `Problem`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from jnn.optional import optional
from jnn.serving._request import RequestOutput
from jnn.serving._service import QueueFull, Service, ServiceClosed
from jnn.serving.http._answer import Left, answer, within
from jnn.serving.http._gate import check_gate
from jnn.serving.http._limits import Limits
from jnn.serving.http._page import page
from jnn.serving.http._parsed_request import ParsedRequest, ServedModel, read_chat, read_completion
from jnn.serving.http._problem import Problem
from jnn.serving.http._reply import ChatReply, CompletionReply, Reply

Asgi = Callable[[Any, Any, Any], Any]


def application(service: Service, talk: ServedModel, limits: Limits, *, token: str | None = None) -> Asgi:
    """OpenAI-compatible application: Starlette's, behind a gate.

    Args:
      service: what draws the texts; it is closed with the application.
      talk: what is known of the model.
      limits: what one client may ask for.
      token: what a client has to name; without one, only clients of this machine are answered.
    """
    routing = optional("starlette.routing", "serve")
    responses = optional("starlette.responses", "serve")
    applications = optional("starlette.applications", "serve")
    html, headers = page(talk.name, chats=talk.template is not None)

    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": talk.name, "object": "model", "created": 0, "owned_by": "jnn"}]}

    def health() -> dict[str, Any]:
        if service.failure is not None:
            raise Problem(503, "The engine failed; start the server again.", code="failed")
        return {"status": "ok", "open": service.open}

    routes = [
        routing.Route("/", _get(lambda: responses.HTMLResponse(html, headers=headers))),
        routing.Route("/health", _get(lambda: responses.JSONResponse(health()))),
        routing.Route("/metrics", _get(lambda: responses.PlainTextResponse(service.meter.text()))),
        routing.Route("/v1/models", _get(lambda: responses.JSONResponse(models()))),
        routing.Route("/v1/chat/completions", _Answered(_Draw(service, talk, limits, read_chat, ChatReply))),
        routing.Route("/v1/completions", _Answered(_Draw(service, talk, limits, read_completion, CompletionReply))),
    ]
    return _Gate(applications.Starlette(routes=routes), service, limits, token)


def _get(make: Callable[[], Any]) -> Asgi:
    """A resource that is only read."""

    async def resource(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(405, f"{scope['path']} can only be read: GET.")
        await make()(scope, receive, send)

    return _Answered(resource)


class _Answered:
    """An application whose problems are answers. A function would be taken for one of a Starlette request."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except Problem as problem:
            response = optional("starlette.responses", "serve").JSONResponse
            await response(problem.body, problem.status, problem.headers)(scope, receive, send)


class _Gate:
    """Everything that is asked goes through here."""

    def __init__(self, app: Asgi, service: Service, limits: Limits, token: str | None) -> None:
        self._app, self._service, self._limits, self._token = app, service, limits, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            with contextlib.suppress(Left):
                await _Answered(self._checked)(scope, receive, within(send, self._limits.arrival))

    async def _checked(self, scope: Any, receive: Any, send: Any) -> None:
        check_gate(scope, self._token)
        if scope["path"] not in PATHS:
            raise Problem(404, f"There is no {scope['path']} here. There is {', '.join(PATHS)}.")
        await self._app(scope, receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(self._service.close)
        await send({"type": "lifespan.shutdown.complete"})


PATHS = ("/", "/health", "/metrics", "/v1/models", "/v1/chat/completions", "/v1/completions")


class _Draw:
    """A resource that draws texts."""

    def __init__(
        self,
        service: Service,
        talk: ServedModel,
        limits: Limits,
        read: Callable[[Any, ServedModel, Limits], ParsedRequest],
        reply: Callable[[ParsedRequest, ServedModel], Reply],
    ) -> None:
        self._service, self._talk, self._limits, self._read, self._reply = service, talk, limits, read, reply

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] != "POST":
            raise Problem(405, f"{scope['path']} is asked by POST.")
        body = await _body(receive, self._limits)
        if body is None:
            return
        wanted = await asyncio.to_thread(lambda: self._read(_parsed(body), self._talk, self._limits))
        news: asyncio.Queue[RequestOutput] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(one: RequestOutput) -> None:
            with contextlib.suppress(RuntimeError):  # of a loop that has ended: nobody is left to be told
                loop.call_soon_threadsafe(news.put_nowait, one)

        try:
            request = await asyncio.to_thread(self._service.submit, wanted.ask, tell)  # its key is the device's to make
        except ValueError as error:
            raise Problem(400, str(error)) from error
        except QueueFull as error:
            raise Problem(429, str(error), code="queue_full") from error
        except ServiceClosed as error:
            raise Problem(503, str(error), code="closing") from error
        try:
            await answer(self._reply(wanted, self._talk), request, news, receive, send, self._limits)
        finally:
            self._service.cancel(request)


async def _body(receive: Any, limits: Limits) -> bytes | None:
    """What was sent; None where the client is gone."""
    body = b""
    try:
        async with asyncio.timeout(limits.arrival):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > limits.body:
                    raise Problem(413, f"The request has more than {limits.body} bytes. Send a shorter one.")
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        raise Problem(408, f"The request did not arrive within {limits.arrival:.0f} s.") from None


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"Expected JSON: {error}.") from error
