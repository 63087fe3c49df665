import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from aejax.autoencoder import Autoencoder
from aejax.metrics import importance_weighted_bound, likelihood
from aejax.objectives import VAE

KEY = jax.random.key(0)
SHAPE = (2, 3, 1)
BETA = 0.5
S = BETA / 2  # the variance that corresponds to β

# z ~ N(0, I) and x | z ~ N(Wz + b, S I) give x ~ N(b, WWᵀ + S I). Orthogonal columns make the
# covariance of the posterior diagonal, so that a Gaussian encoder can be exact.
BASIS = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 2)))[0]
W = BASIS * np.array([1.5, 0.7])
B = np.linspace(0.2, 0.7, 6)
V = 1 / (1 + np.sum(W**2, axis=0) / S)


def linear_model(*, shift: float = 0.0, scale: float = 1.0) -> Autoencoder:
  """A model whose encoder is the true posterior, with a shifted mean and a scaled variance."""

  def encode(images):
    flat = images.reshape(len(images), -1)
    mean = (flat - B) @ jnp.asarray(W / S * V, jnp.float32)
    mean += shift * jnp.sqrt(V)
    return mean, jnp.broadcast_to(jnp.log(scale * V), mean.shape).astype(jnp.float32)

  def decode(latents):
    return (latents @ jnp.asarray(W.T, jnp.float32) + B).reshape(-1, *SHAPE)

  return Autoencoder(encode, decode, latent_dim=2)


def draws(n: int) -> np.ndarray:
  """Images drawn from the linear model, as float32."""
  generator = np.random.default_rng(1)
  x = generator.standard_normal((n, 2)) @ W.T + B + np.sqrt(S) * generator.standard_normal((n, 6))
  return x.reshape(n, *SHAPE).astype(np.float32)


def log_density(x: np.ndarray) -> np.ndarray:
  return stats.multivariate_normal(B, W @ W.T + S * np.eye(6)).logpdf(x.reshape(len(x), -1))


@pytest.mark.parametrize("samples", [1, 100])
def test_bound_with_the_true_posterior_is_the_likelihood(samples):
  x = draws(20)
  found = importance_weighted_bound(
    linear_model(), x, objective=VAE(beta=BETA), key=KEY, samples=samples
  )
  # All weights are equal. Float32 sums of about ten terms, the largest |x − x̂|² / β near 20, have
  # rounding errors of 1e-6 each.
  np.testing.assert_allclose(found, log_density(x), atol=3e-5)


def test_bound_gap_shrinks_with_more_samples():
  n, shift, scale = 4000, 0.3, 1.5
  x = draws(n)
  model = linear_model(shift=shift, scale=scale)
  gaps = {
    samples: log_density(x)
    - importance_weighted_bound(model, x, objective=VAE(beta=BETA), key=KEY, samples=samples)
    for samples in (1, 8, 64)
  }
  means = [gap.mean() for gap in gaps.values()]
  assert means == sorted(means, reverse=True)
  assert len(set(means)) == len(means)
  # For K = 1 the gap of the evidence lower bound is KL(q ‖ p), the same for all images on average.
  kl = 2 * (scale + shift**2 - 1 - np.log(scale)) / 2
  assert abs(means[0] - kl) < 4 * gaps[1].std(ddof=1) / np.sqrt(n)
  # 1 + χ² = E_q (p/q)² is a product over two Gaussians. The mean of K weights has the relative
  # variance χ² / K. So its logarithm has that variance and the mean −χ² / 2K, up to a term O(K⁻²)
  # with a constant below one.
  chi = (scale / np.sqrt(2 * scale - 1) * np.exp(shift**2 / (2 * scale - 1))) ** 2 - 1
  for samples in (8, 64):
    error = 4 * np.sqrt(chi / samples / n) + samples**-2
    assert abs(gaps[samples].mean() - chi / (2 * samples)) < error + 1e-5, samples
  # There are enough images to distinguish eight samples from many.
  assert chi / 16 > 4 * np.sqrt(chi / 8 / n)


def sigmoid_model() -> Autoencoder:
  def encode(images):
    mean = jnp.sum(images, (1, 2, 3))[:, None] / 2 - 1.5
    return mean, jnp.full_like(mean, -0.2)

  slopes = jnp.linspace(-1, 3, 6)
  return Autoencoder(
    encode,
    lambda z: (z * slopes + 0.3).reshape(-1, *SHAPE),
    latent_dim=1,
    output="sigmoid",
  )


def by_definition(model, images, objective, samples):
  """The bound in float64, weight by weight, with densities of SciPy."""
  posterior = model.posterior(jnp.asarray(images))
  bounds = []
  for i, x in enumerate(images):
    mean = np.asarray(posterior.mean[i], np.float64)
    deviation = np.exp(np.asarray(posterior.log_variance[i], np.float64) / 2)
    weights = []
    for k in range(samples):
      key = jax.random.fold_in(jax.random.fold_in(KEY, i), k)
      z = mean + deviation * np.asarray(jax.random.normal(key, mean.shape), np.float64)
      image = np.asarray(model.decode(jnp.asarray(z[None], jnp.float32)), np.float64)[0]
      if objective.reconstruction == "squared_error":
        evidence = stats.norm(image, np.sqrt(objective.beta / 2)).logpdf(x).sum()
      else:
        evidence = np.sum(special.xlogy(x, image) + special.xlogy(1 - x, 1 - image))
      posterior_density = stats.norm(mean, deviation).logpdf(z).sum()
      weights.append(evidence + stats.norm.logpdf(z).sum() - posterior_density)
    bounds.append(special.logsumexp(weights) - np.log(samples))
  return bounds


