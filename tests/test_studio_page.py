"""The studio's page in a real browser, against a stand-in for its server: what a person sees, by pixels."""

import time

import av
import cv2
import numpy as np
from browser import Browser, Server, choose, in_browser, until

pytestmark = in_browser


def test_the_camera_comes_back_painted_and_a_key_changes_the_painting(browser: Browser, server: Server) -> None:
    browser.start(server)
    assert server.studio.roles == ["camera"]
    until(lambda: browser.is_painted(0))
    browser.press("2")
    until(lambda: browser.is_painted(1))
    assert server.studio.controls["style"] == "green"
    assert "The green hour" in browser.text("#label")
    browser.press("\ue014")  # the right arrow
    until(lambda: browser.is_painted(2))


def test_the_camera_is_asked_for_once_there_is_something_to_paint_it_with(browser: Browser, server: Server) -> None:
    server.studio.ready = False
    browser.open(server)
    until(lambda: browser.text("#empty-text").startswith("Getting ready"))
    browser.click("#start")
    browser.press("c")
    time.sleep(0.7)  # more than from one status to the next
    assert browser.run("return document.getElementById('before').srcObject === null")
    server.studio.ready = True
    until(lambda: browser.run("return !document.getElementById('start').disabled"))
    assert browser.text("#empty-text").startswith("Your camera")
    browser.click("#start")
    until(lambda: browser.state == "live")


def test_a_dropped_picture_becomes_the_style(browser: Browser, server: Server) -> None:
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


def test_a_file_that_is_no_picture_is_refused_in_one_line(browser: Browser, server: Server) -> None:
    browser.open(server)
    until(lambda: browser.run("return document.querySelectorAll('.paint').length") == 3)
    browser.run("""
        const data = new DataTransfer();
        data.items.add(new File(['x'], 'x.png', {type: 'image/png'}));
        document.body.dispatchEvent(new DragEvent('drop', {bubbles: true, dataTransfer: data}));""")
    until(lambda: browser.text("#toast") == "this is no picture that can be read")


def test_two_styles_are_mixed_by_a_slider(browser: Browser, server: Server) -> None:
    browser.start(server)
    browser.click("[data-name=blue]", shift=True)
    until(lambda: server.studio.controls["style"] == "red:0.50,blue:0.50")
    browser.run("const a = document.getElementById('mix-amount'); a.value = 0.9; a.dispatchEvent(new Event('input'))")
    until(lambda: server.studio.controls["style"] == "red:0.10,blue:0.90")
    until(lambda: browser.is_painted(2))
    browser.click("#mix-end")
    until(lambda: server.studio.controls["style"] == "red")


def test_a_finger_that_rests_on_a_style_mixes_it_in(browser: Browser, server: Server) -> None:
    browser.open(server)
    until(lambda: browser.run("return document.querySelector('[aria-checked=true]')?.dataset.name") == "red")
    touch = "document.querySelector('[data-name=green]').dispatchEvent(new PointerEvent('{}', {{pointerType: 'touch'}}))"
    browser.run(touch.format("pointerdown"))
    until(lambda: server.studio.controls["style"] == "red:0.50,green:0.50")
    browser.run(touch.format("pointerup"))
    browser.click("[data-name=green]")  # which the browser sends when the finger leaves
    time.sleep(0.3)
    assert server.studio.controls["style"] == "red:0.50,green:0.50"


def test_controls_are_made_of_the_schema_and_follow_others(browser: Browser, server: Server) -> None:
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


def test_a_choice_is_one_bar_that_shows_what_is_chosen(browser: Browser, server: Server) -> None:
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


def test_keys_turn_the_controls(browser: Browser, server: Server) -> None:
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


def test_the_size_and_the_backend_are_chosen_and_what_is_refused_is_said(browser: Browser, server: Server) -> None:
    browser.start(server)
    until(lambda: browser.run("return document.getElementById('size').options.length") > 3)
    choose(browser, "size", "960x540")
    until(lambda: server.studio.asked["size"] == [960, 540])
    until(lambda: browser.run("return document.getElementById('before').videoWidth") == 960)  # the camera is asked for it
    choose(browser, "engine", "torch")
    until(lambda: browser.text("#toast") == "torch does not run here")
    assert browser.run("return document.getElementById('engine').value") == "auto"
    choose(browser, "size", "")
    until(lambda: server.studio.asked["size"] is None)
    server.studio.asked = {"size": [800, 600], "backend": "openvino"}  # by somebody else
    until(lambda: browser.run("return document.getElementById('size').value") == "800x600")
    assert browser.run("return document.getElementById('engine').value") == "openvino"
    assert server.studio.roles == ["camera"]  # nothing was stopped for it


