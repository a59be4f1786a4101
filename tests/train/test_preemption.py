"""SIGTERM: heard while one listens, then as it was before."""

import os
import signal

import pytest

from jnn.train.preemption import Preempted, Preemption


def test_a_signal_sets_the_flag_and_nothing_else():
    before = signal.getsignal(signal.SIGTERM)
    with Preemption() as preemption:
        assert not preemption.reached(1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert preemption.reached(2)
        assert preemption.reached(3)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_exit_code_is_the_shells():
    with pytest.raises(SystemExit) as error:
        raise Preempted(12)
    assert error.value.code == 143
    assert "step 12, which is saved" in str(error.value)
