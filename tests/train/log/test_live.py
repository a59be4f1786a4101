"""The live page: what it answers, what it refuses, and how it is served."""

import html
import http.client
import json
import socket
import subprocess
import sys

import pytest

from jnn.train.log.live import main, serve
from tests.train.log import browser
from tests.train.log.browser import HOSTILE, ROWS, Tags, write

page = browser.page


def ask(page, path="/", method="GET", host=None):
    """Status, headers and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port(page), timeout=30)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, body


def port(page):
    return int(page.url.rsplit(":", 1)[1].strip("/"))


def raw(page, request):
    with socket.create_connection(("127.0.0.1", port(page)), timeout=30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def test_two_resources(page):
    status, headers, body = ask(page)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "<title>run</title>" in body
    status, headers, body = ask(page, "/rows.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    (run,) = json.loads(body)["runs"]
    assert run["curves"]["val/loss"] == [0, [[[row["step"], row["val/loss"]]] for row in ROWS]]


def test_an_answer_to_a_token_is_what_is_new(page, tmp_path):
    token = json.loads(ask(page, "/rows.json")[2])["token"]
    answer = json.loads(ask(page, f"/rows.json?since={token}")[2])
    assert (answer["whole"], answer["runs"]) == (False, [])
    write(tmp_path / "run", [{"step": 50, "train/loss": 0.2}])
    (run,) = json.loads(ask(page, f"/rows.json?since={answer['token']}")[2])["runs"]
    assert run["curves"] == {"train/loss": [4, [[[50, 0.2]]]]}
    assert json.loads(ask(page, "/rows.json?since=ffff.7")[2])["whole"]


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics.jsonl", "/../metrics.jsonl", "/%2e%2e/metrics.jsonl", "/run", "/live.js", "//etc/passwd"),
        *("/rows.json/", "/rows.json?x", "/?", "*", "http://127.0.0.1/"),
        *("/rows.json?since=", "/rows.json?since=../..", "/rows.json?since=ff.1&x", "/rows.json?since=ff.%31"),
        "/rows.json?since=ff." + "1" * 99,
    ],
)
def test_no_other_path_is_answered(page, path):
    assert ask(page, path)[0] == 404


@pytest.mark.parametrize(
    "method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "NONSENSE"]
)
def test_it_can_only_be_read(page, method):
    status, headers, body = ask(page, "/rows.json", method)
    assert (status, headers["Allow"]) == (405, "GET")
    assert "loss" not in body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:8000", "127.0.0.1:65535"])
def test_names_of_this_machine_are_answered(page, host):
    assert ask(page, host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "127.0.0.2", "[::1]"),
        *("localhost:80:80", "127.0.0.1:", ""),
    ],
)
@pytest.mark.parametrize("path", ["/", "/rows.json"])
def test_other_names_are_refused(page, host, path):
    status, _, body = ask(page, path, host=host)
    assert status == 403
    assert "loss" not in body


def test_no_host_or_two_are_refused(page):
    assert " 403 " in raw(page, b"GET / HTTP/1.1\r\n\r\n")
    assert " 403 " in raw(page, b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")


@pytest.mark.parametrize("request_line", [b"GET", b"\0\xff\r\n", b"GET / HTTP/9.9\r\n", b"GET / / /\r\n", b"A" * 70000])
def test_what_is_no_request_is_an_error_and_the_page_goes_on(page, request_line):
    with socket.create_connection(("127.0.0.1", port(page)), timeout=30) as connection:
        connection.sendall(request_line + b"\r\n\r\n")
    assert ask(page)[0] == 200


def test_it_listens_on_this_machine_alone(page):
    assert page._server.server_address[0] == "127.0.0.1"


def test_the_page_loads_nothing_and_its_policy_forbids_it(page):
    _, headers, body = ask(page)
    found = Tags(body)
    assert not {"link", "img", "iframe", "object", "a", "form"} & set(found.tags)
    assert not {"src", "href", "action", "style"} & found.attributes
    assert "url(" not in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_name_of_a_folder_stays_text(tmp_path):
    (tmp_path / HOSTILE).mkdir()
    with serve(tmp_path / HOSTILE) as page:
        body = ask(page)[2]
    assert Tags(body).tags.count("script") == 1
    assert body.count(html.escape(HOSTILE)) == 2


def test_a_closed_page_answers_no_more(tmp_path):
    with serve(tmp_path) as page:
        pass
    with pytest.raises(ConnectionRefusedError):
        ask(page)


def test_errors_of_serve(tmp_path, page):
    with pytest.raises(NotADirectoryError, match=r"serve: expected the folder of a run .* none at .*nowhere"):
        serve(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"serve: a port lies in 0..65535, .* found 65536"):
        serve(tmp_path, 65536)
    with pytest.raises(ValueError, match="serve: stalled_after must be positive seconds, found 0"):
        serve(tmp_path, stalled_after=0)
    with pytest.raises(OSError, match=rf"serve: cannot listen on port {port(page)} .* Try another, or 0"):
        serve(tmp_path, port(page))


def test_the_command_line_names_its_errors(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "nowhere")])
    assert "expected the folder of a run" in capsys.readouterr().err


def test_the_command_line_serves_until_it_is_ended(tmp_path):
    write(tmp_path, ROWS)
    command = [sys.executable, "-m", "jnn.train.log.live", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        number = int(line.split("127.0.0.1:")[1].split("/")[0])
        connection = http.client.HTTPConnection("127.0.0.1", number, timeout=30)
        connection.request("GET", "/rows.json")
        assert json.loads(connection.getresponse().read())["runs"][0]["step"] == 40
        connection.close()
        process.terminate()
