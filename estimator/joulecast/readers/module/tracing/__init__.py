"""One forward pass on fake tensors: what is replaced, what is watched, and what is recorded of it."""
