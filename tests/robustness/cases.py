"""Bad calls as (name, pattern of the sentence, call): what the tables of them are made with."""


def each(name, pattern, call, values):
  """A case for each bad value of one argument."""
  for value in values:
    yield name, pattern, lambda w, v=value: call(v)
