"""kubeconfig files: how one identity reaches one API server."""

import base64
from pathlib import Path
from typing import Any

import yaml

from tests.harness.certificates import KeyPair


def write_kubeconfig(
    path: Path, *, server: str, authority: Path, user: KeyPair | str, namespace: str = "default"
) -> Path:
    """Write a kubeconfig for `user`, a client certificate or a bearer token, readable by its owner alone."""
    cluster = {"server": server, "certificate-authority-data": _base64(authority)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "default",
        "clusters": [{"name": "default", "cluster": cluster}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": path.stem, "namespace": namespace}}],
        "users": [{"name": path.stem, "user": _credentials(user)}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _credentials(user: KeyPair | str) -> dict[str, Any]:
    if isinstance(user, str):
        return {"token": user}
    return {"client-certificate-data": _base64(user.certificate), "client-key-data": _base64(user.key)}


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
