"""The socket that `leaderboard serve` listens on."""

from __future__ import annotations

import errno
import socket

from leaderboard.errors import SettingError

#: Connections that may wait while the web server starts or restarts.
BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket; raise SettingError when the address is taken or is not this machine's.

    The web server inherits it. So there is no moment between checking the port and using it, and while the
    web server restarts, connections wait instead of being refused.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise SettingError(f"--host {host} is not an address: {error}") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Else the port stays taken for a minute after a stop; it does not let two of us listen.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SettingError(
                f"port {port} on {host} is in use by another program; choose another with --port"
            ) from error
        raise SettingError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def address_to_try(listener: socket.socket) -> tuple[str, int]:
    """Return host and port at which this machine itself reaches the socket."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - it is read, not bound


def url_of(listener: socket.socket) -> str:
    """Return the address to print, one that works in a browser on this machine."""
    host, port = address_to_try(listener)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
