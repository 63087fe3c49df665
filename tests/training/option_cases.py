"""The cases of tests/training/test_options.py, by the field of the option that each observes."""

CASES = {}


def observes(field):
  """Returns a decorator that registers the case of a field."""

  def register(case):
    CASES[field] = case
    return case

  return register
