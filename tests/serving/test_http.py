"""The web server over a real socket: what clients get, what is refused, and what becomes of those who go away."""

import asyncio
import contextlib
import http.client
import json
import re
import socket
import threading
import time

import pytest

from jnn.serving import GenerationRequest, Service
from jnn.serving.http import Limits, ServedModel, application
from tests.serving.small import BYTES, PLAN, alone, engine

uvicorn = pytest.importorskip("uvicorn", reason="pip install jnn[serve]")
LIMITS = Limits(body=4000, tokens=20, seconds=60, arrival=5)
CHAT = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 9}
WORDS = "user: hi\n"
LINE = {"model": "small", "prompt": "abc", "temperature": 0, "max_tokens": 9}


def template(messages):
    if messages[0]["role"] == "assistant":
        raise ValueError("who began?")
    return "".join(f"{one['role']}: {one['content']}\n" for one in messages)


@contextlib.contextmanager
def serving(token=None, limits=LIMITS, queue=4, words=template, ends=frozenset()):
    """A service and its port, until the test ends; no page is lost by then."""
    service = Service(engine(), queue)
    talk = ServedModel("small", BYTES, words, ends, PLAN.longest)
    app = application(service, talk, limits, token=token)
    options = {"log_level": "error", "timeout_graceful_shutdown": 5}
    server = uvicorn.Server(uvicorn.Config(app, ws="none", **options))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield service, listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        assert service.open == 0
        assert service.engine.pool.free + sum(len(r.pages) for r in service.engine.scheduler.running) == PLAN.pages


@pytest.fixture(scope="module")
def port():
    with serving() as (_, port):
        yield port


