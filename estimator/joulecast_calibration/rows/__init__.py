"""Read measured rows from a data folder."""
