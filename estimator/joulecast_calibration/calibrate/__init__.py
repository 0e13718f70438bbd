"""Measure an accelerator, fit its profile, and say whether it is better than the one there was."""
