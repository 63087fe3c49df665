"""What a user may say of a run."""

import dataclasses
from pathlib import Path
from typing import Literal

__all__ = ["Options", "Precision", "Schedule"]

Schedule = Literal["constant", "cosine"]
Precision = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How to train. Whatever is left out takes the published setting for the data set, else ours.

  Attributes:
    dataset: digits (the default), mnist, fashion_mnist, cifar10 or celeb_a; or the path of an .npy
      or .npz file, or of a folder of images.
    workdir: folder for everything that the run writes. Default: runs/METHOD-DATASET.
    resume: go on with the run in workdir from its last checkpoint; more epochs make it longer.
    data_dir: folder with the data set's original files, where they are on disk already.
    image_size: resize and centre-crop the images to so many pixels a side.
    network: linear, mlp, convolutional, cifar10 or celeb_a. Default: the paper's for the data set,
      else one that suits the size of the images.
    latent_dim: dimension of the latents.
    epochs: passes over the training set.
    batch_size: images a step. A distance sees the whole batch.
    accumulate: let the networks see each batch in so many parts, one after the other, where memory
      is short. The distance is still that of the whole batch, and so is its gradient.
    learning_rate: Adam's.
    schedule: what becomes of the learning rate: it stays, or falls to zero along a cosine.
    precision: in which the networks compute. Parameters and distances are float32 always.
    skip_nonfinite: pass over a step whose loss or gradient is not finite, and count it in
      metrics.jsonl, rather than stop.
    checkpoint_minutes: save so often.
    checkpoint_epochs: save after every so many epochs too; 0 for never.
    keep_checkpoints: so many of the newest are kept. The parameters of the best epoch are kept
      always, see aejax.load.
    seed: of the parameters, the order of the data, and every draw.
    seeds: train so many runs at once, of this seed and the next ones, each in a folder of its own
      in workdir.
    distributed: this is one of several processes of a run, on one or many hosts; the cluster says
      which (Slurm, Open MPI, Kubernetes, TPU pods). All write to the same workdir.
    coordinator: HOST:PORT of the first process, where no cluster says it.
    num_processes: how many processes there are, likewise.
    process_id: which of them this is, from 0, likewise.
  """

  dataset: str | None = None
  workdir: Path | None = None
  resume: bool = False
  data_dir: Path | None = None
  image_size: int | None = None
  network: str | None = None
  latent_dim: int | None = None
  epochs: int | None = None
  batch_size: int | None = None
  accumulate: int | None = None
  learning_rate: float | None = None
  schedule: Schedule | None = None
  precision: Precision | None = None
  skip_nonfinite: bool | None = None
  checkpoint_minutes: float | None = None
  checkpoint_epochs: int | None = None
  keep_checkpoints: int | None = None
  seed: int | None = None
  seeds: int | None = None
  distributed: bool = False
  coordinator: str | None = None
  num_processes: int | None = None
  process_id: int | None = None
