"""Measure one accelerator: real layers and networks, within a budget, resumable."""
