"""What `import paceline` offers, and what it costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import paceline

NAMES = """
    send send_many Client AsyncClient Sent Result Outcome Progress otp
    segments count split smart normalize is_valid
    Message Accepted Status DeliveryReport InboundText Request Response WebhookRequest Provider Capabilities
    PacelineError InvalidNumber TemplateError WebhookRejected RunFileError ProviderError TextMessageError Throttled
    Unavailable Uncertain Refused OptedOut SenderProblem AccountProblem
    __version__
"""
PUBLIC = NAMES.split()


def run(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, timeout=60)


def test_public_names_are_these():
    """A name that comes or goes is a decision: it stands here and in the changelog."""
    assert sorted(paceline.__all__) == sorted(PUBLIC)
    assert set(paceline.__all__) <= set(dir(paceline))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_there_and_documented(name):
    """`help()` says something about each, and about each of its public methods."""
    thing = getattr(paceline, name)

    if name == "__version__":
        assert re.fullmatch(r"\d+\.\d+\.\d+.*", thing)
        return
    assert inspect.getdoc(thing)
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        if not member.startswith("_") and inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name}.{member}"


def test_star_import_brings_them_all():
    """For the interactive shell."""
    done = run("from paceline import *; print(all(n in globals() for n in __import__('paceline').__all__))")

    assert done.stdout == "True\n", done.stderr


def test_unknown_name_is_an_attribute_error():
    """As with any module."""
    with pytest.raises(AttributeError, match="no_such_name"):
        paceline.no_such_name  # noqa: B018


def test_subpackages_are_imported_as_ever():
    """The lazy names stand in nobody's way."""
    done = run("import paceline.sms.numbers, paceline; from paceline.sandbox import carrier; paceline.sms.numbers")

    assert done.returncode == 0, done.stderr


HEAVY = ("aiohttp", "phonenumbers", "django", "cryptography", "jwt", "uvloop", "asyncio", "ssl", "json", "decimal")


def test_import_loads_nothing_heavy(capsys):
    """The promise of 150 ms, in a form that no busy machine can break. What it takes is printed."""
    done = run(f"import sys, paceline; print([name for name in {HEAVY!r} if name in sys.modules])", "-X", "importtime")
    (cost,) = re.findall(r"\|\s*(\d+) \|\s*paceline$", done.stderr, re.MULTILINE)

    assert done.stdout == "[]\n"
    with capsys.disabled():
        print(f" {int(cost) / 1000:.1f} ms", end="")


def test_segments_need_no_network_library():
    """Counting, and checking that a number is one, load neither an HTTP client nor a framework."""
    heavy = ("aiohttp", "django", "cryptography", "uvloop", "asyncio")
    code = "import sys, paceline; paceline.segments('Hi'); paceline.is_valid('+12125550123');"
    code += f"print([name for name in {heavy!r} if name in sys.modules])"

    assert run(code).stdout == "[]\n"


def test_types_are_shipped_and_right(tmp_path):
    """A program that uses the library passes the strictest check, and a wrong call does not."""
    program = tmp_path / "program.py"
    program.write_text(
        "import paceline\n"
        "from paceline import AsyncClient, Client, Result\n"
        "with Client('memory:', frm='+12025550100') as client:\n"
        "    results: list[Result] = client.send_many([{'number': '+12125550123'}], 'Hi', rate=5)\n"
        "    price = client.send('Hi', to='+12125550123').segments + paceline.count('Hi')\n"
        "async def main() -> str:\n"
        "    async with AsyncClient('memory:') as client:\n"
        "        return (await client.send('Hi', 'ME', '+12125550123')).provider_id\n"
        "code: str = paceline.otp.generate()\n"
        "wrong: int = paceline.normalize('+12125550123')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--cache-dir", str(tmp_path), str(program)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert (Path(paceline.__file__).parent / "py.typed").exists()
    assert re.findall(r"program\.py:(\d+): error: (.*?)  \[", done.stdout) == [
        ("10", 'Incompatible types in assignment (expression has type "str", variable has type "int")')
    ], done.stdout
