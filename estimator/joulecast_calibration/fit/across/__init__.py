"""Measured networks of several cards, side by side, for fits of all cards together."""
