"""From tasks to a trained run, in a real Chromium: choose, start, reload mid-run, stop, clone, delete."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest
from browser import MARKS, drag, fill, no_error, shoot
from playwright.sync_api import Page, expect

from metalab.config import Config
from metalab.runs import RunStore

pytestmark = MARKS
SMALL = {"Steps": 400, "Width": 8, "Image size": 16, "Pre-training steps": 20, "Test tasks": 16}


def test_choose_train_reload_and_see(address: str, page: Page) -> None:
    page.goto(f"{address}/tasks?task=3")
    expect(page.locator(".ml-task tbody tr")).to_have_count(5)
    expect(page.get_by_label("Task number", exact=True)).to_have_value("3")
    first = page.locator(".ml-task img").first.get_attribute("src")
    page.get_by_role("button", name="Another task").click()
    expect(page.locator(".ml-task img").first).not_to_have_attribute("src", first or "")
    assert "task=4" in page.url
    page.get_by_role("tab", name="Balance and leakage").click()
    expect(page.get_by_text("0 classes shared, 0 identical examples")).to_be_visible()
    fill(page, "Way", 4)
    expect(page.locator(".ml-task tbody tr")).to_have_count(4)
    page.get_by_role("button", name="Train on this").click()

    expect(page.get_by_role("heading", name="Train", exact=True)).to_be_visible()
    expect(page.get_by_label("Way", exact=True)).to_have_value("4")
    page.get_by_text("Advanced").click()
    for label, value in SMALL.items():
        fill(page, label, value)
    fill(page, "Name of the run", "from the browser")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("Meta-training (step 3)")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Meta-training (step 3)")).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    assert "run=" in page.url
    shoot(page, "train")
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Tasks").click()
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
    expect(page.get_by_test_id("stToast").filter(has_text="from the browser is done")).to_be_visible()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Train").click()
    page.get_by_role("radio", name="Watch").click()
    expect(page.get_by_text("Does meta-learning help here?")).to_be_visible()
    expect(page.get_by_text("UMAP, one fit for all stages").first).to_be_visible()
    no_error(page)
    shoot(page, "results")


@pytest.fixture
def running(metalab_home: Path):
    """A run of 1,000 steps that this process holds as its supervisor would."""
    store = RunStore(metalab_home / "runs")
    run = store.create(Config.create(steps=4000), "synthetic")
    for step in range(1, 1001):
        run.append({"kind": "train", "step": step, "loss": 1 / step, "accuracy": 0.5, "memory": 10**9})
    lock = run.lock()
    run.update_status(
        state="running", stage="meta-training", step=1000, steps=4000, host=socket.gethostname()
    )
    yield run
    os.close(lock)
    if run.path.is_dir():
        run.update_status(state="stopped")
        store.delete(run.id)


def test_a_live_page_keeps_zoom_and_scroll(address: str, page: Page, running) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{address}/train?run={running.id}")
    frame = page.frame_locator("iframe").first
    expect(frame.locator(".scatterlayer .trace").first).to_be_attached()
    chart = next(one for one in page.frames if "pages.charts.steady" in one.url)
    box = page.locator("iframe").first.bounding_box()
    drag(page, box, [(0.4, 0.3), (0.7, 0.3)])
    chart.wait_for_function("document.getElementById('chart').layout.xaxis.range[1] < 950")
    zoomed = chart.evaluate("document.getElementById('chart').layout.xaxis.range")
    main = "document.querySelector('[data-testid=stMain]')"
    page.evaluate(f"{main}.scrollTop = 100")
    scrolled, height = page.evaluate(f"[{main}.scrollTop, {main}.scrollHeight]")
    for step in range(1001, 1004):
        running.append({"kind": "train", "step": step, "loss": 1 / step, "accuracy": 0.5, "memory": 10**9})
        running.update_status(step=step)
        expect(page.get_by_text(f"{step:,} / 4,000")).to_be_visible()
    # With more than 1,000 steps two neighbours make one point.
    chart.wait_for_function("document.getElementById('chart').data[0].x.length === 501")
    assert chart.evaluate("document.getElementById('chart').layout.xaxis.range") == zoomed
    assert page.evaluate(f"[{main}.scrollTop, {main}.scrollHeight]") == [scrolled, height]
    opacity = page.evaluate(
        """() => { const one = document.querySelector('.st-key-live [data-testid=stElementContainer]');
        one.dataset.stale = 'true'; one.style.opacity = 0.3; return getComputedStyle(one).opacity }"""
    )
    assert opacity == "1", "what waits for a refresh must not turn grey"
    no_error(page)


def test_rename_clone_and_delete(address: str, page: Page, metalab_home: Path) -> None:
    run = RunStore(metalab_home / "runs").create(Config.create(way=3, metalearner="maml"), "to be cloned")
    page.goto(f"{address}/runs?run={run.id}")
    page.get_by_role("button", name="Rename").first.click()
    fill(page, "New name", "renamed")
    expect(page.get_by_role("combobox", name="Run")).to_have_value(re.compile("^renamed"))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clone with changes").click()
    expect(page.get_by_label("Way", exact=True)).to_have_value("3")
    expect(page.get_by_label("Name of the run", exact=True)).to_have_value("renamed, changed")
    page.goto(f"{address}/runs?run={run.id}")
    page.get_by_role("button", name="Delete").first.click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("to be cloned")).to_have_count(0)
    page.wait_for_timeout(500)
    assert not run.path.exists()
    page.goto(f"{address}/runs?run={run.id}")
    expect(
        page.get_by_text("is not here any more").or_(page.get_by_text("There is no run yet"))
    ).to_be_visible()
    no_error(page)


def test_a_run_that_cannot_be_is_refused_in_place(address: str, page: Page, tmp_path: Path) -> None:
    page.goto(f"{address}/train")
    page.get_by_role("combobox", name="Data source").click()
    page.get_by_role("option", name="Own images").click()
    fill(page, "Path on the server", tmp_path / "nowhere")
    expect(page.get_by_text("there is no such file or folder").first).to_be_visible()
    expect(page.get_by_role("button", name="Start training")).to_be_disabled()
    no_error(page)
