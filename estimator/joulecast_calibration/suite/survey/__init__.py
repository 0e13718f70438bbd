"""Trace every architecture of the suite, and choose and order the layers that are measured."""
