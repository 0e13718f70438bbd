"""What the chart renders for a few sets of values, kept to be compared."""
