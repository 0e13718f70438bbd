"""Measure real layers and networks on one accelerator within a budget; a measurement can be resumed."""
