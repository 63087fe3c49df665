"""Optional dependencies: a feature whose extra is not installed says how to install it."""

import importlib.util

__all__ = ["require"]


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
