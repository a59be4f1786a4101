"""Experiments: one script each, a lab notebook that reads from top to bottom. Nothing imports this room."""

from experiments import huge_pages

huge_pages.ask()  # before an experiment imports what would have to be imported again
