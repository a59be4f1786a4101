"""Model compression: a smaller model of a trained one, as maps over its spec and its parameters.

    magnitude_scores, saliency_scores, scores_spec       what weights are worth
    prune, prune_n_of_m -> masks                         which are left; masked(p, masks), movement_masked
    one_shot_sparsity, iterative_sparsity, cubic_sparsity    how many, by the step
    gradual_pruning, keep_pruned                         within an optimizer
    channel_norms, top_channels, channel_masks           whole channels, by the names of axes
    remove_channels, low_rank -> p, spec                 smaller arrays that the same functions read
    share_weights, with_shared                           a few values for all weights of a leaf
    storage, huffman_bits                                what that takes on a disk

Every tree is of the weights that it is about, and of nothing else: masks, scores, codes and centroids are saved, given
(`ctx.given`), remembered (`ctx.memory`) and laid out over devices as parameters are. What a student learns of a teacher
is a loss (`jnn.losses`); weights as integers are made elsewhere.
"""

from jnn.compression._channel_sets import Channels, Flat
from jnn.compression._channels import channel_masks, channel_norms, top_channels
from jnn.compression._low_rank import low_rank, low_rank_spec
from jnn.compression._masks import Masks, masked, prune, prune_n_of_m, sparsity
from jnn.compression._movement import movement_masked
from jnn.compression._remove import remove_channels
from jnn.compression._schedules import Sparsity, cubic_sparsity, iterative_sparsity, one_shot_sparsity
from jnn.compression._scores import Scores, magnitude_scores, saliency_scores, scores_spec
from jnn.compression._shared import share_weights, with_shared
from jnn.compression._storage import Storage, huffman_bits, storage
from jnn.compression._transformations import PruningState, gradual_pruning, keep_pruned

__all__ = [
    "Channels",
    "Flat",
    "Masks",
    "PruningState",
    "Scores",
    "Sparsity",
    "Storage",
    "channel_masks",
    "channel_norms",
    "cubic_sparsity",
    "gradual_pruning",
    "huffman_bits",
    "iterative_sparsity",
    "keep_pruned",
    "low_rank",
    "low_rank_spec",
    "magnitude_scores",
    "masked",
    "movement_masked",
    "one_shot_sparsity",
    "prune",
    "prune_n_of_m",
    "remove_channels",
    "saliency_scores",
    "scores_spec",
    "share_weights",
    "sparsity",
    "storage",
    "top_channels",
    "with_shared",
]
