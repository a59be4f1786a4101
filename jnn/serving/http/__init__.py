"""Serving over HTTP: an application that OpenAI's clients can talk to, and a page that a person can.

What is here: how requests and answers look on the wire, who may ask, and what is refused. What draws the texts is
`jnn.serving`'s; which model is served, and at which address, is said by who starts a server: `experiments.serve`.
Starlette, and a server such as uvicorn to run the application, come with `pip install 'jnn[serve]'`.
"""

from jnn.serving.http._app import application
from jnn.serving.http._limits import Limits
from jnn.serving.http._parsed_request import ServedModel
from jnn.serving.http._problem import Problem

__all__ = ["Limits", "Problem", "ServedModel", "application"]
