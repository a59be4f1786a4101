"""Models: one architecture a file, made of layers; a `*_spec` beside a function, one storey up."""

from jnn.models._arrange import Arrange, Branch, Norm, parallel, post_norm, pre_norm, sandwich_norm
from jnn.models._autoencoder import autoencoder, autoencoder_spec, reparametrize, vae, vae_spec
from jnn.models._cached_transformer import cached_transformer, transformer_cache
from jnn.models._capsnet import capsnet, capsnet_reconstruct, capsnet_spec
from jnn.models._cnn import cnn, cnn_spec
from jnn.models._conv_norm import batch_stats_spec, conv_norm, conv_norm_spec
from jnn.models._convnext import CONVNEXTS, convnext, convnext_spec
from jnn.models._dcgan import dcgan_discriminator, dcgan_discriminator_spec, dcgan_generator, dcgan_generator_spec
from jnn.models._densenet import DENSENETS, densenet, densenet_spec
from jnn.models._diffusion_unet import diffusion_unet, diffusion_unet_spec, time_embedding
from jnn.models._efficientnet import EFFICIENTNETS, efficientnet, efficientnet_spec
from jnn.models._efficientnet_lite import EFFICIENTNET_LITES, efficientnet_lite, efficientnet_lite_spec
from jnn.models._efficientnet_v2 import EFFICIENTNET_V2S, efficientnet_v2, efficientnet_v2_spec
from jnn.models._few_shot import prototypes, prototypical_logits, siamese, siamese_spec
from jnn.models._generate import generate
from jnn.models._gpt2 import gpt2_from_hf
from jnn.models._graph_classifier import graph_classifier, graph_classifier_spec, node_classifier, node_classifier_spec
from jnn.models._inception_resnet import inception_resnet, inception_resnet_spec
from jnn.models._inception_v3 import inception_v3, inception_v3_spec
from jnn.models._inverted_residual import inverted_residual, inverted_residual_spec
from jnn.models._lenet import lenet5, lenet5_spec
from jnn.models._mlp import mlp, mlp_spec
from jnn.models._mlp_mixer import MLP_MIXERS, mlp_mixer, mlp_mixer_spec
from jnn.models._mobilenet_v1 import mobilenet, mobilenet_spec
from jnn.models._mobilenet_v2 import mobilenet_v2, mobilenet_v2_spec
from jnn.models._mobilenet_v3 import (
    MOBILENET_V3_LARGE,
    MOBILENET_V3_SMALL,
    MobileBlock,
    mobilenet_v3,
    mobilenet_v3_spec,
)
from jnn.models._perceptron import perceptron, perceptron_fit, perceptron_spec
from jnn.models._pixelcnn import masked_conv, pixelcnn, pixelcnn_spec
from jnn.models._preactivation_resnet import preactivation_resnet, preactivation_resnet_spec
from jnn.models._recurrent import last_state, mean_state, recurrent_classifier, recurrent_classifier_spec
from jnn.models._resnet import RESNETS, TORCHVISION_RESNET, resnet, resnet_spec
from jnn.models._seq2seq import seq2seq, seq2seq_decode, seq2seq_spec
from jnn.models._tcn import tcn, tcn_spec
from jnn.models._transformer import transformer, transformer_spec
from jnn.models._transformer_block import cached_block, transformer_block, transformer_block_spec
from jnn.models._unet import unet, unet_spec
from jnn.models._vgg import VGGS, alexnet, alexnet_spec, vgg, vgg_spec
from jnn.models._vit import TORCHVISION_VIT, VITS, vit, vit_spec
from jnn.models._wavenet import wavenet, wavenet_spec
from jnn.models._xception import xception, xception_spec
from jnn.models.decoders import (
    DecoderConfig,
    LinearScaling,
    Llama3Scaling,
    YarnScaling,
    cached_decoder,
    decoder,
    decoder_cache,
    decoder_from_hf,
    decoder_spec,
    gemma2_from_hf,
    gemma_from_hf,
    llama_from_hf,
    mistral_from_hf,
    phi3_from_hf,
    qwen2_from_hf,
    qwen3_from_hf,
)
from jnn.models.encoders import (
    EncoderConfig,
    bert_from_hf,
    distilbert_from_hf,
    encoder,
    encoder_from_hf,
    encoder_spec,
    masked_language_model,
    masked_language_model_spec,
    mean_pool,
    pooler,
    pooler_spec,
    roberta_from_hf,
    sequence_classifier,
    sequence_classifier_spec,
    token_classifier,
    token_classifier_spec,
)

