"""Language models as engines run them: passes of many sequences, and the rows of kernels that a pass executes."""
