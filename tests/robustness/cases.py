"""Bad calls as (name, pattern of the sentence, call): helpers for the tables of them.

A kind of mistake is a pattern with values that are rejected with such a sentence. Tables of kinds
are dicts, so that `derive` can make the bad calls of functions from their signatures.
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
  """A case for each bad value of one argument."""
  for value in values:
    yield name, pattern, lambda w, v=value: call(v)


def kinds(name, table, call):
  """A case for each value in a table of kinds of mistakes about one argument."""
  for pattern, values in table.items():
    yield from each(name, pattern, call, values)


def derive(functions, good, bad, more=None):
  """Bad calls of functions, from the names of their arguments.

  Args:
    functions: functions by name.
    good: good values of arguments without a default, by the name of the argument.
    bad: table of the kinds of mistakes about each argument. An argument that is not in it raises a
      KeyError: it is new and needs bad values.
    more: more kinds of mistakes, for the first function with the argument: checks that functions
      share need no more than one example in the others.
  """
  more = dict(more or {})
  for name, function in functions.items():
    parameters = _parameters(function)
    required = {p: good[p] for p, about in parameters.items() if about.default is about.empty}
    for argument in parameters:
      call = lambda v, a=argument, f=function, r=required: f(**r | {a: v})  # noqa: E731
      yield from kinds(name, bad[argument], call)
      yield from kinds(name, more.pop(argument, {}), call)


def _parameters(function):
  if not inspect.isclass(function):
    return inspect.signature(function).parameters
  # Flax gives its modules a metaclass whose signature is (*args, **kwargs).
  parameters = dict(inspect.signature(function.__init__).parameters)
  del parameters["self"]
  return parameters


def integer(argument, least=1):
  """Too small."""
  return {f"^{argument} must be a whole number from {least} up, but is": [least - 1]}


def positive(argument):
  """Out of range, and not a number."""
  return {f"^{argument} must be positive and finite, but is": [0.0, np.nan]}


def not_negative(argument):
  """Out of range, and not a number."""
  return {f"^{argument} must be finite and not negative, but is": [-1.0, np.nan]}


def boolean(argument):
  """A word that would count as true."""
  return {f"^{argument} must be True or False, but is": ["no"]}


def key(argument):
  """A seed in place of a key."""
  return {f"^{argument} must be a jax.random.key, but is": [0]}


def no_array(argument):
  """Nothing in place of an array."""
  return {f"^{argument} must be an array of numbers, but is": [None]}
