"""Optimal potentials of entropic optimal transport, by iterations of ott-jax.

Between two sets, ott-jax runs a few iterations at a time. First ε falls to its value: at a large ε
few iterations bring the potentials near, and each smaller ε starts from there. Otherwise the value
would be wrong after thousands of iterations where costs are far above ε. Then each update goes
further than its half step asks for (over-relaxation), as long as this reduces the error. This
divides the number of iterations by two to four.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from aejax.distances._arguments import Scalar

__all__ = ["potentials", "tolerance"]

# Number of iterations between two computations of the error.
_BLOCK = 10
# Factor of an update. At 1 a row or column of the coupling gets its marginal; near 2 updates
# diverge.
_RELAXATION = 1.9

Matrix = Float[Array, "_ _"]
Potential = Float[Array, " _"]


def tolerance(dtype: Any) -> float:
  """Returns the error of the marginals at which iterations have converged."""
  return 1e-8 if dtype == jnp.float64 else 1e-4


def potentials(
  costs: Sequence[Matrix], epsilon: Scalar, max_iterations: int
) -> tuple[list[Potential], Scalar]:
  """Returns the optimal potentials of the columns of each cost, and the largest marginal error.

  Args:
    costs: costs between two sets, and of each set with itself.
    epsilon: the entropic regularisation.
    max_iterations: maximum number of iterations.
  """
  solved = [
    _between(costs[0], epsilon, max_iterations),
    *(_within(cost, epsilon, max_iterations) for cost in costs[1:]),
  ]
  return [g for g, _ in solved], jnp.max(jnp.stack([error for _, error in solved]))


def _solve(costs: Matrix, epsilon: Any, init: Any = None, **options: Any) -> Any:
  from ott.geometry import geometry
  from ott.problems.linear import linear_problem
  from ott.solvers.linear import sinkhorn

  n, m = costs.shape
  problem = linear_problem.LinearProblem(
    geometry.Geometry(costs, epsilon=epsilon),
    a=jnp.full(n, 1 / n, costs.dtype),
    b=jnp.full(m, 1 / m, costs.dtype),
  )
  return sinkhorn.Sinkhorn(**options)(problem, init=init)


def _within(costs: Matrix, epsilon: Scalar, max_iterations: int) -> tuple[Potential, Scalar]:
  """Returns the potential of a set with itself; the mean of two updates converges fast."""
  from ott.solvers.linear import acceleration

  solution = _solve(
    costs,
    epsilon,
    max_iterations=max_iterations,
    inner_iterations=_BLOCK,
    threshold=tolerance(costs.dtype),
    parallel_dual_updates=True,
    momentum=acceleration.Momentum(start=0, value=0.5),
  )
  last = (solution.n_iters - 1) // _BLOCK
  return solution.g, jnp.abs(solution.errors[last])


class _State(NamedTuple):
  """The loop between two sets; the error is infinite until ε has reached its value."""

  block: Int[Array, ""]
  f: Potential
  g: Potential
  relaxation: Scalar
  error: Scalar
  goes_on: Array


def _between(costs: Matrix, epsilon: Scalar, max_iterations: int) -> tuple[Potential, Scalar]:
  from ott.solvers.linear import acceleration

  n, m = costs.shape
  dtype = costs.dtype
  length = min(_BLOCK, max_iterations)
  most_blocks = max_iterations // length
  # One block for each factor of ten by which ε is smaller than the costs, at most half of all.
  ratio = jnp.maximum(jnp.max(costs) / epsilon, 1)
  falling = jnp.clip(jnp.ceil(jnp.log10(ratio)) - 1, 0, most_blocks // 2).astype(jnp.int32)

  def step(state: _State) -> _State:
    left = jnp.maximum(falling - state.block, 0).astype(dtype) / (falling + 1)
    solution = _solve(
      costs,
      epsilon * ratio**left,
      init=(state.f, state.g),
      threshold=0,
      inner_iterations=length,
      min_iterations=length,
      max_iterations=length,
      momentum=acceleration.Momentum(value=state.relaxation),
    )
    error = solution.errors[-1]
    has_fallen = state.block >= falling
    # A block that makes a finite error twice as large is taken back, and the next goes less far.
    rejected = jnp.isfinite(state.error) & ~(error < 2 * state.error) & (state.relaxation > 1)
    relaxation = jnp.where(rejected, (1 + state.relaxation) / 2, state.relaxation)
    relaxation = jnp.where(has_fallen & ~jnp.isfinite(state.error), _RELAXATION, relaxation)
    error = jnp.where(rejected, state.error, jnp.where(has_fallen, error, jnp.inf))
    goes_on = ~has_fallen | ((error >= tolerance(dtype)) & jnp.isfinite(error))
    return _State(
      state.block + 1,
      jnp.where(rejected, state.f, solution.f),
      jnp.where(rejected, state.g, solution.g),
      relaxation.astype(dtype),
      error,
      goes_on & (state.block + 1 < most_blocks),
    )

  start = _State(
    jnp.zeros((), jnp.int32),
    jnp.zeros(n, dtype),
    jnp.zeros(m, dtype),
    jnp.ones((), dtype),
    jnp.full((), jnp.inf, dtype),
    jnp.ones((), bool),
  )
  end = lax.while_loop(lambda state: state.goes_on, step, start)
  return end.g, end.error
