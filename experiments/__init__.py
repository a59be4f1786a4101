"""Experiments: one script each, a lab notebook that reads from top to bottom. Nothing imports this room."""

from experiments.huge_pages import ask

ask()
