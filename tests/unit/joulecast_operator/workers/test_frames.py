from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_operator.workers import frames


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.binary())
def test_what_is_packed_is_unpacked(header: dict[str, object], body: bytes) -> None:
    assert frames.unpack(frames.pack(header, body)) == (header, body)


@given(st.binary(max_size=64))
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    try:
        header, _ = frames.unpack(data)
    except frames.FrameError:
        return
    assert isinstance(header, dict)


def test_a_lie_about_the_length_is_refused_before_it_is_read() -> None:
    with pytest.raises(frames.FrameError, match="larger"):
        frames.lengths(frames.PREFIX.pack(2**32 - 1, 2**32 - 1))


def test_reading_takes_one_frame_and_no_more() -> None:
    reader, writer = os.pipe()
    os.write(writer, frames.pack({"first": 1}, b"x") + frames.pack({"second": 2}))
    os.close(writer)
    assert frames.read(reader) == ({"first": 1}, b"x")
    assert frames.read(reader) == ({"second": 2}, b"")
    with pytest.raises(frames.FrameError):
        frames.read(reader)
    os.close(reader)
