"""Scores of forecasts of language models as inference engines serve them: seconds, watts and joules apart."""
