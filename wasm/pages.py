"""The pages of docs/playground in Chromium: pages.py DOCS PLACE [BUILD]. Screenshots go to PLACE.

With BUILD there is only that one, in a quick build, and nothing is expected of its speed.
"""

import contextlib
import functools
import html
import http.server
import pathlib
import re
import shutil
import struct
import sys
import threading
import time
import zlib

from playwright.sync_api import expect, sync_playwright

DOCS, PLACE = map(pathlib.Path, sys.argv[1:3])
ROOT = pathlib.Path(__file__).parent.parent
BUILD = sys.argv[3] if len(sys.argv) > 3 else None
expect.set_options(timeout=30_000)
PHONE = {"width": 360, "height": 740}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def opened(browser, address, page_name, build=BUILD, **options):
    """A page that may ask nobody else, and log no error."""
    context = browser.new_context(**options)
    page = context.new_page()
    errors, asked = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    go(page, f"{address}/{page_name}", build)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page_name} is wider than the window"
    assert not errors, errors
    assert all(url.startswith((address.removesuffix("/playground"), "data:", "blob:")) for url in asked), asked
    context.close()


def go(page, url, build=BUILD):
    page.goto(url.replace(".html", f".html?simd={build}") if build else url)


def shot(page, name):
    page.screenshot(path=PLACE / f"{name}.png", full_page=True)


def inked(page, selector):
    """How many colours a canvas has."""
    return page.locator(selector).evaluate("""(c) => {
      const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, seen = new Set();
      for (let i = 0; i < d.length; i += 4) seen.add(d.slice(i, i + 4).join());
      return seen.size; }""")


def png(rows):
    """A picture of grey."""
    part = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", pixels) + part(b"IEND", b"")


def formula(browser, address):
    with opened(browser, address, "formula.html") as page:
        expect(page.locator("#formula")).to_have_text("x * tanh(ln(1 + exp(x)))")
        expect(page.locator("#gradcheck")).to_contain_text("passes")
        assert inked(page, "canvas") > 5
        shot(page, "formula-light")
        text = page.get_by_label("Formula of x")
        text.fill("x * tanh(1 +")
        expect(page.get_by_role("status")).to_have_text("parse: expected a number, a name or '(', got the end at column 13")
        assert page.locator("#place").text_content() == "x * tanh(1 +\n" + " " * 12 + "^"
        shot(page, "formula-wrong")
        text.fill("x^2")
        expect(page.locator("#derivative")).to_have_text("2 * x")
        expect(page.locator("#place")).to_be_hidden()
        # Every activation is read back as it is printed.
        start = page.get_by_label("Start from")
        for i in range(1, 11):
            start.select_option(index=i)
            expect(page.locator("#formula")).to_have_text(start.input_value())
        kept = text.input_value()
        page.reload()
        expect(text).to_have_value(kept)
        expect(page.locator("#formula")).to_have_text(kept)
        # A hostile text is an error, and the page lives on.
        text.fill("(" * 4000)
        expect(page.get_by_role("status")).to_contain_text("at most 64 levels")
    with opened(browser, address, "formula.html#f=sin(x)/x&from=-9&to=9", "simd128", viewport=PHONE, color_scheme="dark") as page:
        expect(page.locator("#formula")).to_have_text("sin(x) / x")
        # With the keyboard alone.
        while page.evaluate("document.activeElement.name") != "f":
            page.keyboard.press("Tab")
        page.keyboard.press("End")
        page.keyboard.type(" + 1")
        expect(page.locator("#formula")).to_have_text("sin(x) / x + 1")
        shot(page, "formula-phone-dark")


