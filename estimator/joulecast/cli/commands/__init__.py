"""One module a command: ``command`` runs it, ``EXAMPLES`` ends its help."""