OBJECTIVES = [VAE(beta=0.5), VAE(beta=2.0), VAE(beta=3.0, reconstruction="binary_cross_entropy")]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{o.reconstruction}-{o.beta}")
def test_bound_matches_the_definition(objective):
  x = np.random.default_rng(2).random((3, *SHAPE)).astype(np.float32)
  model = sigmoid_model()
  found = importance_weighted_bound(model, x, objective=objective, key=KEY, samples=5)
  # Float32 sums of about ten terms of size up to 10.
  np.testing.assert_allclose(found, by_definition(model, x, objective, 5), atol=2e-5)


def test_bound_of_bernoulli_likelihood_matches_quadrature():
  x = np.random.default_rng(3).integers(0, 2, (6, *SHAPE)).astype(np.uint8) * np.uint8(255)
  model, samples = sigmoid_model(), 4000
  found = importance_weighted_bound(
    model, x, objective=VAE(reconstruction="binary_cross_entropy"), key=KEY, samples=samples
  )
  z = np.linspace(-12, 12, 20_001)
  chance = special.expit(z[:, None] * np.linspace(-1, 3, 6) + 0.3)
  for image, bound in zip(x.reshape(6, -1) / 255, found, strict=True):
    joint = np.prod(np.where(image == 1, chance, 1 - chance), axis=1) * stats.norm.pdf(z)
    mean = image.sum() / 2 - 1.5
    evidence = np.trapezoid(joint, z)
    encoded = stats.norm(mean, np.exp(-0.1)).pdf(z)
    chi = np.trapezoid(joint**2 / encoded, z) / evidence**2 - 1
    assert abs(bound - np.log(evidence)) < 4 * np.sqrt(chi / samples) + 1e-5
    assert np.sqrt(chi / samples) < 0.05


@pytest.fixture(scope="module")
def ten():
  """Ten images, options, and their bounds computed in one batch."""
  x, options = draws(10), dict(objective=VAE(beta=BETA), key=KEY, samples=23)
  return x, options, importance_weighted_bound(linear_model(shift=0.5), x, **options)


@pytest.mark.parametrize(("batch", "decoded"), [(1, 1), (4, 40)])
def test_bound_does_not_depend_on_batch_size(monkeypatch, ten, batch, decoded):
  x, options, expected = ten
  monkeypatch.setattr(likelihood, "_IMAGES", batch)
  monkeypatch.setattr(likelihood, "_DECODED", decoded)
  model, sizes = linear_model(shift=0.5), []
  decode = model.decoder
  model.decoder = lambda z: (sizes.append(len(z)), decode(z))[1]
  np.testing.assert_allclose(importance_weighted_bound(model, x, **options), expected, atol=3e-5)
  assert max(sizes) <= decoded


def test_bound_depends_on_key_and_index(ten):
  x, options, first = ten
  # The third image is also at the first two indices, where the draws differ.
  repeated = x[[2, 2, *range(2, 10)]]
  again = importance_weighted_bound(linear_model(shift=0.5), repeated, **options)
  np.testing.assert_array_equal(again[2:], first[2:])
  assert len(set(again[:3])) == 3
  options = options | dict(key=jax.random.key(1))
  other = importance_weighted_bound(linear_model(shift=0.5), x, **options)
  assert (other != first).all()


def test_bound_accepts_bytes():
  x = np.arange(24, dtype=np.uint8).reshape(4, *SHAPE) * np.uint8(10)
  options = dict(objective=VAE(beta=BETA), key=KEY, samples=2)
  found = importance_weighted_bound(linear_model(), x, **options)
  np.testing.assert_allclose(found, log_density(x / 255), atol=3e-5)


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"images": draws(2)[0, 0, :, 0]}, r"images must be a non-empty \[n, \.\.\.\]"),
    ({"images": draws(2)[:0]}, "images must be a non-empty"),
    ({"images": draws(2).astype(np.int32)}, "images must be uint8, or floats"),
    ({"images": draws(2) * np.nan}, "The bounds must be finite, but 2 of 2 are not"),
    ({"samples": 0}, "samples must be a whole number from 1 up, but is 0"),
    ({"objective": VAE(beta=0.0)}, "objective must have a positive beta"),
    ({"objective": VAE(reconstruction="binary_cross_entropy")}, 'the output "sigmoid"'),
    (
      {"model": Autoencoder(lambda x: x[:, 0, :2, 0], lambda z: z, latent_dim=2)},
      "model must have a Gaussian encoder",
    ),
    (
      {
        "model": Autoencoder(
          linear_model().encoder, lambda z: jnp.zeros((len(z), 2, 1, 1)), latent_dim=2
        )
      },
      r"model must decode images of shape \[2, 3, 1\], but gives \[2, 1, 1\]",
    ),
  ],
)
def test_bound_rejects_bad_arguments(change, message):
  arguments = dict(
    model=linear_model(), images=draws(2), objective=VAE(beta=BETA), key=KEY, samples=2
  )
  with pytest.raises(ValueError, match=message):
    importance_weighted_bound(**arguments | change)
