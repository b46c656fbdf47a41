"""May a request that somebody else has ordered go to this address? A table of those that it may not."""

import asyncio
import socket

import pytest

from paceline.sms.addresses import is_global
from paceline.sms.errors import Unavailable
from paceline.sms.messages import Request
from paceline.sms.transports import AsyncTransport

INWARD = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1"),
    *("127.1.2.3", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170"),
    *("192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1"),
    *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:100.64.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:db8::1", "2001:10::1"),
    *("2002:7f00:1::", "2002:a00:1::", "2002:a9fe:a9fe::", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0"),
    *("fec0::1", "ff02::1", "ff0e::1"),
]
OUTWARD = [
    *("1.1.1.1", "8.8.8.8", "93.184.215.14", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1"),
    *("192.169.0.1", "198.17.0.1", "198.20.0.1", "2606:4700:4700::1111", "2a00:1450:4001:800::200e"),
    *("::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"),
]
NONE = ["", "localhost", "127.1", "0x7f000001", "2130706433", "010.0.0.1", "1.2.3", "1.2.3.4.5", "::1::", "8.8.8.8%1"]


@pytest.mark.parametrize("address", [*INWARD, *NONE])
def test_inward(address):
    """This machine, its network, its cloud, nobody, everybody at once, or no address at all."""
    assert not is_global(address)


@pytest.mark.parametrize("address", OUTWARD)
def test_outward(address):
    """What the whole internet can reach, also where it stands inside another."""
    assert is_global(address)


async def asked(url, names=()):
    """What comes of a request, and who has connected to a listening port of this machine."""
    came = []

    async def met(reader, writer):
        came.append(writer.get_extra_info("peername"))
        writer.close()

    async def getaddrinfo(host, port, **rest):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port)) for name in names]

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if names:
        asyncio.get_running_loop().getaddrinfo = getaddrinfo
    async with server, AsyncTransport(allows=is_global, total_seconds=2.0) as transport:
        try:
            await transport.ask(Request("POST", url.format(port=port), {}, b"{}"))
            said = ""
        except Unavailable as error:
            said = str(error)
    return said, came


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("http://127.0.0.1:{port}/", ()),
        ("http://127.1:{port}/", ()),
        ("http://2130706433:{port}/", ()),
        ("http://localhost:{port}/", ()),
        ("http://hooks.example.org:{port}/", ("127.0.0.1",)),
        ("http://hooks.example.org:{port}/", ("93.184.215.14", "127.0.0.1")),
    ],
    ids=["itself", "short", "as one number", "by name", "a name of the internet", "a name of both"],
)
def test_nothing_connects_inward(url, names):
    """However the address is written, and wherever its name leads: no connection is begun."""
    loop = asyncio.SelectorEventLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        said, came = runner.run(asked(url, names))

    assert "AddressBarred" in said and came == []


def test_the_look_is_taken_at_the_address_that_is_connected_to():
    """A name that leads elsewhere when it is asked a second time is asked once."""
    asked_for = []

    async def turning():
        async def getaddrinfo(host, port, **rest):
            asked_for.append(host)
            address = "93.184.215.14" if len(asked_for) == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        loop = asyncio.get_running_loop()
        loop.getaddrinfo = getaddrinfo
        connected = []

        async def sock_connect(sock, where):
            connected.append(where[0])
            raise ConnectionRefusedError

        loop.sock_connect = sock_connect
        async with AsyncTransport(allows=is_global) as transport:
            with pytest.raises(Unavailable):
                await transport.ask(Request("POST", "https://hooks.example.org/", {}, b"{}"))
        return connected

    loop = asyncio.SelectorEventLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        connected = runner.run(turning())

    assert (connected, asked_for) == (["93.184.215.14"], ["hooks.example.org"])


def test_without_a_guard_this_machine_is_reached():
    """So that the tests above can fail: the same request, and somebody comes."""

    async def open_to_all():
        came = []

        async def met(reader, writer):
            came.append(1)
            writer.close()

        server = await asyncio.start_server(met, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, AsyncTransport() as transport:
            with pytest.raises(Exception, match="did not answer"):
                await transport.ask(Request("POST", f"http://localhost:{port}/", {}, b"{}"))
        return came

    assert asyncio.run(open_to_all()) == [1]
