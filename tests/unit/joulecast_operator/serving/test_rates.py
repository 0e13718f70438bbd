from __future__ import annotations

from joulecast_operator.serving.rates import AddressRates


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def passed(rates: AddressRates, address: str | None, times: int) -> int:
    return sum(rates.admits(address) for _ in range(times))


def test_one_address_has_its_burst_and_then_its_rate_whatever_others_do() -> None:
    clock = Clock()
    rates = AddressRates(per_second=10, burst=20, now=clock)
    assert passed(rates, "10.244.0.7", 1000) == 20
    assert passed(rates, "10.0.0.1", 5) == 5, "the flood is another address'"
    clock.now = 1.0
    assert passed(rates, "10.244.0.7", 1000) == 10
    clock.now = 1000.0
    assert passed(rates, "10.244.0.7", 1000) == 20


def test_a_host_of_ipv6_is_one_whatever_address_of_its_network_it_takes() -> None:
    rates = AddressRates(per_second=1, burst=2, now=Clock())
    assert [rates.admits(f"2001:db8::{number:x}%eth0") for number in range(3)] == [True, True, False]
    assert rates.admits("2001:db8:0:1::1")
    assert passed(rates, "::ffff:10.0.0.1", 1) + passed(rates, "10.0.0.1", 2) == 2


def test_the_table_is_bounded_and_who_comes_often_stays_in_it() -> None:
    rates = AddressRates(per_second=1, burst=2, addresses=10, now=Clock())
    passed(rates, "10.0.0.1", 2)
    for number in range(1000):
        rates.admits(f"10.1.{number // 256}.{number % 256}")
        assert not rates.admits("10.0.0.1")
    assert len(rates._buckets) == 10


def test_clients_without_an_address_share_a_rate() -> None:
    rates = AddressRates(per_second=1, burst=2, now=Clock())
    assert passed(rates, None, 2) + passed(rates, "no address", 2) == 2
