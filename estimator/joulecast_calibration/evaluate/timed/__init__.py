"""Scores of the seconds of whole networks: of cards without energy rows, by laws that can be exchanged."""
