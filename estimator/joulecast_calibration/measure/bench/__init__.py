"""The devices that a run measures on: a real GPU, the processor, or a simulated card."""
