"""What the compiled programs may cost. A change that exceeds a limit needs a reason."""

from typing import NamedTuple


class Limit(NamedTuple):
  """Limits of the value and gradient of a distance at D = 64 on an H100.

  Attributes:
    kernels: kernels up to 8192 latents.
    kernels_65536: kernels for 65,536 latents.
    mib: temporaries at both sizes, in MiB.
  """

  kernels: int
  kernels_65536: int
  mib: int


PAIRWISE = Limit(kernels=13, kernels_65536=2500, mib=300)
H100 = {
  "cramer_wold": PAIRWISE,
  "sigreg": PAIRWISE,
  "mmd_imq": PAIRWISE,
  "mmd_gaussian": PAIRWISE,
  "energy_distance": PAIRWISE,
  "kernel_stein": PAIRWISE,
}
"""The limits by name of a distance in `compiled.programs.DISTANCES`."""

SHARED_MIB = {"cramer_wold": 300, "mmd_imq": 300, "energy_distance": 320}
"""Temporaries of each of eight H100s that share up to 65,536 latents, in MiB."""

V5E_CYCLES = {("cramer_wold", 8192): 1.9e6, ("cramer_wold", 65_536): 90e6}
"""XLA's estimated cycles for value and gradient at D = 64 on one v5e chip."""

SORTED = (
  "sliced_wasserstein",
  "max_sliced_wasserstein",
  "cramer_von_mises",
  "anderson_darling",
)
"""The distances whose gradient goes back through a sort."""

# A device's share of the products may exceed its equal part by this factor: blocks are rounded up.
BALANCE = 1.1
