"""Self-supervised learning whose embeddings are matched to a prior, as in LeJEPA."""
