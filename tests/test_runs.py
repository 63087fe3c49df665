"""`fit` and `load`, on vectors that a linear network learns in a few steps."""

import copy
import json
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import own_parts
import pytest
from flax import nnx

import aejax
from aejax import Autoencoder, objectives, priors, training
from aejax.data import Dataset

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(60, 2)) @ RNG.normal(size=(2, 5))).astype(np.float32)
SMALL = dict(batch_size=10, epochs=2, latent_dim=2, model="linear")


def dataset():
  return Dataset("planes", ROWS[:48], ROWS[48:])


def networks(latent_dim=2):
  rngs = nnx.Rngs(1)
  return nnx.Linear(5, latent_dim, rngs=rngs), nnx.Linear(latent_dim, 5, rngs=rngs)


@pytest.fixture(scope="module")
def run():
  """A CWAE that writes nothing."""
  return aejax.fit("cwae", dataset(), **SMALL)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """The same in a work directory, with own networks."""
  workdir = tmp_path_factory.mktemp("runs") / "own"
  pair = networks()
  return aejax.fit("cwae", dataset(), **SMALL | {"model": pair, "workdir": workdir}), pair


def test_fit_returns_the_trained_model(run):
  assert [line["epoch"] for line in run.history] == [1, 2]
  assert run.history[-1]["test_loss"] > 0
  assert (run.step, run.history[-1]["epoch"]) == (8, 2)
  assert run.encode(ROWS).shape == (60, 2)
  np.testing.assert_array_equal(run.reconstruct(ROWS), run.decode(run.encode(ROWS)))
  np.testing.assert_array_equal(run.generate(KEY, 3), run.decode(jax.random.normal(KEY, (3, 2))))
  # Training standardises values outside [0, 1]; the results have the units of the data. The test
  # curve is that of one batch of ten.
  scaled = [run.scaling.apply(x) for x in (run.reconstruct(ROWS[48:58]), ROWS[48:58])]
  found = np.mean(np.sum((np.asarray(scaled[0]) - np.asarray(scaled[1])) ** 2, 1))
  assert run.history[-1]["test_reconstruction_error"] == pytest.approx(found, rel=1e-4)


def test_fit_writes_nothing_without_a_work_directory(tmp_path, monkeypatch, run):
  monkeypatch.chdir(tmp_path)
  again = aejax.fit("cwae", dataset(), **SMALL)
  assert not [*tmp_path.iterdir()]
  assert again.workdir is None
  assert again.history == run.history
  with pytest.raises(ValueError, match="no work directory, and hence no checkpoint"):
    again.load()


def test_run_can_be_pickled_and_copied(run):
  expected = run.generate(KEY, 2)
  for other in (pickle.loads(pickle.dumps(run)), copy.deepcopy(run)):
    np.testing.assert_array_equal(other.generate(KEY, 2), expected)
    assert other.history == run.history


def test_run_scores_itself(run, tmp_path):
  summary = run.evaluate()
  assert summary["test_images"] == 12
  assert summary["method"] == "cwae"
  page = run.report(tmp_path / "page.html")
  assert "Latent marginals" in page.read_text()
  assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
  with pytest.raises(ValueError, match="path must name the page"):
    run.report()


def test_generate_follows_the_prior_of_the_objective(run):
  prior = priors.UniformSphere(2, radius=6.0)
  direct = aejax.fit(objectives.WAEMMD(prior=prior), dataset(), **SMALL)
  given = aejax.fit("wae-mmd", dataset(), prior=prior, **SMALL)
  assert direct.history == given.history
  for each in (direct, given):
    assert each.prior == each.model.prior == prior
    expected = each.decode(prior.sample(KEY, 4))
    np.testing.assert_array_equal(each.generate(KEY, 4), expected)
    generated = each.scaling.undo(each.model.generate(KEY, 4))
    np.testing.assert_allclose(generated, expected, rtol=1e-4, atol=1e-5)
  summary = direct.evaluate()
  assert summary["prior"] == "UniformSphere"
  assert "mardia_skewness" not in summary
  assert summary["prior_latents"]["energy_distance"] < summary["energy_distance"]
  assert aejax.fit("wae-mmd", dataset(), prior="mixture:3", **SMALL).prior.means.shape == (3, 2)


def test_saved_run_is_the_same(run, saved, tmp_path):
  trained, pair = saved
  assert {"config.json", "metrics.jsonl", "checkpoints"} <= {
    p.name for p in trained.workdir.iterdir()
  }
  with pytest.raises(ValueError, match="network of this run was given as an object"):
    aejax.load(trained.workdir)
  loaded = aejax.load(trained.workdir, model=pair)
  assert type(loaded) is type(trained)
  np.testing.assert_array_equal(loaded.generate(KEY, 3), trained.generate(KEY, 3))
  assert loaded.history == trained.history
  with pytest.raises(ValueError, match="given as an object: pass them as dataset="):
    loaded.evaluate()
  with pytest.raises(ValueError, match=r"have shape \[48, 5\], but|have shape \[40, 5\]"):
    aejax.load(trained.workdir, model=pair, dataset=Dataset("other", ROWS[:40], ROWS[48:]))
  again = aejax.load(trained.workdir, model=pair, dataset=dataset())
  assert again.evaluate()["steps"] == 8
  assert (trained.workdir / "report.html").is_file()
  wrong = networks(latent_dim=2)[0], nnx.Linear(2, 6, rngs=nnx.Rngs(0))
  with pytest.raises(ValueError, match="is of another model"):
    aejax.load(trained.workdir, model=wrong)


