"""The image of both processes, built and run: `make test-image`, as root, where buildah is."""
