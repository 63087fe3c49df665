"""Optional dependencies: a feature whose extra is not installed says how to install it."""

import importlib.metadata
import importlib.util
import re

__all__ = ["require", "require_flax"]


def require(extra: str, *modules: str) -> None:
  """Checks that the packages of an extra are installed, without importing them.

  Args:
    extra: the extra of aejax that installs them, such as "train".
    modules: top-level names of the modules that are about to be imported.

  Raises:
    ImportError: that names the first missing module and the command that installs it.
  """
  for module in modules:
    if importlib.util.find_spec(module) is None:
      raise ImportError(
        f"This needs the package {module}, which is not installed: pip install 'aejax[{extra}]'",
        name=module,
      )


def require_flax() -> None:
  """Checks that the installed Flax works with the installed JAX.

  Flax declares no upper bound on JAX, so an upgrade of JAX alone can leave a Flax that does not
  import.

  Raises:
    ImportError: that says which command upgrades Flax.
  """
  flax, jax = (importlib.metadata.version(name) for name in ("flax", "jax"))
  if _release(jax) >= (0, 12) and _release(flax) < (0, 12, 10):
    raise ImportError(
      f"flax {flax} does not work with jax {jax}: pip install --upgrade flax", name="flax"
    )


def _release(version: str) -> tuple[int, ...]:
  return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