def test_the_source_is_chosen_among_the_cameras_by_name_and_the_studios(browser: Browser, server: Server) -> None:
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


def test_presets_are_saved_recalled_and_forgotten(browser: Browser, server: Server) -> None:
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


def test_the_split_view_shows_the_camera_left_of_a_line_that_moves(browser: Browser, server: Server) -> None:
    browser.start(server)
    until(lambda: browser.is_painted(0))
    browser.press("b")
    until(lambda: browser.run("return !document.getElementById('line').hidden"))

    def sides() -> tuple[float, ...]:
        """Green over red near the left and the right border: the camera's corners are green, the paint is red."""
        frame = browser.run("return JSON.parse(JSON.stringify(document.getElementById('frame').getBoundingClientRect()))")
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


def test_a_source_of_the_engine_is_shown_as_it_was_too(browser: Browser, server: Server) -> None:
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


def test_space_shows_the_camera_and_the_painting_goes_on(browser: Browser, server: Server) -> None:
    browser.start(server)
    browser.press(" ")
    assert browser.run("return getComputedStyle(document.getElementById('before')).visibility") == "visible"
    before = browser.run("return document.getElementById('painted').currentTime")
    until(lambda: browser.run("return document.getElementById('painted').currentTime") > before)
    browser.press(" ")
    assert browser.run("return getComputedStyle(document.getElementById('before')).visibility") == "hidden"


def test_a_recording_plays_and_has_sound(browser: Browser, server: Server) -> None:
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


def test_a_still_is_the_painted_frame(browser: Browser, server: Server) -> None:
    browser.start(server)
    until(lambda: browser.is_painted(0))
    browser.press("s")
    picture = cv2.imread(str(browser.saved("red.png")))
    assert picture.shape == (480, 640, 3)
    assert picture[..., 2].mean() > 2 * picture[..., 1].mean()


def test_a_server_that_dies_is_said_and_comes_back(browser: Browser, server: Server) -> None:
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


def test_what_fails_is_shown(browser: Browser, server: Server) -> None:
    browser.open(server)
    server.studio.failing = "network: out of memory (camera passes through)"
    until(lambda: browser.text("#banner") == server.studio.failing)
    server.studio.failing = None
    until(lambda: browser.run("return document.getElementById('banner').hidden"))


def test_a_source_of_the_engine_is_watched_without_a_question(browser: Browser, server: Server) -> None:
    server.studio.source = "rtsp://camera/1"
    browser.open(server)
    until(lambda: browser.is_painted(0))
    assert server.studio.roles == ["viewer"]
    assert browser.run("return document.getElementById('empty').hidden")


def test_everything_works_with_a_token(browser: Browser, server: Server) -> None:
    server.studio.token = "s3cret"
    browser.open(server, "/?token=wrong")
    until(lambda: "token is missing or wrong" in browser.text("#banner"))
    browser.open(server, "/?token=s3cret")
    until(lambda: browser.run("return document.querySelector('.paint img')?.naturalWidth") == 128)
    browser.click("[data-name=blue]")
    until(lambda: server.studio.controls["style"] == "blue")
    assert "s3cret" not in browser.run("return document.documentElement.outerHTML")


def test_nothing_sticks_out_on_a_phone_and_targets_fit_a_thumb(browser: Browser, server: Server) -> None:
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


def test_every_button_has_a_name(browser: Browser, server: Server) -> None:
    browser.open(server)
    until(lambda: browser.run("return document.querySelectorAll('.paint').length") == 3)
    nameless = browser.run("""return [...document.querySelectorAll('button, input:not([hidden]), select, [role=slider]')]
        .filter((e) => !(e.ariaLabel || e.innerText?.trim() || e.labels?.length || e.textContent.trim()))
        .map((e) => e.outerHTML)""")
    assert nameless == []
