"""tar, gzip and zstd read forward: any input gives its content or one clear error, in bounded memory."""

from __future__ import annotations

import gzip
import io
import itertools
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from joulecast.errors import JoulecastError, ModelFormatError
from joulecast.sources import FetchBudget
from joulecast.sources.budget import Meter
from joulecast.sources.streams.compressed import decompressed
from joulecast.sources.streams.stream import LimitedStream, MemoryStream
from joulecast.sources.streams.tarstream import members as tar_members
from tests.images import compressed
from tests.unit.sources.archives import tar
from tests.unit.sources.models import gemm_model

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=150).filter(
    lambda name: name not in {".", ".."}
)
files = st.dictionaries(names, st.binary(max_size=2000), max_size=6)


def meter(**budget: int) -> Meter:
    return Meter(FetchBudget(**budget), "image")


def unfolded(data: bytes, **budget: int) -> bytes:
    stream = decompressed(MemoryStream(data), name="layer", meter=meter(**budget))
    pieces = []
    while piece := stream.read(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def members(data: bytes) -> dict[str, bytes]:
    stream = MemoryStream(data)
    return {entry.path: LimitedStream(stream, entry.size or 0).read(1 << 30) for entry in tar_members(stream, "layer")}


@given(content=files, format=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_every_file_comes_out_as_it_went_in(content: dict[str, bytes], format: int) -> None:  # noqa: A002
    assert members(tar(list(content.items()), format)) == content


@given(
    content=st.binary(max_size=20_000),
    cuts=st.lists(st.integers(0, 20_000), max_size=4),
    kind=st.sampled_from(["gzip", "zstd"]),
)
def test_members_and_frames_unfold_to_their_concatenation(content: bytes, cuts: list[int], kind: str) -> None:
    edges = [0, *sorted(cuts), len(content)]
    data = b"".join(compressed(content[a:b], kind) for a, b in itertools.pairwise(edges))
    assert unfolded(data) == content


ARCHIVE = tar([("a/b", b"x" * 700), ("models/m.onnx", gemm_model(width=4)), ("l", "a/b"), ("ü" * 120, b"y")])


@pytest.mark.slow
@settings(max_examples=300)
@given(end=st.integers(0, len(ARCHIVE)))
def test_a_truncated_archive_gives_its_first_files_or_an_error(end: int) -> None:
    try:
        found = members(ARCHIVE[:end])
    except ModelFormatError as error:
        assert str(error).startswith("layer")
    else:
        assert set(found) <= set(members(ARCHIVE))


@pytest.mark.slow
@settings(max_examples=300)
@given(at=st.integers(0, len(ARCHIVE) - 1), value=st.integers(0, 255))
def test_a_damaged_archive_gives_files_or_an_error(at: int, value: int) -> None:
    data = bytearray(ARCHIVE)
    data[at] = value
    try:
        members(bytes(data))
    except ModelFormatError as error:
        assert str(error)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@settings(max_examples=150)
@given(end=st.integers(0, 2000), at=st.integers(0, 2000), value=st.integers(0, 255))
@example(end=2000, at=2000, value=0)
def test_damaged_compression_gives_content_or_an_error(kind: str, end: int, at: int, value: int) -> None:
    data = bytearray(compressed(ARCHIVE, kind)[:end])
    if at < len(data):
        data[at] = value
    try:
        unfolded(bytes(data))
    except JoulecastError as error:
        assert str(error).startswith("layer")


@pytest.mark.parametrize("missing", [1, 8, 9, 30])
def test_a_gzip_stream_that_ends_too_early_is_noticed(missing: int) -> None:
    with pytest.raises(ModelFormatError, match="ends too early"):
        unfolded(gzip.compress(bytes(range(256)) * 9, mtime=0)[:-missing])


def header(**changes: object) -> bytes:
    info = tarfile.TarInfo("f")
    for key, value in changes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "data",
    [
        header(size=1 << 62),  # says it holds more than there is
        header(type=tarfile.XHDTYPE, size=1 << 40),  # an extension larger than any
        header(type=tarfile.GNUTYPE_LONGNAME, size=1 << 30),
        header(type=tarfile.XHDTYPE, size=512) + b"9999999 path=x\n".ljust(512, b"\0"),
        header(type=tarfile.XHDTYPE, size=512) + b"0 path=x\n".ljust(512, b"\0"),
        header(type=tarfile.XHDTYPE, size=14) + b"14 size=-1000\n".ljust(512, b"\0") + header(),
        header(type=tarfile.GNUTYPE_SPARSE)[:482] + b"\x01" + header()[483:],
        b"\xff" * 512,
        b"a" * 100,
    ],
)
def test_headers_that_lie(data: bytes) -> None:
    with pytest.raises(ModelFormatError, match="layer"):
        members(data)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/../x", "a\0b/../../.."])
def test_names_that_leave_the_root(name: str) -> None:
    with pytest.raises(ModelFormatError, match="leaves the image's root"):
        members(header() + tar([(name, b"")], tarfile.GNU_FORMAT) if "\0" not in name else pax_path(name))


def pax_path(name: str) -> bytes:
    record = f" path={name}\n".encode()
    record = str(len(record) + 2).encode() + record
    return header(type=tarfile.XHDTYPE, size=len(record)) + record.ljust(512, b"\0") + header()


@pytest.mark.slow
def test_a_bomb_is_noticed() -> None:
    with pytest.raises(ModelFormatError, match="bomb") as caught:
        unfolded(zstandard.ZstdCompressor(level=3).compress(bytes(300 << 20)))
    assert caught.value.reason == "DecompressionLimitExceeded"
    with pytest.raises(ModelFormatError, match="bomb"):
        unfolded(gzip.compress(bytes(3 << 20)), decompressed_bytes=1 << 20)


def test_a_zstd_window_without_bound_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    packer = zstandard.ZstdCompressor(
        compression_params=parameters
    ).compressobj()  # size unknown, so the window is declared
    with pytest.raises(ModelFormatError, match="128 MiB"):
        unfolded(packer.compress(b"x" * 1000) + packer.flush())


HOSTILE = {
    "a length of exabytes": "write(b'\\x08\\x08\\x3a' + b'\\xff' * 8 + b'\\x7f' + bytes(1000))",
    "strings of a gigabyte": "write(b'\\x32\\x80\\x80\\x80\\x80\\x03'); file.truncate(1 << 30)",
    "millions of empty fields": "write(b'\\x32\\x00' * (3 << 20))",
    "millions of empty fields in a tensor": (
        "write(b'\\x3a\\x86\\x80\\x80\\x03' + b'\\x2a\\x80\\x80\\x80\\x03' + b'\\x42\\x00' * (3 << 20))"
    ),
    "a gigabyte of zeros in gzip": "write(archive(gzip.compress(bytes(1 << 28), 1) * 4))",
    "a gigabyte of zeros in zstd": "write(archive(zstandard.compress(bytes(1 << 28)) * 4))",
    "a long name of half a gigabyte": (
        "info = tarfile.TarInfo('f'); info.type = b'L'; info.size = 1 << 29\n"
        "write(archive(gzip.compress(info.tobuf() + bytes(1 << 29), 1)))"
    ),
    "pax records without end": (
        "record = lambda i: b'1000000 %08d=' % i + bytes(1000000 - 18) + b'\\n'\n"
        "info = tarfile.TarInfo('f'); info.type = b'x'; info.size = 1000000\n"
        "body = b''.join(info.tobuf() + record(i) + bytes(-1000000 % 512) for i in range(400))\n"
        "write(archive(gzip.compress(body, 1)))"
    ),
    "a model of zeros in gzip": (
        "info = tarfile.TarInfo('models/m.onnx'); info.size = 1 << 28\n"
        "write(archive(gzip.compress(info.tobuf() + b'\\x08\\x08\\x32\\x80\\x80\\x80\\x40' + bytes(1 << 28), 1)))"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_cost_bounded_memory(tmp_path: Path, what: str) -> None:
    """In a process of its own that may have 400 MiB, of which Python and its libraries take about a third."""
    make = """
        import gzip, sys, tarfile, zstandard
        from pathlib import Path
        from tests.images import write_layout
        from tests.unit.sources.archives import image
        folder = Path(sys.argv[1])
        file = (folder / "m.onnx").open("wb")
        write = file.write
        def archive(body):
            write_layout(image([body]), folder / "layout")
            return b""
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(make) + HOSTILE[what], tmp_path], check=True, timeout=300)
    read = """
        import resource, sys
        from pathlib import Path
        limit = 400 << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        from joulecast.errors import JoulecastError
        from joulecast.sources import fetch
        folder = Path(sys.argv[1])
        reference = folder / "layout" if (folder / "layout").is_dir() else folder / "m.onnx"
        try:
            fetch(str(reference), path="/models/m.onnx")
        except JoulecastError as error:
            print(type(error).__name__, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(read), tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("ModelFormatError", "ModelFetchError")), done.stdout
    assert done.stdout.count("\n") == 1


def test_importing_is_light() -> None:
    script = "import sys, joulecast.sources; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    for heavy in ("numpy", "onnx", "httpx2", "zstandard", "torch", "google"):
        assert f"'{heavy}'" not in loaded


def test_skipping_and_reading_agree() -> None:
    data = io.BytesIO(compressed(ARCHIVE, "gzip")).getvalue()
    stream = decompressed(MemoryStream(data), name="layer", meter=meter())
    assert stream.skip(700) == 700
    assert stream.peek(10) == ARCHIVE[700:710] == stream.read(10)
    assert stream.position == 710
    assert stream.skip(1 << 30) == len(ARCHIVE) - 710
