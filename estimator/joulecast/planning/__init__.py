"""Decisions on forecasts: which accelerator and setting to run a model on, at what it costs, and where to cut it.

Everything that decides is a pure function of forecasts, so that Python, the command line and a cluster use the same.
"""
