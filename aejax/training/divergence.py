"""Where a run left the finite numbers: the step, the term, the batch, and the line of the code."""

import contextlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from aejax._files import replacing, write_json
from aejax.autoencoder import Autoencoder, pixels
from aejax.objectives import Objective
from aejax.training.step import TrainState, all_finite, merge

__all__ = ["Diverged", "diagnose_step", "first_nonfinite_step"]

_ADVICE = "A smaller learning rate or weight may help, or --skip-nonfinite"

State = Any


class Diverged(ValueError):
  """Training has left the finite numbers.

  Attributes:
    step: the first whose loss was not finite, where that is known.
    run: which of the runs that are trained together.
  """

  def __init__(self, step: int | None = None, run: int = 0, found: str = ""):
    self.step, self.run = step, run
    at = "" if step is None else f" at step {step:,}"
    super().__init__(f"Training diverged{at}{found}. {_ADVICE}.")


def first_nonfinite_step(
  advance: Callable[[State, int, int], State],
  state: State,
  start: int,
  end: int,
  suspect: int | None,
) -> tuple[int, State] | None:
  """Goes again through the steps from a finite state, to the first that leads out.

  Args:
    advance: of a state, its step and a number, the state after so many more steps; it may use up
      the state that it is given.
    state: a finite one.
    start: its step.
    end: the last step to look at.
    suspect: the first step whose loss was not finite, if known: it or the one before is the step.

  Returns:
    The step and the state before it; None if they are finite this time.
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
  batch: UInt8[np.ndarray, "n h w c"],
  *,
  accumulate: int = 1,
  about: dict[str, Any],
) -> str:
  """Takes the step that diverged apart, and writes diverged.json and diverged.npz.

  Args:
    workdir: of the run.
    model: its networks.
    objective: what it minimises.
    state: before the step.
    batch: the images of the step.
    accumulate: in how many parts the networks see it.
    about: what else to write.

  Returns:
    What went wrong, as the rest of a sentence.
  """
  key = jax.random.fold_in(state.key, state.step)

  def cost(params):
    return objective(merge(model, params), pixels(batch), key=key, accumulate=accumulate)

  @jax.jit
  def look(params):
    posterior = merge(model, params).posterior(pixels(batch))
    decoded = merge(model, params).decode(posterior.mean)
    gradients, metrics = jax.grad(cost, has_aux=True)(params)
    return posterior, decoded, metrics, gradients

  posterior, decoded, metrics, gradients = jax.device_get(look(state.params))
  seen = {"images": pixels(batch), "parameters": _flat(state.params)}
  seen |= {"latents": posterior.mean, "log-variances": posterior.log_variance}
  seen |= {"decoded images": decoded}
  seen |= {name: metrics[name] for name in ("reconstruction_error", "penalty", "loss")}
  seen |= {f"gradient of {name}": leaf for name, leaf in _named(gradients).items()}
  seen = {name: np.asarray(value) for name, value in seen.items() if value is not None}
  bad = [name for name, value in seen.items() if not np.isfinite(value).all()]
  line = _source_line(lambda: jax.grad(cost, has_aux=True)(state.params))
  write_json(
    workdir / "diverged.json",
    {
      **about,
      "not_finite": bad,
      "line": line,
      "statistics": {name: _statistics(value) for name, value in seen.items()},
    },
  )
  with replacing(workdir / "diverged.npz") as temporary:
    arrays: dict[str, Any] = {"images": batch, "latents": posterior.mean}
    arrays |= {f"params{name}": np.asarray(leaf) for name, leaf in _named(state.params).items()}
    np.savez(temporary, **arrays)
  first = (
    f"the {bad[0].replace('_', ' ')} became {_worst(seen[bad[0]])}"
    if bad
    else ("the optimizer's update became too large")
  )
  where = f", at {line}" if line else ""
  return f": {first}{where}; {workdir / 'diverged.json'} has the batch's statistics"


def _source_line(compute: Callable[[], Any]) -> str | None:
  """The line of ours or of the user's that makes the first NaN, or else the first infinity."""
  package = Path(__file__).parents[1]

  def is_user_frame(frame: traceback.FrameSummary) -> bool:
    library = "site-packages" in frame.filename or frame.filename.startswith(("<", sys.base_prefix))
    own = Path(frame.filename).is_relative_to(package)
    return frame.filename != __file__ and (own or not library)

  for watch in (jax.debug_nans, jax.debug_infs):
    # JAX prints what it does next.
    with watch(True), contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
      try:
        compute()
      except FloatingPointError as error:
        # Of a gradient's operation, the cause knows where its forward one was.
        for known in filter(None, (error.__cause__, error)):
          if frames := [f for f in traceback.extract_tb(known.__traceback__) if is_user_frame(f)]:
            return f"{frames[-1].filename}:{frames[-1].lineno} ({frames[-1].name})"
      except Exception:  # under these checks other things may fail
        return None
  return None


def _named(tree: Any) -> dict[str, Any]:
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _flat(tree: Any) -> np.ndarray:
  return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(jax.device_get(tree))])


def _statistics(values: np.ndarray) -> dict[str, Any]:
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


def _worst(values: np.ndarray) -> str:
  return "nan" if np.isnan(values).any() else "infinite"
