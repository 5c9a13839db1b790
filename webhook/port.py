"""Whether the port of the web process is free. Its own module: `joinlog up` imports no more of webhook."""

from __future__ import annotations

import errno
import socket

from schema.settings import ConfigurationError


def require_free_port(host: str, port: int) -> int:
    """The port, or a free one for 0. Raises ConfigurationError when somebody listens there.

    The server itself would share the port with whoever has it (SO_REUSEPORT), and events would go astray.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return int(probe.getsockname()[1])
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigurationError(
                    f"Port {port} on {host} is taken, perhaps by another Joinlog. Choose another one: "
                    f"PORT={port + 1 if port < 65535 else 8000}"
                ) from None
            raise ConfigurationError(f"Cannot listen on HOST={host} PORT={port}: {error.strerror}") from None
