"""Do the pages in docs/ say what the code does? Settings, flags, commands, tests and links are compared with it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest

from paceline.project.cli import providers
from paceline.sandbox import flags
from paceline.sandbox.behaviour import Behaviour
from paceline.sandbox.carrier import Wiring
from paceline.sandbox.wires import WIRES, wire
from paceline.sms.providers import NETWORKED, load

from .test_readme import blocks

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    """Relative links name files that exist."""
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_test_that_is_named_exists(path: Path) -> None:
    """A promise whose test was renamed or removed is found."""
    defined = {
        name
        for file in (ROOT / "tests").rglob("*.py")
        for name in [*re.findall(r"def (test_\w+)", file.read_text()), file.stem]
    }

    prose = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"\btest_\w+", prose)) - defined - {"test_parrot"} == set()


def test_every_number_is_fictional() -> None:
    """+1, an area code, 555 01xx; +44 7400 123456 and the like only in tests."""
    for path in PAGES:
        for number in re.findall(r"\+\d{8,15}\b", path.read_text()):
            assert re.fullmatch(r"\+1\d{3}55501\d\d", number), f"{path.name}: {number}"


def test_every_setting_is_documented() -> None:
    """Each variable that the settings read has its row, and no row is about one that they do not read."""
    source = (ROOT / "src/paceline/project/settings.py").read_text()
    read = set(re.findall(r'"((?:PACELINE|VONAGE|DATABASE|CELERY|REDIS)_[A-Z_]+)"', source))
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", page("settings.md"), re.MULTILINE))

    assert rows == read


def test_the_table_of_providers_is_what_they_say_themselves() -> None:
    """`paceline providers --markdown` puts it right."""
    between = page("providers/README.md").partition("<!-- providers -->\n")[2].partition("<!-- /providers -->")[0]

    assert between.strip().splitlines() == providers.table(providers.known()), "./run paceline providers --markdown"


def test_every_provider_has_its_page() -> None:
    """Options, webhook addresses, limits, and what nobody has verified."""
    assert [name for name in NETWORKED if not (ROOT / "docs/providers" / f"{name}.md").exists()] == []


def test_every_sandbox_flag_is_in_the_table() -> None:
    """With its default and its sentence, as `--help` has them."""
    rows = {
        f"| `{flag.option}` | {_default(flag)} | {flag.help} |"
        for settings in (Wiring, Behaviour, *(wire(name) for name in WIRES))
        for flag in flags.of(settings)
    }
    written = {line for line in page("sandbox.md").splitlines() if line.startswith("| `--")}

    assert written == rows


def _default(flag: flags.Flag) -> str:
    if flag.kind is bool:
        return "yes" if flag.default else "no"
    if flag.many:
        return "may be repeated"
    return f"`{flag.default}`" if flag.default not in ("", None) else ""


def test_every_command_and_option_is_documented() -> None:
    """Whatever `paceline --help` and its commands offer stands in docs/cli.md, and nothing else does."""
    from paceline.project.cli import main

    text = page("cli.md")
    offered: set[str] = set()

    def walk(command: click.Command, path: str) -> None:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                walk(found, f"{path} {name}")
            return
        offered.add(path)
        section = re.search(rf"^#+ `{path}[^`]*`$(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
        assert section is not None, path
        options = {
            option
            for parameter in command.params
            if isinstance(parameter, click.Option)
            for option in parameter.opts
            if option.startswith("--") and option != "--json"
        }
        assert set(re.findall(r"`(--[a-z-]+)", section[1])) - {"--json"} == options, path

    walk(main, "paceline")
    assert {" ".join(title.split()) for title in re.findall(r"^#+ `(paceline[a-z -]+)", text, re.MULTILINE)} == offered


def test_every_address_of_the_api_is_documented() -> None:
    """And each is written as a heading with its method."""
    from paceline.api.views import CampaignVerbView

    wanted = {"POST /message/", "GET /api/campaigns/ID/"}
    wanted |= {f"POST /api/campaigns/ID/{verb}/" for verb in CampaignVerbView.VERBS}

    assert set(re.findall(r"(?:GET|POST) /[\w/]+/", page("api.md"))) == wanted


def test_the_account_of_a_campaign_has_the_fields_that_are_shown() -> None:
    """What GET /api/campaigns/ID/ answers, and nothing else."""
    from paceline.messaging.progress import Progress, SenderShare

    shown = next(found for block in blocks(page("api.md"), "json") if "counts" in (found := json.loads(block)))

    assert set(shown) == {field.name for field in fields(Progress)} | {"done"}
    assert set(shown["senders"][0]) == {field.name for field in fields(SenderShare)}


def test_every_line_of_the_ledger_is_explained() -> None:
    """Each event that the sandbox writes has its row."""
    source = "".join(path.read_text() for path in (ROOT / "src/paceline/sandbox").glob("*.py"))
    written = set(re.findall(r'"event": "(\w+)"', source)) | {"refused", "throttled"}
    rows = set(re.findall(r"^\| `([a-z]+)` \|", page("sandbox.md"), re.MULTILINE))

    assert rows - {"event"} == written


def test_the_sandboxs_python_samples_run(tmp_path: Path) -> None:
    """One after the other: a carrier that has taken nothing has sent nothing twice."""
    script = "\n".join(blocks(page("sandbox.md"), "python"))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("http://127.0.0.1:")
    assert done.stdout.splitlines()[1] == "0"


def test_json_in_the_pages_is_json() -> None:
    """What can be copied can be parsed."""
    for path in PAGES:
        for block in blocks(path.read_text(), "json"):
            json.loads(block)


def test_the_example_provider_keeps_the_contract(tmp_path: Path) -> None:
    """The file of docs/adding-a-provider.md passes the tests that stand beside it."""
    provider, tests = blocks(page("adding-a-provider.md"), "python")
    (tmp_path / "parrot.py").write_text(provider)
    (tmp_path / "test_parrot.py").write_text(tests.replace("from .provider", "from tests.sms.provider"))
    (tmp_path / "conftest.py").write_text(
        "import paceline.sms.providers\n"
        f"paceline.sms.providers.__path__.append({str(tmp_path)!r})  # the file is not in the package's own folder\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "-o",
         "addopts=", "--rootdir", str(ROOT), str(tmp_path / "test_parrot.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 80


def test_the_example_provider_may_live_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In your own package, named by its dotted path; settings give it the address of its webhooks if it takes one."""
    (tmp_path / "yourproject").mkdir()
    (tmp_path / "yourproject" / "parrot.py").write_text(blocks(page("adding-a-provider.md"), "python")[0])
    monkeypatch.syspath_prepend(tmp_path)

    provider = load("yourproject.parrot.Parrot", {"token": "t"}, webhook_url="https://sms.example.org/status")

    assert repr(provider) == "<Parrot https://api.parrot.example/v2/messages>"
