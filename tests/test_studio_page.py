"""The studio's page in a real browser, against a stand-in for its server: what a person sees, by pixels."""

import asyncio
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
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


class TestFiles:
    """What can be known without a browser."""

    def test_nothing_is_inline_and_nothing_comes_from_outside(self) -> None:
        for path in mock.PAGE.iterdir():
            text = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
            assert not re.search(r"https?://(?!www\.w3\.org/2000/svg\b)", text), path.name
            if path.suffix == ".html":
                assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text), path.name

    def test_every_file_that_is_asked_for_is_there(self) -> None:
        asked = {
            name for path in mock.PAGE.iterdir() for name in re.findall(r'"/page/([^"]+)"', path.read_text(encoding="utf-8"))
        }
        assert asked <= {path.name for path in mock.PAGE.iterdir()}
        assert "main.js" in asked

    def test_every_element_that_is_looked_for_by_name_is_on_the_page(self) -> None:
        page = (mock.PAGE / "index.html").read_text(encoding="utf-8")
        there = set(re.findall(r'\bid="([^"]+)"', page))
        for path in mock.PAGE.glob("*.js"):
            looked = re.findall(r'(?:\bel|getElementById)\("([^"]+)"\)', path.read_text(encoding="utf-8"))
            assert set(looked) <= there, path.name

    def test_every_symbol_that_is_used_is_drawn(self) -> None:
        page = (mock.PAGE / "index.html").read_text(encoding="utf-8")
        assert set(re.findall(r'href="#(i-[^"]+)"', page)) <= set(re.findall(r'<symbol id="([^"]+)"', page))


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
        until(lambda: self.run("return !document.getElementById('empty').hidden"))
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


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("downloads"))
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    for path in chromium.downloads.iterdir():
        path.unlink()
    yield chromium
    severe = [entry["message"] for entry in chromium.driver.get_log("browser") if "Security" in entry["message"]]
    chromium.driver.get("about:blank")
    assert severe == []  # the server's Content-Security-Policy refused nothing


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(mock.Studio())
    yield server
    server.close()


