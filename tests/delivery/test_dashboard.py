"""The page of the environments: what it says is what git knows, it needs nothing else, and nothing in it can act."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from gitops_ml import cli
from gitops_ml.delivery.dashboard import render_dashboard
from gitops_ml.delivery.release import short

from tests.delivery.shop import Shop
from tests.fakes.accessibility import assert_accessible
from tests.fakes.browser import open_page
from tests.fakes.browser_session import Session
from tests.tools.required import need

ADDRESS = "https://github.com/octo/model"
HOSTILE = "\"><script>alert(1)</script><img src=https://evil.example/x onerror='1'>"


def page_of(shop: Shop) -> str:
    return render_dashboard(shop.world(), "octo/model", ADDRESS)


def rows_of(page: str, title: str) -> list[list[str]]:
    """The cells of the table under the heading `title`, as text."""
    part = page.split(f"<h2>{title}", 1)[1].split("</section>", 1)[0]
    body = part.split("<tbody>", 1)[1]
    return [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", line)]
        for line in re.findall(r"<tr[^>]*>(.*?)</tr>", body)
    ]


def test_it_says_what_runs_where(shop: Shop) -> None:
    first = shop.ship()
    second = shop.release()
    shop.deploy("staging")
    page = page_of(shop)
    staging, production = rows_of(page, "Environments")
    assert staging[:3] == ["staging", "✓ in sync", short(second.release)]
    assert production[:3] == ["production", "✓ in sync", short(first.release)]
    assert [row[0] for row in rows_of(page, "Releases, newest first")] == [
        short(second.release),
        short(first.release),
    ]
    assert len(rows_of(page, "Deployments, newest first")) == 3
    assert f'href="{ADDRESS}/commit/{first.artifacts.commit}"' in page
    assert "is proven in every environment before production" in page
    assert page.count('class="dot"') == 2


def test_what_is_wrong_comes_first(shop: Shop) -> None:
    shop.ship()
    bad = shop.release()
    shop.deploy("staging", healthy=False)
    page = page_of(shop)
    assert '<header class="fail">' in page
    assert "staging is" in page.split("</header>")[0]
    assert rows_of(page, "Deployments, newest first")[0][2:4] == [short(bad.release), "unhealthy "]


def test_before_the_first_release_it_is_a_page_all_the_same(shop: Shop) -> None:
    page = page_of(shop)
    assert [row[:2] for row in rows_of(page, "Environments")] == [
        ["staging", "– empty"],
        ["production", "– empty"],
    ]


def test_it_asks_nobody_and_runs_no_other_script(shop: Shop, tmp_path: Path) -> None:
    shop.ship()
    world = shop.world()
    page = tmp_path / "index.html"
    page.write_text(render_dashboard(world, HOSTILE, ADDRESS), encoding="utf-8")
    opened = open_page(page, tmp_path / "profile")
    assert opened.console == []
    assert "<script>alert" not in opened.document
    assert "<img" not in opened.document
    assert re.findall(r'(?:src|href)="(?!data:|https://github\.com/octo/model/)[^"]*"', opened.document) == []


def test_it_is_accessible(shop: Shop, tmp_path: Path) -> None:
    need("axe")
    with Session(tmp_path / "profile") as browser:
        for name, healthy in (("sound", True), ("alarming", False)):
            shop.ship()
            shop.release()
            shop.deploy("staging", healthy=healthy)
            page = tmp_path / f"{name}.html"
            page.write_text(page_of(shop), encoding="utf-8")
            browser.open(page.as_uri())
            assert_accessible(browser)


def test_a_run_that_names_another_place_is_no_link(shop: Shop) -> None:
    manifest = shop.ship()
    world = shop.world()
    told = manifest.model_copy(
        update={"run": manifest.run.model_copy(update={"url": "https://evil.example/octo/model"})}
    )
    world.facts.releases[manifest.release] = told  # type: ignore[index]
    assert "evil.example" not in render_dashboard(world, "octo/model", ADDRESS)


def test_the_verb_writes_the_page(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop.ship()
    page = tmp_path / "site" / "index.html"
    assert cli.main(["dashboard", "--repository", str(shop.clone), "--output", str(page)]) == 0
    assert str(page) in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "production" in text
    assert f"{dt.datetime.now(dt.UTC):%Y-%m-}" in text
    (tmp_path / "file").write_text("", encoding="utf-8")
    wrong = str(tmp_path / "file" / "index.html")
    assert cli.main(["dashboard", "--repository", str(shop.clone), "--output", wrong]) == 2