def test_resumed_run_is_that_without_a_break(run, saved, tmp_path):
  _, pair = saved
  options = SMALL | {"model": pair}
  whole = aejax.fit("cwae", dataset(), **options | {"epochs": 3})
  broken = options | {"workdir": tmp_path / "run"}
  aejax.fit("cwae", dataset(), **broken)
  resumed = aejax.fit("cwae", dataset(), resume=True, **broken | {"epochs": 3})
  assert resumed.history == whole.history
  np.testing.assert_array_equal(resumed.encode(ROWS), whole.encode(ROWS))


def test_given_objects_keep_their_parameters_and_do_not_generate(saved):
  _, (encoder, decoder) = saved
  model = Autoencoder(encoder, decoder, latent_dim=2)
  before = model.encode(ROWS)
  trained = aejax.fit("cwae", dataset(), **SMALL | {"model": model})
  np.testing.assert_array_equal(model.encode(ROWS), before)
  assert np.abs(np.asarray(trained.model.encode(ROWS)) - before).max() > 1e-3
  with pytest.raises(ValueError, match=r"still has the parameters that training\.create started"):
    model.generate(KEY, 2)
  nnx.update(model, nnx.state(trained.model))
  assert model.generate(KEY, 2).shape == (2, 5)


@pytest.mark.parametrize(
  "optimizer", [optax.lbfgs(), optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau())]
)
def test_any_optax_transformation(optimizer, tmp_path):
  """Also those that take the value, the gradient and the function; their runs can be loaded."""
  run = aejax.fit("ae", dataset(), optimizer=optimizer, workdir=tmp_path / "run", **SMALL)
  assert run.history[-1]["reconstruction_error"] < 10
  np.testing.assert_array_equal(aejax.load(tmp_path / "run").encode(ROWS), run.encode(ROWS))
  with pytest.raises(ValueError, match="optimizer of this run was given as an object"):
    training.Run.open(tmp_path / "run", dataset=dataset()).train()


def test_callbacks_get_metrics_and_state(run):
  seen = []

  def callback(metrics, state):
    model = training.merge(run.model, state.params)
    seen.append((metrics, int(state.step), np.asarray(model.encode(ROWS))))

  again = aejax.fit("cwae", dataset(), callbacks=[callback], **SMALL)
  assert [metrics for metrics, *_ in seen] == run.history
  assert [step for _, step, _ in seen] == [4, 8]
  np.testing.assert_allclose(seen[-1][2], again.model.encode(ROWS), rtol=1e-5, atol=1e-6)


def test_load_best_is_scored_and_exported_as_such(tmp_path):
  """The learning rate is negative in the second epoch, so the first is the best."""
  optimizer = optax.sgd(lambda step: jnp.where(step < 4, 1e-2, -1e-2))
  options = SMALL | {"optimizer": optimizer, "workdir": tmp_path / "run"}
  run = aejax.fit("ae", dataset(), **options)
  best = aejax.load(tmp_path / "run", best=True, dataset=dataset())
  assert (best.step, run.step) == (4, 8)
  errors = [each.evaluate()["reconstruction_error"] for each in (best, run)]
  assert errors[0] < errors[1]
  for each in (best, run):
    aejax.export(each, tmp_path / "model.safetensors")
    exported = aejax.load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(exported.encode(ROWS), each.encode(ROWS))
  assert pickle.loads(pickle.dumps(best)).step == 4


@pytest.fixture
def own_objective():
  return objectives.CWAE(log=False, weight=2.0) + own_parts.SecondMoment(weight=3.0)


def test_own_parts_are_recorded_by_import_path(tmp_path, own_objective, monkeypatch):
  workdir = tmp_path / "run"
  options = SMALL | {"model": own_parts.normalised, "workdir": workdir}
  run = aejax.fit(own_objective, dataset(), **options)
  config = json.loads((workdir / "config.json").read_text())
  assert config["network"] == "own_parts:normalised"
  assert config["method"] == "cwae+own_parts:SecondMoment"
  assert config["objective"]["secondmoment_weight"] == 3.0
  loaded = aejax.load(workdir)
  np.testing.assert_array_equal(loaded.encode(ROWS), run.encode(ROWS))
  assert loaded.objective == own_objective
  monkeypatch.delattr(own_parts, "normalised")
  with pytest.raises(ValueError, match="network own_parts:normalised cannot be imported: module"):
    aejax.load(workdir)
  assert aejax.load(workdir, model=run.model).step == 8


