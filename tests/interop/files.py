"""Tables, pictures and models as pandas, Pillow and Keras write them: files.rs reads them."""
import csv
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import pandas as pd
import safetensors.numpy
import safetensors.torch
import torch
from PIL import Image, ImageOps
from torch import nn

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def table():
    rng = np.random.default_rng(1)
    n = 60
    words = lambda *names: rng.choice(names, n)
    frame = pd.DataFrame({
        "x": rng.normal(size=n) * 10.0 ** rng.integers(-8, 9, n),
        "n": rng.integers(-1000, 1_000_000, n),
        "flag": rng.random(n) < 0.4,
        "day": pd.Timestamp("1999-12-25") + pd.to_timedelta(rng.integers(0, 9999, n), "D"),
        "at": pd.Timestamp("2024-02-28 03:04:05") + pd.to_timedelta(rng.integers(0, 10**7, n), "s"),
        "colour": pd.Categorical(words("red", "grün", "blue")),
        "note": words("one, two", 'say "x"', "semi;colon", "tab\there", "two\nlines", "it's"),
        "kind": words("b", "a", "ç d"),
    })
    frame.loc[rng.random(n) < 0.1, "x"] = np.nan
    frame.loc[rng.random(n) < 0.1, "colour"] = np.nan
    return frame


def encoded(frame):
    """The inputs of a table, with gaps filled, and the class of each row."""
    columns = []
    for name, column in frame.drop(columns="kind").items():
        if pd.api.types.is_datetime64_any_dtype(column):
            seconds = (column - pd.Timestamp(0)) / pd.Timedelta(1, "s")
            columns += [seconds / 86400, column.dt.month, column.dt.dayofweek]
            if name == "at":
                columns.append(seconds % 86400 / 3600)
        elif pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
            columns.append(column.fillna(column.mean()))
        else:
            words = column.astype(str).where(column.notna())
            words = words.fillna(words.dropna().value_counts().sort_index().idxmax())
            columns += [words == word for word in sorted(words.unique())]
    inputs = np.stack([np.asarray(column, "f8") for column in columns], 1)
    return inputs, np.unique(frame["kind"], return_inverse=True)[1].astype("i8")


def write_tables(d):
    d = d / "tables"
    d.mkdir(exist_ok=True)
    frame = table()
    forms = {
        "plain": {}, "index": {"index": True}, "crlf": {"lineterminator": "\r\n"}, "no-header": {"header": False},
        "quoted": {"quoting": csv.QUOTE_ALL}, "quoted-words": {"quoting": csv.QUOTE_NONNUMERIC},
        "single-quoted": {"quotechar": "'", "quoting": csv.QUOTE_ALL}, "digits": {"float_format": "%.17g"},
        "exponents": {"float_format": "%.17E"}, "named-index": {"index": True, "index_label": "id"},
        "semicolon": {"sep": ";", "decimal": ","}, "tab": {"sep": "\t"}, "pipe": {"sep": "|"},
        "tab-comma": {"sep": "\t", "decimal": ",", "index": True},
        "utf-8-sig": {"encoding": "utf-8-sig"}, "utf-16": {"encoding": "utf-16"}, "utf-16-le": {"encoding": "utf-16-le"},
        "utf-16-be": {"encoding": "utf-16-be"}, "cp1252": {"encoding": "cp1252"}, "gzip": {"compression": "gzip"},
        **{f"na-{i}": {"na_rep": text} for i, text in enumerate(["NA", "NaN", "nan", "NULL", "null", "None", "<NA>", "N/A", "?"])},
        "bzip2": {"compression": "bz2"}, "xz": {"compression": "xz"}, "zip": {"compression": "zip"},
    }
    for name, options in forms.items():
        frame.to_csv(d / f"{name}.csv", **{"index": False, **options})
    frame.convert_dtypes().to_csv(d / "nullable.csv", index=False, na_rep="<NA>")
    frame.assign(at=frame["at"].dt.tz_localize("UTC")).to_csv(d / "utc.csv", index=False)
    frame.assign(at=frame["at"] + pd.Timedelta(1, "ms")).to_csv(d / "milliseconds.csv", index=False)
    for name, form in ("points", "%d.%m.%Y"), ("slashes", "%m/%d/%Y"):
        frame.drop(columns="at").to_csv(d / f"days-{name}.csv", index=False, date_format=form)
    frame.assign(x=np.inf).to_csv(d / "infinite.csv", index=False)
    for name, part in {
        "all": frame, "dropped": frame.dropna(), "days": frame.drop(columns="at"),
        "milliseconds": frame.assign(at=frame["at"] + pd.Timedelta(1, "ms")),
    }.items():
        inputs, targets = encoded(part)
        np.savez(d / f"{name}.expected.npz", inputs=inputs, targets=targets)


