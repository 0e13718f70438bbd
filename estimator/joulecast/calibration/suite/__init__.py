"""The architectures that are measured, and an order of their layers of which any prefix covers the feature space."""
