"""From measured rows to an accelerator's profile, and the proof of how good it is."""
