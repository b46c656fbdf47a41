"""Commands that run things: the demo, the server, the sandbox carrier."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click

from paceline.project import lifeline

from .common import as_json, data_dir, django, explained, fail, installed


@click.command()
@click.option(
    "--file", "file", type=click.Path(dir_okay=False, path_type=Path), help="A CSV of people; default: 800 attendees."
)
@click.option("--region", default="US", show_default=True, help="Region of numbers written without a country code.")
@click.option("--senders", default=5, show_default=True, type=click.IntRange(1, 50), help="How many sender numbers.")
@click.option(
    "--mps",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.01, 1000),
    help="Messages per second of each sender.",
)
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port of the dashboard; 0 picks one."
)
@click.option(
    "--data-dir",
    "folder",
    default=".paceline-demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Everything the demo writes; the same folder resumes.",
)
@click.option("--fresh", is_flag=True, help="Begin again in an empty folder.")
@click.option("--headless", is_flag=True, help="No browser: run to the end, print a report, stop.")
@as_json
@explained
def demo(file: Path | None, folder: Path, fresh: bool, headless: bool, as_json: bool, **options: Any) -> None:
    """A whole campaign against a simulated carrier: nothing leaves this machine."""
    from paceline.project import demo as scenario

    scenario.run(scenario.Demo(folder=folder.absolute(), file=file, **options), fresh, headless, as_json)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@installed
def up(host: str, port: int) -> None:
    """Web server and dispatcher on one data folder; both end with this command."""
    from paceline.project import supervisor

    folder = data_dir()
    supervisor.port(port, insist=True)
    running = supervisor.Supervisor(folder, {"PACELINE_DATA_DIR": str(folder)})
    with supervisor.interruptible():
        try:
            running.start("web", "web", "--host", host, "--port", str(port))
            running.start("dispatcher", "dispatcher")
            click.echo(
                f"Paceline is up: http://{host}:{port}  (Ctrl-C drains and stops; to log in: paceline login-link)"
            )
            while True:
                running.look()
                time.sleep(0.2)
        except KeyboardInterrupt:
            click.echo("\nDraining: what is on the wire finishes. Ctrl-C again stops at once.")
            running.stop()
            click.echo("Stopped. `paceline up` goes on where it stood.")


@click.command(hidden=True)
@click.option("--host", default="127.0.0.1")
@click.option("--port", default=8000, type=int)
def web(host: str, port: int) -> None:
    """The web server alone."""
    lifeline.tie()
    from granian import Granian
    from granian.constants import Interfaces

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paceline.project.settings")
    Granian(
        "paceline.project.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=8,
        backpressure=256,
        log_access=False,
        respawn_failed_workers=True,
    ).serve()


@click.command(hidden=True)
@explained
def dispatcher() -> None:
    """The dispatcher alone, embedded on this data folder."""
    lifeline.tie()
    django()
    from paceline.dispatcher import embedded

    embedded.run(data_dir())


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def sandbox(ctx: click.Context, flags: tuple[str, ...]) -> None:
    """A simulated carrier with faults on request; `paceline sandbox --help` lists its flags."""
    lifeline.tie()
    from paceline.sandbox import __main__ as carrier

    ctx.exit(carrier.main(flags))


@click.command("login-link")
@click.option("--user", "name", default="operator", show_default=True, help="Who logs in; made when there is none.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Where the dashboard is.")
@installed
def login_link(name: str, url: str) -> None:
    """A link that logs one person in, once, within half an hour."""
    click.echo(make_login_link(name, url))


def make_login_link(name: str, url: str) -> str:
    """The link for a user of that name, who is made without a password when there is none."""
    from django.contrib.auth import get_user_model

    from paceline.dashboard import links

    users = get_user_model()
    user, created = users.objects.get_or_create(
        **{users.USERNAME_FIELD: name}, defaults={"is_staff": True, "is_superuser": True}
    )
    if created:
        user.set_unusable_password()
        user.save()
    if not user.is_active:
        fail(f"{name} is not active")
    return url.rstrip("/") + links.make(user)
