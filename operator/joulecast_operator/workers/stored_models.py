"""Keep models that were read on disk, under the digest of the bytes that were read.

A registry may claim any digest for a layer or a manifest. So a claim leads to a stored model only for requests to the
same registry with the same credentials. Profiles depend on the skeleton only, whoever read it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Final

from joulecast_operator.workers.cache import Cache, key
from joulecast_operator.workers.frames import Header

READER_VERSION: Final = version("joulecast")
"""Part of every cache key, because another version may count differently."""

CONFIGURATION: Final = "configuration"
"""The format of a stored model that is the text of a config.json alone."""

_ITERATIONS: Final = 10_000  # of PBKDF2, the minimum of NIST SP 800-63B, section 5.1.1.2
_SALT: Final = b"joulecast.dev stored models"
_REMEMBERED: Final = 1024  # derived keys of credentials, 128 bytes each


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A model that a registry served for some credentials.

    - ``content``: digest of the skeleton, computed from the bytes that were read.
    - ``path``, ``format``: those of the model in the image; ``configuration`` for the text of a config.json alone.
    - ``verification``: how far its bytes were checked against the image's digests.
    """

    content: str
    path: str
    format: str
    verification: str | None

    @property
    def nameless(self) -> Header:
        """Return the fields of a FetchedModel, without the skeleton and with the digest in place of the image.

        The profiler's answer is shared by all requesters of this content, so it must not name anyone's image.
        """
        return {
            "reference": self.content,
            "format": self.format,
            "path": "",
            "digest": self.content,
            "layer_digest": None,
            "bytes_fetched": 0,
            "image_bytes": 0,
            "verification": None,
        }


class StoredModels:
    """Keeps models, their skeletons and their profiles in ``cache``."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._credentials: dict[str, str] = {}

    def claim(self, host: str, credentials: str, *parts: Any) -> str:
        """Return the key of a model as ``host`` serves it for ``credentials``; ``parts`` identify the model."""
        return key("claim", host, self._stretched(credentials), parts, READER_VERSION)

    def find(self, claim: str) -> StoredModel | None:
        """Return the model that was read under ``claim``; None if none was."""
        kept = self._cache.get(claim)
        return None if kept is None else StoredModel(**json.loads(kept))

    async def keep(self, claim: str, facts: Mapping[str, Any], skeleton: bytes) -> StoredModel:
        """Keep a model that was read under ``claim``, and return it. ``facts``: fields of FetchedModel."""
        digest = await asyncio.to_thread(hashlib.sha256, skeleton)
        model = StoredModel(
            content=f"sha256:{digest.hexdigest()}",
            path=facts["path"],
            format=facts["format"],
            verification=facts["verification"],
        )
        self._cache.put(_skeleton_key(model), skeleton)
        self._cache.put(claim, json.dumps(asdict(model)).encode())
        return model

    def configuration(self, text: str) -> StoredModel:
        """Keep the text of a config.json, which is all that is known of a model, and return the model."""
        content = text.encode("utf-8", "surrogatepass")
        model = StoredModel(
            content=f"sha256:{hashlib.sha256(content).hexdigest()}", path="", format=CONFIGURATION, verification=None
        )
        if _skeleton_key(model) not in self._cache:
            self._cache.put(_skeleton_key(model), content)
        return model

    def skeleton(self, model: StoredModel) -> bytes | None:
        """Return the model's skeleton; None if it is not in the cache."""
        return self._cache.get(_skeleton_key(model))

    def can_profile(self, model: StoredModel, workload: Any, batch_sizes: Iterable[int | None]) -> bool:
        """Tell whether the cache has the profiles for all ``batch_sizes``, or the skeleton to make them from."""
        if _skeleton_key(model) in self._cache:
            return True
        return all(_profile_key(model, workload, size) in self._cache for size in batch_sizes)

    def profiles(self, model: StoredModel, workload: Any, batch_sizes: Iterable[int | None]) -> dict[str, bytes]:
        """Return the stored profiles as JSON, by batch size."""
        found = {json.dumps(size): self._cache.get(_profile_key(model, workload, size)) for size in batch_sizes}
        return {size: text for size, text in found.items() if text is not None}

    def keep_profiles(self, model: StoredModel, workload: Any, sizes: Mapping[str, int], made: bytes) -> None:
        """Keep the profiles that ``made`` holds in sequence. ``sizes``: their lengths in bytes, by batch size."""
        position = 0
        for batch_size, length in sizes.items():
            name = _profile_key(model, workload, json.loads(batch_size))
            self._cache.put(name, made[position : position + length])
            position += length

    def _stretched(self, credentials: str) -> str:
        """Return a part of a file name that stands for credentials, derived slowly so that they are hard to guess."""
        if not credentials:
            return ""
        name = key(credentials)
        if name not in self._credentials:
            if len(self._credentials) >= _REMEMBERED:
                self._credentials.clear()
            stretched = hashlib.pbkdf2_hmac("sha256", credentials.encode(), _SALT, _ITERATIONS)
            self._credentials[name] = stretched.hex()
        return self._credentials[name]


def _skeleton_key(model: StoredModel) -> str:
    return key("skeleton", model.content)


def _profile_key(model: StoredModel, workload: Any, batch_size: int | None) -> str:
    return key("profile", model.content, model.format, READER_VERSION, workload, batch_size, "exported")
