"""The options that a user gives to train a run."""

import dataclasses
from pathlib import Path
from typing import Literal

__all__ = [
  "GIVEN",
  "OPTIMIZERS",
  "Callback",
  "Optimizer",
  "Options",
  "Placement",
  "Precision",
  "Schedule",
]

Schedule = Literal["constant", "cosine"]
Precision = Literal["float32", "highest", "bfloat16"]
Placement = Literal["resident", "stream"]
Callback = Literal["tensorboard", "wandb"]
Optimizer = Literal["adam", "adamw", "lion", "sgd"]

OPTIMIZERS = {"adam": 0.0, "adamw": 1e-4, "lion": 1e-3, "sgd": 0.0}
"""Optimizers by name, with their default weight decay, which is optax's."""

GIVEN = "given"
"""What config.json has in place of a network, an optimizer or data that were given as objects."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How to train; an option left out has the published setting for the data set, or else ours.

  Attributes:
    dataset: digits (the default), mnist, fashion_mnist, cifar10 or celeb_a; or the path of an .npy
      or .npz file, or of a folder of images.
    workdir: work directory, for everything that the run writes. Default: runs/METHOD-DATASET.
    resume: continue the run in workdir from its last checkpoint; with more epochs it gets longer.
    data_dir: folder with the original files of the data set, if they are on disk already.
    image_size: height and width in pixels to which the images are resized and centre-cropped.
    standardise: subtract the mean of each feature or channel and divide by its standard deviation,
      both of the training set; results have the units of the data again. Default: if the data are
      vectors, signals or volumes with values outside [0, 1].
    data: where the training data lie: resident in the memory of the devices; or stream, on disk or
      in host memory, from where the rows of many steps are sent at a time. The numbers are the
      same. Default: resident if they fit.
    flip: flip each image horizontally with probability 1/2, anew in each epoch.
    network: linear, mlp, convolutional, cifar10 or celeb_a, or package.module:function for your own
      (see networks.build). Default: the paper's for the data set, or else one that suits the shape
      of the data.
    latent_dim: dimension of the latents.
    prior: distribution that the latents are matched to, and that samples come from: normal, sphere,
      ball, cube, or mixture:K with K components; see objectives.named_prior.
    epochs: number of passes over the training set.
    batch_size: number of images in a step. A distance sees the whole batch. Default: 128, halved
      while an epoch has fewer than eight steps, but at least 16.
    accumulate: number of parts in which the networks process each batch, one after the other. More
      parts need less memory; the distance is still that of the whole batch, and so is the gradient.
    optimizer: adam, adamw, lion, or sgd with momentum 0.9.
    learning_rate: learning rate of the optimizer.
    schedule: learning rate over the run: constant, or falling to zero along a cosine.
    warmup_steps: number of steps over which the learning rate first rises from zero.
    weight_decay: decay of the parameters in adamw and lion, in units of the learning rate.
    clip_norm: largest norm of a gradient, which is scaled down to it; 0 for no limit.
    ema_decay: decay of a moving average of the parameters, which then is the trained model; 0 for
      the parameters themselves.
    weight_schedule: weight of the penalty over the run: constant; warmup:EPOCHS, rising from zero
      over this number of epochs; or cyclic:EPOCHS, repeated with this period, rising in its first
      half. metrics.jsonl has the loss at the full weight.
    precision: how the networks compute: float32, whose products a GPU takes in TF32 and a TPU in
      bfloat16; highest, with float32 products in training, several times slower there and the same
      as float32 on a CPU; or bfloat16. Parameters and distances are always float32.
    skip_nonfinite: skip a step whose loss or gradient is not finite, and count it in metrics.jsonl,
      instead of stopping.
    test_epochs: number of epochs between two evaluations of the cost on the test set, which
      metrics.jsonl has as test_loss; 0 for none. The best epoch is the one with the lowest.
    patience: number of evaluations without a lower test_loss after which training stops; 0 for
      never.
    callback: what gets the metrics of each epoch too: tensorboard, for event files in the folder
      tensorboard of workdir; or wandb, for Weights & Biases.
    checkpoint_minutes: time between two checkpoints, in minutes.
    checkpoint_epochs: number of epochs after which there is another checkpoint; 0 for none.
    keep_checkpoints: number of checkpoints to keep, the newest ones. The parameters of the best
      epoch are always kept, see aejax.load.
    seed: random seed of the parameters, the order of the data, and every draw.
    seeds: number of runs to train at once, with this seed and the next ones, each in a folder of
      its own in workdir.
    distributed: connect with the other processes of this run, on one or many hosts, through the
      cluster (Slurm, Open MPI, Kubernetes, TPU pods). All write to the same workdir.
    coordinator: HOST:PORT of the first process, where there is no such cluster.
    num_processes: number of processes, where there is no such cluster.
    process_id: number of this process, from 0, where there is no such cluster.
  """

  dataset: str | None = None
  workdir: Path | None = None
  resume: bool = False
  data_dir: Path | None = None
  image_size: int | None = None
  standardise: bool | None = None
  data: Placement | None = None
  flip: bool | None = None
  network: str | None = None
  latent_dim: int | None = None
  prior: str | None = None
  epochs: int | None = None
  batch_size: int | None = None
  accumulate: int | None = None
  optimizer: Optimizer | None = None
  learning_rate: float | None = None
  schedule: Schedule | None = None
  warmup_steps: int | None = None
  weight_decay: float | None = None
  clip_norm: float | None = None
  ema_decay: float | None = None
  weight_schedule: str | None = None
  precision: Precision | None = None
  skip_nonfinite: bool | None = None
  test_epochs: int | None = None
  patience: int | None = None
  callback: Callback | None = None
  checkpoint_minutes: float | None = None
  checkpoint_epochs: int | None = None
  keep_checkpoints: int | None = None
  seed: int | None = None
  seeds: int | None = None
  distributed: bool = False
  coordinator: str | None = None
  num_processes: int | None = None
  process_id: int | None = None