def photo(rng, channels=3):
    """Waves of colour."""
    y, x = np.mgrid[:23, :37]
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(0, 0.3, (channels, 3)) * [1, 1, 20]]
    return Image.fromarray((np.stack(waves, 2) * 100 + 128 + rng.uniform(-5, 5, (23, 37, channels))).astype("u1"))


def channels_last(image):
    """The pixels of an image as our reader has them."""
    if image.mode[0] == "I":
        return ((np.asarray(image).astype("u4") + 128) // 257).astype("u1")[..., None]
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    image = image.convert({"1": "L", "CMYK": "RGB", "YCbCr": "RGB", "RGBX": "RGB"}.get(image.mode, image.mode))
    return np.atleast_3d(np.asarray(image))


def write_pictures(d):
    d = d / "pictures"
    d.mkdir(exist_ok=True)
    rng = np.random.default_rng(2)
    rgba = photo(rng, channels=4)
    rgb = rgba.convert("RGB")
    wide = Image.fromarray(rng.integers(0, 65536, (23, 37), dtype="u2"))
    clear = rgb.quantize(16)
    clear.info["transparency"] = 3
    modes = {mode: rgba.convert(mode) for mode in ["L", "LA", "RGB", "RGBA", "1"]} | {"P": rgb.quantize(200), "I16": wide, "PA": clear}
    saved = {f"png-{mode}.png": (image, {}) for mode, image in modes.items()}
    saved |= {f"bmp-{mode}.bmp": (modes[mode], {}) for mode in ["L", "RGB", "RGBA", "P", "1"]}
    for compression in "raw tiff_lzw tiff_adobe_deflate packbits".split():
        saved |= {f"{compression}-{mode}.tiff": (modes[mode], {"compression": compression})
                  for mode in ["L", "RGB", "RGBA", "1", "I16"]}
    saved["fax.tiff"] = modes["1"], {"compression": "group4"}
    saved["CMYK.tiff"] = rgb.convert("CMYK"), {}
    saved["jpeg.tiff"] = rgb, {"compression": "jpeg"}
    saved |= {f"webp-{mode}.webp": (modes[mode], {"lossless": True, "exact": True}) for mode in ["RGB", "RGBA"]}
    saved["lossy.webp"] = rgb, {"quality": 80}
    saved |= {f"gif-{name}.gif": (image, {}) for name, image in {"P": modes["P"], "L": modes["L"], "PA": clear}.items()}
    saved["film.gif"] = modes["P"], {"save_all": True, "append_images": [clear, modes["L"].convert("P")]}
    saved["film.webp"] = rgb, {"save_all": True, "append_images": [photo(rng)], "lossless": True}
    saved |= {f"pnm-{mode}.pnm": (modes[mode], {"format": "PPM"}) for mode in ["L", "RGB", "1", "I16"]}
    saved |= {"L.jpg": (modes["L"], {}), "progressive.jpg": (rgb, {"progressive": True}), "fine.jpg": (rgb, {"subsampling": 0}),
              "CMYK.jpg": (rgb.convert("CMYK"), {}), "coarse.jpg": (rgb, {"quality": 20})}
    for orientation in range(9):
        exif = Image.Exif()
        exif[0x112] = orientation
        for ending in ["jpg", "png", "webp", "tiff"]:
            options = {"lossless": True} if ending == "webp" else {"quality": 95} if ending == "jpg" else {}
            saved[f"turned-{orientation}.{ending}"] = rgb, {"exif": exif, **options}
    refused = {"avif.avif": rgb, "j2k.jp2": rgb, "j2k.j2k": rgb, "icon.ico": rgb, "pcx.pcx": rgb, "tga.tga": rgb, "dds.dds": rgb,
               "ints.tiff": modes["L"].convert("I"), "floats.tiff": modes["L"].convert("F"), "palette.tiff": modes["P"],
               "alpha.tiff": modes["LA"]}
    for name, image in refused.items():
        image.save(d / name)
    expected = {}
    for name, (image, options) in saved.items():
        image.save(d / name, **options)
        with Image.open(d / name) as image:
            # We look up the palette of greys, too.
            if name in ["bmp-L.bmp", "bmp-1.bmp"]:
                image = image.convert("RGB")
            expected[f"{name} as it is"] = channels_last(image)
            expected[f"{name} turned"] = channels_last(ImageOps.exif_transpose(image))
            expected[f"{name} RGB"] = np.asarray(image.convert("RGB")) if image.mode[0] != "I" else channels_last(image).repeat(3, 2)
    np.savez(d / "expected.npz", **expected)
    # Resized, each axis apart, as Pillow does: lines would show that it clips to bytes between them, waves do not.
    resized = {}
    for i, (height, width) in enumerate([(1, 1), (7, 50), (23, 37), (46, 74), (100, 9), (11, 18)]):
        image = photo(rng).convert("RGB" if i % 2 else "L")
        for name, method in FILTERS.items():
            resized[f"{i} {name}"] = channels_last(image.resize((width, height), method))
        image.save(d / f"resized-{i}.png")
    np.savez(d / "resized.npz", **resized)


def write_keras(d):
    """A model of Keras: its files, which are refused by name, and its weights as safetensors under PyTorch's names."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential([
        layers.Input((9, 8, 3)), layers.Conv2D(4, (3, 2), padding="valid"), layers.BatchNormalization(), layers.ReLU(),
        layers.MaxPooling2D(2), layers.Conv2D(5, 2), layers.Activation("gelu"), layers.GlobalAveragePooling2D(),
        layers.LayerNormalization(), layers.Dense(6, "tanh"), layers.Dense(2)])
    rng = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(np.abs(weight.numpy() + rng.normal(0, 0.1, weight.shape)) if "variance" in weight.path
                      else weight.numpy() + rng.normal(0, 0.1, weight.shape))
    place = d / "others"
    for name, save, words in [
        ("model.keras", model.save, "a Keras model (.keras): save its weights as"), ("keras.weights.h5", model.save_weights, "an HDF5 file (Keras's .h5, MATLAB's .mat): save its arrays as"),
        ("model.h5", model.save, "an HDF5 file (Keras's .h5, MATLAB's .mat): save its arrays as"),
    ]:
        save(place / name)
        (place / name).rename(place / name.replace(".", "-"))
        (place / f"{name.replace('.', '-')}.words").write_text(words)
    names = {"kernel": "weight", "gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    axes = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
    weights = {f"{i}.{names.get(w.name, w.name)}": np.ascontiguousarray(w.numpy().transpose(axes[w.numpy().ndim]))
               for i, layer in enumerate(model.layers) for w in layer.weights}
    safetensors.numpy.save_file(weights, d / "keras.safetensors")
    x = rng.normal(size=(4, 9, 8, 3)).astype("f4")
    np.savez(d / "keras.npz", x=x.transpose(0, 3, 1, 2).copy(), y=model.predict(x, verbose=0))


def stripes(rng, kind, path):
    """A picture of stripes, which lie by the kind; a third of the JPEGs says that it is to be turned."""
    height, width = rng.integers(40, 90, 2)
    y, x = np.mgrid[:height, :width]
    angle = (kind + rng.normal(0, 0.3)) * np.pi / 4
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * rng.uniform(0.2, 0.5) + rng.uniform(0, 6))
    colours = rng.uniform(0, 255, (2, 3))
    pixels = colours[0] + (colours[1] - colours[0]) * (wave[..., None] + 1) / 2 + rng.normal(0, 30, (height, width, 3))
    image = Image.fromarray(pixels.clip(0, 255).astype("u1"))
    if path.suffix == ".png":
        alpha = Image.fromarray((255 * (x + y > rng.integers(0, 60))).astype("u1"))
        image.putalpha(alpha)
        image.save(path)
    else:
        exif = Image.Exif()
        exif[0x112] = rng.choice([1, 3, 6, 8]) if rng.random() < 0.66 else 1
        image.save(path, exif=exif, quality=int(rng.integers(75, 96)))


def torchvision_default(path):
    """ImageFolder(…, Compose([Resize(36), CenterCrop(32), ToTensor(), Normalize(…)])), whose readers and filters are Pillow's."""
    image = Image.open(path).convert("RGB")
    short, long = 36, int(36 * max(image.size) / min(image.size))
    width, height = (short, long) if image.width <= image.height else (long, short)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - 32) / 2), round((height - 32) / 2)
    x = torch.from_numpy(np.array(image.crop((left, top, left + 32, top + 32)))).permute(2, 0, 1) / 255
    return (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def write_cnn(d):
    """A small network trained on pictures, its weights, and its answers for other pictures."""
    rng = np.random.default_rng(5)
    torch.manual_seed(5)
    sets = {}
    for part, count in ("train", 300), ("test", 300):
        paths = []
        for kind in range(4):
            place = d / "stripes" / part / str(kind)
            place.mkdir(parents=True, exist_ok=True)
            paths += [place / f"{i:03}.{'png' if i % 2 else 'jpg'}" for i in range(count)]
        for path in paths:
            stripes(rng, int(path.parent.name), path)
        kinds = torch.tensor([int(path.parent.name) for path in paths])
        sets[part] = torch.stack([torchvision_default(path) for path in paths]), kinds
    net = nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 8 * 8, 4))
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    x, kinds = sets["train"]
    for _ in range(4):
        for rows in torch.randperm(len(x)).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), kinds[rows]).backward()
            optimizer.step()
    x, kinds = sets["test"]
    with torch.no_grad():
        answers = net.eval()(x).argmax(1)
    print(f"a network of stripes: {(answers == kinds).double().mean():.1%} right")
    safetensors.torch.save_file(net.state_dict(), d / "stripes.safetensors")
    np.save(d / "stripes.npy", answers.numpy())


def write(d):
    for part in write_tables, write_pictures, write_keras, write_cnn:
        part(d)
