"""TCN, WaveNet and PixelCNN against torch; which inputs an output depends on, by gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

import jnn
from jnn.layers import conv_spec
from jnn.models import masked_conv, pixelcnn, pixelcnn_spec, tcn, tcn_spec, wavenet, wavenet_spec
from jnn.parity import check
from tests.models.images import images


class Causal(nn.Conv1d):
    """Of (b, t, c), by zeros before the first step."""

    def forward(self, x):
        before = self.dilation[0] * (self.kernel_size[0] - 1)
        return super().forward(nn.functional.pad(x.mT, (before, 0))).mT


class TorchTCN(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda a, b, d: nn.ModuleDict(
            {"conv1": Causal(a, b, 3, dilation=d), "conv2": Causal(b, b, 3, dilation=d)}
            | ({"shortcut": Causal(a, b, 1)} if a != b else {})
        )
        self.block1, self.block2 = block(2, 4, 1), block(4, 4, 2)

    def forward(self, x):
        for p in (self.block1, self.block2):
            h = torch.relu(p["conv2"](torch.relu(p["conv1"](x))))
            x = torch.relu(h + (p["shortcut"](x) if "shortcut" in p else x))
        return x


class TorchWaveNet(nn.Module):
    def __init__(self):
        super().__init__()
        layer = lambda d: nn.ModuleDict(
            {"filter": Causal(3, 3, 2, dilation=d), "gate": Causal(3, 3, 2, dilation=d)}
            | {"residual": nn.Linear(3, 3), "skip": nn.Linear(3, 4)}
        )
        cycle = lambda: nn.ModuleDict({"layer1": layer(1), "layer2": layer(2)})
        self.embed, self.cycles = nn.Embedding(5, 3), nn.Sequential(cycle(), cycle())
        self.head, self.out = nn.Linear(4, 4), nn.Linear(4, 5)

    def forward(self, samples):
        x, total = self.embed(samples), 0
        for cycle in self.cycles:
            for p in cycle.values():
                h = torch.tanh(p["filter"](x)) * torch.sigmoid(p["gate"](x))
                x, total = x + p["residual"](h), total + p["skip"](h)
        return self.out(torch.relu(self.head(torch.relu(total))))


@pytest.mark.slow
def test_sequences_match_torch():
    check(lambda p, x: tcn(p, x, key=None), tcn_spec(2, (4, 4)), TorchTCN(), images(2, 9, 2))
    # what the last residual map adds goes nowhere, so it has no gradient on either side
    spec = wavenet_spec(5, cycles=2, layers=2, width=3, skip=4)
    samples = np.random.default_rng(0).integers(0, 5, (2, 9))
    check(wavenet, spec, TorchWaveNet(), samples, names={"cycles/*": "cycles.{i}.*"})


class Masked(nn.Conv2d):
    """Of (b, c, y, x), its weights hidden one by one: of two channels or one."""

    def __init__(self, c_in, c_out, k, kind, channels):
        super().__init__(c_in, c_out, k, padding=k // 2)
        seen = torch.zeros(c_out, c_in, k, k)
        for o, i, y, x in np.ndindex(*seen.shape):
            at, of = (y - k // 2, x - k // 2), (i * channels // c_in, o * channels // c_out)
            seen[o, i, y, x] = at < (0, 0) or (at == (0, 0) and (of[0] < of[1] or (kind == "B" and of[0] == of[1])))
        self.register_buffer("seen", seen, persistent=False)

    def forward(self, x):
        return nn.functional.conv2d(x, self.weight * self.seen, self.bias, padding=self.padding)


class TorchPixelCNN(nn.Module):
    def __init__(self):
        super().__init__()
        maps = lambda a, b, k, kind="B": Masked(a, b, k, kind, 2)
        block = lambda: nn.ModuleDict({"narrow": maps(8, 4, 1), "conv": maps(4, 4, 3), "widen": maps(4, 8, 1)})
        self.stem, self.blocks = maps(2, 8, 5, "A"), nn.Sequential(block(), block())
        self.head, self.out = maps(8, 8, 1), maps(8, 6, 1)

    def forward(self, x):
        h = self.stem(x.movedim(-1, 1))
        for p in self.blocks:
            h = h + p["widen"](torch.relu(p["conv"](torch.relu(p["narrow"](torch.relu(h))))))
        h = self.out(torch.relu(self.head(torch.relu(h)))).movedim(1, -1)
        return h.reshape(*h.shape[:-1], 2, 3)


@pytest.mark.slow
def test_pixelcnn_matches_torch():
    spec = pixelcnn_spec(2, 3, width=4, layers=2, kernel=5)
    check(pixelcnn, spec, TorchPixelCNN(), images(2, 5, 6, 2), names={"blocks/*": "blocks.{i}.*"})


@pytest.mark.slow
def test_a_pixels_channel_depends_on_those_before_it_and_on_no_other():
    shape = (4, 5, 3)
    p = jax.tree.map(jnp.abs, jnn.init(pixelcnn_spec(3, 2, width=6, layers=4, kernel=3), jax.random.key(0)))
    of_each = jax.jit(jax.jacobian(lambda x: pixelcnn(p, x).sum(-1).ravel()))(jnp.ones(shape)).reshape(60, 60)
    sees = np.asarray(of_each) != 0
    assert not np.triu(sees).any()
    assert sees[59, :4].all()  # the last one of all sees the first, and more
    nearest = np.arange(1, 60) % 15 != 0  # in its row, the one before
    assert sees[np.arange(1, 60), np.arange(59)][nearest].all()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "reach"), [("tcn", 1 + 2 * 2 * 3), ("wavenet", 1 + 2 * 3)])
def test_the_past_reaches_as_far_as_dilations_add_up(model, reach):
    if model == "tcn":
        p = jax.tree.map(jnp.abs, jnn.init(tcn_spec(1, (2, 2)), jax.random.key(0)))
        jacobian = jax.jacobian(lambda x: tcn(p, x[:, None], key=None)[-1].sum())(jnp.ones(20))
        assert np.flatnonzero(np.asarray(jacobian)).tolist() == list(range(20 - reach, 20))
    else:
        p = jnn.init(wavenet_spec(3, cycles=2, layers=2, width=4, skip=4), jax.random.key(0))
        p = jax.tree.map(lambda x: x + 0.1, p)
        one = np.zeros(20, np.int32)
        last = jax.jit(jax.vmap(lambda i: wavenet(p, jnp.asarray(one).at[i].set(1))[-1]))(np.arange(20))
        changed = np.abs(np.asarray(last) - np.asarray(wavenet(p, jnp.asarray(one))[-1])).max(-1) > 1e-7
        assert np.flatnonzero(changed).tolist() == list(range(20 - reach, 20))


def test_bad_input_is_one_clear_error():
    with pytest.raises(ValueError, match=r"pixelcnn_spec: 3 channels do not divide width=128"):
        pixelcnn_spec(3, 256)
    with pytest.raises(ValueError, match=r"masked_conv: expected kind \"A\" or \"B\", found 'C'"):
        masked_conv(jnn.param.abstract(conv_spec(1, 1, (3, 3))), jnp.ones((2, 2, 1)), "C")
