"""Seconds of whole vision networks on cards without energy rows, and the counted rows of those networks."""