def call(port, method, path, body=None, **headers):
    """Status, headers and text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body if isinstance(body, bytes) else body and json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def post(port, path, body, **headers):
    status, _, text = call(port, "POST", path, body, **headers)
    return status, json.loads(text)


def events(text):
    found = [one.removeprefix("data: ") for one in text.split("\n\n") if one]
    assert found[-1] == "[DONE]"
    return [json.loads(one) for one in found[:-1]]


def expected(prompt, steps=9):
    from jnn.generation import GREEDY

    ask = GenerationRequest(tuple(prompt.encode()), steps, GREEDY)
    tokens, logs = alone([ask])[ask]
    return BYTES.decode(tokens), logs


def test_a_completion_is_the_text_of_generate(port):
    text, logs = expected("abc")
    status, found = post(port, "/v1/completions", LINE | {"logprobs": 0})
    assert status == 200
    assert found["choices"][0]["text"] == text
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 9
    assert found["choices"][0]["logprobs"]["token_logprobs"] == pytest.approx(logs, abs=1e-4)
    assert post(port, "/v1/completions", LINE | {"prompt": list(b"abc")})[1]["choices"][0]["text"] == text


def test_a_chat_is_the_text_behind_the_words_of_the_template(port):
    text, _ = expected(WORDS)
    status, found = post(port, "/v1/chat/completions", CHAT)
    assert (status, found["object"]) == (200, "chat.completion")
    assert found["choices"][0]["message"] == {"role": "assistant", "content": text, "refusal": None}
    parts = [{"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}]
    assert post(port, "/v1/chat/completions", CHAT | {"messages": parts})[1]["choices"] == found["choices"]


def test_a_stream_is_the_same_text_in_pieces(port):
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}, "logprobs": True}
    status, headers, text = call(port, "POST", "/v1/chat/completions", body)
    assert (status, headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    *chunks, last = events(text)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in chunks) == expected(WORDS)[0]
    assert [one["choices"][0]["finish_reason"] for one in chunks] == [None] * (len(chunks) - 1) + ["length"]
    assert len(chunks) > 2
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], len(WORDS) + 9)
    logs = [one for chunk in chunks[1:] for one in chunk["choices"][0]["logprobs"]["content"]]
    assert len(logs) == 9
    assert all(("\ufffd" in one["token"]) == (one["bytes"] is None) for one in logs)


def test_sampling_is_a_function_of_the_seed_and_stop_strings_end_it(port):
    drawn = LINE | {"temperature": 1.0, "top_p": 0.9, "seed": 3, "max_tokens": 20}
    one, two, other = (post(port, "/v1/completions", drawn | {"seed": seed}) for seed in (3, 3, 4))
    text = one[1]["choices"][0]["text"]
    assert text == two[1]["choices"][0]["text"] != other[1]["choices"][0]["text"]
    cut = next(letter for letter in text[5:] if letter != "\ufffd")
    found = post(port, "/v1/completions", drawn | {"stop": [cut]})[1]["choices"][0]
    assert (found["text"], found["finish_reason"]) == (text[: text.index(cut)], "stop")


def test_what_is_read(port):
    assert json.loads(call(port, "GET", "/v1/models")[2])["data"][0]["id"] == "small"
    assert json.loads(call(port, "GET", "/health")[2])["status"] == "ok"
    metrics = call(port, "GET", "/metrics")[2]
    assert re.search(r'^jnn_requests_total\{outcome="length"\} \d+$', metrics, re.M)
    assert re.search(r"^jnn_first_token_seconds_count \d+$", metrics, re.M)


def test_the_page_is_one_file_that_loads_nothing(port):
    status, headers, text = call(port, "GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert not re.search(r"""(src|href)=|@import|url\(|https?://""", text)


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"model": "other"}, 404, "There is no model 'other' here: there is 'small'."),
        ({"n": 2}, 400, "n: expected 1 or nothing, since no other is supported, found 2."),
        ({"best_off": 2}, 400, "best_off: this field is not supported. Leave it out."),
        ({"tools": [{}]}, 400, "tools: expected"),
        ({"\ud800": 2}, 400, "\\ud800: this field is not supported. Leave it out."),
        ({"messages": []}, 400, "messages: expected a list with at least one message, found []."),
        ({"messages": [{"role": "cat", "content": ""}]}, 400, "messages[0]: expected a role of system"),
        ({"messages": [{"role": "user", "content": 3}]}, 400, "messages[0].content: expected a text"),
        (
            {"messages": [{"role": "user", "content": "x", "name": "bob"}]},
            400,
            "messages[0].name: this field is not supported",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 3}]}]}, 400, "messages[0].content: expec"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "template refuses them: who began?"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, 400, "half a character"),
        ({"messages": [{"role": "user", "content": "x" * 90}]}, 400, "The prompt has 97 tokens: expected at most 63."),
        ({"max_tokens": 60}, 400, "leaves room for 55, found 60"),
        ({"max_tokens": 0}, 400, "max_tokens: expected a whole number of at least 1, found 0."),
        ({"max_tokens": True}, 400, "max_tokens: expected"),
        ({"temperature": 3}, 400, "temperature: expected a number from 0 to 2, found 3."),
        ({"temperature": 10**400}, 400, "temperature: expected a number from 0 to 2"),
        ({"temperature": float("nan")}, 400, "temperature: expected"),
        ({"top_p": 0}, 400, "top_p: expected a number over 0 and at most 1"),
        ({"seed": -1}, 400, "seed: expected"),
        ({"stop": ["a", ""]}, 400, "stop: expected texts of 1 to 256 letters"),
        (
            {"stream": True, "stream_options": {"include_usage": 1}},
            400,
            "include_usage: expected true or false, found 1",
        ),
        ({"stream": "yes"}, 400, "stream: expected true or false, found 'yes'."),
        ({"user": "x" * 4000}, 413, "more than 4000 bytes"),
    ],
)
def test_what_cannot_be_answered_is_one_clear_error(port, change, status, message):
    found, body = post(port, "/v1/chat/completions", CHAT | change)
    assert found == status
    assert message in body["error"]["message"]
    assert body["error"]["type"] == "invalid_request_error"


def test_what_is_no_request_is_one_clear_error(port):
    assert post(port, "/v1/completions", b"{")[0] == 400
    assert post(port, "/v1/completions", b"[" * 3000)[0] == 400
    assert post(port, "/v1/completions", b"[]")[1]["error"]["message"] == "Expected a JSON object, found list."
    assert post(port, "/v1/completions", LINE | {"prompt": ["a", "b"]})[0] == 400
    assert post(port, "/v1/completions", LINE | {"prompt": [1, 300]})[1]["error"]["message"].startswith(
        "The prompt has"
    )
    assert post(port, "/v1/completions", LINE, Content_Type="text/plain")[0] == 415
    assert call(port, "GET", "/v1/completions")[0] == 405
    assert call(port, "POST", "/metrics", {})[0] == 405
    assert call(port, "GET", "/etc/passwd")[0] == 404
    assert call(port, "GET", "/v1/models", Host="evil.example")[0] == 403
    assert call(port, "GET", "/v1/models", Host="127.0.0.1.example")[0] == 403
    assert call(port, "GET", "/v1/models", Host="127.0.0.2:80")[0] == 200


