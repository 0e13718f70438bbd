"""References to images, as container tools write them (distribution/reference grammar)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from joulecast.errors import ModelReferenceError
from joulecast.sources.streams.ranges import HASHES

DOCKER_HUB = "docker.io"
_SCHEMES = ("oci://", "docker://")  # KServe's and skopeo's ways of writing one
_ELSEWHERE = ("hf://", "s3://")
"""From there language models are read, and no ONNX files."""

_DOMAIN = r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::[0-9]{1,5})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_REFERENCE = re.compile(
    rf"(?:(?P<domain>{_DOMAIN})/)?(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>[^@]+))?"
)
_MAX_CHARACTERS = 512  # of a name 255 (distribution/reference), of a tag 128, of a digest 135


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """The name of an image in a registry.

    - ``registry``: host[:port].
    - ``repository``: path there.
    """

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def target(self) -> str:
        """Return what to ask the registry for: the digest if there is one, else the tag."""
        return self.digest or self.tag or "latest"

    @property
    def host(self) -> str:
        return self.registry if self.registry.endswith("]") else self.registry.rpartition(":")[0] or self.registry

    @property
    def port(self) -> int | None:
        port = self.registry.rpartition(":")[2]
        return int(port) if port.isdigit() and port != self.registry else None


def parse(text: str) -> ImageReference:
    """Parse the image reference ``text``. Raises ModelReferenceError if it is malformed."""
    bare = text
    for scheme in _SCHEMES:
        bare = bare.removeprefix(scheme)
    match = _REFERENCE.fullmatch(bare) if len(bare) <= _MAX_CHARACTERS else None
    if match is None:
        raise _invalid(text, "is not an image reference")
    digest = match["digest"]
    if digest is not None and not is_digest(digest):
        raise _invalid(text, "has a malformed digest")
    registry, repository = _placed(match["domain"], match["repository"])
    return ImageReference(registry=registry, repository=repository, tag=match["tag"], digest=digest)


def refuse_address(text: str) -> None:
    """Raise ModelReferenceError for an address from which no model is read.

    Nothing is downloaded from there.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) or f"{scheme}://" in _SCHEMES:
        return
    if f"{scheme}://" in _ELSEWHERE and not text.lower().endswith(".onnx"):
        return
    if scheme.lower() == "file":
        raise ModelReferenceError(f"{text[:200]!r} is the address of a file: give its path alone, {rest[:200]}")
    bare = _without_secrets(scheme, rest)
    command = _DOWNLOADS.get(scheme.lower())
    how = f" ({command.format(bare)})" if command else ""
    raise ModelReferenceError(
        f"{bare!r} is an address from which nothing is downloaded: download the file first{how}, and give the file or"
        " an image that holds it"
    )


_DOWNLOADS = {
    "s3": "aws s3 cp {} .",
    "hf": "hf download, with the repository and the file's name",
    **dict.fromkeys(("http", "https", "ftp"), "curl -LO {}"),
    "gs": "gcloud storage cp {} .",
    **dict.fromkeys(("az", "abfs", "abfss", "wasb", "wasbs"), "azcopy copy {} ."),
}
"""How what an address names comes onto this machine, by its scheme."""


def _without_secrets(scheme: str, rest: str) -> str:
    """Return the address without user, password and query, which may hold a signature."""
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{re.split('[?#]', path)[0]}"[:200]


def is_bare(text: str) -> bool:
    """Decide whether ``text`` is one word: an official image of Docker Hub, but perhaps meant as a network's name."""
    return re.fullmatch(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*", text) is not None


def is_digest(text: object) -> bool:
    """Decide whether ``text`` is a digest of a registered algorithm (``sha256:`` and 64 hexadecimal digits)."""
    if not isinstance(text, str):
        return False
    algorithm, _, value = text.partition(":")
    return re.fullmatch(r"[0-9a-f]+", value) is not None and HASHES.get(algorithm) == len(value)


def _placed(domain: str | None, repository: str) -> tuple[str, str]:
    """Return registry and repository; a first component is a registry only if Docker Hub could not have such a name."""
    if domain is None or domain in {"index.docker.io", "registry-1.docker.io", DOCKER_HUB}:
        return DOCKER_HUB, repository if "/" in repository else f"library/{repository}"
    if re.search(r"[.:\[A-Z]", domain) or domain == "localhost":
        return domain, repository
    return DOCKER_HUB, f"{domain}/{repository}"


def _invalid(text: str, problem: str) -> ModelReferenceError:
    return ModelReferenceError(
        f"{text[:200]!r} {problem}: write registry.example/team/model:tag, optionally with @sha256:…, or the "
        "path of an .onnx file"
    )
