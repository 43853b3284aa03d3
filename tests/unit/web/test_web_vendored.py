"""What is vendored is what was fetched, and nothing in a page is fetched from elsewhere."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WEB = ROOT / "src" / "headwater" / "web"


@pytest.mark.parametrize("folder", [WEB / "static" / "vendor", ROOT / "tests" / "browser" / "vendor"])
def test_every_vendored_file_has_its_checksum(folder):
    lines = (folder / "CHECKSUMS").read_text("utf-8").splitlines()
    expected = {name.removeprefix("./"): digest for digest, name in (line.split("  ", 1) for line in lines)}
    found = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in {"CHECKSUMS", "VERSIONS"}
    }
    assert found == expected


def _ours():
    return [file for file in WEB.rglob("*") if file.suffix in {".html", ".css", ".js"} and "vendor" not in file.parts]


def test_no_asset_comes_from_another_host():
    outside = re.compile(r"(?:src|href|url\(|from|import)\s*[=(]?\s*[\"']?(?:https?:)?//")
    assert [file.name for file in _ours() if outside.search(file.read_text("utf-8"))] == []


def test_no_page_needs_an_exception_from_the_policy():
    inline = re.compile(r"\sstyle=|\son[a-z]+=[\"']|javascript:|<style|<script(?![^>]*\ssrc=)|innerHTML|\beval\(")
    assert [file.name for file in _ours() if inline.search(file.read_text("utf-8"))] == []


def test_every_icon_that_a_template_names_is_there():
    named = set(re.findall(r"icon\(\"([a-z-]+)\"", "".join(file.read_text("utf-8") for file in _ours())))
    there = {file.stem for file in (WEB / "static" / "vendor" / "lucide").glob("*.svg")}
    assert named <= there
