"""Models whose latent distribution is matched to a prior, in JAX.

    COST(X; E, D) = reconstruction(X, D(E(X))) + λ · d(P_E(X), P_Z)

`distances` holds d, `objectives` the whole equation, `networks` E and D. `training` minimises the
cost, `metrics` and `evaluation` score the result. `fit` does all of this in one call, `load` opens
a trained run, and `export` writes a trained model as files for others.

Submodules are imported on first use, so that `import aejax.distances` needs JAX, jaxtyping, NumPy
and SciPy only.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from aejax import (
    data,
    distances,
    evaluation,
    exporting,
    metrics,
    networks,
    objectives,
    priors,
    training,
  )
  from aejax._messages import AejaxWarning
  from aejax.autoencoder import Autoencoder
  from aejax.exporting import export, load_model
  from aejax.runs import Run, fit, load
  from aejax.training import TrainedAutoencoder

__version__ = "0.2.0.dev0"

__all__ = [
  "AejaxWarning",
  "Autoencoder",
  "Run",
  "TrainedAutoencoder",
  "__version__",
  "data",
  "distances",
  "evaluation",
  "export",
  "exporting",
  "fit",
  "load",
  "load_model",
  "metrics",
  "networks",
  "objectives",
  "priors",
  "training",
]

_MODULE_OF = {
  "AejaxWarning": "aejax._messages",
  "Autoencoder": "aejax.autoencoder",
  "Run": "aejax.runs",
  "TrainedAutoencoder": "aejax.training",
  "export": "aejax.exporting",
  "fit": "aejax.runs",
  "load": "aejax.runs",
  "load_model": "aejax.exporting",
}


def __getattr__(name: str) -> object:
  """Imports a public name on first use (PEP 562)."""
  if name in _MODULE_OF:
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
  elif name in __all__:
    value = importlib.import_module(f"aejax.{name}")
  else:
    raise AttributeError(f"module 'aejax' has no attribute {name!r}")
  globals()[name] = value
  return value


def __dir__() -> list[str]:
  return __all__
