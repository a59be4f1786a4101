"""Functions of jnn, or of your own that call them, written out as one file of plain JAX that needs no jnn.

    python -m jnn.eject jnn.models.transformer --backend gpu > transformer.py
    eject("jnn.models.transformer", "my.module:loss") -> text

Laws: initial values, outputs and gradients of the file are those of jnn; it imports nothing of jnn; what is not reached
is not in it. What does not live here: programs without their source, and of other libraries (`jnn.export`).
"""

from jnn.eject._eject import eject
from jnn.eject._write import formatted

__all__ = ["eject", "formatted"]
