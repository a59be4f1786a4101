"""Augmentation on the device: a batch and a key in, a batch out. One concept a file.

What lives here are pure functions of arrays and a key, for images `b y x c` (geometry, colours, blur, erasing,
RandAugment, AugMix, mixing) and images with boxes, audio (`b t` and `b t f`) and token ids (`b t`). What does not:
anything that reads files, holds state, or knows a model.

Laws: `key=None` is no noise; the same key gives the same result; dtype in = dtype out; a row's draw
depends on the key and its place in the batch, not on the batch's size or its other rows (with JAX's
default, counter-based generator); integers are exact over their range: what blends them takes 8 or 16 bits and refuses
more, since float32 would round them. Only `mixup`, `cutmix` and `mosaic` let rows see each other.

Call it inside the loss, where the step has folded the key: then it is resumed with it, too. Colours
are uint8 in 0..255 or floating point in [0, 1]: augment before you standardise.
"""

from jnn.data.augment._affine import random_affine, random_rotate
from jnn.data.augment._audio import add_noise, spec_augment, time_shift
from jnn.data.augment._augmix import augmix
from jnn.data.augment._blur import adjust_sharpness, gaussian_blur, random_blur
from jnn.data.augment._boxes import mosaic, random_flip_with_boxes, random_resized_crop_with_boxes
from jnn.data.augment._clahe import clahe
from jnn.data.augment._color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    color_jitter,
    grayscale,
)
from jnn.data.augment._crop import random_crop, random_resized_crop
from jnn.data.augment._elastic import random_elastic
from jnn.data.augment._erase import cutout, random_erasing
from jnn.data.augment._flip import random_flip
from jnn.data.augment._masking import Masked, mask_spans, mask_tokens
from jnn.data.augment._mix import cutmix, mixup
from jnn.data.augment._perspective import perspective_matrix, random_perspective
from jnn.data.augment._pixels import sometimes
from jnn.data.augment._rand_augment import rand_augment
from jnn.data.augment._text import replace_tokens, word_dropout
from jnn.data.augment._tone import autocontrast, equalize, invert, posterize, solarize
from jnn.data.augment._warp import affine_matrix, warp

__all__ = [
    "Masked",
    "add_noise",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine_matrix",
    "augmix",
    "autocontrast",
    "clahe",
    "color_jitter",
    "cutmix",
    "cutout",
    "equalize",
    "gaussian_blur",
    "grayscale",
    "invert",
    "mask_spans",
    "mask_tokens",
    "mixup",
    "mosaic",
    "perspective_matrix",
    "posterize",
    "rand_augment",
    "random_affine",
    "random_blur",
    "random_crop",
    "random_elastic",
    "random_erasing",
    "random_flip",
    "random_flip_with_boxes",
    "random_perspective",
    "random_resized_crop",
    "random_resized_crop_with_boxes",
    "random_rotate",
    "replace_tokens",
    "solarize",
    "sometimes",
    "spec_augment",
    "time_shift",
    "warp",
    "word_dropout",
]
