"""Starts and stops the real programs that joulecast works with: Kubernetes, Helm, an OCI registry, Prometheus.

The tests' fixtures and `make demo` both use it, so it needs only the standard library, PyYAML and cryptography.
`environment` and `binaries` need the standard library alone: they run before anything is installed.
"""
