"""A real object store on loopback (Versity's S3 gateway over a folder), which checks signatures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.harness import binaries, http
from tests.harness.ports import free_port
from tests.harness.processes import Process

if TYPE_CHECKING:
    from types import TracebackType

    from tests.harness.steps import Report

ACCESS_KEY_ID = "tester"
SECRET_ACCESS_KEY = "forecast-forecast"
REGION = "us-east-1"


class ObjectStore:
    """A store at `url`; what was put stays in `directory`. Everything is owned by `ACCESS_KEY_ID`."""

    def __init__(self, directory: Path, *, detached: bool = False, report: Report | None = None) -> None:
        self.directory = directory.absolute()
        (self.directory / "buckets").mkdir(parents=True, exist_ok=True)
        (self.directory / "attributes").mkdir(exist_ok=True)
        self.host = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.host}"
        argv: list[str | Path] = [
            binaries.program("versitygw", report),
            f"--port={self.host}",
            f"--access={ACCESS_KEY_ID}",
            f"--secret={SECRET_ACCESS_KEY}",
            f"--region={REGION}",
            "--health=/health",
            "posix",
            f"--sidecar={self.directory / 'attributes'}",  # not every file system has extended attributes
            self.directory / "buckets",
        ]
        is_ready = lambda: http.answers(f"{self.url}/health")  # noqa: E731
        self.process = Process("versitygw", argv, directory=self.directory, is_ready=is_ready, detached=detached)

    @classmethod
    def start(cls, directory: Path, **options: Any) -> Self:
        """Prepare and start one; takes what the constructor takes. Raises `ProcessError` or `StepError`."""
        store = cls(directory, **options)
        store.process.start()
        return store

    def bucket(self, name: str) -> Path:
        """Create a bucket; returns its folder."""
        folder = self.directory / "buckets" / name
        folder.mkdir(exist_ok=True)
        return folder

    def open(self, bucket: str, prefix: str) -> None:
        """Let anybody read what begins with `prefix`, by a policy of the bucket, where the gateway keeps it."""
        resource = f"arn:aws:s3:::{bucket}/{prefix}*"
        statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [resource]}
        folder = self.directory / "attributes" / bucket / "meta"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policy").write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    def stop(self) -> None:
        self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
