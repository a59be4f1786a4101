"""One row per block and loss: `laws.py` runs every law over every row; a new block joins by adding a row."""

from tests.table import layers, losses, models, zoo

BLOCKS = [*layers.BLOCKS, *models.BLOCKS, *zoo.BLOCKS]
LOSSES = losses.LOSSES
