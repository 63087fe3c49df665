"""ONNX programs compute what the model does, in ONNX Runtime, for any batch size."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import _commands, exporting, networks
from aejax.data import Scaling
from aejax.exporting import export, onnx_programs
from aejax.networks._conv_ops import convolve, portable_convolutions, transposed_convolve

MISSING = [m for m in ("jax2onnx", "onnxruntime") if importlib.util.find_spec(m) is None]
needs_onnx = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.mark.parametrize(("stride", "shape"), [(1, (5, 4)), (2, (5, 4)), (2, (7,)), (3, (4, 5, 6))])
def test_portable_convolutions_have_the_same_values(stride, shape):
  rng = np.random.default_rng(0)
  axes = len(shape)
  x, kernel = rng.normal(size=(2, *shape, 3)), rng.normal(size=(*(4,) * axes, 3, 2))
  x, kernel, bias = (jnp.asarray(v, jnp.float32) for v in (x, kernel, [1, 2]))
  size = tuple(stride * side - (stride > 1) for side in shape)

  def both():
    options = dict(stride=stride, padding="SAME")
    return convolve(x, kernel, bias, **options), transposed_convolve(
      x, kernel, bias, stride=stride, size=size
    )

  expected = both()
  with portable_convolutions():
    found = both()
    program = str(jax.make_jaxpr(lambda: both())())  # a new function, because JAX caches traces
  assert "cond" not in program
  assert "platform_index" not in program
  for value, other in zip(found, expected, strict=True):
    np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-5)
  assert "platform_index" in str(jax.make_jaxpr(lambda: both())()) or axes != 2


def _model(architecture, shape, *, gaussian=False):
  key = jax.random.key(0)
  return networks.build(architecture, shape, latent_dim=2, gaussian=gaussian, key=key)


NETWORKS = {
  "linear": (6,),
  "mlp": (5, 4, 1),
  "convolutional": (6, 5, 2),
  "cifar10": (8, 8, 3),
  "celeb_a": (16, 16, 3),
  "signals": (7, 2),
}


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_programs_compute_what_the_model_does(name, tmp_path):
  import onnxruntime

  shape = NETWORKS[name]
  model = _model("convolutional" if name == "signals" else name, shape, gaussian=True)
  files = export(model, tmp_path / "mine.onnx")
  assert [path.name for path in files] == ["mine.encoder.onnx", "mine.decoder.onnx"]
  encoder, decoder = (onnxruntime.InferenceSession(str(path)) for path in files)
  for n in (1, 4):
    x = np.random.default_rng(0).random((n, *shape), np.float32)
    mean, log_variance = encoder.run(["latents", "log_variance"], {"examples": x})
    (decoded,) = decoder.run(["examples"], {"latents": mean})
    posterior = model.posterior(x)
    pairs = [(mean, posterior.mean), (log_variance, posterior.log_variance)]
    for found, expected in [*pairs, (decoded, model.decode(posterior.mean))]:
      assert found.shape == expected.shape
      assert np.abs(found - expected).max() <= 1e-5 * max(np.abs(expected).max(), 1e-30)


@needs_onnx
@pytest.mark.slow
def test_networks_of_volumes_are_refused(tmp_path):
  with pytest.raises(ValueError, match=r"^jax2onnx cannot convert these networks: [^\n]*$"):
    export(_model("convolutional", (5, 4, 4, 1)), tmp_path / "x.onnx")
  assert not any(tmp_path.iterdir())


@pytest.fixture
def converted(monkeypatch):
  """Replaces jax2onnx and ONNX Runtime: the "file" is the function itself."""
  functions = {}

  def convert(function, shape, argument, results):
    functions[argument] = function
    return argument.encode()

  def run(content, argument, examples):
    return [
      np.asarray(v) for v in jax.tree.leaves(functions[content.decode()](jnp.asarray(examples)))
    ]

  monkeypatch.setattr(onnx_programs, "require", lambda *names: None)
  monkeypatch.setattr(onnx_programs, "_convert", convert)
  monkeypatch.setattr(onnx_programs, "_run", run)
  return functions


def test_programs_take_and_return_the_units_of_the_data(converted, tmp_path):
  model = _model("linear", (6,))
  scaling = Scaling.from_json({"mean": [1.0] * 6, "scale": [2.0] * 6})
  files = onnx_programs.save_onnx(tmp_path / "x", model, (6,), scaling)
  assert [path.read_bytes() for path in files] == [b"examples", b"latents"]
  x = jnp.asarray(np.random.default_rng(0).random((2, 6), np.float32))
  latents = converted["examples"](x)
  np.testing.assert_allclose(latents, model.encode((x - 1) / 2), rtol=1e-6)
  np.testing.assert_allclose(converted["latents"](latents), 2 * model.decode(latents) + 1, 1e-6)


def test_programs_that_compute_something_else_are_not_written(converted, tmp_path, monkeypatch):
  run = onnx_programs._run
  monkeypatch.setattr(onnx_programs, "_run", lambda *a: [1.001 * v for v in run(*a)])
  with pytest.raises(ValueError, match=r"x\.encoder\.onnx would not compute what the model does"):
    onnx_programs.save_onnx(tmp_path / "x", _model("linear", (6,)), (6,), Scaling.from_json("unit"))
  assert not any(tmp_path.iterdir())


def test_command_writes_onnx_beside_the_weights(monkeypatch, tmp_path, capsys):
  written = []
  monkeypatch.setattr(_commands.Run, "open", lambda workdir: None)
  monkeypatch.setattr(exporting, "export", lambda workdir, out: written.append(out) or [out])
  out = tmp_path / "mine.safetensors"
  _commands.export([str(tmp_path), "--out", str(out)], prog="aejax export")
  assert written == [out]
  _commands.export([str(tmp_path), "--out", str(out), "--onnx"], prog="aejax export")
  assert written == [out, out, tmp_path / "mine.onnx"]
  assert capsys.readouterr().out.endswith("mine.onnx\n")


def test_export_without_the_extra_is_one_sentence(monkeypatch, tmp_path):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ImportError, match=r"needs the package jax2onnx.*'aejax\[onnx\]'"):
    export(_model("linear", (6,)), tmp_path / "x.onnx")
