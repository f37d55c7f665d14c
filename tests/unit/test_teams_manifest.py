"""The app package for Teams: complete, within Teams' limits, and true to the commands."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bot.commands import HELP
from deploy.teams.package import icons, manifest, package

FOLDER = Path(__file__).parents[2] / "deploy" / "teams"
APP = "1b2c3d4e-0000-0000-0000-000000000001"


def test_commands_are_those_of_help_in_its_order() -> None:
    (bot,) = json.loads(manifest(APP, "desk.example"))["bots"]
    (listed,) = bot["commandLists"]
    assert sorted(bot["scopes"]) == sorted(listed["scopes"]) == ["groupChat", "personal", "team"]
    offered = [(c["title"], c["description"]) for c in listed["commands"]]
    assert offered == [entry for entry in HELP if entry in offered]
    # Teams offers ten; help tells the rest
    assert all(entry in HELP for entry in offered)
    # https://learn.microsoft.com/microsoft-365/extensibility/schema/root-bots-command-lists
    assert len(offered) == 10
    assert all(len(title) <= 32 and len(said) <= 128 for title, said in offered)


def test_it_is_filled_in_and_keeps_the_limits_of_its_schema() -> None:
    text = manifest(APP, "desk.example")
    assert "{{" not in text
    read = json.loads(text)
    assert read["$schema"].endswith(f"v{read['manifestVersion']}/MicrosoftTeams.schema.json")
    assert read["id"] == read["bots"][0]["botId"] == APP
    assert read["validDomains"] == ["desk.example"]
    assert len(read["name"]["short"]) <= 30
    assert len(read["name"]["full"]) <= 100
    assert len(read["description"]["short"]) <= 80
    assert len(read["description"]["full"]) <= 4000


def test_the_package_holds_what_the_manifest_names(tmp_path: Path) -> None:
    package(APP, "desk.example", tmp_path / "maildesk.zip")
    with zipfile.ZipFile(tmp_path / "maildesk.zip") as archive:
        named = json.loads(archive.read("manifest.json"))["icons"].values()
        assert set(archive.namelist()) == {"manifest.json", *named}


@pytest.mark.parametrize(("name", "side"), [("color.png", 192), ("outline.png", 32)])
def test_icons_are_what_the_script_draws(name: str, side: int) -> None:
    picture = icons()[name]
    assert (FOLDER / name).read_bytes() == picture
    assert picture[16:24] == side.to_bytes(4, "big") * 2


def test_a_wrong_app_id_is_refused_in_a_sentence() -> None:
    script = [sys.executable, str(FOLDER / "package.py"), "maildesk", "desk.example"]
    refused = subprocess.run(script, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("APP_ID is the id of the bot's registration")
