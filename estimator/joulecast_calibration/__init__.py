"""The laboratory: fit an accelerator's profile on measured rows and evaluate its forecasts."""
