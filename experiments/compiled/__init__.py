"""Compiles programs of aejax for accelerators that are not present, and counts their work."""
