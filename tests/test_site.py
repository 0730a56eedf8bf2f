"""The built site, in a browser. `make check-site` builds it and runs this file."""

import functools
import http.server
import json
import re
import shutil
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import numpy as np
import pytest
from columns import beliefs
from PIL import Image

from minialex.training import Classifier

ROOT = Path(__file__).resolve().parents[1]
SITE, RUN = ROOT / "docs" / "_build" / "site", ROOT / "docs" / "_build" / "run"
if not SITE.is_dir():
    pytest.skip("the site is not built: make site, or python docs/build_site.py",
                allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api", reason="pip install 'minialex[browser]'")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
               None)
if BROWSER is None:
    pytest.skip("there is no Chromium; on Debian: apt install chromium", allow_module_level=True)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
             "--disable-background-networking", "--disable-component-update"]
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
LIVE = (SITE / "_static" / "live" / "network.onnx").is_file()
pytestmark = pytest.mark.slow
live_page = pytest.mark.skipif(not LIVE, reason="the site was built without the live page")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A plain file server."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def home():
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=SITE))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        browser.close()


def watched(context, faults, home):
    """A page whose faults end up in a list: messages of the console, and what does not arrive."""
    page = context.new_page()
    page.on("console", lambda message: faults.append(f"{page.url}: {message.type} {message.text}"))
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.on("requestfailed", lambda asked: faults.append(f"{page.url}: no {asked.url}"))
    page.on("response", lambda answer: answer.ok or answer.status == 304 or
            faults.append(f"{page.url}: {answer.status} {answer.url}"))
    page.on("request", lambda asked: asked.url.startswith((home, "data:", "blob:")) or
            faults.append(f"{page.url}: asks another server for {asked.url}"))
    return page


