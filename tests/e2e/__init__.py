"""joulecast on a real node, from its image to its uninstallation: `make e2e`, as root. The files run in their order."""
