"""Commands that run things: the demo, the server, the sandbox carrier."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from paceline.project import lifeline

from .common import WRONG_USAGE, as_json, data_dir, django, fail, installed, say
from .values import Amount, InFile, Region, Text

WEB_STARTS_SECONDS = 30


@click.command()
@click.option("--file", "file", type=InFile(), help="A CSV of people; default: 800 attendees.")
@click.option(
    "--region", type=Region(), default="US", show_default=True, help="Country of numbers without a country code."
)
@click.option("--senders", default=5, show_default=True, type=click.IntRange(1, 50), help="How many sender numbers.")
@click.option(
    "--mps",
    default=1.0,
    show_default=True,
    type=Amount(0.01, 1000),
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
@click.option(
    "--scenario",
    type=click.Choice(["campaign", "replies"]),
    default="campaign",
    show_default=True,
    help="What to show; replies: a campaign that brings in no more replies than a team can answer.",
)
@click.option("--seed", default=0, type=click.IntRange(0), help="With --scenario replies --headless: which people.")
@click.option("--seeds", default=1, type=click.IntRange(1, 10_000), help="And so many from that one on.")
@click.option(
    "--reply-guess", type=Amount(0.0001, 1), help="And the first guess of the reply rate; default: the truth."
)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="And draw the curves into this file.")
@click.option("--headless", is_flag=True, help="No browser: run to the end, print a report, stop.")
@as_json
def demo(
    file: Path | None,
    folder: Path,
    fresh: bool,
    scenario: str,
    seed: int,
    seeds: int,
    reply_guess: float | None,
    svg: Path | None,
    headless: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """A whole campaign against a simulated carrier.

    Nothing leaves this machine, and no account is needed. Killed or stopped, the same command goes on.
    """
    if scenario == "replies" and headless:
        _rehearse(range(seed, seed + seeds), reply_guess, svg, as_json)
        return
    if file is not None:
        from .contacts import open_sheet

        open_sheet(file, options["region"])
    from paceline.project import demo as whole

    asked = whole.Demo(folder=folder.absolute(), file=file, replies=scenario == "replies", **options)
    whole.run(asked, fresh, headless, as_json)


def _rehearse(seeds: range, guess: float | None, svg: Path | None, as_json: bool) -> None:
    """The scenario on a simulated clock: a line for each seed; at the end the first one's account, and their sum."""
    import json
    from dataclasses import replace

    from paceline.project import rehearsal

    scene = rehearsal.Scene()
    scene = scene if guess is None else replace(scene, guess=guess)
    told = []
    for seed in seeds:
        told.append(rehearsal.verdict(scene, seed))
        if seeds[1:]:
            click.echo(json.dumps({"seed": seed} | told[-1]) if as_json else f"seed {seed:>4}: {_in_words(told[-1])}")
    if svg is not None:
        svg.parent.mkdir(parents=True, exist_ok=True)
        svg.write_text(rehearsal.drawing(scene, seeds[0]))
    summary = told[0] | (
        {
            "seeds": len(told),
            "at_or_under_the_line": sum(one["peak_backlog"] <= one["line"] for one in told),
            "sooner_than_constant": sum(one["finish_seconds"] < one["best_constant_seconds"] for one in told),
            "highest_backlog": max(one["peak_backlog"] for one in told),
        }
        if seeds[1:]
        else {}
    )
    if as_json:
        click.echo(json.dumps(summary))
        return
    click.echo(_in_words(told[0]))
    if seeds[1:]:
        click.echo(
            f"{summary['at_or_under_the_line']} of {len(told)} stay at or under the line (the highest: "
            f"{summary['highest_backlog']}), {summary['sooner_than_constant']} end sooner than any constant rate would"
        )


