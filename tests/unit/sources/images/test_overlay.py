"""Finding the model in an image as a container runtime would see its files."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from joulecast.errors import ModelFetchError, ModelFormatError
from joulecast.sources import fetch
from tests.images import compressed, write_layout
from tests.unit.sources.archives import Member, image, layout, tar
from tests.unit.sources.models import gemm_model, parsed

ONE, TWO, THREE = (gemm_model(width=8, count=count) for count in (1, 2, 3))
HARD, FOLDER = tarfile.LNKTYPE, tarfile.DIRTYPE


def size(reference: str, path: str | None = None) -> int:
    """Which of the models is found: ONE, TWO or THREE."""
    return len(parsed(fetch(reference, path=path).skeleton).graph.node)


def reason(reference: str, path: str | None = None) -> tuple[str, str]:
    with pytest.raises((ModelFetchError, ModelFormatError)) as caught:
        fetch(reference, path=path)
    return caught.value.reason, str(caught.value)


@pytest.fixture(params=[None, "gzip", "zstd"])
def compression(request: pytest.FixtureRequest) -> str | None:
    return request.param


@pytest.mark.parametrize("path", ["/models/m.onnx", "models/m.onnx", "./models//m.onnx"])
def test_the_top_layer_wins(tmp_path: Path, compression: str | None, path: str) -> None:
    reference = layout(tmp_path, [("models/m.onnx", ONE)], [("./models/m.onnx", TWO)], compression=compression)
    assert size(reference, path) == size(reference) == 2


@pytest.mark.parametrize(
    ("top", "is_there"),
    [
        ([("models/.wh.m.onnx", b"")], False),
        ([(".wh.models", b"")], False),
        ([("models/.wh..wh..opq", b"")], False),
        ([(".wh..wh..opq", b"")], False),
        ([("models", b"a file now")], False),
        ([("models/.wh.other.onnx", b""), ("other/.wh..wh..opq", b"")], True),
        ([("models/m.onnx", TWO), ("models/.wh..wh..opq", b"")], True),
        ([("models/.wh..wh..opq", b""), ("models/m.onnx", TWO)], True),
        ([("models/.wh.m.onnx", b""), ("models/m.onnx", TWO)], True),
    ],
)
def test_whiteouts(tmp_path: Path, compression: str | None, top: list[tuple[str, Member]], is_there: bool) -> None:
    reference = layout(tmp_path, [("models/m.onnx", TWO)], top, compression=compression)
    if is_there:
        assert size(reference, "/models/m.onnx") == size(reference) == 2
    else:
        assert reason(reference, "/models/m.onnx")[0] == "ModelNotFound"
        if top[0][0] != "models":
            assert reason(reference)[0] == "ModelNotFound"


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ([[("models/1/m.onnx", TWO), ("models/latest", "1")]], "/models/latest/m.onnx"),
        ([[("models/1/m.onnx", TWO)], [("models/latest", "1")]], "/models/latest/m.onnx"),
        ([[("models/latest", "/models/1")], [("models/1/m.onnx", TWO)]], "/models/latest/m.onnx"),
        ([[("data/m.onnx", TWO)], [("models/m.onnx", "../data/m.onnx")]], "/models/m.onnx"),
        ([[("data/m.onnx", TWO)], [("models/m.onnx", "../../../../data/m.onnx")]], "/models/m.onnx"),
        ([[("a", "b"), ("b", "c"), ("c/m.onnx", TWO)]], "/a/m.onnx"),
        ([[("data/m.onnx", TWO), ("models/m.onnx", (HARD, "data/m.onnx"))]], "/models/m.onnx"),
        ([[("models/m.onnx", (HARD, "data/m.onnx")), ("data/m.onnx", TWO)]], "/models/m.onnx"),
        ([[("data/m.onnx", TWO)], [("models/m.onnx", (HARD, "./data/m.onnx"))]], "/models/m.onnx"),
        # a hard link keeps the content that it was made of, whatever the name holds later
        ([[("data/m.onnx", TWO), ("models/m.onnx", (HARD, "data/m.onnx"))], [("data/m.onnx", ONE)]], "/models/m.onnx"),
        # a symlink does not
        ([[("data/m.onnx", ONE), ("models/m.onnx", "/data/m.onnx")], [("data/m.onnx", TWO)]], "/models/m.onnx"),
        # a folder of a layer above stands in the place of a link below
        (
            [[("models", "old"), ("old/m.onnx", ONE)], [("models", (FOLDER, "")), ("models/m.onnx", TWO)]],
            "/models/m.onnx",
        ),
    ],
)
def test_links(tmp_path: Path, compression: str | None, layers: list[list[tuple[str, Member]]], path: str) -> None:
    assert size(layout(tmp_path, *layers, compression=compression), path) == 2


def test_a_folder_hides_the_link_that_it_replaced(tmp_path: Path) -> None:
    reference = layout(tmp_path, [("models", "old"), ("old/m.onnx", ONE)], [("models", (FOLDER, ""))])
    assert reason(reference, "/models/m.onnx")[0] == "ModelNotFound"


def test_circles_of_links_end(tmp_path: Path) -> None:
    reference = layout(tmp_path, [("models/a.onnx", "b.onnx"), ("models/b.onnx", "a.onnx")])
    assert "links" in reason(reference, "/models/a.onnx")[1]


def test_links_to_one_model_are_that_model(tmp_path: Path) -> None:
    reference = layout(
        tmp_path,
        [("models/1/m.onnx", TWO), ("models/m.onnx", "1/m.onnx"), ("models/h.onnx", (HARD, "models/1/m.onnx"))],
    )
    assert size(reference) == 2


def test_a_link_out_of_models_is_followed(tmp_path: Path) -> None:
    assert size(layout(tmp_path, [("blobs/abc", TWO)], [("models/m.onnx", "/blobs/abc")])) == 2


@pytest.mark.parametrize("name", ["../models/m.onnx", "models/../../m.onnx", "/../m.onnx"])
def test_a_path_out_of_the_root_is_refused(tmp_path: Path, name: str) -> None:
    reference = layout(tmp_path, [(name, TWO)])
    assert reason(reference, "/models/m.onnx")[0] == "InvalidModelFormat"
    assert "leaves the image's root" in reason(reference)[1]


def test_several_models_are_listed(tmp_path: Path) -> None:
    reference = layout(tmp_path, [("models/b.onnx", TWO)], [("models/a/a.onnx", ONE), ("etc/x.onnx", ONE)])
    kind, message = reason(reference)
    assert kind == "AmbiguousModel"
    assert "/models/a/a.onnx, /models/b.onnx;" in message
    assert "etc" not in message


def test_models_elsewhere_are_named_not_guessed(tmp_path: Path) -> None:
    kind, message = reason(layout(tmp_path, [("app/m.onnx", TWO)]))
    assert kind == "ModelNotFound"
    assert "/app/m.onnx" in message


def test_a_folder_for_a_path_lists_what_is_there(tmp_path: Path) -> None:
    assert "/models/m.onnx" in reason(layout(tmp_path, [("models/m.onnx", TWO)]), "/models")[1]


def test_what_names_the_path_and_in_what_order(tmp_path: Path) -> None:
    key = "joulecast.dev/model-path"
    members = [("models/one.onnx", ONE), ("b.onnx", TWO), ("c", THREE)]
    both = layout(tmp_path / "1", members, annotations={key: "/b.onnx"}, labels={key: "/c"})
    assert (size(both), size(both, "models/one.onnx")) == (2, 1)
    assert size(layout(tmp_path / "2", members, labels={key: "c"})) == 3
    assert size(layout(tmp_path / "3", members)) == 1


def test_history_says_where_to_look_first(tmp_path: Path) -> None:
    history = [
        {"created_by": "COPY m.onnx /models/"},
        {"created_by": "ENV X=1", "empty_layer": True},
        {"created_by": "RUN true"},
    ]
    layers = [("models/m.onnx", ONE)], [("models/other.onnx", TWO)]
    assert size(layout(tmp_path / "1", *layers, history=history)) == 1
    assert reason(layout(tmp_path / "2", *layers, history=history[:1]))[0] == "AmbiguousModel"


ARTIFACT = "application/vnd.unknown.config.v1+json"


@pytest.mark.parametrize("key", ["org.opencontainers.image.title", "org.cncf.model.filepath"])
@pytest.mark.parametrize("media_type", ["application/octet-stream", "application/vnd.oci.image.layer.v1.tar"])
@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_a_layer_may_be_the_file_itself(tmp_path: Path, key: str, media_type: str, compression: str | None) -> None:
    readme, model = b"about the model", compressed(TWO, compression)
    artifact = image(
        [readme, model, b"weights"],
        media_type=media_type,
        titles=[{key: "README.md"}, {key: "m.onnx"}, {key: "m.onnx.data"}],
        config_type=ARTIFACT,
    )
    reference = str(write_layout(artifact, tmp_path))
    found = fetch(reference)
    assert (found.path, size(reference), size(reference, "/m.onnx")) == ("m.onnx", 2, 2)


def test_an_untitled_file_is_found_if_it_is_the_only_one(tmp_path: Path) -> None:
    reference = str(write_layout(image([TWO], media_type="application/onnx", config_type=ARTIFACT), tmp_path))
    assert size(reference) == 2


def test_two_titled_models_are_listed(tmp_path: Path) -> None:
    titles = [{"org.opencontainers.image.title": name} for name in ("a.onnx", "b.onnx")]
    reference = str(write_layout(image([ONE, TWO], media_type="x/y", titles=titles, config_type=ARTIFACT), tmp_path))
    kind, message = reason(reference)
    assert kind == "AmbiguousModel"
    assert "a.onnx, b.onnx" in message
    assert size(reference, "b.onnx") == 2


def test_a_model_in_another_format_is_named(tmp_path: Path) -> None:
    kind, message = reason(
        layout(tmp_path, [("models/m.pt", b"PK\x03\x04" + b"x" * 26 + b"m/data.pkl")]), "/models/m.pt"
    )
    assert kind == "UnsupportedFormat"
    assert "PyTorch" in message


def test_several_members_and_frames_are_read_on(tmp_path: Path) -> None:
    body = tar([("etc/x", b"x" * 5000), ("models/m.onnx", TWO)])
    for compression in ("gzip", "zstd"):
        pieces = b"".join(compressed(body[start : start + 700], compression) for start in range(0, len(body), 700))
        padded = pieces + (b"\0" * 100 if compression == "gzip" else b"")
        reference = str(write_layout(image([padded]), tmp_path / compression))
        assert size(reference) == 2
        assert fetch(reference, verify=True).verification == "Full"


def test_chunked_zstd_and_stargz_are_ordinary_streams(tmp_path: Path) -> None:
    body = tar([("models/m.onnx", TWO)])
    skippable = b"\x50\x2a\x4d\x18" + (40).to_bytes(4, "little") + b"t" * 40
    chunked = skippable + compressed(body, "zstd") + skippable
    assert size(str(write_layout(image([chunked]), tmp_path / "chunked"))) == 2
    footer = gzip.compress(b"", mtime=0)
    stargz = b"".join(gzip.compress(body[start : start + 512], mtime=0) for start in range(0, len(body), 512)) + footer
    assert size(str(write_layout(image([stargz]), tmp_path / "stargz"))) == 2


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_in_every_dialect(tmp_path: Path, format: int) -> None:  # noqa: A002
    folder = "/".join(["models", *["long-folder-name"] * 8])
    name = f"{folder}/m.onnx" if format == tarfile.USTAR_FORMAT else f"{folder}/{'n' * 200}/ünï/m.onnx"
    reference = str(write_layout(image([tar([(name, TWO)], format)]), tmp_path))
    assert (size(reference), size(reference, name)) == (2, 2)
