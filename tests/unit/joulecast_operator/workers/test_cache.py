from __future__ import annotations

import os
from pathlib import Path

from joulecast_operator.workers.cache import Cache, key


def test_what_is_put_is_got_also_after_a_restart(tmp_path: Path) -> None:
    Cache(tmp_path / "cache", capacity_bytes=100).put("a", b"1")
    cache = Cache(tmp_path / "cache", capacity_bytes=100)
    assert cache.get("a") == b"1"
    assert cache.get("b") is None


def test_the_oldest_use_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, capacity_bytes=100)
    for number, name in enumerate("abcd"):
        cache.put(name, b"x" * 24)
        os.utime(tmp_path / name, (number, number))
    assert cache.get("a") is not None
    cache.put("e", b"x" * 24)
    assert [cache.get(name) is not None for name in "abcde"] == [True, False, False, True, True]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 100


def test_a_folder_that_cannot_be_written_is_a_miss(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache", capacity_bytes=100)
    cache.put("a", b"1")
    assert cache.get("a") is None


def test_keys_tell_apart_what_differs() -> None:
    assert key("a", ["b"]) == key("a", ["b"])
    assert len({key("a", "b"), key("ab"), key(["a", "b"]), key("a", ["b"])}) == 4


def test_a_key_is_in_the_cache_while_its_bytes_are(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", capacity_bytes=100)
    assert "a" not in cache
    cache.put("a", b"1")
    assert "a" in cache
