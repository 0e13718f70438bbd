"""Passes of a decoder by its class in transformers: built of a configuration without weights, and traced."""
