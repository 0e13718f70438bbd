"""Ordinary container images, made by hand: for the demo and the tests, without a container runtime.

An image is built in memory, then written as an OCI image-layout folder, which a `Registry` of the harness can push.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar_of(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    """A deterministic tar of regular files, in the order given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def compressed(tar: bytes, compression: str | None) -> bytes:
    if compression is None:
        return tar
    if compression == "gzip":
        return gzip.compress(tar, mtime=0)
    return zstandard.ZstdCompressor().compress(tar)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One platform's image: its manifest and the blobs that the manifest names, by digest."""

    manifest: bytes
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def build(
    layers: Sequence[Mapping[str, bytes]],
    *,
    compression: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    architecture: str = "amd64",
    entrypoint: Sequence[str] = (),
) -> Image:
    """An image whose layers hold the given files, executable where there is an ``entrypoint``.

    ``compression``: None (plain tar), ``gzip`` or ``zstd``.
    """
    tars = [tar_of(files, 0o755 if entrypoint else 0o644) for files in layers]
    bodies = [compressed(tar, compression) for tar in tars]
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Labels": dict(labels or {}), **({"Entrypoint": list(entrypoint)} if entrypoint else {})},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
            "history": [{"created_by": f"COPY {' '.join(files)} /"} for files in layers],
        }
    ).encode()
    suffix = f"+{compression}" if compression else ""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(config, CONFIG_TYPE),
        "layers": [_descriptor(body, LAYER_TYPE + suffix) for body in bodies],
        "annotations": dict(annotations or {}),
    }
    return Image(
        manifest=json.dumps(manifest).encode(),
        blobs={digest_of(blob): blob for blob in (config, *bodies)},
    )


def _descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def write_layout(image: Image, folder: Path, tag: str = "latest") -> Path:
    """``image`` as an OCI image-layout folder, which is returned."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for digest, data in {**image.blobs, image.digest: image.manifest}.items():
        (blobs / digest.removeprefix("sha256:")).write_bytes(data)
    descriptor = _descriptor(image.manifest, MANIFEST_TYPE) | {
        "annotations": {"org.opencontainers.image.ref.name": tag}
    }
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
    return folder
