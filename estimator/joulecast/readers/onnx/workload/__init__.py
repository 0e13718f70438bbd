"""What the workload says of a model: sizes of dimensions, contents of inputs, and what is still to be asked."""
