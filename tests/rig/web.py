"""The web process of a rig: the product's own application behind its own server, in a process that is forked."""

from __future__ import annotations

import logging

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

# what the application imports, so that no process that is forked has to; the application itself sets its process up
import paceline.webhooks.asgi
import paceline.webhooks.views  # noqa: F401

BACKLOG = 256


def serve(port: int) -> None:
    """Takes webhooks, and whatever else comes, until it is killed."""
    from paceline.project.asgi import application

    logging.getLogger("_granian").setLevel(logging.ERROR)  # it warns that it is embedded
    uvloop.run(_serve(Server(application, port=port, interface=Interfaces.ASGINL, backlog=BACKLOG, websockets=False)))


async def _serve(server: Server) -> None:
    await server.serve()
    raise RuntimeError("The web server has ended by itself")
