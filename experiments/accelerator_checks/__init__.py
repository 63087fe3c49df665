"""Checks and timings on an accelerator, each stage in a process of its own."""