__all__ = [
    "CONVNEXTS",
    "DENSENETS",
    "EFFICIENTNETS",
    "EFFICIENTNET_LITES",
    "EFFICIENTNET_V2S",
    "MLP_MIXERS",
    "MOBILENET_V3_LARGE",
    "MOBILENET_V3_SMALL",
    "RESNETS",
    "TORCHVISION_RESNET",
    "TORCHVISION_VIT",
    "VGGS",
    "VITS",
    "Arrange",
    "Branch",
    "DecoderConfig",
    "EncoderConfig",
    "LinearScaling",
    "Llama3Scaling",
    "MobileBlock",
    "Norm",
    "YarnScaling",
    "alexnet",
    "alexnet_spec",
    "autoencoder",
    "autoencoder_spec",
    "batch_stats_spec",
    "bert_from_hf",
    "cached_block",
    "cached_decoder",
    "cached_transformer",
    "capsnet",
    "capsnet_reconstruct",
    "capsnet_spec",
    "cnn",
    "cnn_spec",
    "conv_norm",
    "conv_norm_spec",
    "convnext",
    "convnext_spec",
    "dcgan_discriminator",
    "dcgan_discriminator_spec",
    "dcgan_generator",
    "dcgan_generator_spec",
    "decoder",
    "decoder_cache",
    "decoder_from_hf",
    "decoder_spec",
    "densenet",
    "densenet_spec",
    "diffusion_unet",
    "diffusion_unet_spec",
    "distilbert_from_hf",
    "efficientnet",
    "efficientnet_lite",
    "efficientnet_lite_spec",
    "efficientnet_spec",
    "efficientnet_v2",
    "efficientnet_v2_spec",
    "encoder",
    "encoder_from_hf",
    "encoder_spec",
    "gemma2_from_hf",
    "gemma_from_hf",
    "generate",
    "gpt2_from_hf",
    "graph_classifier",
    "graph_classifier_spec",
    "inception_resnet",
    "inception_resnet_spec",
    "inception_v3",
    "inception_v3_spec",
    "inverted_residual",
    "inverted_residual_spec",
    "last_state",
    "lenet5",
    "lenet5_spec",
    "llama_from_hf",
    "masked_conv",
    "masked_language_model",
    "masked_language_model_spec",
    "mean_pool",
    "mean_state",
    "mistral_from_hf",
    "mlp",
    "mlp_mixer",
    "mlp_mixer_spec",
    "mlp_spec",
    "mobilenet",
    "mobilenet_spec",
    "mobilenet_v2",
    "mobilenet_v2_spec",
    "mobilenet_v3",
    "mobilenet_v3_spec",
    "node_classifier",
    "node_classifier_spec",
    "parallel",
    "perceptron",
    "perceptron_fit",
    "perceptron_spec",
    "phi3_from_hf",
    "pixelcnn",
    "pixelcnn_spec",
    "pooler",
    "pooler_spec",
    "post_norm",
    "pre_norm",
    "preactivation_resnet",
    "preactivation_resnet_spec",
    "prototypes",
    "prototypical_logits",
    "qwen2_from_hf",
    "qwen3_from_hf",
    "recurrent_classifier",
    "recurrent_classifier_spec",
    "reparametrize",
    "resnet",
    "resnet_spec",
    "roberta_from_hf",
    "sandwich_norm",
    "seq2seq",
    "seq2seq_decode",
    "seq2seq_spec",
    "sequence_classifier",
    "sequence_classifier_spec",
    "siamese",
    "siamese_spec",
    "tcn",
    "tcn_spec",
    "time_embedding",
    "token_classifier",
    "token_classifier_spec",
    "transformer",
    "transformer_block",
    "transformer_block_spec",
    "transformer_cache",
    "transformer_spec",
    "unet",
    "unet_spec",
    "vae",
    "vae_spec",
    "vgg",
    "vgg_spec",
    "vit",
    "vit_spec",
    "wavenet",
    "wavenet_spec",
    "xception",
    "xception_spec",
]
