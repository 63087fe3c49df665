"""Encoders and decoders for images of any height, width and number of channels."""

from aejax._extras import require_flax

require_flax()

from aejax.networks.architectures import ARCHITECTURES, build, default_architecture
from aejax.networks.celeb_a import CelebADecoder, CelebAEncoder
from aejax.networks.cifar10 import CIFAR10Decoder, CIFAR10Encoder
from aejax.networks.conv_net import ConvolutionalDecoder, ConvolutionalEncoder
from aejax.networks.linear import LinearDecoder, LinearEncoder
from aejax.networks.mlp import MLPDecoder, MLPEncoder

__all__ = [
  "ARCHITECTURES",
  "CIFAR10Decoder",
  "CIFAR10Encoder",
  "CelebADecoder",
  "CelebAEncoder",
  "ConvolutionalDecoder",
  "ConvolutionalEncoder",
  "LinearDecoder",
  "LinearEncoder",
  "MLPDecoder",
  "MLPEncoder",
  "build",
  "default_architecture",
]
