"""The pages of `tealight serve` and of `tealight train --watch` in Chromium: pages.py PROGRAM PLACE. Screenshots go to PLACE."""

import contextlib
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

from playwright.sync_api import expect, sync_playwright

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
PLACE = pathlib.Path(sys.argv[2])
expect.set_options(timeout=30_000)
PHONE = {"width": 360, "height": 740}


def png(path, width, height, pixel):
    """Writes a PNG; `pixel(x, y)` gives one number or three."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))
    color = 2 if len(pixel(0, 0)) == 3 else 0
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def data(here):
    draw = random.Random(1)
    # Suns in the evening, and dark moons in a blue night.
    for i in range(24):
        for name, inside, around in [("sun", (250, 200, 60), (200, 90, 60)), ("moon", (70, 80, 110), (40, 60, 170))]:
            cx, cy, noise = draw.randint(20, 28), draw.randint(14, 18), draw.randint(0, 30)
            color = lambda x, y: tuple(c + noise * ((x * 7 + y * 3) % 2) // 2 for c in (inside if (x - cx) ** 2 + (y - cy) ** 2 < 90 else around))
            png(here / f"photos/{name}/{i}.png", 48, 32, lambda x, y: tuple(min(255, c) for c in color(x, y)))
    # White strokes on black.
    for i in range(24):
        at, thick = draw.randint(8, 19), draw.randint(2, 4)
        for name, axis in [("one", 0), ("minus", 1)]:
            png(here / f"strokes/{name}/{i}.png", 28, 28, lambda x, y: (255 if abs((x, y)[axis] - at) < thick and 4 <= (y, x)[axis] < 24 else 0,))
    rows = []
    for i in range(120):
        colour = "blue, pale" if i % 3 == 1 else draw.choice(["red", "white"])
        rows.append(f'{i % 3 * 2 + draw.random():.2f},"{colour}",2024-{draw.randint(1, 12):02}-{draw.randint(1, 28):02},{["iris", "lily", "rose"][i % 3]}')
    (here / "flowers.csv").write_text("\n".join(["length,colour,picked,kind", *rows]) + "\n")
    houses = [(draw.randint(40, 200), draw.randint(1, 6)) for _ in range(100)]
    (here / "houses.csv").write_text("size,rooms,price\n" + "".join(f"{s},{r},{3 * s + 20 * r}\n" for s, r in houses))
    (here / "new.csv").write_text("colour,length,picked,note\nred,0.3,2024-05-01,a\nwhite,4.4,2024-05-02,b\ngreen,1,2024-05-03,c\n")
    (here / "note.txt").write_text("no picture")


def train(here, *arguments):
    subprocess.run([PROGRAM, "train", *arguments, "--quiet"], cwd=here, check=True)


@contextlib.contextmanager
def running(here, *arguments):
    """A program that prints its address."""
    with subprocess.Popen([PROGRAM, *arguments], cwd=here, stdout=subprocess.PIPE, text=True) as program:
        try:
            yield program, "http://" + program.stdout.readline().split("http://")[1].split("/")[0]
        finally:
            program.terminate()


@contextlib.contextmanager
def opened(browser, address, ready=("#about", "It looks at"), **options):
    """A page that may ask nobody else, and log no error."""
    context = browser.new_context(**options)
    page = context.new_page()
    errors, asked = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    expect(page.locator(ready[0])).to_contain_text(ready[1])
    yield page
    # The browser logs requests that were refused or, by this test, cut off.
    errors = [error for error in errors if "status of 4" not in error and "net::ERR_" not in error]
    assert not errors, errors
    assert all(url.startswith((address, "data:", "blob:")) for url in asked), asked
    context.close()


def fits(page):
    """The page is as wide as the window, and its text is seen well."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.evaluate("document.documentElement.scrollWidth")
    contrast = """() => {
      const parse = (text) => text.match(/[\\d.]+/g).map(Number);
      const light = (c) => parse(c).slice(0, 3).map((x) => x / 255).map((x) => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
        .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
      const ground = (node) => { const c = getComputedStyle(node).backgroundColor; return node.parentElement && (parse(c)[3] === 0) ? ground(node.parentElement) : c; };
      let least = 99;
      for (const node of document.querySelectorAll("h1, h2, h3, p, label, button, input, td, th, span, a, figcaption")) {
        if (!node.checkVisibility() || !node.textContent && node.tagName !== "INPUT") continue;
        const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
        least = Math.min(least, (a + 0.05) / (b + 0.05));
      }
      return least;
    }"""
    assert page.evaluate(contrast) >= 4.5, page.evaluate(contrast)


def shot(page, name):
    page.screenshot(path=PLACE / f"{name}.png", full_page=True)


