"""Measure an accelerator, fit its profile, and compare it with the previous profile."""
