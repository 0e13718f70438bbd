"""Named models of installed libraries with pinned configurations; nothing is ever downloaded."""
