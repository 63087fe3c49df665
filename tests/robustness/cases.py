"""Bad calls as (name, pattern of the sentence, call): helpers for the tables of them.

A table of kinds of mistakes is a dict. Its keys are patterns of sentences; its values are lists of
bad values, each of which raises such a sentence. `derive` makes the bad calls of functions from
their signatures and one table for each argument.
"""

import inspect

import numpy as np

__all__ = [
  "boolean",
  "derive",
  "each",
  "integer",
  "key",
  "kinds",
  "no_array",
  "not_negative",
  "positive",
]


def each(name, pattern, call, values):
  """Yields a case for each bad value of one argument."""
  for value in values:
    yield name, pattern, lambda w, v=value: call(v)


def kinds(name, table, call):
  """Yields a case for each bad value in a table for one argument."""
  for pattern, values in table.items():
    yield from each(name, pattern, call, values)


def derive(functions, good, bad, more=None):
  """Yields bad calls of functions, in each of which one argument has a bad value.

  Args:
    functions: functions by name.
    good: good values of the arguments that have no default.
    bad: a table of kinds of mistakes for each argument, or for one of a function as
      "function.argument". An argument without a table raises a KeyError, so a new argument needs
      bad values.
    more: further tables, used only for the first function that has the argument: the other
      functions call the same checks.
  """
  more = dict(more or {})
  for name, function in functions.items():
    parameters = _parameters(function)
    required = {p: good[p] for p, about in parameters.items() if about.default is about.empty}
    for argument in parameters:
      call = lambda v, a=argument, f=function, r=required: f(**r | {a: v})  # noqa: E731
      own = f"{name}.{argument}"
      yield from kinds(name, bad[own if own in bad else argument], call)
      yield from kinds(name, more.pop(argument, {}), call)


def _parameters(function):
  if not inspect.isclass(function):
    return inspect.signature(function).parameters
  # Flax gives its modules a metaclass whose signature is (*args, **kwargs).
  parameters = dict(inspect.signature(function.__init__).parameters)
  del parameters["self"]
  return parameters


def integer(argument, least=1):
  """Returns a table for an integer: a value that is too small."""
  return {f"^{argument} must be a whole number from {least} up, but is": [least - 1]}


def positive(argument):
  """Returns a table for a positive number: a value out of range, and NaN."""
  return {f"^{argument} must be positive and finite, but is": [0.0, np.nan]}


def not_negative(argument):
  """Returns a table for a number that is not negative: a value out of range, and NaN."""
  return {f"^{argument} must be finite and not negative, but is": [-1.0, np.nan]}


def boolean(argument):
  """Returns a table for a boolean: a string, which Python would take for true."""
  return {f"^{argument} must be True or False, but is": ["no"]}


def key(argument):
  """Returns a table for a key: a seed instead."""
  return {f"^{argument} must be a jax.random.key, but is": [0]}


def no_array(argument):
  """Returns a table for an array: None instead."""
  return {f"^{argument} must be an array of numbers, but is": [None]}
