"""Joules and seconds of a load, from counters that lag, average and wrap."""
