"""The README's code, run as a newcomer would paste it."""

import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import aejax

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_examples_run():
  key = jax.random.key(0)
  images = jax.random.uniform(key, (6, 28, 28, 1))
  scope = {
    "aejax": aejax,
    "dataclasses": dataclasses,
    "encoder": lambda images: images.reshape(len(images), -1)[:, :8],
    "images": images,
    "jax": jax,
    "key": key,
    "nnx": nnx,
    "optax": optax,
    "samples": jnp.zeros((5, 8)),
    "__name__": "readme",
  }
  # What loads a run is tested with a run, in tests/test_trained.py.
  blocks = [block for block in BLOCKS if "aejax.load" not in block]
  assert len(blocks) == 3
  for block in blocks:
    exec(compile(block, "README.md", "exec"), scope)
  _, metrics = jax.jit(scope["train_step"], donate_argnums=0)(scope["state"], images)
  assert jnp.isfinite(metrics["loss"])
  posterior = aejax.autoencoder.Posterior(jnp.eye(4), None)
  total = aejax.objectives.CWAE(weight=1.0) + scope["SteinAE"](weight=5.0)
  assert jnp.isfinite(total.penalty(posterior, key=key))
