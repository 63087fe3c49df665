"""Whether latents still say which image they are of."""

import numpy as np
from jaxtyping import Float

__all__ = ["active_units", "collapse"]

# Burda, Grosse and Salakhutdinov, ICLR 2016, arXiv 1509.00519, appendix C.
_ACTIVE = 0.01
# Of the largest variance along a direction: below it, the decoder can tell nothing from another.
_NEGLIGIBLE = 1e-6


def active_units(means: Float[np.ndarray, "n d"]) -> int:
  """How many dimensions of a Gaussian posterior depend on the image.

  Args:
    means: of the posteriors of images: a dimension whose mean has a variance above 0.01 is active.

  Reference: Burda, Grosse and Salakhutdinov, ICLR 2016, arXiv 1509.00519, appendix C.
  """
  return int(np.sum(np.var(means, axis=0, dtype=np.float64) > _ACTIVE))


def collapse(means: Float[np.ndarray, "n d"], *, gaussian: bool) -> str | None:
  """Says in a sentence what has collapsed, or nothing.

  Args:
    means: latents of different images, or the means of their posteriors.
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
  # Rounding of float32 latents far from the origin is no variance.
  floor = (np.abs(means).max() * np.finfo(np.float32).eps) ** 2
  spread = int(np.sum(variances > max(_NEGLIGIBLE * variances[-1], floor)))
  if spread == d:
    return None
  return (
    f"latent collapse: the latents of different images spread along {spread} of {d} directions. A "
    "smaller learning rate, a larger weight of the distance or another seed may help."
  )
