"""The real studio and a real browser, driven: what `benchmarks.studio` and `benchmarks.endurance` measure. Linux only."""

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import wave
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from selenium import webdriver
from selenium.webdriver import ActionChains

from benchmarks import glass
from benchmarks.chain import Row
from engine.errors import SourceError
from engine.frame import plane_views
from engine.sources.scene import SceneSource

SIZE, RATE = (640, 480), 30  # of the camera
WARM_UP = 10.0  # seconds, in which the browser's encoder finds its rate
CLICK = 0.01  # seconds
AIM = 0.25  # seconds that the mouse rests on what it then clicks on
_PROBE = Path(__file__).with_name("probe.js")
_KEEP_PEERS = """
const Peer = RTCPeerConnection;
window.peers = [];
window.RTCPeerConnection = class extends Peer { constructor(...given) { super(...given); peers.push(this); } };
"""
_STATS = """
const done = arguments[arguments.length - 1];
peers.at(-1).getStats().then((report) => done([...report.values()].filter((entry) => /bound-rtp/.test(entry.type))));
"""


class Server:
    """`allaprima studio` in a process of its own, on a free port, its styles and presets in an empty folder."""

    def __init__(self, folder: Path, *arguments: str):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        own = {name: str(folder / name) for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        command = [sys.executable, "-m", "engine.cli", "studio", "--port", str(self.port), *arguments]
        self.process = subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        if "the studio is at" not in self.process.stdout.readline():
            raise SourceError("the studio did not start")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def memory(self) -> float:
        """Resident MB."""
        return _status(self.process.pid, "VmRSS")

    @property
    def peak(self) -> float:
        return _status(self.process.pid, "VmHWM")

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.address}/api/status", timeout=10) as answer:
            return json.load(answer)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)


class Browser:
    """A headless Chromium whose camera and microphone are `film` and `sound`."""

    def __init__(self, film: Path, sound: Path):
        options = webdriver.ChromeOptions()
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if chromium is None or driver is None:
            raise SourceError("there is no chromium and chromedriver (Debian: apt install chromium-driver)")
        options.binary_location = chromium
        for argument in (
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1280,800"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"),
            *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
            *(f"--use-file-for-fake-video-capture={film}", f"--use-file-for-fake-audio-capture={sound}"),
            *("--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required"),
        ):
            options.add_argument(argument)
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        self.driver.set_script_timeout(60)
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _KEEP_PEERS})

    def start(self, server: Server) -> None:
        """The page with its camera painted, and the probe in it."""
        self.driver.get(server.address)
        self._until("!document.getElementById('start').disabled")
        self.driver.execute_script("document.getElementById('start').click()")
        self._until("document.body.dataset.state === 'live' && document.getElementById('painted').videoWidth")
        time.sleep(WARM_UP)
        self.driver.execute_script(_PROBE.read_text(encoding="utf-8"), glass.COLUMNS, *glass.BLOCK)
        self._until("window.probe.offset")

    def _until(self, true: str, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not self.driver.execute_script(f"return Boolean({true})"):
            if time.monotonic() > deadline:
                raise SourceError(f"the page did not come to: {true}")
            time.sleep(0.1)

    def ask(self, *steps: Sequence[Any]) -> dict[str, Any]:
        """Send requests from the page, one after the other: when the first began, and what the last answered."""
        return self.driver.execute_async_script("probe.ask(arguments[0]).then(arguments[1])", steps)

    def choose(self, style: str) -> dict[str, Any]:
        """Click on a painting as a hand does, which comes to rest on it first: when that began to be heard."""
        painting = self.driver.find_element("css selector", f"#gallery [data-name='{style}']")
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'nearest', inline: 'nearest'})", painting)
        ActionChains(self.driver).move_to_element(painting).pause(AIM).click().perform()
        return {"began": self.driver.execute_script("return probe.clicked")}

    @property
    def now(self) -> float:
        """Milliseconds on the page's clock."""
        return self.driver.execute_script("return performance.now()")

    def seen(self) -> dict[str, Any]:
        """All that the probe has seen."""
        return self.driver.execute_script("return {...probe, context: null, ear: null, ask: null}")

    def statistics(self) -> dict[str, Any]:
        """What WebRTC says of picture and sound: "video sent", "video received", "audio sent", "audio received"."""
        ways = {"outbound-rtp": "sent", "inbound-rtp": "received"}
        entries = self.driver.execute_async_script(_STATS)
        return {f"{entry['kind']} {ways[entry['type']]}": entry for entry in entries if entry["type"] in ways}

    def close(self) -> None:
        self.driver.quit()


def film(path: Path) -> Path:
    """The scene and its clock, uncompressed. It goes forth and back, so that it has no cut where it begins anew."""
    half = glass.NUMBERS // 2
    scene = SceneSource(f"scene:{SIZE[0]}x{SIZE[1]},{half / RATE},{RATE}")
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{SIZE[0]} H{SIZE[1]} F{RATE}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(glass.NUMBERS):
            planes = plane_views(scene.render(min(number, glass.NUMBERS - 1 - number)))
            glass.draw(number, planes)
            file.write(b"FRAME\n")
            file.writelines(np.ascontiguousarray(plane).tobytes() for plane in planes)
    return path


def clicks(path: Path, rate: int = 48_000) -> Path:
    """A short tone at every full second of ten."""
    instants = np.arange(10 * rate) % rate / rate
    tone = np.where(instants < CLICK, 0.7 * np.sin(2 * np.pi * 2000 * instants), 0)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((tone * 32767).astype("<i2").tobytes())
    return path


def _status(pid: int, name: str) -> float:
    """MB, of a line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1.024e-3


def busy(pid: int) -> float:
    """Seconds of processor that a process and all it started have taken."""
    ticks, children = 0, [pid]
    while children:
        one = children.pop()
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            for task in Path(f"/proc/{one}/task").iterdir():
                children += map(int, (task / "children").read_text().split())
    return ticks / os.sysconf("SC_CLK_TCK")


def all_busy() -> float:
    """Seconds of processor that everything on this machine has taken: user, nice and system time of /proc/stat."""
    return sum(map(int, Path("/proc/stat").read_text().split(maxsplit=4)[1:4])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def studio(*arguments: str) -> Iterator[tuple[Server, Browser]]:
    """The server and a browser whose camera is painted by it."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        given = film(folder / "film.y4m"), clicks(folder / "clicks.wav")
        server = Server(folder, *arguments)
        stack.callback(server.close)
        browser = Browser(*given)
        stack.callback(browser.close)
        browser.start(server)
        yield server, browser


def show(rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """The figures asked for as a table, and what else was found."""
    console, table = Console(), Table("", "at least", "aim", "here", "")
    for row in rows:
        sign = "≥" if row.higher else "≤"
        table.add_row(row.name, f"{sign} {row.least:g}", f"{sign} {row.aim:g}", f"{row.value:.1f} {row.unit}", row.verdict)
    console.print(table)
    console.print_json(json.dumps(rounded(facts)), indent=1)


def write(path: Path, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "machine": platform.machine()}
    entries = [asdict(row) | {"name": row.name.strip(), "reached": row.verdict} for row in rows]
    whole = rounded({"machine": machine, "rows": entries} | facts)
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def rounded(value: Any) -> Any:
    """As it is, but its numbers to a hundredth."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    return round(value, 2) if isinstance(value, float) else value
