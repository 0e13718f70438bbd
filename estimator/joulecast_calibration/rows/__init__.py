"""Measured rows: what is read from a data folder, and nothing else of it."""
