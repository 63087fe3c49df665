"""The list of peers, each with the function of ours that it must be a multiple of."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from aejax import distances
from benchmarks import libraries
from benchmarks import torch_formulas as formulas
from benchmarks.distance_plan import Case
from benchmarks.distances import DISTANCES, NORMAL, SAMPLES, Data, Form
from benchmarks.peer import Calls, JaxPeer, Peer, TorchPeer

__all__ = ["PEERS"]

# Arguments of the functions.
_Z, _ZY = ("latents",), ("latents", "samples")
_Z_DIRECTIONS, _ZY_DIRECTIONS = ("latents", "directions"), ("latents", "samples", "directions")
# LeJEPA's 17 nodes on [0, 3] omit the tail of the integral: measured, 0.4 % of the gradient.
_SEVENTEEN_NODES = 0.01


def _published(function: Callable[..., Any], names: tuple[str, ...], **options: Any) -> TorchPeer:
  return TorchPeer(lambda: function, names, **options)


def _matrices(count: float, per_dimension: float = 0.0) -> Callable[[Case], float]:
  """Returns the size of a number of n × n matrices in float32."""
  return lambda case: 4.0 * (count + per_dimension * case.d) * case.n**2


def _projections(count: float, directions: int | None = None) -> Callable[[Case], float]:
  """Returns the size of a number of n × directions matrices in float32."""
  return lambda case: 4.0 * count * case.n * (directions or case.slices or 1)


def _ours_on_its_directions(data: Data, _: str | None) -> jax.Array:
  directions = jnp.asarray(libraries.lejepa_directions(data["latents"].shape[1]))
  return distances.epps_pulley(data["latents"], directions=directions)


def _approximate(target: str | None) -> Form:
  def form(data, _):
    z = data["latents"]
    y = data["samples"] if target else None
    return distances.cramer_wold(z, y, gamma=libraries.silverman(len(z)), approximate=True)

  return form


def _blur(d: int) -> float:
  """Returns the blur for our ε: geomloss uses ε = blur² with half the squared distance."""
  return math.sqrt(libraries.epsilon(d) / 2)


def _biased(function: Callable[..., jax.Array], **options: Any) -> Form:
  return lambda data, _: function(data["latents"], data["samples"], unbiased=False, **options)


def _biased_gaussian(data: Data, _: str | None) -> jax.Array:
  kernel = distances.gaussian(libraries.bandwidth(data["latents"].shape[1]))
  return _biased(distances.mmd, kernel=kernel)(data, None)


def _peer(name: str, distance: str, prepare: Callable[[Data], Calls], **fields: Any) -> Peer:
  """Makes a peer; by default it takes samples, and is compared with our form to N(0, I) too."""
  counterparts = tuple(form for form in (NORMAL, SAMPLES) if form in DISTANCES[distance].forms)
  fields = {"counterparts": counterparts, "form": SAMPLES, "module": "torch", **fields}
  fields.setdefault("ours", DISTANCES[distance].forms.get(fields["form"]))
  return Peer(name=name, distance=distance, prepare=prepare, **fields)


_KL = ("latents", "log_variance")
_TO_NORMAL = {"form": NORMAL, "counterparts": (NORMAL,)}
_CW = {"form": NORMAL, "counterparts": (NORMAL, "approximate"), "ours": _approximate(None)}
_CW_SAMPLES = {"counterparts": (SAMPLES,), "ours": _approximate(SAMPLES)}

PEERS: tuple[Peer, ...] = (
  _peer(
    "torch",
    "kl_divergence",
    _published(formulas.kl_divergence, _KL, inputs=_KL),
    num_bytes=lambda case: 40.0 * case.n * case.d,
    **_TO_NORMAL,
  ),
  _peer(
    "gmum",
    "cramer_wold",
    _published(formulas.cramer_wold, _Z),
    factor=2 * math.sqrt(math.pi),
    num_bytes=_matrices(8),
    **_CW,
  ),
  _peer(
    "cw-torch",
    "cramer_wold",
    TorchPeer(libraries.cw_to_normal, _Z),
    module="cw_torch",
    num_bytes=_matrices(5),
    **_CW,
  ),
  _peer(
    "gmum",
    "cramer_wold",
    _published(formulas.cramer_wold_to_samples, _ZY),
    num_bytes=_matrices(20),
    **_CW_SAMPLES,
  ),
  _peer(
    "cw-torch",
    "cramer_wold",
    TorchPeer(libraries.cw_to_samples, _ZY),
    module="cw_torch",
    num_bytes=_matrices(10),
    **_CW_SAMPLES,
  ),
  _peer(
    "lejepa",
    "sigreg",
    TorchPeer(libraries.lejepa, _Z),
    ours=_ours_on_its_directions,
    tolerance=_SEVENTEEN_NODES,
    num_bytes=_projections(6 * 17, libraries.LEJEPA_DIRECTIONS),
    **_TO_NORMAL,
  ),
  _peer("gmum", "mmd_imq", _published(formulas.mmd_imq, _ZY), num_bytes=_matrices(45)),
  _peer(
    "pythae",
    "mmd_imq",
    TorchPeer(libraries.pythae("imq"), _ZY),
    module="pythae",
    num_bytes=_matrices(45, per_dimension=6),
  ),
  _peer(
    "geomloss",
    "mmd_gaussian",
    TorchPeer(libraries.geomloss("gaussian", libraries.bandwidth), _ZY),
    module="geomloss",
    ours=_biased_gaussian,
    factor=1 / 2,
    num_bytes=_matrices(15),
  ),
  _peer(
    "pythae",
    "mmd_gaussian",
    TorchPeer(libraries.pythae("rbf"), _ZY),
    module="pythae",
    num_bytes=_matrices(10, per_dimension=6),
  ),
  _peer(
    "geomloss",
    "energy_distance",
    TorchPeer(libraries.geomloss("energy"), _ZY),
    module="geomloss",
    ours=_biased(distances.energy_distance),
    factor=1 / 2,
    num_bytes=_matrices(15),
  ),
  _peer(
    "gmum",
    "sliced_wasserstein",
    _published(formulas.sliced_wasserstein, _ZY_DIRECTIONS),
    num_bytes=_projections(12),
  ),
  _peer(
    "POT",
    "sliced_wasserstein",
    TorchPeer(libraries.pot("sliced_wasserstein_distance"), _ZY_DIRECTIONS),
    module="ot",
    num_bytes=_projections(50),
  ),
  _peer(
    "ott-jax",
    "sliced_wasserstein",
    JaxPeer(libraries.ott_sliced),
    module="ott",
    num_bytes=_projections(50),
  ),
  _peer(
    "POT",
    "max_sliced_wasserstein",
    TorchPeer(libraries.pot("max_sliced_wasserstein_distance"), _ZY_DIRECTIONS),
    module="ot",
    num_bytes=_projections(50),
  ),
  _peer(
    "lejepa",
    "epps_pulley",
    _published(formulas.epps_pulley, _Z_DIRECTIONS),
    tolerance=_SEVENTEEN_NODES,
    num_bytes=_projections(6 * 17),
    **_TO_NORMAL,
  ),
  _peer(
    "torch",
    "cramer_von_mises",
    _published(formulas.cramer_von_mises, _Z_DIRECTIONS),
    num_bytes=_projections(12),
    **_TO_NORMAL,
  ),
  _peer(
    "torch",
    "anderson_darling",
    _published(formulas.anderson_darling, _Z_DIRECTIONS),
    num_bytes=_projections(20),
    **_TO_NORMAL,
  ),
  _peer(
    "torch",
    "kolmogorov_smirnov",
    _published(formulas.kolmogorov_smirnov, _Z_DIRECTIONS),
    num_bytes=_projections(20),
    **_TO_NORMAL,
  ),
  _peer(
    "geomloss",
    "sinkhorn_divergence",
    # geomloss lowers ε with one iteration at each value, and then stops. With its default scaling,
    # the gradient had an error of up to 33 %; with this one, 2 to 9 %.
    TorchPeer(libraries.geomloss("sinkhorn", _blur, scaling=0.9), _ZY),
    module="geomloss",
    factor=1 / 2,
    tolerance=0.12,
    num_bytes=_matrices(16),
  ),
  _peer(
    "ott-jax",
    "sinkhorn_divergence",
    JaxPeer(libraries.ott_sinkhorn),
    module="ott",
    # Both solvers stop within 1e-4 of their marginals.
    tolerance=1e-3,
    num_bytes=_matrices(16),
  ),
)