def photos(browser, here, address):
    with opened(browser, address) as page:
        page.get_by_label("Choose one or several photos").set_input_files(here / "photos/sun/3.png")
        expect(page.get_by_role("status")).to_contain_text("sun, ")
        first = page.locator(".bars li").first
        expect(first).to_contain_text("sun")
        assert page.locator(".answer img, .answer canvas").count() == 3
        # What matters is drawn in red somewhere.
        red = """() => { const c = document.querySelectorAll(".answer canvas")[1]; const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
          let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i] > d[i + 2] + 100 && d[i] > 200 ? 1 : 0; return n; }"""
        assert page.evaluate(red) > 0
        shot(page, "photo")
        # Several are dropped, one of which is no photo.
        page.evaluate("""async () => {
          const bytes = async (name) => new File([await (await fetch(name)).blob()], name);
          const transfer = new DataTransfer();
          transfer.items.add(new File(["no picture"], "note.txt", { type: "text/plain" }));
          const canvas = Object.assign(document.createElement("canvas"), { width: 48, height: 32 });
          const context = canvas.getContext("2d");
          context.fillStyle = "rgb(40,60,170)"; context.fillRect(0, 0, 48, 32);
          context.fillStyle = "rgb(70,80,110)"; context.beginPath(); context.arc(24, 16, 9, 0, 7); context.fill();
          transfer.items.add(new File([await new Promise((done) => canvas.toBlob(done))], "night.png", { type: "image/png" }));
          document.querySelector("#photo-drop").dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""")
        expect(page.get_by_role("status")).to_have_text("Answers: 1 of 2 photos.")
        expect(page.locator(".answer").nth(0)).to_contain_text("expected a PNG")
        expect(page.locator(".answer").nth(1)).to_contain_text("moon")
        page.get_by_label("Choose one or several photos").set_input_files(here / "note.txt")
        expect(page.get_by_role("status")).to_contain_text("That did not work: expected a PNG")
        assert not page.locator("#drawing").is_visible() and not page.locator("#row").is_visible()
    with opened(browser, address, viewport=PHONE, color_scheme="dark") as page:
        page.get_by_label("Choose one or several photos").set_input_files([here / "photos/sun/1.png", here / "photos/moon/1.png"])
        expect(page.get_by_role("status")).to_have_text("Answers: 2 of 2 photos.")
        fits(page)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 29)"
        shot(page, "photos-phone-dark")


def drawing(browser, address):
    with opened(browser, address) as page:
        page.get_by_role("button", name="What is it?").click()
        expect(page.get_by_role("status")).to_have_text("Nothing is drawn yet.")
        box = page.locator("#canvas").bounding_box()
        for name, ends in [("one", ((140, 40), (140, 240))), ("minus", ((40, 140), (240, 140)))]:
            page.get_by_role("button", name="Clear").click()
            page.mouse.move(*(box[k] + v for k, v in zip("xy", ends[0])))
            page.mouse.down()
            page.mouse.move(*(box[k] + v for k, v in zip("xy", ends[1])), steps=10)
            page.mouse.up()
            page.get_by_role("button", name="What is it?").click()
            expect(page.get_by_role("status")).to_contain_text(f"{name}, ")
            shot(page, f"drawing-{name}")
        fits(page)
    with opened(browser, address, viewport=PHONE) as page:
        # With the keyboard alone: the photos come first, then the canvas.
        while page.evaluate("document.activeElement.id") != "canvas":
            page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        for _ in range(9):
            page.keyboard.press("ArrowUp")
        page.keyboard.press(" ")
        expect(page.locator("#pen")).to_contain_text("The pen is down")
        for _ in range(18):
            page.keyboard.press("ArrowDown")
        shot(page, "drawing-keyboard")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("one, ")
        fits(page)


def rows(browser, here, address):
    with opened(browser, address) as page:
        page.get_by_label("length").fill("0.3")
        page.get_by_label("colour").select_option("red")
        page.get_by_label("picked").fill("2024-05-01")
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_role("status")).to_contain_text("iris, ")
        shot(page, "row")
        page.get_by_label("Choose a CSV file").set_input_files(here / "new.csv")
        expect(page.get_by_role("status")).to_have_text("Answers: 2 of 3 rows.")
        cells = page.get_by_role("row").nth(3).get_by_role("cell").all_inner_texts()
        assert cells[0] == "3" and "got \"green\"" in cells[1] and cells[4] == "green", cells
        heads = page.get_by_role("columnheader").all_inner_texts()
        assert heads == ["row", "class", "probability", "length", "colour", "picked", "note"], heads
        with page.expect_download() as download:
            page.get_by_role("button", name="Save all answers").click()
        saved = download.value.path().read_text()
        assert download.value.suggested_filename == "answers-new.csv"
        assert saved.startswith("row,colour,length,picked,note,class,iris,lily,rose,problem\n1,red,0.3,2024-05-01,a,iris,"), saved
        fits(page)
        shot(page, "table")
        page.get_by_label("Choose a CSV file").set_input_files(here / "houses.csv")
        expect(page.get_by_role("status")).to_contain_text("expected a column")
    with opened(browser, address, viewport=PHONE, color_scheme="dark") as page:
        # A row with the keyboard alone; an empty field is an unknown value.
        while page.evaluate("document.activeElement.name") != "length":
            page.keyboard.press("Tab")
        page.keyboard.press("Control+a")
        page.keyboard.type("4.4")
        page.keyboard.press("Tab")
        page.keyboard.type("unknown")
        page.keyboard.press("Tab")
        page.keyboard.type("05012024")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("rose, ")
        fits(page)
        shot(page, "row-phone-dark")
        page.get_by_label("Choose a CSV file").set_input_files(here / "new.csv")
        expect(page.get_by_role("status")).to_have_text("Answers: 2 of 3 rows.")
        fits(page)


