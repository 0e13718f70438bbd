"""Which processes are foreign on a device."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from joulecast_calibration.meter.processes import DeviceProcesses


def tree(folder: Path, parents: dict[int, int]) -> Path:
    """A /proc in which each process has the parent given."""
    for process, parent in parents.items():
        (folder / str(process)).mkdir()
        (folder / str(process) / "stat").write_text(f"{process} (a (strange) name) S {parent} 1 1")
    return folder


def test_descendants_are_kin_and_ancestors_are_not(tmp_path: Path) -> None:
    own = DeviceProcesses(process=10, proc=tree(tmp_path, {5: 1, 10: 5, 11: 10, 12: 11, 20: 5}))
    assert own.foreign_processes([10, 11, 12]) == ()
    assert own.foreign_processes([20, 12, 5]) == (5, 20)


def test_one_unknown_is_taken_for_us_until_we_are_listed(tmp_path: Path) -> None:
    own = DeviceProcesses(process=10, proc=tree(tmp_path, {10: 5}))
    assert own.foreign_processes([777]) == ()
    assert own.foreign_processes([777, 888]) == (888,)
    assert own.foreign_processes([10, 777]) == (777,)


def test_one_who_leaves_is_replaced_by_who_comes(tmp_path: Path) -> None:
    """A chained process is another one to the driver."""
    own = DeviceProcesses(process=10, proc=tree(tmp_path, {10: 5}))
    assert own.foreign_processes([777]) == ()
    assert own.foreign_processes([888]) == ()
    assert own.foreign_processes([0, 0]) == (0,), "a sandbox may number all of them 0"


def test_before_we_use_the_device_nobody_is_us(tmp_path: Path) -> None:
    own = DeviceProcesses(process=10, proc=tree(tmp_path, {10: 5, 11: 10}))
    assert own.foreign_before_context([777, 11]) == (777,)


@given(st.lists(st.integers(2, 1000), unique=True))
def test_at_most_one_unknown_is_spared(listed: list[int]) -> None:
    foreign = DeviceProcesses(process=10, proc=Path("/nowhere")).foreign_processes(listed)
    unknown = [process for process in listed if process != 10]
    assert len(foreign) >= len(unknown) - 1
    assert set(foreign) <= set(unknown)


def test_a_circle_of_parents_ends(tmp_path: Path) -> None:
    own = DeviceProcesses(process=10, proc=tree(tmp_path, {20: 21, 21: 20}))
    assert own.foreign_before_context([20]) == (20,)
