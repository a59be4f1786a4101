"""The service: requests from many threads, a bounded queue, and an end for everybody."""

import queue
import threading

import pytest

from jnn.generation import GREEDY
from jnn.serving import GenerationRequest, QueueFull, Service, ServiceClosed
from tests.serving.small import PLAN, alone, asks, engine

LONG = GenerationRequest((1, 2, 3), 60, GREEDY)


def until_end(told):
    """RequestOutput up to an outcome."""
    while True:
        yield (news := told.get(timeout=60))
        if news.outcome is not None:
            return


def test_requests_of_many_threads_get_each_its_text():
    some, found = list(asks(24, seed=4)), {}

    def ask_one(service, ask):
        told = queue.Queue()
        service.submit(ask, told.put)
        found[ask] = [token for news in until_end(told) for token in news.tokens]

    with Service(engine(), queue=24) as service:
        threads = [threading.Thread(target=ask_one, args=(service, ask)) for ask in some]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (service.open, service.engine.pool.free) == (0, PLAN.pages)
        assert 'jnn_requests_total{outcome="length"} 24' in service.meter.text()
    assert {ask: found[ask] for ask in some} == {ask: tokens for ask, (tokens, _) in alone(some).items()}


def test_a_full_queue_refuses_and_a_cancelled_request_makes_room():
    told = queue.Queue()
    with Service(engine(), queue=1) as service:
        step, gate = service.engine.step, threading.Event()
        service.engine.step = lambda: (gate.wait(), step())[1]
        requests = [service.submit(LONG, told.put) for _ in range(PLAN.rows + 1)]
        with pytest.raises(QueueFull, match="5 requests are being served or wait already"):
            service.submit(LONG, told.put)
        service.cancel(requests[0])
        gate.set()
        ends = {}
        while len(ends) < len(requests):
            news = told.get(timeout=60)
            ends |= {news.request: news.outcome} if news.outcome else {}
        assert ends.pop(requests[0]) == "cancelled"
        assert set(ends.values()) == {"length"}
        assert "jnn_refused_total 1" in service.meter.text()


def test_whoever_waits_is_told_when_the_service_is_closed():
    told = queue.Queue()
    service = Service(engine(), queue=9)
    for _ in range(9):
        service.submit(LONG, told.put)
    service.close()
    outcomes = [news.outcome for news in told.queue if news.outcome is not None]
    assert len(outcomes) == 9
    assert "cancelled" in outcomes
    with pytest.raises(ServiceClosed, match="closing"):
        service.submit(LONG, told.put)


def test_an_engine_that_fails_says_so_to_all():
    told = queue.Queue()

    def broken():
        raise RuntimeError("no memory")

    with Service(engine(), queue=9) as service:
        service.engine.step = broken
        service.submit(LONG, told.put)
        assert [news.outcome for news in until_end(told)] == ["failed"]
        with pytest.raises(ServiceClosed, match="no memory"):
            service.submit(LONG, told.put)


def test_whoever_is_told_and_fails_keeps_nobody_from_an_end():
    told = queue.Queue()

    def broken(news):
        raise OSError("no disk")

    with Service(engine(), queue=9) as service:
        step, begun, gate = service.engine.step, threading.Event(), threading.Event()
        service.engine.step = lambda: (begun.set(), gate.wait(), step())[2]
        short = GenerationRequest((1,), 1, GREEDY)
        service.submit(short, told.put)
        begun.wait()
        for tell in (broken, told.put):  # the first one holds the step, and these share the next
            service.submit(short, tell)
        gate.set()
        assert [(news.outcome, len(news.tokens)) for _ in range(2) for news in until_end(told)] == [("length", 1)] * 2
        while service.open:
            threading.Event().wait(0.01)
        with pytest.raises(ServiceClosed, match="no disk"):
            service.submit(short, told.put)


def test_news_are_of_their_moment_however_late_they_are_read():
    told = queue.Queue()
    with Service(engine(), queue=9) as service:
        service.submit(LONG, told.put)
        while service.open:
            threading.Event().wait(0.01)
    news = list(until_end(told))
    assert len([token for one in news for token in one.tokens]) == 60
    assert [one.outcome for one in news] == [None] * 19 + ["length"]
