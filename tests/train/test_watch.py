"""Who watches sees every step, whoever's loop makes it and in whichever thread, until the end of watching."""

import threading

import jax
import pytest

import jnn
from jnn.data import Batches
from jnn.train import create_state, digest, fit, make_step, watch
from tests.train import tiny


@pytest.fixture
def seen():
    """Steps, each with what its batch was."""
    steps = {}
    end = watch(lambda step, batch: steps.update({step: digest(batch)}))
    yield steps
    end()


def train(batches, steps=3):
    state = create_state(jnn.init(tiny.SPEC, jax.random.key(0)), tiny.OPTIMIZER)
    fit(make_step(tiny.loss, tiny.OPTIMIZER, jax.random.key(1)), state, batches, steps=steps, every=steps)


def test_a_run_in_another_thread_is_watched_too(seen):
    """A process has one launcher, which was told of by its main thread."""
    batches = Batches(tiny.arrays(), 8, seed=0)
    thread = threading.Thread(target=train, args=(batches,))
    thread.start()
    thread.join()
    assert seen == {step: digest(batches[step]) for step in range(3)}


def test_nothing_is_told_after_the_end():
    steps = []
    end = watch(lambda step, batch: steps.append(step))
    jnn.train.tell(7, {})
    end()
    jnn.train.tell(8, {})
    assert steps == [7]
