"""Summarise the rows of a folder, and decide whether a fit may use them."""
