"""The dashboard under load: page changes of ten visitors while a run trains, and what a live page costs.

``python tests/dashboard_load.py --help``; it prints figures and asserts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import websockets
from browser import CHROMIUM, FLAGS, navigation, serve
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

HEADING = "[data-testid=stMain] h1"
POINTS = 1000
"""Events in the history of the run that is watched live."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=10, help="sessions at once (default: 10)")
    parser.add_argument("--changes", type=int, default=8, help="page changes of each (default: 8)")
    parser.add_argument("--seconds", type=int, default=30, help="of watching the live page (default: 30)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["METALAB_HOME"] = folder
        with serve(Path(folder)) as (url, server):
            real, others = asyncio.run(_visit(url, arguments.visitors, arguments.changes))
            for seconds, whose in ((real, "a browser"), (others, "the other visitors, whole page sent")):
                print(
                    f"page change with {arguments.visitors} visitors while a run trains, {whose}: median "
                    f"{np.median(seconds):.2f} s, 95 % below {np.quantile(seconds, 0.95):.2f} s, slowest "
                    f"{max(seconds):.2f} s, {len(seconds)} changes"
                )
            ours, theirs = asyncio.run(_watch(url, server.pid, arguments.seconds))
            print(
                f"live page at 1 Hz, curve of {POINTS} points: the server takes {ours:.0%} of one core a "
                f"viewer, the browser {theirs:.0%}"
            )


@contextlib.asynccontextmanager
async def _chromium() -> Any:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


async def _visit(url: str, visitors: int, changes: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each page change of a browser, and of the other visitors beside it.

    A browser without a graphics card would take the whole machine ten times over, which visitors bring along
    themselves. So one is real, timed from the click until the new page stands, and the others speak the
    dashboard's own protocol, timed until their page has been made and sent as a whole.
    """
    from metalab.config import Config
    from metalab.jobs import LocalBackend
    from metalab.runs import RunStore

    training = RunStore().create(Config.create(steps=100_000), "trains meanwhile")
    LocalBackend().submit(training)
    pages, real, others = navigation(), [], []

    async def visit(number: int) -> None:
        chance, here = random.Random(number), ""
        address = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
        async with websockets.connect(address, subprotocols=["streamlit"], max_size=None) as socket:
            await _rerun(socket, here)
            for _ in range(changes):
                await asyncio.sleep(chance.uniform(2, 6))  # a person looks at the page
                here = chance.choice([name for name in pages if name != here])
                others.append(await _rerun(socket, here))

    async def visit_really(browser: Any) -> None:
        chance, here = random.Random(visitors), pages[""]
        page = await browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(180_000)
        await page.goto(url)
        await page.locator(HEADING).first.wait_for()
        for _ in range(changes):
            await asyncio.sleep(chance.uniform(2, 6))
            heading = await page.locator(HEADING).first.inner_text()
            here = chance.choice([title for title in pages.values() if title != here])
            started = time.perf_counter()
            await page.get_by_test_id("stSidebarNavLink").filter(has_text=here).first.click()
            await page.locator(HEADING).filter(has_not_text=heading).first.wait_for()
            real.append(time.perf_counter() - started)

    async with _chromium() as browser:
        first = await browser.new_page()  # the very first start draws the characters: not of interest here
        await first.goto(url)
        await first.locator(".ml-task img").first.wait_for(timeout=180_000)
        await first.close()
        await asyncio.gather(visit_really(browser), *(visit(number) for number in range(visitors - 1)))
    training.request_stop()
    while training.supervised():
        time.sleep(0.2)
    return real, others


async def _rerun(socket: Any, page: str) -> float:
    """Ask for a page as a browser does; return the seconds until it has come as a whole."""
    question = BackMsg()
    question.rerun_script.page_name = page
    started = time.perf_counter()
    await socket.send(question.SerializeToString())
    answer = ForwardMsg()
    while answer.WhichOneof("type") != "script_finished":
        answer.ParseFromString(await socket.recv())
    return time.perf_counter() - started


async def _watch(url: str, server: int, seconds: int) -> tuple[float, float]:
    """Return the share of a core that one viewer of a live run costs, in the server and in the browser."""
    import psutil

    from metalab.config import Config
    from metalab.runs import RunStore

    run = RunStore().create(Config.create(steps=10 * POINTS), "watched")
    for step in range(POINTS):
        run.append({"kind": "train", "step": step, "steps": 10 * POINTS, "loss": 1.0, "accuracy": 0.5})
    held = run.lock()  # as its supervisor would: so it counts as alive
    run.update_status(state="running", stage="meta-training", step=POINTS, steps=10 * POINTS)

    def spent() -> tuple[float, float]:
        own = psutil.Process()
        theirs = [one for one in own.children(recursive=True) if "chrom" in one.name()]
        return tuple(
            sum(sum(one.cpu_times()[:2]) for one in group) for group in ([psutil.Process(server)], theirs)
        )

    async with _chromium() as browser:
        page = await browser.new_page(viewport={"width": 1280, "height": 720})
        await page.goto(f"{url}/train?run={run.id}")
        await page.frame_locator("iframe").first.locator(".js-plotly-plot").wait_for(timeout=60_000)
        await asyncio.sleep(3)
        before = spent()
        for step in range(seconds):
            await asyncio.sleep(1)
            run.append({"kind": "train", "step": POINTS + step, "loss": 1.0, "accuracy": 0.5})
        after = spent()
    os.close(held)
    return tuple((now - then) / seconds for now, then in zip(after, before, strict=True))


if __name__ == "__main__":
    main()
