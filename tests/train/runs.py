"""What goes wrong in runs of the tiny model, and what they are evaluated by."""

import numpy as np

from jnn.data import Batches
from jnn.metrics import Mean


class Poisoned(Batches):
    """Batches with a NaN in row 5 of step 12's x."""

    def stack(self, step, k):
        batch = super().stack(step, k)
        for i in range(k):
            if step + i == 12:
                batch["x"][i, 5, 2] = np.nan
        return batch


def noisy_evaluation(state):
    """A validation loss that is least at step 30."""
    return {"loss": Mean(abs(int(state.step) - 30.0), 1.0)}
