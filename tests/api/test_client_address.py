"""Whose call it is: the peer, or whom the proxies that are trusted name."""

from __future__ import annotations

import pytest

from leaderboard.api.client_address import ClientAddresses

pytestmark = pytest.mark.any_store


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        # peer: not a proxy that is trusted
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9, 10.0.0.7", "192.0.2.1"),
        ("11.0.0.5", "203.0.113.9", "11.0.0.5"),
        # one proxy, and a chain of them
        ("10.0.0.5", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.5", "203.0.113.9, 10.9.9.9", "203.0.113.9"),
        ("10.0.0.5", "203.0.113.9,10.9.9.9 ,10.1.1.1", "203.0.113.9"),
        ("10.0.0.5", "203.0.113.9, 2001:db8:ff::1, 10.1.1.1", "203.0.113.9"),
        ("2001:db8:ff:2::1", "203.0.113.9", "203.0.113.9"),
        # a proxy that is not trusted is a client like any other
        ("10.0.0.5", "203.0.113.9, 198.51.100.7, 10.1.1.1", "198.51.100.7"),
        ("10.0.0.5", "10.1.1.1, 198.51.100.7", "198.51.100.7"),
        # everybody is a proxy: the first of them asks
        ("10.0.0.5", None, "10.0.0.5"),
        ("10.0.0.5", "10.3.3.3, 10.1.1.1", "10.3.3.3"),
        # what cannot be read ends the list
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", " , ", "10.0.0.5"),
        ("10.0.0.5", "unknown", "10.0.0.5"),
        ("10.0.0.5", "203.0.113.9, unknown, 10.1.1.1", "10.1.1.1"),
        ("10.0.0.5", "203.0.113.9, 10.1.1.1, ", "10.0.0.5"),
        ("10.0.0.5", "1.2.3", "10.0.0.5"),
        ("10.0.0.5", "203.0.113.009", "10.0.0.5"),
        ("10.0.0.5", "lb:{0}:keys", "10.0.0.5"),
        ("10.0.0.5", "203.0.113.9/../x", "10.0.0.5"),
        # as some proxies write it
        ("10.0.0.5", "203.0.113.9:54321", "203.0.113.9"),
        ("10.0.0.5", "[2001:db8::9]:54321", "2001:db8::"),
        ("10.0.0.5", "2001:db8::9", "2001:db8::"),
        ("::ffff:10.0.0.5", "::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:192.0.2.1", "203.0.113.9", "192.0.2.1"),
        # IPv6 by its /64
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", None, "2001:db8:1:2::"),
        ("2001:db8:1:3::", None, "2001:db8:1:3::"),
        ("fe80::1%eth0", None, "fe80::"),
        ("::1", None, "::"),
        # a Unix socket that is not trusted
        ("", "203.0.113.9", "unix"),
    ],
)
def test_the_address_is_read_from_the_right(peer: str, forwarded: str | None, counted: str) -> None:
    assert ClientAddresses(["10.0.0.0/8", "2001:db8:ff::/48"]).caller(peer, forwarded) == counted


def test_without_trusted_proxies_only_the_peer_counts() -> None:
    for peer in ("127.0.0.1", "10.0.0.5", "192.0.2.1"):
        assert ClientAddresses([]).caller(peer, "203.0.113.9") == peer


def test_a_unix_socket_is_trusted_by_its_name() -> None:
    addresses = ClientAddresses(["unix", "10.0.0.5"])
    assert addresses.caller("", "203.0.113.9, 10.0.0.5") == "203.0.113.9"
    assert addresses.caller("", None) == "unix"
    assert addresses.caller("192.0.2.1", "203.0.113.9") == "192.0.2.1"


def test_a_header_of_any_length_is_read() -> None:
    addresses = ClientAddresses(["10.0.0.0/8"])
    assert addresses.caller("10.0.0.5", ", ".join(["10.1.1.1"] * 2000)) == "10.1.1.1"
    assert addresses.caller("10.0.0.5", ",".join(["203.0.113.9"] * 2000)) == "203.0.113.9"