def _in_words(one: dict[str, float]) -> str:
    return (
        f"at most {one['peak_backlog']} of {one['line']} conversations open ({one['peak_backlog_without']} without the"
        f" valve), sent in {one['finish_seconds'] / 60:.0f} min; at the best constant rate, known in hindsight, in"
        f" {one['best_constant_seconds'] / 60:.0f} min"
    )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--workers",
    default=0,
    show_default=True,
    type=click.IntRange(0, 64),
    help="So many Celery workers and a beat instead of the one dispatcher; needs PACELINE_BROKER_URL.",
)
@installed
def up(host: str, port: int, workers: int) -> None:
    """Web server and dispatcher on one data folder, until Ctrl-C.

    The first Ctrl-C drains: what is on the wire finishes. The second stops at once.
    """
    from paceline.dispatcher import embedded
    from paceline.messaging import accounts
    from paceline.project import supervisor

    folder = data_dir()
    if not accounts.configured():
        fail("There is no provider to send through; set PACELINE_PROVIDERS, docs/settings.md shows how")
    for alias in accounts.configured():
        accounts.provider(alias)
    _must_be_ours(host)
    supervisor.port(port, insist=True)
    if workers:
        _must_have_a_broker()
    with embedded.only_one(folder, patience_seconds=5):
        pass  # nobody else dispatches here
    running = supervisor.Supervisor(folder, {"PACELINE_DATA_DIR": str(folder)})
    with supervisor.interruptible(), _stopped_with(running):
        running.start("web", "web", "--host", host, "--port", str(port))
        if workers:
            running.start("beat", "beat")
            running.start("chores", "worker", "--chores", "--concurrency", "2")
            for number in range(1, workers + 1):
                running.start(f"worker-{number}", "worker", "--concurrency", "1")
        else:
            running.start("dispatcher", "dispatcher")
        running.wait(lambda: _listens(host, port), WEB_STARTS_SECONDS, "The web server")
        click.echo(f"Paceline is up: http://{host}:{port}  (Ctrl-C drains and stops; to log in: paceline login-link)")
        while True:
            running.look()
            time.sleep(0.2)


def _must_have_a_broker() -> None:
    """Ends the command unless several workers can share the database, and be woken."""
    from django.conf import settings
    from django.db import connection

    if not settings.PACELINE_BROKER_URL:
        fail("Workers are woken through a broker; set PACELINE_BROKER_URL to amqp://… or redis://…", WRONG_USAGE)
    if connection.vendor == "sqlite":
        fail("Workers share a database server; set DATABASE_URL to postgres://… or mysql://…", WRONG_USAGE)
    if find_spec("celery") is None:
        fail("Celery is not installed; it comes with the extra `scale`: pip install 'paceline[scale]'")


@contextlib.contextmanager
def _stopped_with(running: Any) -> Iterator[None]:
    """Ctrl-C drains the children; whatever else ends the block ends them too."""
    try:
        yield
    except KeyboardInterrupt:
        running.end_at_once_when_asked_again()
        click.echo("\nDraining: what is on the wire finishes. Ctrl-C again stops at once.")
        running.stop()
        click.echo("Stopped. `paceline up` goes on where it stood.")
    except BaseException:
        running.stop()
        raise


def _must_be_ours(host: str) -> None:
    """Ends the command unless this machine can listen at `host`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        why = error.strerror or error
        fail(f"{host} is no address of this machine ({why}); leave --host out, or use 0.0.0.0 for all", WRONG_USAGE)


def _listens(host: str, port: int) -> bool:
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 what a person has asked for
    try:
        with socket.create_connection((everywhere.get(host, host), port), timeout=1):
            return True
    except OSError:
        return False


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
        "paceline.project.asgi:application",
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        workers=1,
        log_access=False,
        respawn_failed_workers=True,
    ).serve()


@click.command(hidden=True)
def dispatcher() -> None:
    """The dispatcher alone, embedded on this data folder."""
    lifeline.tie()
    django()
    from paceline.dispatcher import embedded

    embedded.run(data_dir())


@click.command(hidden=True)
@click.option("--chores", is_flag=True, help="Everything periodic, and finding out who has to send; not the sending.")
@click.option("--concurrency", default=0, type=click.IntRange(0, 64), help="How many at a time; 0: one per core.")
def worker(chores: bool, concurrency: int) -> None:
    """A Celery worker that sends, or one that does the chores."""
    lifeline.tie()
    django()
    from paceline.project import celery

    celery.work(celery.CHORES if chores else celery.DISPATCH, concurrency or os.cpu_count() or 1)


@click.command(hidden=True)
def beat() -> None:
    """What wakes the workers, once a second."""
    lifeline.tie()
    django()
    from paceline.project import celery

    celery.beat()


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def sandbox(ctx: click.Context, flags: tuple[str, ...]) -> None:
    """A simulated carrier with faults on request."""
    lifeline.tie()
    from paceline.sandbox import __main__ as carrier

    ctx.exit(carrier.main(flags))


@click.command("login-link")
@click.option(
    "--user", "name", type=Text(150), default="operator", show_default=True, help="Who logs in; made if there is none."
)
@click.option("--url", help="Where the dashboard is; default PACELINE_PUBLIC_URL, else http://127.0.0.1:8000.")
@as_json
@installed
def login_link(name: str, url: str | None, as_json: bool) -> None:
    """A link that logs one person in, once, within half an hour."""
    from django.conf import settings

    url = url or settings.PUBLIC_URL or "http://127.0.0.1:8000"
    if not url.startswith(("http://", "https://")):
        fail(f"{url!r} is no address of a dashboard; it begins with https:// or http://", WRONG_USAGE)
    link = make_login_link(name, url)
    say({"user": name, "url": link}, as_json, link)


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
