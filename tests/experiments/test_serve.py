"""How a server is started: who may ask it, what is missing, what its model's template says. See tests/serving."""

import socket

import pytest

from experiments import serve
from experiments.published import Published
from experiments.serve import Config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"weights": "nowhere"}, "nowhere is not there"),
        ({"weights": "x", "host": "0.0.0.0"}, "--host 0.0.0.0: others than this machine can ask there. Give them a"),
        ({"weights": "x", "host": "::"}, "--host ::: others than this machine"),
        ({"weights": "x", "host": "a.name"}, "--host a.name: others than this machine"),
        ({"weights": "x", "token": " "}, "--token: expected a text that is not empty"),
        ({"weights": "x", "port": 70000}, "--port: expected a port from 0 to 65535"),
        ({"weights": "x", "longest": 1}, "--longest: expected a whole number of at least 2"),
    ],
)
def test_what_makes_no_sense_is_one_error(config, message, capsys):
    pytest.importorskip("uvicorn", reason="pip install jnn[serve]")
    with pytest.raises(SystemExit):
        serve.main(Config(**config))
    assert message in capsys.readouterr().err


def test_this_machine_needs_no_token():
    assert all(map(serve.loopback, ("127.0.0.1", "127.0.0.2", "::1", "localhost")))
    assert not any(map(serve.loopback, ("0.0.0.0", "192.168.0.1", "::", "example.org")))


def test_a_port_that_is_taken_is_one_error(capsys):
    with serve.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert serve.url(taken) == f"http://127.0.0.1:{port}/"
        with pytest.raises(SystemExit):
            serve.listen("127.0.0.1", port)
    assert f"--port {port}: cannot listen there" in capsys.readouterr().err
    assert isinstance(taken, socket.socket)


def test_a_template_says_what_it_refuses_and_need_not_be_there():
    pytest.importorskip("jinja2", reason="pip install jnn[text]")
    of = lambda source: serve.words(Published("x", None, None, None, source=source))
    assert of(None) is None
    source = "{% if messages|length > 1 %}{{ raise_exception('one at a time') }}{% endif %}{{ messages[0].content }}"
    words = of(source)
    assert words([{"role": "user", "content": "hi"}]) == "hi"
    with pytest.raises(ValueError, match="one at a time"):
        words([{}, {}])
    assert (
        of("{% for m in messages %}{{ m.content }}{% break %}{% endfor %}")(
            [{"content": "first"}, {"content": "second"}]
        )
        == "first"
    )
    with pytest.raises(ValueError, match="can only concatenate str"):
        of("{{ messages[0].content + 1 }}")([{"content": "a"}])
