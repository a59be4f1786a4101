"""One row per block and loss: `laws.py` runs every law over every row; a new block joins by adding a row."""

from tests.table import layers, losses, models, more_losses, objectives, zoo

BLOCKS = [*layers.BLOCKS, *models.BLOCKS, *zoo.BLOCKS]
LOSSES = [*losses.LOSSES, *objectives.LOSSES, *more_losses.LOSSES]
