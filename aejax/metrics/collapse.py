"""Detection of collapse: latents that no longer depend on the image."""

import numpy as np
from jaxtyping import Float

__all__ = ["active_units", "collapse"]

# Burda, Grosse and Salakhutdinov, ICLR 2016, arXiv 1509.00519, appendix C.
_MIN_ACTIVE_VARIANCE = 0.01
# As a fraction of the largest variance: a decoder cannot distinguish images along a direction with
# less.
_MIN_RELATIVE_VARIANCE = 1e-6


def active_units(means: Float[np.ndarray, "n d"]) -> int:
  """Returns the number of dimensions of a Gaussian posterior that depend on the image.

  A dimension is active if its posterior mean has a variance above 0.01 over the images.

  Args:
    means: means of the posteriors of different images, one per row.

  Reference: Burda, Grosse and Salakhutdinov, ICLR 2016, arXiv 1509.00519, appendix C.
  """
  return int(np.sum(np.var(means, axis=0, dtype=np.float64) > _MIN_ACTIVE_VARIANCE))


def collapse(means: Float[np.ndarray, "n d"], *, gaussian: bool) -> str | None:
  """Returns a sentence about what has collapsed, or None if nothing has.

  Args:
    means: latents of different images, or the means of their posteriors, one per row.
    gaussian: whether the encoder is Gaussian.
  """
  d = means.shape[1]
  if gaussian:
    active = active_units(means)
    if active == d:
      return None
    return (
      f"posterior collapse: {active} of {d} latent dimensions depend on the image. A smaller "
      "weight (beta) keeps more of them."
    )
  variances = np.linalg.eigvalsh(np.cov(means.astype(np.float64), rowvar=False).reshape(d, d))
  # float32 rounds latents far from the origin, which looks like a variance of this size.
  rounding = (np.abs(means).max() * np.finfo(np.float32).eps) ** 2
  rank = int(np.sum(variances > max(_MIN_RELATIVE_VARIANCE * variances[-1], rounding)))
  if rank == d:
    return None
  return (
    f"latent collapse: the latents of different images spread along {rank} of {d} directions. A "
    "smaller learning rate, a larger weight of the distance or another seed may help."
  )