def notebook(browser, address):
    with opened(browser, address, "notebook.html") as page:
        expect(page.locator("#sigmoid-steps")).to_contain_text("[[0.73105858 0.88079708 0.95257413]]")
        expect(page.locator("#softmax-steps")).to_contain_text("[0.98089766 0.00089446 0.01796577")
        expect(page.locator("#losses-steps")).to_contain_text("L1 = 1.1")
        expect(page.locator("#gradient-steps")).to_contain_text("∂")
        area = page.locator("textarea[name=sigmoid]")
        area.fill("0")
        expect(page.locator("#sigmoid-steps")).to_have_text("s(x) = [[0.5]]\ns′(x) = [[0.25]]")
        area.fill("0 x")
        expect(page.locator("#sigmoid-steps")).to_have_text('expected a number, got "x" in row 1')
        losses = page.locator("textarea[name=losses]")
        losses.fill("1 2 3")
        expect(page.locator("#losses-steps")).to_have_text("losses: expected two rows of numbers, one below the other, got 1 of them")
        losses.fill("1 2 3\n4 5")
        expect(page.locator("#losses-steps")).to_have_text("expected rows of one length, got 3 numbers in row 1 and 2 in row 2")
        losses.fill("")
        expect(page.locator("#losses-steps")).to_have_text("expected numbers, got none")
        losses.fill("0.9 0.2\n1 0")
        # A picture from a file: 8 × 8 shades stay what they are.
        shades = [[(row * 8 + column) * 4 for column in range(8)] for row in range(8)]
        picture = page.locator("input[type=file]")
        picture.set_input_files({"name": "no.png", "mimeType": "image/png", "buffer": b"no picture"})
        expect(page.locator("#unroll-steps")).to_have_text("expected a picture, got no.png")
        picture.set_input_files({"name": "own.png", "mimeType": "image/png", "buffer": png(shades)})
        expect(page.locator("textarea[name=unroll]")).to_have_value("\n".join(" ".join(f"{shade / 255:.2f}" for shade in row) for row in shades))
        expect(page.locator("#unroll-steps")).to_contain_text("vector = ")
        assert inked(page, "#sections canvas") == 64
        area.fill("0 1")
        page.reload()
        expect(page.locator("#sigmoid-steps")).to_contain_text("0.73105858")
        page.get_by_role("button", name="Time both").click()
        expect(page.locator("#times")).to_contain_text("times as fast")
        print("  ", page.locator("#times").text_content())
        shot(page, "notebook-light")
        # usize has 32 bits: a shape that overflows it is an error.
        message = page.evaluate("""async () => { const { call } = await import("./tealight.js");
          try { return String(await call("broadcast", new Uint32Array([65536, 1]), new Uint32Array([1, 65536]))); } catch (error) { return error.message; } }""")
        assert message.startswith("add: expected"), message
    with opened(browser, address, "notebook.html", viewport=PHONE, color_scheme="dark") as page:
        expect(page.locator("#unroll-steps")).to_contain_text("vector")
        shot(page, "notebook-phone-dark")


def digits(browser, address):
    def trained(page, least):
        accuracy = lambda: float(re.search(r": ([\d.]+) %", page.get_by_role("status").text_content()).group(1))
        start = time.monotonic()
        while accuracy() < least:
            assert time.monotonic() - start < 30, accuracy()
            page.wait_for_timeout(50)
        return time.monotonic() - start

    with opened(browser, address, "digits.html") as page:
        expect(page.get_by_role("status")).to_contain_text("0 steps")
        page.get_by_role("button", name="Train", exact=True).click()
        seconds = trained(page, 97)
        print(f"   digits: 97 % after {seconds:.1f} s")
        assert BUILD or seconds < 5, seconds
        assert inked(page, "#weights canvas >> nth=3") > 20
        page.get_by_role("button", name="Train", exact=True).wait_for()
        page.locator("#pad").scroll_into_view_if_needed()
        box = page.locator("#pad").bounding_box()
        page.mouse.move(box["x"] + 128, box["y"] + 30)
        page.mouse.down()
        page.mouse.move(box["x"] + 128, box["y"] + 220, steps=10)
        page.mouse.up()
        expect(page.locator("#answer")).to_contain_text("It is a 1")
        assert inked(page, "#evidence") > 3
        shot(page, "digits-light")
        page.get_by_role("button", name="Clear").click()
        expect(page.locator("#answer")).to_have_text("Nothing is drawn yet.")
        page.get_by_label("Seed").fill("7")
        expect(page.get_by_role("status")).to_contain_text("0 steps")
        page.reload()
        expect(page.get_by_label("Seed")).to_have_value("7")
        expect(page.get_by_role("status")).to_contain_text("0 steps")
    with opened(browser, address, "digits.html", viewport=PHONE, color_scheme="dark") as page:
        expect(page.get_by_role("status")).to_contain_text("0 steps")
        page.get_by_role("button", name="Train", exact=True).click()
        trained(page, 97)
        page.locator("#pad").focus()
        for _ in range(12):
            page.keyboard.press("ArrowUp")
        page.keyboard.press(" ")
        for _ in range(24):
            page.keyboard.press("ArrowDown")
        expect(page.locator("#answer")).to_contain_text("It is a")
        shot(page, "digits-phone-dark")


