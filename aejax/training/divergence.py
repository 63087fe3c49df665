"""Finds where a run diverged: the step, the term, the batch and the line of code."""

import contextlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Num, PyTree

from aejax._files import replacing, write_json
from aejax.autoencoder import Autoencoder, pixels
from aejax.objectives import Objective
from aejax.training.state import RunState
from aejax.training.step import TrainState, all_finite, merge
from aejax.training.weight_schedules import WeightSchedule, factor_of

__all__ = ["Diverged", "diagnose_step", "first_nonfinite_step"]

_ADVICE = "A smaller learning rate or weight may help, or --skip-nonfinite"


class Diverged(ValueError):
  """A loss or a parameter is no longer finite.

  Attributes:
    step: first step with a loss that is not finite, None if unknown.
    run: index of the run among those that are trained together.
  """

  def __init__(self, step: int | None = None, run: int = 0, found: str = ""):
    """Makes the sentence about the divergence.

    Args:
      step: first step with a loss that is not finite, if known.
      run: index of the run among those that are trained together.
      found: what `diagnose_step` found, as the rest of the sentence.
    """
    self.step, self.run = step, run
    where = "" if step is None else f" at step {step:,}"
    super().__init__(f"Training diverged{where}{found}. {_ADVICE}.")


def first_nonfinite_step(
  advance: Callable[[RunState, int, int], RunState],
  state: RunState,
  start: int,
  end: int,
  suspect: int | None,
) -> tuple[int, RunState] | None:
  """Repeats steps from a finite state, and returns the first that is not finite.

  Args:
    advance: function of a state, its step and a count that returns the state `count` steps later;
      it may donate the buffers of the state.
    state: a finite state.
    start: step of `state`.
    end: last step to repeat.
    suspect: first step whose loss was not finite, if known. Either this step or the one before it
      made a parameter infinite.

  Returns:
    The step and the state before it; None if all steps are finite this time.
  """
  step = start
  if suspect is not None and suspect - 1 > start:
    state, step = advance(state, start, suspect - 1 - start), suspect - 1
  while step <= end:
    before = jax.tree.map(jnp.copy, state)
    state = advance(state, step, 1)
    if not all_finite(state.train) or int(jnp.max(state.sums.bad_step)) >= 0:
      return step, before
    step += 1
  return None


def diagnose_step(
  workdir: Path,
  model: Autoencoder,
  objective: Objective,
  state: TrainState,
  batch: Num[np.ndarray, "n ..."],
  *,
  accumulate: int = 1,
  weight_schedule: WeightSchedule | None = None,
  about: dict[str, Any],
) -> str:
  """Finds the first term of a step that is not finite, and writes diverged.json and diverged.npz.

  Args:
    workdir: work directory of the run.
    model: networks of the run.
    objective: cost that the run minimises.
    state: train state before the step.
    batch: images of the step.
    accumulate: number of parts in which the networks process the batch.
    weight_schedule: schedule of the penalty's weight, if it has one.
    about: further entries of diverged.json.

  Returns:
    What is not finite and where, as the rest of a sentence.
  """
  key = jax.random.fold_in(state.key, state.step)
  options: dict[str, Any] = {"key": key, "accumulate": accumulate}
  options |= factor_of(weight_schedule, state.step)

  def cost(params):
    return objective(merge(model, params), pixels(batch), **options)

  @jax.jit
  def all_terms(params):
    posterior = merge(model, params).posterior(pixels(batch))
    decoded = merge(model, params).decode(posterior.mean)
    gradients, metrics = jax.grad(cost, has_aux=True)(params)
    return posterior, decoded, metrics, gradients

  posterior, decoded, metrics, gradients = jax.device_get(all_terms(state.params))
  # In the order of the computation: the first that is not finite is the cause.
  terms = {"images": pixels(batch), "parameters": _flatten(state.params)}
  terms |= {"latents": posterior.mean, "log-variances": posterior.log_variance}
  terms |= {"decoded images": decoded}
  terms |= {name: metrics[name] for name in ("reconstruction_error", "penalty", "loss")}
  terms |= {f"gradient of {name}": leaf for name, leaf in _by_path(gradients).items()}
  terms = {name: np.asarray(value) for name, value in terms.items() if value is not None}
  bad = [name for name, value in terms.items() if not np.isfinite(value).all()]
  line = _source_line(lambda: jax.grad(cost, has_aux=True)(state.params))
  write_json(
    workdir / "diverged.json",
    {
      **about,
      "not_finite": bad,
      "line": line,
      "statistics": {name: _statistics(value) for name, value in terms.items()},
    },
  )
  with replacing(workdir / "diverged.npz") as temporary:
    arrays: dict[str, Any] = {"images": batch, "latents": posterior.mean}
    arrays |= {f"params{name}": np.asarray(leaf) for name, leaf in _by_path(state.params).items()}
    np.savez(temporary, **arrays)
  cause = (
    f"the {bad[0].replace('_', ' ')} became {_nan_or_infinite(terms[bad[0]])}"
    if bad
    else "the optimizer's update became too large"
  )
  where = f", at {line}" if line else ""
  return f": {cause}{where}; {workdir / 'diverged.json'} has the batch's statistics"


def _source_line(compute: Callable[[], Any]) -> str | None:
  """Returns the line of our or the user's code that makes the first NaN, or the first infinity."""
  package = Path(__file__).parents[1]

  def is_user_frame(frame: traceback.FrameSummary) -> bool:
    library = "site-packages" in frame.filename or frame.filename.startswith(("<", sys.base_prefix))
    in_package = Path(frame.filename).is_relative_to(package)
    return frame.filename != __file__ and (in_package or not library)

  for check in (jax.debug_nans, jax.debug_infs):
    # JAX prints that it repeats the computation without jit.
    with check(True), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
      try:
        compute()
      except FloatingPointError as error:
        # For an operation of the backward pass, the cause has the traceback of its forward one.
        for candidate in filter(None, (error.__cause__, error)):
          frames = [f for f in traceback.extract_tb(candidate.__traceback__) if is_user_frame(f)]
          if frames:
            return f"{frames[-1].filename}:{frames[-1].lineno} ({frames[-1].name})"
      except Exception:  # these checks can break an objective's own code
        return None
  return None


def _by_path(tree: PyTree) -> dict[str, Any]:
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _flatten(tree: PyTree) -> np.ndarray:
  return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(jax.device_get(tree))])


def _statistics(values: Num[np.ndarray, "..."]) -> dict[str, Any]:
  finite = values[np.isfinite(values)].astype(np.float64)
  found: dict[str, Any] = {
    "shape": list(values.shape),
    "nan": int(np.isnan(values).sum()),
    "infinite": int(np.isinf(values).sum()),
  }
  if finite.size:
    found |= {"min": float(finite.min()), "max": float(finite.max())}
    found |= {"mean": float(finite.mean()), "std": float(finite.std())}
  return found


def _nan_or_infinite(values: Num[np.ndarray, "..."]) -> str:
  return "nan" if np.isnan(values).any() else "infinite"
