"""A real browser, driven, and a stand-in for the studio's server, for tests of its page; the fixtures are in conftest.py."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

mock = pytest.importorskip("studio_mock", reason="the studio needs aiohttp and aiortc: pip install '.[studio]'")
web = pytest.importorskip("aiohttp.web")
webdriver = pytest.importorskip("selenium.webdriver", reason="the page is driven by selenium: pip install '.[dev]'")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
in_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here (Debian: chromium-driver)"),
]


class Server:
    """The stand-in on a thread of its own; it can be killed and come back at the same address."""

    def __init__(self, studio: mock.Studio):
        self.studio, self.port = studio, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    def start(self) -> None:
        self._do(self._start())

    def kill(self) -> None:
        self._do(self._runner.cleanup())

    def close(self) -> None:
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def tell(self, **controls: Any) -> None:
        """Somebody else changes controls."""

        async def tell() -> None:
            self.studio.controls |= controls
            for socket in list(self.studio.sockets):
                await socket.send_json({"type": "controls", **self.studio.controls})

        self._do(tell())

    async def _start(self) -> None:
        self._runner = web.AppRunner(mock.make_app(self.studio), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    def _do(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(15)


def until(true: Callable[[], Any], seconds: float = 15) -> Any:
    """What `true` gives once it is something; fails when it stays nothing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.05)
    raise AssertionError(f"it did not come true in {seconds} s")


class Browser:
    """A driven Chromium with a fake camera and microphone."""

    def __init__(self, downloads: Path):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in (
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--use-fake-device-for-media-stream=fps=20", "--use-fake-ui-for-media-stream"),
            *("--allow-loopback-in-peer-connection", "--window-size=1280,800"),
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
        self.downloads = downloads

    def open(self, server: Server, path: str = "/") -> None:
        self.driver.get(f"http://127.0.0.1:{server.port}{path}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def click(self, css: str, shift: bool = False) -> None:
        event = "new MouseEvent('click', {bubbles: true, shiftKey: arguments[1]})"
        self.run(f"document.querySelector(arguments[0]).dispatchEvent({event})", css, shift)

    def point_at(self, css: str) -> None:
        """Move the mouse there and let it rest."""
        element = self.driver.find_element("css selector", css)
        webdriver.ActionChains(self.driver).move_to_element(element).pause(0.2).perform()

    def press(self, key: str) -> None:
        self.driver.switch_to.active_element.send_keys(key)

    def text(self, css: str) -> str:
        return self.run("return document.querySelector(arguments[0]).innerText", css)

    @property
    def state(self) -> str:
        return self.run("return document.body.dataset.state")

    def start(self, server: Server) -> None:
        """The page with its camera painted."""
        self.open(server)
        until(lambda: self.run("return !document.getElementById('start').disabled"))
        self.click("#start")
        until(lambda: self.state == "live")
        until(lambda: self.colour() is not None)

    def colour(self) -> tuple[float, float, float] | None:
        """The mean R, G, B of what the painted video shows; None where it shows nothing."""
        mean = self.run("""
            const video = document.getElementById('painted');
            if (!video.videoWidth || !video.srcObject || video.hidden) return null;
            const pen = Object.assign(document.createElement('canvas'), {width: 32, height: 24}).getContext('2d');
            pen.drawImage(video, 0, 0, 32, 24);
            const data = pen.getImageData(0, 0, 32, 24).data, sum = [0, 0, 0];
            for (let i = 0; i < data.length; i++) if (i % 4 < 3) sum[i % 4] += data[i] / (32 * 24);
            return sum;""")
        return tuple(mean) if mean and max(mean) > 8 else None

    def is_painted(self, channel: int) -> bool:
        """Whether the picture is of the colour R (0), G (1) or B (2) alone."""
        colour = self.colour()
        return bool(colour) and all(colour[channel] > 2 * other for i, other in enumerate(colour) if i != channel)

    def saved(self, suffix: str) -> Path:
        return until(lambda: next((path for path in self.downloads.glob(f"*{suffix}") if path.stat().st_size), None))

    def screen(self) -> np.ndarray:
        """What is seen, B, G, R uint8 [H, W, 3]."""
        return cv2.imdecode(np.frombuffer(self.driver.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)


def choose(browser: Browser, select: str, value: str) -> None:
    script = "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
    browser.run(script, select, value)