def network(browser, address):
    with opened(browser, address, "network.html") as page:
        expect(page.locator("#graph")).to_contain_text("∂")
        page.get_by_role("button", name="Train", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("600 steps")
        share = float(re.search(r": ([\d.]+) %", page.get_by_role("status").text_content()).group(1))
        assert share >= 97, share
        assert inked(page, "canvas.plane") > 50
        shot(page, "network-light")
        page.get_by_label("Activation").fill("x * sigmoid(")
        expect(page.get_by_role("status")).to_contain_text("at column 13")
        page.get_by_label("Activation").fill("sin(x)")
        page.locator("[name=data]").select_option("spirals")
        expect(page.get_by_role("status")).to_contain_text("0 steps")
        page.reload()
        expect(page.locator("[name=data]")).to_have_value("spirals")
        expect(page.locator("#graph")).to_contain_text("∂")
        page.get_by_label("Hidden layers").fill("4 1000000")
        expect(page.get_by_role("status")).to_contain_text("at most 6 layers")
    with opened(browser, address, "network.html#data=circles", viewport=PHONE, color_scheme="dark") as page:
        expect(page.locator("#graph")).to_contain_text("∂")
        page.get_by_role("button", name="Train", exact=True).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("600 steps")
        shot(page, "network-phone-dark")


def bits(browser, address):
    """Formulas have the bits of a native build (tests/simd.rs), and a training those of every browser."""
    script = """async ([texts, ink]) => {
      const { call, make } = await import("./tealight.js");
      const sum = (numbers) => {
        let hash = 0xcbf29ce484222325n;
        const data = new DataView(new ArrayBuffer(8));
        for (const x of numbers) {
          data.setFloat64(0, x, true);
          if (x !== x) data.setBigUint64(0, 0x7ff8000000000000n, true);
          for (let i = 0; i < 8; i++) hash = BigInt.asUintN(64, (hash ^ BigInt(data.getUint8(i))) * 0x100000001b3n);
        }
        return hash.toString(16).padStart(16, "0");
      };
      const sums = [];
      for (const text of texts) {
        const { value, first, second } = await call("study", text, -5, 5, 400);
        sums.push(`${sum([...value, ...first, ...second])} ${text}`);
      }
      const digits = await make("Digits", new Uint8Array(ink), new Uint8Array(ink.length / 64).map((_, i) => i % 10), 0.5, 32, 1);
      const loss = await digits.call("train", 200);
      return [await call("simd_level"), sums, sum(await digits.call("weights")), loss];
    }"""
    expected = (ROOT / "wasm/bits.txt").read_text().splitlines()
    texts = [line.split(" ", 1)[1] for line in expected]
    ink = [(digit * 7 + pixel * pixel) % 17 for digit in range(1500) for pixel in range(64)]
    trained = {}
    for build in [BUILD] if BUILD else ["simd128", "relaxed"]:
        with opened(browser, address, "index.html", build) as page:
            level, sums, weights, loss = page.evaluate(script, [texts, ink])
            assert level.startswith(build), level
            assert build != "simd128" or sums == expected, "\n".join(sums)
            trained[build] = weights, loss
    print("  ", trained)
    assert trained["simd128"][0] == "ff6b164cac66d83a", trained


def book(browser, address):
    """`run` beside the blocks of each chapter, in pages as mdBook makes them: a heading with its anchor, and code in `pre`."""
    for chapter in sorted(DOCS.glob("[01][0-9]-*.md"))[:12]:
        parts, anchors, code = [], [], None
        for line in chapter.read_text().splitlines():
            if code is not None:
                if line.startswith("```"):
                    parts.append(f'<pre><code class="language-{code[0]}">' + html.escape("\n".join(code[1:])) + "</code></pre>")
                    code = None
                else:
                    code.append(line)
            elif line.startswith("```"):
                code = [line[3:]]
            elif line.startswith("## "):
                anchors.append("".join(c for c in line[3:].lower().replace(" ", "-") if c.isalnum() or c in "-_"))
                parts.append(f'<h2 id="{anchors[-1]}"><a class="header" href="#{anchors[-1]}">{html.escape(line[3:])}</a></h2>')
        body = "<!doctype html><main>" + "".join(parts) + '</main><script src="playground/book.js"></script>'
        with opened(browser, address, "index.html") as page:
            page.route(f"**/{chapter.stem}.html*", lambda route: route.fulfill(body=body, content_type="text/html"))
            go(page, f"{address.removesuffix('/playground')}/{chapter.stem}.html")
            buttons = page.get_by_role("button", name="run")
            # Every heading that book.js names is there.
            named = re.search(rf'"{chapter.stem}": {{(.*)}},', (DOCS / "playground/book.js").read_text()).group(1)
            assert buttons.count() == len(re.findall(r'[\w"-]+: \["', named)) > 0, chapter.stem
            for i in range(buttons.count()):
                buttons.nth(i).click()
                output = page.get_by_role("status").nth(i)
                expect(output).to_contain_text(re.compile(r"[=:] .*\d|\[4, 2, 3\]"))
                assert "expected" not in output.text_content(), output.text_content()


def main():
    PLACE.mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=DOCS))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/playground"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for test in [formula, notebook, digits, network, bits, book]:
            test(browser, address)
            print(f"{test.__name__}: passed", flush=True)
        browser.close()


main()
