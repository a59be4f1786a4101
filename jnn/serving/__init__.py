"""Serving: many requests for text at a time, drawn together from one model, that come and go while others are drawn.

What is here: pages of a cache that requests share, a scheduler that admits, preempts and retires them, the engine that
draws their texts, and a service that runs it in a thread. How one text is drawn is `jnn.generation`'s; what a request
looks like on the wire, and the web server, are in `jnn.serving.http`.
"""

from jnn.serving._engine import Engine
from jnn.serving._engine_config import EngineConfig
from jnn.serving._meter import Meter
from jnn.serving._pages import PagePool
from jnn.serving._request import GenerationRequest, Outcome, Request, RequestOutput
from jnn.serving._scheduler import Scheduler
from jnn.serving._service import QueueFull, Service, ServiceClosed

__all__ = [
    "Engine",
    "EngineConfig",
    "GenerationRequest",
    "Meter",
    "Outcome",
    "PagePool",
    "QueueFull",
    "Request",
    "RequestOutput",
    "Scheduler",
    "Service",
    "ServiceClosed",
]
