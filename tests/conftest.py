"""Fixtures of more than one file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from perception import random_vgg
from workshop import Workshop

from engine.stylizers import morphing

if TYPE_CHECKING:
    from browser import Browser, Server

    from models.training.losses import Vgg19


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Browser]":
    from browser import Browser

    browser = Browser(tmp_path_factory.mktemp("downloads"))
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium: "Browser") -> "Iterator[Browser]":
    """On an empty page, with no downloads; afterwards, the server's Content-Security-Policy must have refused nothing."""
    for path in chromium.downloads.iterdir():
        path.unlink()
    yield chromium
    severe = [entry["message"] for entry in chromium.driver.get_log("browser") if "Security" in entry["message"]]
    chromium.driver.get("about:blank")
    assert severe == []


@pytest.fixture
def server() -> "Iterator[Server]":
    from browser import Server, mock

    server = Server(mock.Studio())
    yield server
    server.close()


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_vgg(tmp_path_factory.mktemp("vgg") / "vgg.safetensors")


@pytest.fixture(scope="session")
def vgg(vgg_file: Path) -> "Vgg19":
    from models.training.losses import Vgg19

    return Vgg19(vgg_file)


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """In which a morph takes a fifth of a second, in so few steps that a busy machine keeps up."""
    monkeypatch.setattr(morphing, "MORPH", 0.2)
    monkeypatch.setattr(morphing, "STEP", 0.05)
    monkeypatch.setattr(morphing, "RESTING", 0.0)
    found = Workshop()
    yield found
    found.gate.set()
    found.kneading.set()
