"""Measure how accurate forecasts are on measured rows. Needs scipy (extra ``fit``)."""
