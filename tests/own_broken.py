"""A module of a user that fails on import."""

raise RuntimeError("no licence for this network")
