"""Objectives as method and fields of JSON, and back; classes by import path."""

import dataclasses
import json

import jax.numpy as jnp
import own_parts
import pytest

from aejax import distances, objectives, priors
from aejax._import_paths import path_of, resolve
from aejax.objectives import CWAE, SWAE, WAEMMD, names
from aejax.priors import same_prior

MIXTURE = priors.GaussianMixture(jnp.ones(2), jnp.array([[1.0], [-1.0]]), jnp.array([0.5, 2.0]))


@pytest.mark.parametrize(
  ("objective", "method"),
  [
    (CWAE(weight=3.0), "cwae"),
    (SWAE(num_directions=7) + own_parts.SecondMoment(weight=2.0), "swae+own_parts:SecondMoment"),
    (WAEMMD(kernel=distances.imq((1.0, 2.0))), "wae-mmd"),
    (WAEMMD(prior=priors.UniformSphere(2, radius=6.0)), "wae-mmd"),
  ],
)
def test_describe_and_make_are_inverse(objective, method):
  found, fields = names.describe(objective)
  assert found == method
  assert objectives.make(found, json.loads(json.dumps(fields))) == objective


def test_arrays_of_a_prior_are_recorded():
  method, fields = names.describe(CWAE(prior=MIXTURE))
  found = objectives.make(method, json.loads(json.dumps(fields)))
  assert same_prior(found.prior, MIXTURE)


def test_describe_refuses_what_has_no_import_path():
  @dataclasses.dataclass(frozen=True)
  class Local:
    dim: int = 2

    def sample(self, key, n):
      return jnp.zeros((n, 2))

  with pytest.raises(ValueError, match=r"prior cannot be recorded in config\.json"):
    names.describe(CWAE(prior=Local()))


@pytest.mark.parametrize(
  ("field", "sentence"),
  [
    ({"class": "own_parts:Gone", "fields": {}}, "prior own_parts:Gone cannot be imported: module"),
    ({"class": "os:system", "fields": {}}, "prior must be a dataclass, but os:system is"),
    ({"class": "no path", "fields": {}}, "'no path' is no import path"),
    ({"class": "aejax.priors:UniformSphere", "fields": {"d": 1}}, "is not what .* takes"),
    ({"class": "aejax.priors:UniformSphere", "fields": 3}, "prior is damaged: 3"),
    ({"class": "aejax.priors:UniformSphere", "fields": {"dim": 0}}, "dim must be a whole number"),
    ({"array": ["x"], "dtype": "float32"}, "prior is damaged"),
    ({"tuple": 3}, "prior is damaged"),
    ({}, "prior is damaged"),
    ({"function": "math:pi"}, "prior must be a function"),
    ({"function": "math:sin"}, "prior must be None or a prior"),
  ],
)
def test_make_refuses_damaged_records(field, sentence, without_beartype):
  with pytest.raises(ValueError, match=sentence):
    objectives.make("cwae", {"prior": field})


def test_import_paths():
  assert path_of(own_parts.plain) == "own_parts:plain"
  assert path_of(lambda: None) is None
  assert resolve("network", "own_parts:SecondMoment") is own_parts.SecondMoment
  with pytest.raises(ValueError, match=r"has no attribute|cannot be imported"):
    resolve("network", "own_parts:SecondMoment.nothing")


def test_method_of_a_class_has_its_fields():
  assert objectives.make("own_parts:SecondMoment", {"weight": 2.0}).penalty_weight == 2.0
  both = objectives.make("cwae+own_parts:SecondMoment", {"secondmoment_weight": 2.0})
  assert both.terms[1] == own_parts.SecondMoment(weight=2.0)
  with pytest.raises(ValueError, match="must be a subclass of"):
    objectives.make("own_parts:plain", {})
