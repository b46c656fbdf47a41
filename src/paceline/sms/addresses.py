"""May a request that somebody else has ordered go to this address? Only to what the whole internet can reach.

What people enter as the address of a webhook is asked for by our own machine, which can reach more than they can: its
own services, its neighbours, its cloud's metadata. So the name is resolved once, each address is looked at, and the
connection goes to that very address.
"""

from __future__ import annotations

import ipaddress

_EMBEDDED = (
    (ipaddress.ip_network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (ipaddress.ip_network("::/96"), 0),  # IPv4-compatible, RFC 4291
    (ipaddress.ip_network("2002::/16"), 80),  # 6to4, RFC 3056: how far the IPv4 address is from the end, in bits
)
"""IPv6 addresses that lead to an IPv4 address which they carry."""

_BARRED = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("192.88.99.0/24", "240.0.0.0/4"),  # 6to4 relays; reserved
        *("64:ff9b:1::/48", "100::/64", "2001::/23", "fec0::/10"),  # NAT64 at home, discard, Teredo and others, sites
    )
)


def is_global(address: str) -> bool:
    """True for an IPv4 or IPv6 address that everybody can reach; False for anything else, and for what is none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            return False
        if (inner := _inside(found)) is not None:
            return is_global(str(inner))
    barred = any(found in network for network in _BARRED if network.version == found.version)
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified or barred)


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    for network, bits in _EMBEDDED:
        if address in network:
            return ipaddress.IPv4Address(int(address) >> bits & 0xFFFFFFFF)
    return None
