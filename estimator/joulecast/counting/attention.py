"""Attention as one row: queries against keys, probabilities against values; causal masks counted dense."""