def test_a_token_is_asked_for():
    with serving("secret") as (_, port):
        assert call(port, "GET", "/health")[0] == call(port, "GET", "/", Host="a.name")[0] == 200
        for path in ("/metrics", "/v1/models"):
            status, headers, text = call(port, "GET", path)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert json.loads(text)["error"]["type"] == "authentication_error"
            assert call(port, "GET", path, Authorization="Bearer secres")[0] == 401
            assert call(port, "GET", path, Authorization="Bearer secret", Host="a.name")[0] == 200


def stalled(service):
    """Holds the engine until it is set."""
    gate, step = threading.Event(), service.engine.step
    service.engine.step = lambda: (gate.wait(60), step())[1]
    return gate


def until(true):
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to be")


@pytest.mark.parametrize("stream", [False, True])
def test_who_goes_away_is_cancelled(stream):
    with serving() as (service, port):
        gate = stalled(service)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        body = json.dumps(LINE | {"max_tokens": 50, "stream": stream})
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        until(lambda: service.open == 1)
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        until(lambda: service._unwanted)
        gate.set()
        until(lambda: service.open == 0)
        assert service.meter.outcomes["cancelled"] == 1


def test_a_full_queue_and_a_late_answer_are_said():
    limits = Limits(tokens=20, seconds=0.2)
    with serving(queue=0, limits=limits) as (service, port):
        gate, found = stalled(service), []
        ask = lambda: found.append(post(port, "/v1/completions", LINE))
        threads = [threading.Thread(target=ask) for _ in range(PLAN.rows)]
        for thread in threads:
            thread.start()
        until(lambda: service.open == PLAN.rows)
        status, headers, text = call(port, "POST", "/v1/completions", LINE)
        assert (status, headers["Retry-After"]) == (429, "1")
        assert json.loads(text)["error"]["code"] == "queue_full"
        time.sleep(0.3)
        gate.set()
        for thread in threads:
            thread.join()
        assert [status for status, _ in found] == [504] * PLAN.rows
        assert found[0][1]["error"]["code"] == "timeout"


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_says_nothing_is_a_late_answer(stream, monkeypatch):
    """Such as one that waits for the device: the engine's own clock is looked at between its calls."""
    monkeypatch.setattr("jnn.serving.http._answer.OVERDUE", 0.1)
    with serving(limits=Limits(tokens=20, seconds=0.2)) as (service, port):
        gate = stalled(service)
        status, _, text = call(port, "POST", "/v1/completions", LINE | {"stream": stream})
        found = events(text)[-1] if stream else json.loads(text)
        assert (status, found["error"]["code"]) == (200 if stream else 504, "timeout")
        gate.set()
        until(lambda: service.open == 0)


@pytest.mark.parametrize("path", ["/", "/nowhere", "/v1/completions"])
@pytest.mark.parametrize("kind", ["http.response.start", "http.response.body"])
def test_who_reads_nothing_is_one_who_has_gone(path, kind):
    """From the start of a response on, whatever it is."""
    body = json.dumps(LINE | {"stream": True}).encode()
    messages = [{"type": "http.request", "body": body}]
    sent = []

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message["type"])
        if message["type"] == kind:
            await asyncio.Event().wait()

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "GET" if path == "/" else "POST", "path": path, "headers": headers}
    service = Service(engine(), 4)
    app = application(service, ServedModel("small", BYTES, template, frozenset(), PLAN.longest), Limits(arrival=0.1))
    asyncio.run(asyncio.wait_for(app(scope | {"query_string": b"", "root_path": ""}, receive, send), 20))
    assert sent[-1] == kind
    until(lambda: service.open == 0)
    service.close()


def test_an_engine_that_fails_is_said_in_mid_stream_and_by_health():
    with serving() as (service, port):
        step = service.engine.step
        service.engine.step = lambda: step() if service.engine.drawn_tokens == 0 else 1 / 0
        text = call(port, "POST", "/v1/completions", LINE | {"stream": True})[2]
        assert events(text)[-1]["error"]["type"] == "server_error"
        assert call(port, "GET", "/health")[0] == 503
        assert post(port, "/v1/completions", LINE)[0] == 503


def test_without_a_template_there_are_completions_alone():
    with serving(words=None) as (_, port):
        assert "Ask for /v1/completions" in post(port, "/v1/chat/completions", CHAT)[1]["error"]["message"]
