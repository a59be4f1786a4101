"""EfficientNet-Lite0 in PyTorch, from the same file of weights, on the photographs of `experiments.imagenet_labels`.

Run       python -m experiments.peers.torch_efficientnet [--calls 200] [--threads 1]
Prints    one line of JSON: whether the five likeliest classes of each photograph are jnn's, the largest difference of
          two logits, and the median time of an image by either, in this one process. Needs torch.

Eager and in inference mode, as torch runs it by default; jnn's is jitted, as JAX runs it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from experiments.efficientnet import lite0, photographs, state_dict
from experiments.imagenet_labels import SHOWN, likeliest, milliseconds, network
from experiments.peers.command import data_needed
from jnn.strict_json import dumps

# kernel, widening, channels, blocks and stride of each stage
LITE0 = [
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
]


class Same(nn.Conv2d):
    """TensorFlow's padding: as many outputs as strides fit, the odd zero behind."""

    def forward(self, x: Tensor) -> Tensor:
        short = [
            max((-(-n // s) - 1) * s + k - n, 0)
            for n, k, s in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        ]
        (up, down), (left, right) = ((n // 2, n - n // 2) for n in short)
        return super().forward(pad(x, (left, right, up, down)))


def norm(c: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(c, eps=1e-3)


class MBConv(nn.Module):
    """`x + project(depthwise(expand(x)))`, where a block adds at all."""

    def __init__(self, a: int, b: int, kernel: int, widen: int, stride: int) -> None:
        super().__init__()
        c = a * widen
        if widen > 1:
            self._expand_conv, self._bn0 = Same(a, c, 1, bias=False), norm(c)
        self._depthwise_conv, self._bn1 = Same(c, c, kernel, stride, groups=c, bias=False), norm(c)
        self._project_conv, self._bn2 = Same(c, b, 1, bias=False), norm(b)
        self.skips = stride == 1 and a == b

    def forward(self, x: Tensor) -> Tensor:
        h = relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        h = self._bn2(self._project_conv(relu6(self._bn1(self._depthwise_conv(h)))))
        return x + h if self.skips else h


class EfficientNetLite(nn.Module):
    """Parts named as in the file of weights, but for the blocks, which are counted within their stage."""

    def __init__(
        self, stages: Sequence[tuple[int, int, int, int, int]], classes: int, stem: int = 32, last: int = 1280
    ) -> None:
        super().__init__()
        self._conv_stem, self._bn0, c = Same(3, stem, 3, 2, bias=False), norm(stem), stem
        for i, (kernel, widen, c_out, n, stride) in enumerate(stages, 1):
            first = MBConv(c, c_out, kernel, widen, stride)
            c = c_out
            rest = [MBConv(c, c, kernel, widen, 1) for _ in range(n - 1)]
            self.add_module(f"stage{i}", nn.Sequential(first, *rest))
        self.n = len(stages)
        self._conv_head, self._bn1, self._fc = Same(c, last, 1, bias=False), norm(last), nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = relu6(self._bn0(self._conv_stem(x)))
        for i in range(self.n):
            x = getattr(self, f"stage{i + 1}")(x)
        return self._fc(relu6(self._bn1(self._conv_head(x))).mean((2, 3)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--data-dir")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    module = EfficientNetLite(LITE0, 1000).eval()
    with data_needed():
        module.load_state_dict(state_dict(given.data_dir))
    params, stats = lite0(given.data_dir)
    names, pixels = photographs(SHOWN)
    images = torch.tensor(pixels).permute(0, 3, 1, 2).contiguous()
    with torch.inference_mode():
        theirs = np.concatenate([module(image[None]).numpy() for image in images])
        their_time = milliseconds(lambda: module(images[:1]), given.calls)
    ours = np.concatenate([np.asarray(network(params, stats, x[None])) for x in pixels])
    time = milliseconds(lambda: network(params, stats, pixels[:1]), given.calls)
    found = {
        "photographs": names,
        "top5_as_torch": bool((likeliest(ours) == likeliest(theirs)).all()),
        "largest_difference": float(np.abs(ours - theirs).max()),
        "largest_logit": float(np.abs(theirs).max()),
        "torch_threads": torch.get_num_threads(),
        "milliseconds": round(time, 2),
        "torch_milliseconds": round(their_time, 2),
    }
    print(dumps({"peer": "imagenet_labels"} | found))


if __name__ == "__main__":
    main()
