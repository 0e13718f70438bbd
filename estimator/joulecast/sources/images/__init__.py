"""OCI images as files: references, manifests, layers, and the files that stacked layers show."""
