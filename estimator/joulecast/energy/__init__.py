"""From layer rows to joules: the energy models and what they are made of."""
