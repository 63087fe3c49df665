"""Autoencoders whose latent distribution is matched to a prior, in JAX."""
