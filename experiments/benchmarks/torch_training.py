"""The same training in PyTorch, with our layers and weights, and by pythae's trainer."""

import contextlib
import io
import logging
import math
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from aejax.autoencoder import Autoencoder
from benchmarks import torch_formulas as formulas
from benchmarks.environment import num_threads
from benchmarks.peer import optional_import, quiet, torch_device
from benchmarks.training_programs import LEARNING_RATE, Workload

__all__ = [
  "METHODS",
  "PYTHAE_METHODS",
  "PythaeTraining",
  "TorchTraining",
]

# PyTorch is optional, so annotations cannot name its types.
Tensor = Any
Module = Any

METHODS = ("ae", "vae", "wae-mmd", "cwae", "swae")
"""Methods whose published formula is in `torch_formulas`."""

PYTHAE_METHODS = ("wae-mmd",)

_DIRECTIONS = 50
# Steps of an epoch of pythae's trainer, the smallest unit it can be asked for.
_PYTHAE_STEPS = 16


class TorchTraining:
  """A usual PyTorch training loop, on as many threads as ours, or on the same GPU.

  The data stay on the device as uint8, and each step takes its rows. The loss is read back only
  after the last step.

  Attributes:
    num_parameters: number of parameters of the model.
  """

  def __init__(
    self, workload: Workload, method: str, model: Autoencoder, *, torch_compile: bool = False
  ):
    """Copies the weights of a model of ours.

    Args:
      workload: network and data.
      method: one of `METHODS`.
      model: our model for this workload.
      torch_compile: whether to compile the loss with torch.compile and use the fused Adam.
    """
    torch = optional_import("torch")
    torch.set_num_threads(num_threads())
    if torch_compile:
      torch._dynamo.reset()
    self._torch, self._batch_size = torch, workload.batch_size
    device = torch_device()
    self._wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    encoder, decoder = (part.to(device) for part in translate(model))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    self.num_parameters = sum(parameter.numel() for parameter in parameters)
    self._images = torch.tensor(workload.images().transpose(0, 3, 1, 2), device=device)
    self._order = torch.tensor(np.asarray(workload.order()), device=device)
    self._step = 0

    def loss(batch: Tensor) -> Tensor:
      x = batch.float() / 255
      z, penalty = _latents_and_penalty(torch, method, encoder(x))
      return ((x - decoder(z)) ** 2).flatten(1).sum(1).mean() + penalty

    self._loss = torch.compile(loss, dynamic=False) if torch_compile else loss
    self._optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=torch_compile or None)

  def __call__(self, count: int) -> float:
    """Takes `count` steps, and returns the loss of the last."""
    loss = None
    for _ in range(count):
      start = self._step % (len(self._order) // self._batch_size) * self._batch_size
      batch = self._images[self._order[start : start + self._batch_size]]
      self._optimizer.zero_grad()
      loss = self._loss(batch)
      loss.backward()
      self._optimizer.step()
      self._step += 1
    self._wait()
    return math.nan if loss is None else loss.item()


class PythaeTraining:
  """pythae's own trainer, including its data loader.

  Attributes:
    num_parameters: number of parameters of the model.
    steps: number of steps of every call, which is one epoch.
  """

  def __init__(self, workload: Workload, model: Autoencoder):
    """Copies the weights of a model of ours.

    Args:
      workload: network and data.
      model: our model for this workload.
    """
    torch, models, trainers = (
      optional_import(name) for name in ("torch", "pythae.models", "pythae.trainers")
    )
    nn, output = (
      optional_import("pythae.models.nn"),
      optional_import("pythae.models.base.base_utils").ModelOutput,
    )
    logging.getLogger("pythae").setLevel(logging.WARNING)
    logging.getLogger("pythae.trainers.base_trainer.base_trainer").setLevel(logging.WARNING)
    torch.set_num_threads(num_threads())
    inner_encoder, inner_decoder = translate(model)

    class Encoder(nn.BaseEncoder):
      def __init__(self):
        super().__init__()
        self.inner = inner_encoder

      def forward(self, x):
        return output(embedding=self.inner(x))

    class Decoder(nn.BaseDecoder):
      def __init__(self):
        super().__init__()
        self.inner = inner_decoder

      def forward(self, z):
        return output(reconstruction=self.inner(z))

    self.steps = min(_PYTHAE_STEPS, workload.num_images // workload.batch_size)
    images = workload.images()[: self.steps * workload.batch_size].transpose(0, 3, 1, 2)
    pixels = torch.tensor(images.astype(np.float32) / 255)
    config = models.WAE_MMD_Config(
      input_dim=tuple(images.shape[1:]),
      latent_dim=workload.latent_dim,
      kernel_choice="imq",
      reg_weight=1.0,
    )
    theirs = models.WAE_MMD(config, Encoder(), Decoder())
    self.num_parameters = sum(parameter.numel() for parameter in theirs.parameters())
    folder = tempfile.mkdtemp()
    weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
    options = trainers.BaseTrainerConfig(
      output_dir=folder,
      per_device_train_batch_size=workload.batch_size,
      learning_rate=LEARNING_RATE,
      num_epochs=1,
      no_cuda=torch_device() == "cpu",
    )
    dataset = optional_import("pythae.data.datasets").BaseDataset(pixels, torch.zeros(len(pixels)))
    with _silence():
      self._trainer = trainers.BaseTrainer(theirs, dataset, training_config=options)
      self._trainer.prepare_training()

  def __call__(self, count: int) -> float:
    """Trains one epoch for any `count`, and returns the mean loss."""
    del count
    with _silence(), quiet():
      loss = self._trainer.train_step(1)
      self._trainer.callback_handler.on_epoch_end(training_config=self._trainer.training_config)
    return float(loss)


def translate(model: Autoencoder) -> tuple[Module, Module]:
  """Returns encoder and decoder as PyTorch modules with copies of our weights, channels first."""
  encoder: Any = model.encoder
  decoder: Any = model.decoder
  nn = optional_import("torch").nn
  if not hasattr(encoder, "convolutions"):
    hidden = [part for layer in encoder.hidden for part in (_linear(layer), nn.ReLU())]
    back = [part for layer in decoder.hidden for part in (_linear(layer), nn.ReLU())]
    height, width, channels = decoder.image_shape
    return (
      nn.Sequential(nn.Flatten(), *hidden, _linear(encoder.latents.linear)),
      nn.Sequential(
        *back, _linear(decoder.to_pixels), nn.Sigmoid(), nn.Unflatten(1, (channels, height, width))
      ),
    )
  height, width, channels = shape = decoder.map_shape
  down = [part for layer in encoder.convolutions for part in (_conv(layer), nn.ReLU())]
  up = [part for layer in decoder.convolutions for part in (nn.ReLU(), _conv_transpose(layer))]
  return (
    nn.Sequential(
      *down,
      nn.Flatten(),
      _linear(encoder.hidden, inputs=shape),
      nn.ReLU(),
      _linear(encoder.latents.linear),
    ),
    nn.Sequential(
      _linear(decoder.hidden),
      nn.ReLU(),
      _linear(decoder.map, outputs=shape),
      nn.Unflatten(1, (channels, height, width)),
      *up,
      nn.Sigmoid(),
    ),
  )


def _latents_and_penalty(torch: Any, method: str, encoded: Tensor) -> tuple[Tensor, Any]:
  """Returns latents and penalty, with weight 1 as in our default."""
  if method == "vae":
    mean, log_variance = encoded.chunk(2, dim=1)
    noise = torch.randn_like(mean)
    penalty = formulas.kl_divergence(mean, log_variance)
    return mean + (log_variance / 2).exp() * noise, penalty
  z = encoded
  if method == "ae":
    return z, 0.0
  if method == "cwae":
    # The formula lacks the factor 1/(2√π).
    return z, torch.log(formulas.cramer_wold(z) / (2 * math.sqrt(math.pi)) + 1e-7)
  prior = torch.randn_like(z)
  if method == "wae-mmd":
    return z, formulas.mmd_imq(z, prior)
  if method != "swae":
    raise ValueError(f"There is no PyTorch formula for the method {method!r}.")
  directions = torch.nn.functional.normalize(
    torch.randn(_DIRECTIONS, z.shape[1], device=z.device), dim=1
  )
  return z, formulas.sliced_wasserstein(z, prior, directions)


def _linear(layer: Any, *, inputs: Any = None, outputs: Any = None) -> Module:
  """Returns a fully connected layer.

  Args:
    layer: our layer.
    inputs: shape of the images that are its inputs, whose channels PyTorch has first.
    outputs: shape of the images that are its outputs.
  """
  kernel, bias = np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])
  if inputs is not None:
    kernel = kernel.reshape(*inputs, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
  if outputs is not None:
    kernel = kernel.reshape(-1, *outputs).transpose(0, 3, 1, 2).reshape(kernel.shape)
    bias = bias.reshape(outputs).transpose(2, 0, 1).reshape(-1)
  nn = optional_import("torch").nn
  return _with_weights(nn.Linear(*kernel.shape), kernel.T, bias)


def _conv(layer: Any) -> Module:
  kernel = np.asarray(layer.kernel[...])
  side, _, before, after = kernel.shape
  made = optional_import("torch").nn.Conv2d(before, after, side, layer.stride, padding=1)
  return _with_weights(made, kernel.transpose(3, 2, 0, 1), layer.bias[...])


def _conv_transpose(layer: Any) -> Module:
  kernel = np.asarray(layer.kernel[...])
  side, _, before, after = kernel.shape
  made = optional_import("torch").nn.ConvTranspose2d(before, after, side, layer.stride, padding=1)
  return _with_weights(made, kernel[::-1, ::-1].transpose(2, 3, 0, 1), layer.bias[...])


def _with_weights(module: Module, weight: np.ndarray, bias: Any) -> Module:
  torch = optional_import("torch")
  with torch.no_grad():
    module.weight.copy_(torch.tensor(np.ascontiguousarray(weight)))
    module.bias.copy_(torch.tensor(np.asarray(bias)))
  return module


@contextlib.contextmanager
def _silence() -> Iterator[None]:
  """Discards progress bars and messages."""
  with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
    yield
