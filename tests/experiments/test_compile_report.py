"""Counts of compiled programs; the compilers for accelerators need not be installed."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from compiled import programs, report, targets
from compiled.measure import Row, measure
from jax import lax


def test_check_names_targets_and_the_missing_compiler(monkeypatch):
  with pytest.raises(ValueError, match=r"There is no target 'v9'\. There are h100, h100:8, v5e"):
    targets.check("v9")
  monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ValueError, match=r"compiler for v5e is not installed: pip install 'jax\[tpu"):
    targets.check("v5e")
  with pytest.raises(ValueError, match="compiler for h100 is not installed: pip install --no-deps"):
    targets.check("h100")


@pytest.mark.parametrize(("on_path", "packaged"), [(True, False), (False, True), (False, False)])
def test_check_finds_ptxas_on_the_path_or_in_its_package(tmp_path, monkeypatch, on_path, packaged):
  spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
  monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: spec)
  monkeypatch.setattr(targets.shutil, "which", lambda name: "/bin/ptxas" if on_path else None)
  if packaged:
    (tmp_path / "cu13/bin").mkdir(parents=True)
    (tmp_path / "cu13/bin/ptxas").touch()
  if on_path or packaged:
    targets.check("h100")
  else:
    with pytest.raises(ValueError, match="nvidia-cuda-nvcc nvidia-nvvm"):
      targets.check("h100")


def test_programs_have_the_shapes_of_a_run():
  program = programs.train_loop("cwae", "mlp", batch_size=64)
  _, _, images, order, _ = program.arguments
  assert images.shape == (60_000, 28 * 28)
  assert order.shape == (60_000,)
  z, directions = programs.distance("sliced_wasserstein", 256, 16).arguments
  assert (z.shape, directions.shape) == ((256, 16), (50, 16))


def test_precision_is_that_of_the_step():
  texts = {}
  for precision in ("float32", "highest", "bfloat16"):
    program = programs.train_loop("ae", "mlp", batch_size=4, precision=precision)
    assert program.name == f"ae mlp {precision}"
    texts[precision] = program.function.trace(*program.arguments).jaxpr.pretty_print()
  assert ["HIGHEST" in text for text in texts.values()] == [False, True, False]
  assert ["bf16" in text for text in texts.values()] == [False, False, True]


def test_measure_counts_scatters_dilated_convolutions_and_copies_of_images(monkeypatch):
  monkeypatch.setattr(targets, "place", lambda target, tree, layout=None: tree)

  def scatter(x):
    return x.at[jnp.array([1, 1])].add(1.0)

  def dilated(x):
    kernel, pads = jnp.ones((3, 3, 1, 1)), [(1, 1), (1, 1)]
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), pads, (2, 2), dimension_numbers=layout)

  def copied(images):
    return images.T.copy() + jnp.uint8(1)

  def row(function, shape, dtype=jnp.float32):
    argument = jax.ShapeDtypeStruct(shape, dtype)
    return measure(programs.Program("example", function, (argument,)), "h100", sizes="small")

  assert row(scatter, (8,)).scatters == 1
  assert row(dilated, (1, 8, 8, 1)).dilated >= 1
  assert row(copied, (64, 32), jnp.uint8).image_copies >= 1
  plain = row(jnp.sin, (8,))
  assert (plain.scatters, plain.dilated, plain.image_copies, plain.reversals) == (0, 0, 0, 0)
  assert plain.arguments == 32
  kernel = jax.ShapeDtypeStruct((16,), jnp.float32)

  def turned(x, kernel):
    # Only the second array is as large as an argument.
    return jnp.flip(jnp.concatenate([x, x]), 0), jnp.flip(kernel, 0)

  program = programs.Program("example", turned, (kernel, jax.ShapeDtypeStruct((9,), jnp.float32)))
  assert measure(program, "h100").reversals == 1
  assert (plain.target, plain.sizes, plain.error) == ("h100", "small", "")
  assert "nonsense" in row(lambda x: int("nonsense"), (8,)).error


def test_main_compiles_what_is_asked_for(script, tmp_path, monkeypatch, capsys):
  module, seen = script("compile_report"), []

  def record(program, target, *, sizes):
    seen.append((target, program.name, sizes, program.arguments, program.layout))
    return Row(target, program.name, sizes)

  batches, train_loop = [], module.train_loop

  def spy(*arguments, **options):
    batches.append(options["batch_size"])
    return train_loop(*arguments, **options)

  monkeypatch.setattr(module, "measure", record)
  monkeypatch.setattr(module, "train_loop", spy)
  monkeypatch.setattr(targets, "check", lambda target: None)
  monkeypatch.setattr(targets, "mesh", lambda target: jax.make_mesh((1,), ("data",)))
  options = module.Options(
    targets=("v5e", "h100:8"),
    out=tmp_path,
    distances=("sigreg",),
    sizes=(128, 64),
    dim=5,
    methods=("vae",),
    networks=("mlp",),
    batch_size=32,
    precision="bfloat16",
  )
  module.main(options)
  assert [case[:3] for case in seen] == [
    (target, *rest)
    for target in ("v5e", "h100:8")
    for rest in (
      ("sigreg", "n 128, D 5"),
      ("sigreg", "n 64, D 5"),
      ("vae mlp bfloat16", "batch 32"),
    )
  ]
  assert seen[0][3][0].shape == (128, 5)
  assert batches == [32, 32]
  assert [case[4] for case in seen[:3]] == [(), (), ()]
  assert seen[3][4] == ("rows",)
  assert seen[5][4][:3] == ("state", "copies", "rows")
  written = ["v5e.json", "compiled.md", "h100-8.json"]
  assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in written]


def test_write_makes_a_page_of_all_targets_in_the_folder(tmp_path):
  rows = [
    Row(
      "h100", "cramer_wold", "n 256", kernels=12, products=2 * 10**9, traffic=3_000_000, seconds=0.5
    ),
    Row("h100", "vae mlp", "batch 8", kernels=90, graphs=1, alone=7, temporaries=2**20),
  ]
  report.write(tmp_path, rows, command="python experiments/compile_report.py h100")
  reductions = {"all-reduce": 2}
  rows = [
    Row(
      "v5e:4x4",
      "cramer_wold",
      "n 256",
      cycles=1_500_000,
      collectives=reductions,
      received=3_000_000,
    ),
    Row("v5e:4x4", "sigreg", "n 256", error="out of memory"),
  ]
  paths = report.write(tmp_path, rows, command="python experiments/compile_report.py v5e:4x4")
  assert [path.name for path in paths] == ["v5e-4x4.json", "compiled.md"]
  text = paths[-1].read_text()
  assert "compiled, not timed" in text
  assert "One H100. Made by `python experiments/compile_report.py h100`" in text
  assert "16 TPU v5e chips that share" in text
  assert "| cramer_wold | n 256 | 12 | 2.00 | 3.0 |" in text
  assert "| vae mlp | batch 8 | 90 | 1 | 7 | 0.0 | 1.0 |" in text
  assert "| 1.50 |  | 0.0 | 0.0 | 0.0 | 2 all-reduce | 3.00 |" in text
  assert "sigreg, n 256, does not compile: out of memory" in text
  stored = report.read(tmp_path)
  assert [len(content["rows"]) for content in stored.values()] == [2, 2]
  assert stored["h100"]["rows"][1].alone == 7
