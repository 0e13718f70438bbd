"""Accelerators that can be priced, by name, and when a new profile replaces an old one."""
