"""The law of inference engines: seconds, watts and joules of one pass from the rows of its kernels."""
