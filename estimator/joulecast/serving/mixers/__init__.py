"""What mixes the tokens of a sequence in place of attention over keys and values of heads: latents and states."""