def test_own_parts_from_the_command_line(tmp_path, monkeypatch):
  from aejax import _commands
  from aejax.cli import main

  monkeypatch.setattr(_commands, "score", lambda run, timing: ({"method": "own"}, [tmp_path]))
  np.savez(tmp_path / "rows.npz", train=ROWS[:48], test=ROWS[48:])
  options = ["--dataset", str(tmp_path / "rows.npz"), "--batch-size", "10", "--epochs", "1"]
  options += [
    "--network",
    "own_parts:plain",
    "--latent-dim",
    "2",
    "--workdir",
    str(tmp_path / "run"),
  ]
  main(["train", "--objective", "own_parts:SecondMoment", "--weight", "3", *options])
  assert aejax.load(tmp_path / "run").objective == own_parts.SecondMoment(weight=3.0)
  config = json.loads((tmp_path / "run" / "config.json").read_text())
  assert (config["method"], config["network"]) == ("own_parts:SecondMoment", "own_parts:plain")


BAD = {
  "There is no method 'cwaee'": dict(objective="cwaee"),
  "objective own_parts:Nothing cannot be imported": dict(objective="own_parts:Nothing"),
  "must be a subclass of aejax.objectives.Objective": dict(objective="own_parts:plain"),
  "objective must be an objective or the name of one, but is an int": dict(objective=3),
  "network nowhere:f cannot be imported: No module": dict(model="nowhere:f"),
  r"network own_parts:wrong returns examples of shape \[6\], not \[5\]": dict(
    model="own_parts:wrong"
  ),
  "must be an Autoencoder or a pair": dict(model=(1, 2, 3)),
  "encoder must be a function or a module": dict(model=(1, networks()[1]), latent_dim=2),
  "There is no architecture|There is no network 'mpl'": dict(model="mpl"),
  "network model does not take .* but returned .3, 3": dict(model=networks(3), latent_dim=2),
  "a function that can be imported": dict(model=lambda shape: networks()),
  "VAE needs|needs a Gaussian encoder": dict(objective="vae", model=networks()),
  "VAE matches the latents to N": dict(objective="vae", prior="sphere"),
  "AE matches the latents to no prior": dict(objective="ae", prior=priors.UniformBall(2)),
  "prior must be normal, sphere": dict(prior="spherical"),
  "prior must be normal, sphere, ball": dict(prior="mixture:1"),
  "prior must be a prior or the name of one": dict(prior=3),
  "optimizer must be an optax transformation": dict(optimizer=3),
  "There is no optimizer 'adm'": dict(optimizer="adm"),
  "learning_rate must be positive and finite, but is True": dict(learning_rate=True),
  "learning_rate is that of a named optimizer": dict(optimizer=optax.sgd(1.0), learning_rate=0.1),
  "There is no option 'batchsize'": dict(batchsize=3),
  "resume needs the workdir": dict(resume=True),
  "callbacks must be functions or names": dict(callbacks=[3]),
  "callbacks must be a list": dict(callbacks="wandb"),
  "callbacks may hold one name": dict(callbacks=["wandb", "tensorboard"]),
  "There is no callback 'wandbb'": dict(callbacks=["wandbb"]),
  "weight_schedule must be constant, warmup": dict(weight_schedule="warmup"),
  "weight_schedule must be a name or a function": dict(weight_schedule=3),
  "seeds must be a whole number": dict(seeds=0),
  "weight_decay needs adamw or lion, not adam": dict(weight_decay=0.1),
  "patience needs test_epochs": dict(patience=1, test_epochs=0),
  "ema_decay must be less than 1": dict(ema_decay=1.0),
  "accumulate must be 1, but is 2: the networks have state": dict(
    model="own_parts:normalised", accumulate=2
  ),
}


@pytest.mark.parametrize("sentence", BAD)
def test_fit_refuses(sentence, without_beartype):
  options = dict(objective="cwae", batch_size=10, epochs=1) | BAD[sentence]
  with pytest.raises(ValueError, match=sentence):
    aejax.fit(options.pop("objective"), dataset(), **options)


def test_fit_refuses_to_record_a_local_objective(tmp_path):
  import dataclasses

  @dataclasses.dataclass(frozen=True, kw_only=True)
  class Local(own_parts.SecondMoment):
    pass

  with pytest.raises(ValueError, match=r"Local cannot be recorded in config\.json"):
    aejax.fit(Local(), dataset(), workdir=tmp_path / "run", **SMALL)
  assert aejax.fit(Local(), dataset(), **SMALL).objective == Local()


def test_fit_is_a_function_after_its_module_is_imported():
  import aejax.runs

  assert callable(aejax.fit)
  assert aejax.fit is aejax.runs.fit
  assert Path(aejax.runs.__file__).name == "runs.py"