class Parts(HTMLParser):
    """Where a page links to, and what in it can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.names = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key)]
        self.names |= {attributes[key] for key in ("id", "name") if attributes.get(key)}


def dead_links(site):
    parts = {path: Parts(path) for path in site.rglob("*.html")}
    dead = []
    for path, page in parts.items():
        for link in page.links:
            address, name = urldefrag(link)
            if re.match(r"[a-z]+:", link) or name.startswith("picture-"):  # that is the live page's
                continue
            target = (path.parent / unquote(address.partition("?")[0])).resolve()
            target = target if address else path
            known = parts[target].names if target in parts else set()
            if not target.is_file() or (name and target in parts and unquote(name) not in known):
                dead.append(f"{path.relative_to(site)}: {link}")
    return dead


def test_every_link_inside_the_site_leads_somewhere():
    assert not dead_links(SITE.resolve())


def test_a_dead_link_would_be_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html">b</a><a id="x" href="#y">y</a>'
                                     '<img src="c.png"><a href="#x">x</a><a href="a.html#x">x</a>')
    assert len(dead_links(tmp_path)) == 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page(browser, home, width, scheme):
    """No message in the console, nothing from elsewhere, no page wider than the screen, all
    pictures there and with a text."""
    faults = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = watched(context, faults, home)
    for name in PAGES:
        page.goto(home + name)
        page.evaluate("typeof started === 'undefined' || started")
        for picture in page.locator("img[loading=lazy]").all():
            picture.scroll_into_view_if_needed()
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        faults += [f"{name}: {fault}" for fault in page.evaluate("""() => {
            const page = document.scrollingElement, faults = [];
            if (page.scrollWidth > page.clientWidth) faults.push(`is ${page.scrollWidth} wide`);
            for (const image of document.images) {
              if (!image.naturalWidth) faults.push(`${image.src} is no picture`);
              if (!image.alt) faults.push(`${image.src} has no text`);
            }
            const titles = document.querySelectorAll("h1").length;
            if (titles !== 1 && !location.href.endsWith("search.html")) faults.push("needs one h1");
            return faults;
          }""")]
    context.close()
    assert not faults, "\n".join(faults)


def title_of(svg):
    return re.search("<title>(.*?)</title>", svg)[1]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")),
                         ids=lambda path: path.stem)
def test_chapter_keeps_its_texts_of_pictures_and_has_one_line_of_neighbours(browser, home, path):
    page = browser.new_page()
    page.goto(f"{home}chapters/{path.stem}.html")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    texts = [output["metadata"].get(kind, {}).get("alt") or title_of("".join(data))
             for cell in notebook["cells"] for output in cell.get("outputs", [])
             for kind, data in output.get("data", {}).items() if kind.startswith("image/")]
    shown = [picture.get_attribute("alt") for picture in page.locator(".cell_output img").all()]
    assert texts and shown == texts
    assert not page.locator("article a", has_text=re.compile("^(Previous|Next): ")).count()
    assert page.locator(".related-pages a").count() == 2
    page.close()


@pytest.mark.parametrize("asked, page_name", [("im2col", "05 Convolution"), ("exchange", "08 Two"),
                                              ("local_response_norm", "minialex.ops")])
def test_search_finds(browser, home, asked, page_name):
    page = browser.new_page()
    page.goto(f"{home}search.html?q={asked}")
    page.locator("#search-results li", has_text=page_name).first.wait_for()
    page.close()


# ------------------------------------------------------------------ the live page


@pytest.fixture(scope="module")
def classifier():
    return Classifier.load(RUN, ("cpu:0", "cpu:1"))


@pytest.fixture
def page(browser, home):
    """The live page, with its network loaded, and then without a connection."""
    faults = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = watched(context, faults, home)
    page.goto(f"{home}live.html#picture-3")
    page.evaluate("started")
    settle(page)
    context.set_offline(True)  # from here on, nothing can leave the browser
    yield page
    context.close()
    assert not faults, faults


def settle(page):
    page.wait_for_function("!running && !document.querySelector('#live [aria-busy=true]')")


def guesses(page):
    """[(title, [(class, percent), ...]), ...] as they stand on the page."""
    return [(part.locator("h3").inner_text(),
             [(item.locator(":scope > *").first.evaluate("e => e.previousSibling.textContent"),
               float(item.locator("span").inner_text().removesuffix(" %")))
              for item in part.locator("li").all()])
            for part in page.locator("#answers > div").all()]


def on_board(page):
    return np.array(page.evaluate("Array.from(pixels)"), np.uint8).reshape(28, 28)


def best(classifier, probabilities):
    return [(name, round(100 * share, 1)) for name, share in classifier.best(probabilities)]


def same_guesses(met, expected):
    names, shares = zip(*[(name.removesuffix(" ✓"), share) for name, share in met], strict=True)
    others, theirs = zip(*expected, strict=True)
    np.testing.assert_allclose(shares, theirs, atol=0.11)  # both are rounded to one digit
    assert [n for n, s in zip(names, shares, strict=True) if s > 1] == \
           [n for n, s in zip(others, theirs, strict=True) if s > 1]


@live_page
@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "cut"])
def test_browser_and_minialex_have_the_same_numbers(page, classifier, exchange):
    """Every output of the network, and the guesses that are shown, for every picture."""
    if not exchange:
        page.get_by_role("switch", name="The columns exchange their maps").uncheck()
    count, worst = page.evaluate("about.labels.length"), 0.0
    assert count == 20
    for i in range(count):
        page.locator(f"#pictures input[value='{i}']").check()
        settle(page)
        picture = on_board(page)[None, ..., None]
        pixels = classifier.preparation.apply(
            picture, classifier.preparation.central_views(1, picture.shape[1:]))
        expected = beliefs(classifier.net, pixels, exchange)
        met = page.evaluate("""async (exchange) => {
            const outputs = await network(pixels, exchange);
            return Object.fromEntries(Object.entries(outputs).map(
              ([name, { dims, data }]) => [name, [dims, Array.from(data)]]));
          }""", int(exchange))
        for name, array in expected.items():
            dims, numbers = met[name]
            array = array[:, 0] if name == "alone" else array
            difference = np.abs(np.reshape(numbers, dims) - array).max()
            worst = max(worst, difference / max(1, np.abs(array).max()))
        if exchange:
            np.testing.assert_allclose(expected["prob"], classifier.predict([picture[0]]),
                                       atol=1e-6)
        shown = guesses(page)
        titles = ["Both columns together"] if exchange else ["Column 0 alone", "Column 1 alone"]
        rows = expected["prob"] if exchange else expected["alone"][:, 0]
        assert [title for title, _ in shown] == titles
        for (_, met_guesses), row in zip(shown, rows, strict=True):
            same_guesses(met_guesses, best(classifier, row))
    print(f"largest difference, relative to the largest number of an output: {worst:.1e}")
    assert worst < 1e-4


@live_page
def test_address_names_a_picture(page):
    assert page.locator("#pictures input:checked").get_attribute("value") == "3"


@live_page
def test_what_crosses_is_counted_and_a_cut_says_so(page):
    orange = page.locator("#maps .crossing figcaption")
    lines = orange.all_inner_texts()
    assert len(lines) == 8 and sum("bytes" in line for line in lines) == 7
    assert sum(int(re.search(r"([\d,]+) bytes", line)[1].replace(",", "")) for line in lines
               if "bytes" in line) == 2 * 3200 + 2 * 512 + 2 * 2048 + 2048
    total = page.locator("#total")
    assert total.inner_text().startswith("In all: 13,568 bytes")
    page.get_by_role("switch").uncheck()
    settle(page)
    assert total.inner_text().startswith("In all: 0 bytes")
    assert sum("cut" in line for line in orange.all_inner_texts()) == 7


@live_page
def test_maps_are_drawn_and_described(page):
    for number in range(1, 6):
        for column in (0, 1):
            maps = page.get_by_role("img", name=re.compile(f"^conv{number}, column {column}: "))
            assert maps.count() == 1
            colours = maps.evaluate("""(canvas) => new Set(canvas.getContext("2d").getImageData(
                0, 0, canvas.width, canvas.height).data).size""")
            assert colours > 10


@live_page
def test_everything_can_be_reached_with_the_tab_key(page):
    page.locator("#pictures input:checked").focus()
    reached = set()
    for _ in range(12):
        reached.add(page.evaluate("""() => {
            const here = document.activeElement; return here.id || here.name; }"""))
        page.keyboard.press("Tab")
    assert {"picture", "board", "pen", "clear", "invert", "file", "exchange"} <= reached


@live_page
def test_keyboard_chooses_draws_and_cuts(page):
    page.locator("#pictures input:checked").focus()
    before = on_board(page)
    page.keyboard.press("ArrowRight")
    settle(page)
    assert page.locator("#pictures input:checked").get_attribute("value") == "4"
    assert (on_board(page) != before).any()
    board = page.get_by_role("application", name=re.compile("Drawing board"))
    board.focus()
    page.keyboard.press("Delete")
    assert not on_board(page).any() and not page.locator("#pictures input:checked").count()
    page.keyboard.press("ArrowRight")
    assert not on_board(page).any()  # the pen is up
    page.keyboard.press("Space")
    for _ in range(5):
        page.keyboard.press("ArrowDown")
    settle(page)
    drawn = on_board(page)
    assert (drawn[14:20, 15] == 255).all() and not drawn[:, :12].any()
    assert page.locator("#pen").inner_text() == "pen down, row 20, column 16"
    page.locator("#exchange").focus()
    page.keyboard.press("Space")
    settle(page)
    assert [title for title, _ in guesses(page)] == ["Column 0 alone", "Column 1 alone"]
    assert page.locator("#summary").inner_text().startswith("Column 0 alone: ")


@live_page
def test_mouse_draws(page):
    page.get_by_role("button", name="Clear").click()
    box = page.locator("#board").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.up()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.9 * box["height"])
    settle(page)
    drawn = on_board(page)
    assert (drawn[13:15, 8:20] > 200).all() and not drawn[20:].any()
    before = guesses(page)
    page.get_by_role("button", name="Swap light and dark").click()
    settle(page)
    np.testing.assert_array_equal(on_board(page), 255 - drawn)
    assert guesses(page) != before


@live_page
def test_finger_draws(browser, home):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True,
                                  is_mobile=True)
    page = context.new_page()
    page.goto(f"{home}live.html")
    page.evaluate("started")
    page.get_by_role("button", name="Clear").tap()
    page.locator("#board").tap()
    settle(page)
    drawn = on_board(page)
    assert drawn[13:15, 13:15].min() > 200 and np.count_nonzero(drawn) < 20
    context.close()


@live_page
def test_photograph_becomes_a_small_grey_square(page, tmp_path):
    """Bright on dark, as the network has learnt: a dark disc on white comes out white on black."""
    rows, columns = np.mgrid[:300, :400]
    disc = (rows - 150) ** 2 + (columns - 200) ** 2 < 100**2
    colours = np.where(disc[..., None], np.uint8([200, 30, 60]), np.uint8(255))
    Image.fromarray(colours).save(tmp_path / "disc.png")
    page.locator("#file").set_input_files(tmp_path / "disc.png")
    page.wait_for_function("pixels[0] === 0")
    settle(page)
    grey = Image.fromarray(colours[:, 50:350]).convert("L").resize((28, 28), Image.Resampling.BOX)
    expected = 255 - np.asarray(grey, float)
    difference = np.abs(on_board(page) - expected)
    assert difference.mean() < 4 and difference[12:16, 12:16].max() <= 2
    (tmp_path / "no.png").write_bytes(b"no picture")
    page.locator("#file").set_input_files(tmp_path / "no.png")
    page.get_by_text("no.png is no picture that this browser can read.").wait_for()


@live_page
def test_a_page_without_its_network_says_so(browser, home):
    page = browser.new_page()
    page.route("**/network.onnx", lambda route: route.fulfill(status=404))
    page.goto(f"{home}live.html")
    page.get_by_text("The network could not be loaded: network.onnx: 404").wait_for()
    page.close()
