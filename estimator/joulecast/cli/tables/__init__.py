"""Results as tables for a terminal, and the figures and text in their cells."""
