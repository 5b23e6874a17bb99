"""Whose call it is, by address: the peer, or whom a trusted proxy names.

X-Forwarded-For is a list that each proxy appends its own peer to. Anybody can send one, so only what trusted proxies
have appended counts: it is read from the right, for as long as a trusted proxy wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from leaderboard.settings import UNIX

#: What one household or one rented machine gets of IPv6: its addresses are all the same caller's.
IPV6_PREFIX = 64

#: How many callers a process remembers the address of. They are read anew when there are more.
REMEMBER_MOST = 4096
#: A list longer than any chain of proxies writes is not remembered: it would be kept 4096 times.
REMEMBER_LENGTH = 200

Address = IPv4Address | IPv6Address


class ClientAddresses:
    """Reads addresses, given the proxies that are trusted (`Settings.trusted_proxies`)."""

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._unix = UNIX in trusted_proxies
        self._networks = [ip_network(proxy) for proxy in trusted_proxies if proxy != UNIX]
        # Reading takes 10 to 60 µs, and the same few callers come again and again.
        self._remembered = lru_cache(REMEMBER_MOST)(self._read)

    def trusts(self, peer: str) -> bool:
        """Whether what this peer forwards is believed."""
        address = _parse(peer)
        return self._unix if address is None else self._is_proxy(address)

    def caller(self, peer: str, forwarded: str | None) -> str:
        """Who is counted: an IPv4 address, the /64 of an IPv6 one, or `unix` for a peer without address.

        `peer` is the other end of the connection, '' on a Unix socket; `forwarded` the X-Forwarded-For it sent. When
        all that is named is trusted proxies, it is the first of them; what cannot be read ends the list.
        """
        if not forwarded or not (self._networks or self._unix):
            return self._remembered(peer, "")
        if len(forwarded) > REMEMBER_LENGTH:
            return self._read(peer, forwarded)
        return self._remembered(peer, forwarded)

    def _read(self, peer: str, forwarded: str) -> str:
        nearest = _parse(peer)
        if forwarded and self.trusts(peer):
            for item in reversed(forwarded.split(",")):
                address = _parse(item)
                if address is None:
                    break
                nearest = address
                if not self._is_proxy(address):
                    break
        return _shown(nearest)

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _parse(text: str) -> Address | None:
    """An address, as proxies write it: some add the port, and IPv4 may arrive in IPv6's clothes."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _shown(address: Address | None) -> str:
    if isinstance(address, IPv6Address):
        host_bits = address.max_prefixlen - IPV6_PREFIX
        return str(IPv6Address(int(address) >> host_bits << host_bits))
    return UNIX if address is None else str(address)
