"""Scores of forecasts of language models as transformers runs them in torch, in 16 bits and by bitsandbytes."""
