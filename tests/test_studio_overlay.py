"""The studio's overlay in a real browser, against a stand-in for its server."""

from browser import Browser, Server, in_browser, until

pytestmark = in_browser


def test_it_is_the_picture_alone_sets_its_style_and_comes_back_by_itself(browser: Browser, server: Server) -> None:
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


def test_two_viewers_see_the_same_camera(browser: Browser, server: Server) -> None:
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
