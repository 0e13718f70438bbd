"""Model files without their weights: formats by their first bytes, the copy that is kept, and constants beside it."""
