"""The one equation: COST = reconstruction(X, D(E(X))) + λ · d(P_E(X), P_Z).

An objective is a small frozen dataclass that says what d is; objectives can be added. Its weight is
λ, and means the same at every batch size and on any number of devices.
"""

from aejax.objectives.base import AE, Objective
from aejax.objectives.combined import RAE, Combined
from aejax.objectives.matched import CWAE, SWAE, WAEMMD, Energy, SIGReg, Sinkhorn
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
]

BY_NAME: dict[str, type[Objective]] = {
  "ae": AE,
  "vae": VAE,
  "wae-mmd": WAEMMD,
  "cwae": CWAE,
  "swae": SWAE,
  "sigreg": SIGReg,
  "energy": Energy,
  "infovae": InfoVAE,
  "sinkhorn": Sinkhorn,
  "rae": RAE,
}
"""The objectives by their names on the command line."""
