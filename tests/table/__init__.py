"""One row per block and loss: `laws.py` runs every law over every row; a new block joins by adding a row."""

<<<<<<< HEAD
from tests.table import layers, losses, models, more_losses, objectives

BLOCKS = [*layers.BLOCKS, *models.BLOCKS]
LOSSES = [*losses.LOSSES, *objectives.LOSSES, *more_losses.LOSSES]
=======
from tests.table import layers, losses, models, vision

BLOCKS = [*layers.BLOCKS, *models.BLOCKS, *vision.BLOCKS]
LOSSES = losses.LOSSES
>>>>>>> cdeff42 (Layers for images: shapes, resizing, gates, pyramids, deformable and recurrent convolution, norms and noise)
