"""A cluster and a registry in which the demo types its commands."""

from __future__ import annotations

import json
import shlex
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from examples.demo.terminal import answer, command, say
from tests.harness.registry import SmallRegistry

EXAMPLES = Path(__file__).resolve().parents[1]
OURS = "joulecast.dev/"


class Stage(ABC):
    """`typed` is how a person would call kubectl there; `folder` takes the manifests with the registry's address."""

    typed = "kubectl"

    def __init__(self, folder: Path, registry: SmallRegistry) -> None:
        self.folder = folder
        self.registry = registry

    @abstractmethod
    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run kubectl. Raises RuntimeError with what it wrote if it fails."""

    def push(self, layouts: dict[str, Path]) -> None:
        for reference, layout in layouts.items():
            repository, _, tag = reference.partition(":")
            digest = self.registry.push(layout, repository, tag)
            say(f"pushed {self.registry.host}/{reference}  {digest[:19]}…")

    def manifest(self, name: str) -> Path:
        """An example's manifest with this registry's address in it."""
        path = self.folder / name
        path.write_text((EXAMPLES / name).read_text().replace("REGISTRY", self.registry.host))
        return path

    def show(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl in sight. ``text``: how its arguments are shown, where paths would hide the point."""
        command(f"{self.typed} {text or shlex.join(arguments)}")
        done = self.kubectl(*arguments)
        answer(done)
        return done

    def apply(self, name: str, *options: str) -> None:
        shown = shlex.join(["apply", *options, "-f", f"examples/{name}"])
        self.show("apply", *options, "-f", str(self.manifest(name)), text=shown)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One object as the API server has it; empty if there is none."""
        found = self.kubectl("get", kind, name, "-o", "json", "--ignore-not-found").stdout
        return json.loads(found) if found.strip() else {}

    def annotations(self, deployment: str) -> dict[str, str]:
        """joulecast's annotations of a Deployment."""
        found = self.get("deployment", deployment).get("metadata", {}).get("annotations", {})
        return {key: value for key, value in found.items() if key.startswith(OURS)}

    def show_annotations(self, deployment: str) -> None:
        command(f"{self.typed} get deployment {deployment} -o jsonpath='{{.metadata.annotations}}'")
        for key, value in sorted(self.annotations(deployment).items()):
            say(f"  {key}: {value}", style="")
