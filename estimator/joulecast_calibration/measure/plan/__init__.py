"""Decide what is measured, in which order, and what a time budget covers."""
