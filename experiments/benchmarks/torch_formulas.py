"""Published PyTorch formulas that no package offers: full matrices, eager mode.

Each function does the same operations on the same shapes as its source, so that it takes the same
time. It takes tensors and returns a scalar tensor.
"""

import math
from typing import Any

from benchmarks.peer import optional_import

__all__ = [
  "anderson_darling",
  "cramer_von_mises",
  "cramer_wold",
  "cramer_wold_to_samples",
  "epps_pulley",
  "kl_divergence",
  "kolmogorov_smirnov",
  "mmd_imq",
  "sliced_wasserstein",
]

# PyTorch is optional, so annotations cannot name its types.
Tensor = Any

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
  """Returns the penalty of the VAE, averaged over images (Kingma & Welling, 2014, appendix B)."""
  return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()


def cramer_wold(z: Tensor) -> Tensor:
  """Returns the Cramer-Wold distance to N(0, I), approximate, times 2√π (gmum/cwae-pytorch)."""
  n, d = z.shape
  gamma, k = (4 / (3 * n)) ** 0.4, 1 / (2 * d - 3)
  pairs = (1 / (gamma + k * _squared_distances(z, z)).sqrt()).sum() / n**2
  singles = (1 / (gamma + 0.5 + k * (z**2).sum(1)).sqrt()).sum() * 2 / n
  return 1 / math.sqrt(1 + gamma) + pairs - singles


def cramer_wold_to_samples(z: Tensor, y: Tensor) -> Tensor:
  """Returns the approximate Cramer-Wold distance to n samples (gmum/cwae-pytorch)."""
  n, d = z.shape
  gamma = (4 / (3 * n)) ** 0.4

  def total(squared_distances):
    return ((1 + squared_distances / gamma / (2 * d - 3)) ** -0.5).sum()

  pairs = total(_squared_distances(z, z)) + total(_squared_distances(y, y))
  return (pairs - 2 * total(_squared_distances(z, y))) / (2 * n**2 * math.sqrt(math.pi * gamma))


def mmd_imq(z: Tensor, y: Tensor) -> Tensor:
  """Returns the unbiased seven-scale penalty of the WAE (tolstikhin/wae, gmum/cwae-pytorch)."""
  torch = optional_import("torch")
  n, d = z.shape
  zz, yy, zy = (_squared_distances(a, b, clamp=False) for a, b in ((z, z), (y, y), (z, y)))
  off_diagonal = 1 - torch.eye(n, dtype=z.dtype, device=z.device)
  statistic = 0.0
  for scale in _SCALES:
    c = 2 * d * scale
    same = (c / (c + zz) + c / (c + yy)) * off_diagonal
    statistic = statistic + same.sum() / (n * n - n) - (c / (c + zy)).sum() * 2 / (n * n)
  return statistic


def sliced_wasserstein(z: Tensor, y: Tensor, directions: Tensor) -> Tensor:
  """Returns the penalty of the SWAE (skolouri/swae, gmum/cwae-pytorch)."""
  theta = directions.T
  p, q = ((v @ theta).T.sort(dim=1)[0] for v in (z, y))
  return ((p - q) ** 2).mean()


def epps_pulley(z: Tensor, directions: Tensor) -> Tensor:
  """Returns SIGReg with 17 nodes on [0, 3] (LeJEPA, arXiv 2511.08544, section 4)."""
  torch = optional_import("torch")
  t = torch.linspace(0, 3, 17, dtype=z.dtype, device=z.device)
  target = (-(t**2) / 2).exp()
  weights = torch.full_like(t, 2 * 3 / 16)
  weights[0] = weights[-1] = 3 / 16
  angles = (z @ directions.T)[..., None] * t  # [n, directions, nodes]
  error = (angles.cos().mean(0) - target) ** 2 + angles.sin().mean(0) ** 2
  return (error @ (weights * target)).mean() * z.shape[0]


def cramer_von_mises(z: Tensor, directions: Tensor) -> Tensor:
  """Returns the sliced Cramér–von Mises statistic (Anderson, 1962, eq. 1)."""
  torch = optional_import("torch")
  u = torch.special.ndtr(_sorted_projections(z, directions))
  n = u.shape[0]
  return 1 / (12 * n) + ((u - (2 * _ranks(u) + 1) / (2 * n)) ** 2).sum(0).mean()


def anderson_darling(z: Tensor, directions: Tensor) -> Tensor:
  """Returns the sliced Anderson–Darling statistic (Anderson & Darling, 1954)."""
  torch = optional_import("torch")
  x = _sorted_projections(z, directions)
  n = x.shape[0]
  logs = torch.special.log_ndtr(x) + torch.special.log_ndtr(-x.flip(0))
  return -n - ((2 * _ranks(x) + 1) * logs).sum(0).mean() / n


def kolmogorov_smirnov(z: Tensor, directions: Tensor) -> Tensor:
  """Returns the sliced Kolmogorov–Smirnov statistic (Massey, 1951)."""
  torch = optional_import("torch")
  u = torch.special.ndtr(_sorted_projections(z, directions))
  n, ranks = u.shape[0], _ranks(u)
  return torch.maximum((ranks + 1) / n - u, u - ranks / n).max(0)[0].mean()


def _squared_distances(x: Tensor, y: Tensor, *, clamp: bool = True) -> Tensor:
  squares = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
  return squares.clamp(min=0) if clamp else squares


def _sorted_projections(z: Tensor, directions: Tensor) -> Tensor:
  return (z @ directions.T).sort(dim=0)[0]


def _ranks(x: Tensor) -> Tensor:
  torch = optional_import("torch")
  return torch.arange(x.shape[0], dtype=x.dtype, device=x.device)[:, None]
