"""Law 7 of losses: values in float32 at least, and float64 stays float64. Nothing is compiled for it."""

import jax
import jax.numpy as jnp
import pytest

from jnn import losses
from jnn.laws import LAWS, Block
from tests.table import objectives
from tests.table.objectives import labelled
from tests.table.rows import Loss, pair

# of families that have another row in the table
MORE = [
    Loss("nt_xent", losses.nt_xent, pair(5, 3)),
    Loss("siglip_loss", lambda x, y: losses.siglip_loss(x, y, 5.0, -2.0), pair(5, 3)),
    Loss("supervised_contrastive_loss", losses.supervised_contrastive_loss, labelled(2, 5, 3)),
    Loss("circle_loss", losses.circle_loss, labelled(2, 5, 3)),
    Loss("cosine_embedding_loss", lambda x, y: losses.cosine_embedding_loss(x, x, y), labelled(2, 4, 3)),
    Loss("multi_label_margin_loss", lambda x, y: losses.multi_label_margin_loss(x[:, 0], y), labelled(2, 4, 1)),
    Loss("multi_margin_loss", losses.multi_margin_loss, labelled(3, 4, 3)),
    Loss("n_pairs_loss", losses.n_pairs_loss, pair(5, 3)),
    Loss("semi_hard_triplet_loss", losses.semi_hard_triplet_loss, labelled(2, 5, 3)),
    Loss("barlow_twins", losses.barlow_twins, pair(5, 3)),
    Loss("negative_cosine", losses.negative_cosine, pair(4)),
    Loss("update_center", lambda x, y: losses.update_center(y[0], x), pair(5, 3)),
    Loss("cosface", lambda x, y: losses.cosface(x, x, y), labelled(3, 4, 3)),
    Loss("sphereface", lambda x, y: losses.sphereface(x, x, y), labelled(3, 4, 3)),
    Loss("center_loss", lambda x, y: losses.center_loss(x, x, y), labelled(3, 4, 3)),
    Loss("update_centers", lambda x, y: losses.update_centers(x, x, y), labelled(3, 4, 3)),
    Loss("attention_transfer_loss", losses.attention_transfer_loss, pair(2, 3, 4)),
    Loss("hint_loss", losses.hint_loss, pair(4)),
    Loss("denoising_loss", lambda x, y: losses.denoising_loss(x, x, y, abs(x[0]), predict="v"), pair(5, 5)),
    Loss("flow_matching_loss", lambda x, y: losses.flow_matching_loss(x, y, x, y[0]), pair(5, 5)),
    Loss("hinge_discriminator_loss", losses.hinge_discriminator_loss, pair(4)),
    Loss("r1_penalty", lambda x, y: losses.r1_penalty(lambda x: (x * y).sum(-1), x), pair(5, 3)),
    Loss("ewc_penalty", lambda x, y: losses.ewc_penalty({"w": x}, {"w": y}, {"w": abs(y)}), pair(4)),
    Loss("kto_loss", lambda x, y: losses.kto_loss(x, y, y, 0.1), pair(4)),
    Loss("orpo_loss", losses.orpo_loss, pair(4)),
    Loss("clipped_value_loss", lambda x, y: losses.clipped_value_loss(x, y, y), pair(4)),
    Loss("vtrace", lambda x, y: losses.vtrace(y[:-1], y[:-1], x, x[:-1])[0], pair(4)),
    Loss("td_loss", lambda x, y: losses.td_loss(x, y, x, y), pair(4)),
    Loss("categorical_projection", lambda x, y: losses.categorical_projection(x, x, y), pair(4)),
]


@pytest.mark.parametrize("row", [*objectives.LOSSES, *MORE], ids=lambda row: row.name)
def test_values_are_in_float32_at_least_and_in_float64_of_it(row):
    block = Block(row.name, {}, lambda params, *inputs, key: jax.vmap(row.apply)(*inputs), row.example)
    LAWS["float64 stays float64"](block)
    narrow = lambda x: jnp.bfloat16 if x.dtype == jnp.float32 else x.dtype
    inputs = [jax.ShapeDtypeStruct(x.shape[1:], narrow(x)) for x in block.inputs(1)]
    assert jax.eval_shape(row.apply, *inputs).dtype == jnp.float32
