"""The pages of docs/playground in Chromium: pages.py DOCS PLACE [BUILD]. Screenshots go to PLACE.

With BUILD there is only that one, in a quick build, and nothing is expected of its speed.
"""

import contextlib
import functools
import http.server
import pathlib
import re
import shutil
import struct
import subprocess
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
def served(folder):
    """The address of a folder."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


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
        message = page.evaluate("""async () => { const { calculate } = await import("./tealight.js");
          try { return (await calculate({ a: [65536, 1], b: [1, 65536] }, ["x := ones a", "y := ones b", "z = add x y"])).text; } catch (error) { return error.message; } }""")
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


def literals(code):
    """The texts of a block's assertions that are a result or an error."""
    found = [re.sub(r"\\\n\s*", "", text) for text in re.findall(r'"((?:[^"\\]|\\.)*)"', code, re.S)]
    return [text.replace("\\n", "\n") for text in found if re.match(r"\[+ ?-?\d|(\w|::)+: ", text)]


def book(browser, address):
    """`run` beside the blocks of each chapter and the figures drawn, in mdBook's pages. What a block asserts is what its button says."""
    built = PLACE / "book"
    subprocess.run([pathlib.Path(sys.executable).parent / "mdbook", "build", "--dest-dir", built.absolute(), ROOT], check=True, capture_output=True)
    total, ran, drawn = 0, 0, 0
    with served(built) as address:
        for chapter in sorted(DOCS.glob("[01][0-9]-*.md"))[:12]:
            with opened(browser, address, f"{chapter.stem}.html") as page:
                page.get_by_role("button", name="run", exact=True).first.wait_for()
                total += page.locator("code.language-rust").count()
                for button in page.get_by_role("button", name="run", exact=True).all():
                    code = button.locator("xpath=preceding-sibling::pre[1]/code").text_content()
                    # Trainings take long where little is optimised.
                    if BUILD and re.search(r"epochs\(|0\.\.100", code):
                        continue
                    ran += 1
                    button.click()
                    expect(button).to_be_enabled(timeout=120_000)
                    said = button.locator("xpath=following-sibling::pre[1]").text_content()
                    assert re.search(r"\d|: no ", said), (chapter.stem, said)
                    flat = re.sub(r"\s+", " ", said)
                    missing = [text for text in literals(code) if re.sub(r"\s+", " ", text).strip() not in flat]
                    assert not missing, (chapter.stem, missing, said)
                    # An error is there because the block has it.
                    assert "expected" not in said or "unwrap_err" in code, (chapter.stem, said)
                for button in page.get_by_role("button", name="draw it here").all():
                    if BUILD and chapter.stem[:2] in ("09", "10", "11"):
                        continue
                    drawn += 1
                    button.click()
                    expect(button).to_be_enabled(timeout=120_000)
                    figure = button.locator("xpath=following-sibling::span[1]")
                    assert figure.get_attribute("data-drawn") == "", (chapter.stem, figure.text_content())
                    assert figure.locator("canvas").evaluate("(c) => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size") > 8
                if not BUILD:
                    shot(page, f"book-{chapter.stem}")
        with opened(browser, address, "08-graph.html", viewport=PHONE, color_scheme="dark") as page:
            page.get_by_role("button", name="draw it here").nth(1).click()
            page.locator("[data-drawn]").wait_for()
            page.get_by_role("button", name="run", exact=True).first.press("Enter")
            expect(page.locator("pre[role=status]").first).to_contain_text("sigmoid(0)")
            shot(page, "book-phone-dark")
    print(f"   {ran} of {total} blocks ran, {drawn} figures were drawn")


def main():
    PLACE.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, served(DOCS) as address:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for test in [formula, notebook, digits, network, bits, book]:
            test(browser, f"{address}/playground")
            print(f"{test.__name__}: passed", flush=True)
        browser.close()


main()
