"""Forecasts of cards that are left out whole: by ``physical``, by the published systems, and by two simple rules."""
