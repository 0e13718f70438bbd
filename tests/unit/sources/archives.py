"""Images made of tar members of every kind, as image-layout folders."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.images import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE, Image, compressed, digest_of, write_layout

Member = bytes | str | tuple[bytes, str]
"""Content of a file; a symlink's target; or (tar type, link target)."""


def tar(members: Sequence[tuple[str, Member]], format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, member in members:
            info = tarfile.TarInfo(name)
            if isinstance(member, bytes):
                info.size = len(member)
                archive.addfile(info, io.BytesIO(member))
                continue
            info.type, info.linkname = (tarfile.SYMTYPE, member) if isinstance(member, str) else member
            archive.addfile(info)
    return buffer.getvalue()


def image(
    bodies: Sequence[bytes],
    *,
    media_type: str = LAYER_TYPE,
    titles: Sequence[Mapping[str, str]] = (),
    config_type: str = CONFIG_TYPE,
    history: Sequence[Mapping[str, Any]] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Layers with the given bytes, bottom first."""
    config = json.dumps({"config": {"Labels": labels or {}}, "history": history or []}).encode()
    layers = []
    for index, body in enumerate(bodies):
        layer = {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}
        layers.append(layer | ({"annotations": dict(titles[index])} if titles else {}))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": config_type, "digest": digest_of(config), "size": len(config)},
        "layers": layers,
        "annotations": dict(annotations or {}),
    }
    blobs = {digest_of(blob): blob for blob in (config, *bodies)}
    return Image(manifest=json.dumps(manifest).encode(), blobs=blobs)


def layout(folder: Path, *layers: Sequence[tuple[str, Member]], compression: str | None = None, **options: Any) -> str:
    """The path of a layout whose layers, bottom first, hold ``layers``."""
    bodies = [compressed(tar(members), compression) for members in layers]
    return str(write_layout(image(bodies, **options), folder))