class TestPage:
    pytestmark = in_browser

    def test_the_camera_comes_back_painted_and_a_key_changes_the_painting(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        assert server.studio.roles == ["camera"]
        until(lambda: browser.is_painted(0))
        browser.press("2")
        until(lambda: browser.is_painted(1))
        assert server.studio.controls["style"] == "green"
        assert "The green hour" in browser.text("#label")
        browser.press("\ue014")  # the right arrow
        until(lambda: browser.is_painted(2))

    def test_a_dropped_picture_becomes_the_style(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        browser.run("""
            const canvas = Object.assign(document.createElement('canvas'), {width: 64, height: 64});
            canvas.getContext('2d').fillRect(0, 0, 64, 64);
            canvas.toBlob((blob) => {
              const data = new DataTransfer();
              data.items.add(new File([blob], 'Mein Bild.png', {type: 'image/png'}));
              document.body.dispatchEvent(new DragEvent('drop', {bubbles: true, dataTransfer: data}));
            });""")
        until(lambda: server.studio.controls["style"] == "mein-bild")
        until(lambda: (colour := browser.colour()) and colour[2] < 0.5 * min(colour[:2]))  # the mock paints it yellow
        assert browser.run("return document.querySelector('[data-name=mein-bild]').getAttribute('aria-checked')") == "true"

    def test_a_file_that_is_no_picture_is_refused_in_one_line(self, browser: Browser, server: Server) -> None:
        browser.open(server)
        until(lambda: browser.run("return document.querySelectorAll('.paint').length") == 3)
        browser.run("""
            const data = new DataTransfer();
            data.items.add(new File(['x'], 'x.png', {type: 'image/png'}));
            document.body.dispatchEvent(new DragEvent('drop', {bubbles: true, dataTransfer: data}));""")
        until(lambda: browser.text("#toast") == "this is no picture that can be read")

    def test_two_styles_are_mixed_by_a_slider(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        browser.click("[data-name=blue]", shift=True)
        until(lambda: server.studio.controls["style"] == "red:0.50,blue:0.50")
        browser.run("const a = document.getElementById('mix-amount'); a.value = 0.9; a.dispatchEvent(new Event('input'))")
        until(lambda: server.studio.controls["style"] == "red:0.10,blue:0.90")
        until(lambda: browser.is_painted(2))
        browser.click("#mix-end")
        until(lambda: server.studio.controls["style"] == "red")

    def test_a_finger_that_rests_on_a_style_mixes_it_in(self, browser: Browser, server: Server) -> None:
        browser.open(server)
        until(lambda: browser.run("return document.querySelector('[aria-checked=true]')?.dataset.name") == "red")
        touch = "document.querySelector('[data-name=green]').dispatchEvent(new PointerEvent('{}', {{pointerType: 'touch'}}))"
        browser.run(touch.format("pointerdown"))
        until(lambda: server.studio.controls["style"] == "red:0.50,green:0.50")
        browser.run(touch.format("pointerup"))
        browser.click("[data-name=green]")  # which the browser sends when the finger leaves
        time.sleep(0.3)
        assert server.studio.controls["style"] == "red:0.50,green:0.50"

    def test_controls_are_made_of_the_schema_and_follow_others(self, browser: Browser, server: Server) -> None:
        browser.open(server)
        until(lambda: browser.run("return document.querySelectorAll('#controls .control').length") == 4)
        browser.run("""const strength = document.getElementById('control-strength');
            strength.value = 0.25; strength.dispatchEvent(new Event('input'));
            strength.dispatchEvent(new Event('change'))""")
        until(lambda: server.studio.controls["strength"] == 0.25)
        browser.run("""document.getElementById('control-strength').parentElement
            .dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))""")
        until(lambda: server.studio.controls["strength"] == 1)
        browser.click("#control-keep_color")
        until(lambda: server.studio.controls["keep_color"] is True)
        server.tell(consistency=0.3, style="green")
        until(lambda: browser.text(".control:nth-child(2) output") == "0.30")
        assert "The green hour" in browser.text("#label")

    def test_a_choice_is_one_bar_that_shows_what_is_chosen(self, browser: Browser, server: Server) -> None:
        browser.open(server)
        until(lambda: browser.run("return document.querySelectorAll('.segments input').length") == 3)
        chosen = "return document.querySelector('.segments :checked')?.value"
        until(lambda: browser.run(chosen) == "auto")
        browser.click(".segments [value=fine]")
        until(lambda: server.studio.controls["network"] == "fine")
        server.tell(network="fast")
        until(lambda: browser.run(chosen) == "fast")
        browser.run("document.querySelector('.segments :checked').focus()")
        browser.press("k")  # the other keys still work
        until(lambda: server.studio.controls["keep_color"] is True)
        until(lambda: browser.text("#pacing") == "fast on every frame: 12 of 33 ms; fine would take 45")
        assert browser.text("#backend") == "640 × 480 · openvino 2026.1, CPU, int8"

    def test_keys_turn_the_controls(self, browser: Browser, server: Server) -> None:
        browser.open(server)
        until(lambda: browser.run("return document.querySelectorAll('#controls .control').length") == 4)
        until(lambda: browser.run("return document.getElementById('control-strength').value") == "1")
        browser.press("--")
        browser.press("[")
        browser.press("k")
        turned = {"strength": 0.9, "consistency": 0.85, "keep_color": True}
        until(lambda: turned.items() <= server.studio.controls.items())
        browser.press("n")
        until(lambda: server.studio.controls["style"] == "green")
        browser.press("p")
        until(lambda: server.studio.controls["style"] == "red")

    def test_the_size_and_the_backend_are_chosen_and_what_is_refused_is_said(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        until(lambda: browser.run("return document.getElementById('size').options.length") > 3)
        choose(browser, "size", "960x540")
        until(lambda: server.studio.asked["size"] == [960, 540])
        until(
            lambda: browser.run("return document.getElementById('before').videoWidth") == 960
        )  # the camera is asked for it
        choose(browser, "engine", "torch")
        until(lambda: browser.text("#toast") == "torch does not run here")
        assert browser.run("return document.getElementById('engine').value") == "auto"
        choose(browser, "size", "")
        until(lambda: server.studio.asked["size"] is None)
        server.studio.asked = {"size": [800, 600], "backend": "openvino"}  # by somebody else
        until(lambda: browser.run("return document.getElementById('size').value") == "800x600")
        assert browser.run("return document.getElementById('engine').value") == "openvino"
        assert server.studio.roles == ["camera"]  # nothing was stopped for it

    def test_the_source_is_chosen_among_the_cameras_by_name_and_the_studios(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        names = "return [...document.querySelectorAll('#source option')].map((option) => option.label)"
        until(lambda: browser.run(names)[-1] == "rtsp://camera/1")
        assert all("fake" in name for name in browser.run(names)[:-1])
        choose(browser, "source", "rtsp://camera/1")
        until(lambda: server.studio.source == "rtsp://camera/1")
        until(lambda: server.studio.roles == ["camera", "viewer"])  # the camera is let go
        until(lambda: browser.run("return document.getElementById('before').srcObject === null"))
        until(lambda: browser.is_painted(0))
        choose(browser, "source", browser.run("return document.querySelector('#source option').value"))
        until(lambda: server.studio.source == "browser")
        until(lambda: server.studio.roles == ["camera", "viewer", "camera"])

    def test_presets_are_saved_recalled_and_forgotten(self, browser: Browser, server: Server) -> None:
        browser.open(server)
        until(lambda: browser.run("return document.querySelectorAll('#controls .control').length") == 4)
        browser.run("""document.querySelector('.more').open = true;
            document.getElementById('preset-name').value = 'Für Abende';
            document.getElementById('preset-form').requestSubmit()""")
        until(lambda: "fur-abende" in server.studio.presets)
        server.tell(strength=0.1, style="blue")
        until(lambda: browser.run("return document.querySelector('.chip button') !== null"))
        browser.click(".chip button")
        until(lambda: (server.studio.controls["strength"], server.studio.controls["style"]) == (1.0, "red"))
        browser.click(".chip .icon")
        until(lambda: not server.studio.presets)

    def test_the_split_view_shows_the_camera_left_of_a_line_that_moves(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        until(lambda: browser.is_painted(0))
        browser.press("b")
        until(lambda: browser.run("return !document.getElementById('line').hidden"))

        def sides() -> tuple[float, ...]:
            """Green over red near the left and the right border: the camera's corners are green, the paint is red."""
            frame = browser.run(
                "return JSON.parse(JSON.stringify(document.getElementById('frame').getBoundingClientRect()))"
            )
            height, width = int(frame["height"]), int(frame["width"])
            picture = browser.screen()[height // 3 : height // 2, :width].astype(float)
            quarter = [picture[:, int(width * share) - 40 : int(width * share) + 40].mean((0, 1)) for share in (0.2, 0.8)]
            return (*(colour[1] / max(colour[2], 1) for colour in quarter),)

        until(lambda: sides()[0] > 1 > sides()[1])
        browser.run("document.getElementById('line').focus()")
        browser.press("\ue010")  # End: all of it is the camera
        until(lambda: min(sides()) > 1)
        assert browser.run("return document.getElementById('line').getAttribute('aria-valuenow')") == "100"
        assert server.studio.roles == ["camera", "compare"]
        browser.press("b")
        until(lambda: len(server.studio.peers) == 1)  # what nobody looks at is not sent

    def test_a_source_of_the_engine_is_shown_as_it_was_too(self, browser: Browser, server: Server) -> None:
        server.studio.source = "rtsp://camera/1"
        browser.open(server)
        until(lambda: browser.is_painted(0))
        browser.press(" ")
        until(lambda: server.studio.roles == ["viewer", "compare"])
        grey = "const c = document.getElementById('compare'); return [...c.getContext('2d').getImageData(9, 9, 1, 1).data]"
        until(lambda: np.ptp(browser.run(grey)[:3]) < 20 and browser.run(grey)[0] > 150)
        assert browser.run("return getComputedStyle(document.getElementById('compare')).visibility") == "visible"
        browser.press(" ")
        until(lambda: len(server.studio.peers) == 1)

    def test_space_shows_the_camera_and_the_painting_goes_on(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        browser.press(" ")
        assert browser.run("return getComputedStyle(document.getElementById('before')).visibility") == "visible"
        before = browser.run("return document.getElementById('painted').currentTime")
        until(lambda: browser.run("return document.getElementById('painted').currentTime") > before)
        browser.press(" ")
        assert browser.run("return getComputedStyle(document.getElementById('before')).visibility") == "hidden"

    def test_a_recording_plays_and_has_sound(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        until(lambda: browser.is_painted(0))
        until(lambda: browser.run("return !document.getElementById('painted').srcObject.getAudioTracks()[0].muted"))
        browser.press("r")
        until(lambda: browser.text("#record-time") == "0:03")
        browser.press("r")
        path = browser.saved("red.webm" if not list(browser.downloads.glob("*.mp4")) else "red.mp4")
        with av.open(str(path)) as recording:
            frames = [frame.to_ndarray(format="rgb24").mean((0, 1)) for frame in recording.decode(video=0)]
        with av.open(str(path)) as recording:
            sound = np.concatenate([frame.to_ndarray().ravel() for frame in recording.decode(audio=0)])
        assert len(frames) > 5  # of some 60: a busy machine shows fewer
        assert all(red > 2 * green for red, green, _ in frames[2:])
        assert np.abs(sound.astype(float)).max() > 0  # the fake microphone beeps

    def test_a_still_is_the_painted_frame(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        until(lambda: browser.is_painted(0))
        browser.press("s")
        picture = cv2.imread(str(browser.saved("red.png")))
        assert picture.shape == (480, 640, 3)
        assert picture[..., 2].mean() > 2 * picture[..., 1].mean()

    def test_a_server_that_dies_is_said_and_comes_back(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        server.kill()
        until(lambda: browser.state == "lost")
        until(lambda: "Trying again" in browser.text("#banner"))
        # the camera is shown instead of a frozen picture
        assert browser.run("return getComputedStyle(document.getElementById('before')).visibility") == "visible"
        server.start()
        until(lambda: browser.state == "live", 20)
        until(lambda: browser.is_painted(0))
        assert browser.run("return document.getElementById('banner').hidden")

    def test_what_fails_is_shown(self, browser: Browser, server: Server) -> None:
        browser.open(server)
        server.studio.failing = "network: out of memory (camera passes through)"
        until(lambda: browser.text("#banner") == server.studio.failing)
        server.studio.failing = None
        until(lambda: browser.run("return document.getElementById('banner').hidden"))

    def test_a_source_of_the_engine_is_watched_without_a_question(self, browser: Browser, server: Server) -> None:
        server.studio.source = "rtsp://camera/1"
        browser.open(server)
        until(lambda: browser.is_painted(0))
        assert server.studio.roles == ["viewer"]
        assert browser.run("return document.getElementById('empty').hidden")

    def test_everything_works_with_a_token(self, browser: Browser, server: Server) -> None:
        server.studio.token = "s3cret"
        browser.open(server, "/?token=wrong")
        until(lambda: "token is missing or wrong" in browser.text("#banner"))
        browser.open(server, "/?token=s3cret")
        until(lambda: browser.run("return document.querySelector('.paint img')?.naturalWidth") == 128)
        browser.click("[data-name=blue]")
        until(lambda: server.studio.controls["style"] == "blue")
        assert "s3cret" not in browser.run("return document.documentElement.outerHTML")

    def test_nothing_sticks_out_on_a_phone_and_targets_fit_a_thumb(self, browser: Browser, server: Server) -> None:
        phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        try:
            browser.open(server)
            until(lambda: browser.run("return document.querySelectorAll('#controls .control').length") == 4)
            assert browser.run("return document.documentElement.scrollWidth") == 390
            small = browser.run("""return [...document.querySelectorAll('button:not(.switch), input, select, summary')]
                .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 44).map((e) => e.id || e.outerHTML)""")
            assert small == []
        finally:
            browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def test_every_button_has_a_name(self, browser: Browser, server: Server) -> None:
        browser.open(server)
        until(lambda: browser.run("return document.querySelectorAll('.paint').length") == 3)
        nameless = browser.run("""return [...document.querySelectorAll('button, input:not([hidden]), select, [role=slider]')]
            .filter((e) => !(e.ariaLabel || e.innerText?.trim() || e.labels?.length || e.textContent.trim()))
            .map((e) => e.outerHTML)""")
        assert nameless == []


class TestOverlay:
    pytestmark = in_browser

    def test_it_is_the_picture_alone_sets_its_style_and_comes_back_by_itself(self, browser: Browser, server: Server) -> None:
        browser.open(server, "/overlay?style=green&strength=0.5&keep_color=1")
        until(lambda: browser.is_painted(1))
        assert {**server.studio.controls, "consistency": 0} == {
            "style": "green",
            "strength": 0.5,
            "consistency": 0,
            "keep_color": True,
            "network": "auto",
        }
        assert server.studio.roles == ["viewer"]
        assert browser.run("return [...document.body.children].map((e) => e.id)") == ["painted"]
        body = browser.run("const s = getComputedStyle(document.body); return [s.backgroundColor, s.cursor]")
        assert body == ["rgba(0, 0, 0, 0)", "none"]
        server.kill()
        until(lambda: browser.run("return document.getElementById('painted').hidden"))
        server.start()
        until(lambda: browser.is_painted(1), 20)

    def test_two_viewers_see_the_same_camera(self, browser: Browser, server: Server) -> None:
        browser.start(server)
        first = browser.driver.current_window_handle
        browser.driver.switch_to.new_window("window")
        try:
            browser.open(server, "/overlay")
            until(lambda: browser.is_painted(0))
            assert browser.run("return document.getElementById('painted').videoWidth") == 640
        finally:
            browser.driver.close()
            browser.driver.switch_to.window(first)
        assert browser.is_painted(0)
        until(lambda: len(server.studio.peers) == 1)  # who leaves hangs up
