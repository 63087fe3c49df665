"""The one equation: COST = reconstruction(X, D(E(X))) + λ · d(P_E(X), P_Z).

An objective is a small frozen dataclass that says what d is. Objectives can be added. The weight is
λ; it means the same at every batch size and on any number of devices.
"""

from aejax._extras import require_flax

require_flax()

from aejax.objectives.base import AE, Combined, Objective
from aejax.objectives.matched import CWAE, SWAE, WAEMMD, Energy, SIGReg, Sinkhorn
from aejax.objectives.named_priors import named_prior, with_prior
from aejax.objectives.names import BY_NAME, make
from aejax.objectives.regularised import RAE
from aejax.objectives.variational import VAE, InfoVAE

__all__ = [
  "AE",
  "BY_NAME",
  "CWAE",
  "RAE",
  "SWAE",
  "VAE",
  "WAEMMD",
  "Combined",
  "Energy",
  "InfoVAE",
  "Objective",
  "SIGReg",
  "Sinkhorn",
  "make",
  "named_prior",
  "with_prior",
]
