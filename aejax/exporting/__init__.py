"""Trained models as files for others: weights, programs, and a model card.

`export` writes them, `load_model` reads the weights. Neither needs the run, and `load_model` does
not need Orbax.
"""

from aejax.exporting.export import export
from aejax.exporting.weights import LoadedModel, load_model

__all__ = ["LoadedModel", "export", "load_model"]
