"""OCI registries over HTTP: which may be reached, how requests are authorised, and what is counted."""
