"""The files of the studio's page: what can be known of them without a browser."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "engine" / "studio" / "page"


def test_nothing_is_inline_and_nothing_comes_from_outside() -> None:
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg\b)", text), path.name
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text), path.name


def test_every_file_that_is_asked_for_is_there() -> None:
    asked = {name for path in PAGE.iterdir() for name in re.findall(r'"/page/([^"]+)"', path.read_text(encoding="utf-8"))}
    assert asked <= {path.name for path in PAGE.iterdir()}
    assert "main.js" in asked


def test_every_element_that_is_looked_for_by_name_is_on_the_page() -> None:
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    there = set(re.findall(r'\bid="([^"]+)"', page))
    for path in PAGE.glob("*.js"):
        looked = re.findall(r'(?:\bel|getElementById)\("([^"]+)"\)', path.read_text(encoding="utf-8"))
        assert set(looked) <= there, path.name


def test_every_symbol_that_is_used_is_drawn() -> None:
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'href="#(i-[^"]+)"', page)) <= set(re.findall(r'<symbol id="([^"]+)"', page))