def numbers(browser, address):
    with opened(browser, address) as page:
        page.get_by_label("size").fill("100")
        page.get_by_label("rooms").fill("3")
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_role("status")).to_contain_text("price: ")
        price = float(page.get_by_role("status").inner_text().split(": ")[1])
        assert abs(price - 360) < 40, price
        page.goto(f"{address}/docs")
        expect(page.get_by_role("heading", name="POST /predict")).to_be_visible()
        expect(page.locator("pre").first).to_contain_text("curl ")
        fits(page)
        shot(page, "docs")
        page.goto(address)
        expect(page.locator("#about")).to_contain_text("the number price. Its R²")
    with opened(browser, address) as page:
        # The program has ended: the page says so.
        page.route("**/predict", lambda route: route.abort())
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_role("status")).to_have_text("The program does not answer. Is “tealight serve” still running?")
        page.unroute_all()



def watched(browser, here):
    train = ["train", "--watch", "--quiet", "--epochs", "100000", "--patience", "100000", "--learning-rate", "0.0000001"]
    photos = [*train, "photos", "--size", "16", "--model", "logistic", "--out", "watched"]
    ready = ("#status", "Training: fold 1 of 5 …")
    with running(here, *photos) as (program, address), opened(browser, address, ready) as page:
        expect(page.locator("#facts")).to_contain_text("learning rate1e-7")
        expect(page.locator("#facts")).to_contain_text("epoch ")
        expect(page.get_by_role("img", name="loss after epoch")).to_be_visible()
        expect(page.get_by_role("img", name="accuracy after epoch")).to_be_visible()
        expect(page.get_by_role("heading", name="Wrong so far, the most confident first")).to_be_visible()
        wrong = page.locator("#pictures .answer").first
        expect(wrong).to_contain_text(", taken for ")
        assert wrong.locator("canvas").count() == 2
        fits(page)
        shot(page, "watch")
        # A second window, as wide as a phone and in the dark, with the keyboard alone.
        with opened(browser, address, ready, viewport=PHONE, color_scheme="dark") as phone:
            expect(phone.get_by_role("img", name="loss after epoch")).to_be_visible()
            expect(phone.locator("#pictures .answer").first).to_be_visible()
            fits(phone)
            shot(phone, "watch-phone-dark")
            phone.keyboard.press("Tab")
            assert phone.evaluate("document.activeElement.id") == "stop"
            assert phone.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            phone.keyboard.press("Enter")
            expect(phone.get_by_role("status")).to_have_text("The training has ended.")
            expect(phone.locator("#summary")).to_contain_text("1 of 5 folds; kept the best epoch of each: ")
            expect(phone.get_by_role("button")).to_be_disabled()
            fits(phone)
            shot(phone, "watch-ended-phone-dark")
        assert program.wait(30) == 0
        assert (here / "watched/report.html").exists()
    with running(here, *train, "houses.csv", "--target", "price", "--folds", "0", "--out", "rows") as (program, address):
        with opened(browser, address, ("#status", "Training …")) as page:
            expect(page.get_by_role("img", name="loss after epoch")).to_be_visible()
            expect(page.locator("#worst")).to_be_hidden()
            shot(page, "watch-numbers")
            program.kill()
            expect(page.get_by_role("status")).to_contain_text("The program does not answer")
            expect(page.get_by_role("button")).to_be_disabled()


def main():
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as here, sync_playwright() as playwright:
        here = pathlib.Path(here)
        data(here)
        train(here, "photos", "--size", "16", "--epochs", "12", "--out", "sky")
        train(here, "strokes", "--size", "16", "--epochs", "20", "--out", "lines")
        train(here, "flowers.csv", "--target", "kind", "--out", "kinds")
        train(here, "houses.csv", "--target", "price", "--out", "prices")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for model, test in [("sky", lambda a: photos(browser, here, a)), ("lines", lambda a: drawing(browser, a)), ("kinds", lambda a: rows(browser, here, a)), ("prices", lambda a: numbers(browser, a))]:
            with running(here, "serve", f"{model}/model.safetensors", "--port", "0") as (_, address):
                test(address)
                print(f"{model}: passed", flush=True)
        watched(browser, here)
        print("watch: passed")
        browser.close()


main()
