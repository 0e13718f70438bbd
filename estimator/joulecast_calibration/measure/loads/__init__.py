"""Layers and networks as loads that a GPU executes again and again. Needs torch."""
