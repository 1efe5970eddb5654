"""Golden values for src/data/folder/tests.rs: what torchvision makes of the images in tests/reference/images.

    pip install torch==2.15.0 torchvision==0.29.2 pillow==13.0.0
    python tests/reference/images.py

Writes the images and images.txt: a line has the file, the steps, the height and width, and the bytes (channel, row, column) in
hexadecimal digits.
"""

import pathlib

import numpy
import torch
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

HERE = pathlib.Path(__file__).parent
FILES = HERE / "images"
FILES.mkdir(exist_ok=True)


def make_files():
    rng = numpy.random.default_rng(1)
    photo = Image.open(HERE / "../../data/candle.jpg").convert("RGB").resize((60, 80), Image.Resampling.BICUBIC)
    photo.save(FILES / "photo.jpg", quality=90)
    exif = Image.Exif()
    exif[0x112] = 6
    photo.save(FILES / "turned.jpg", quality=90, exif=exif)
    y, x = numpy.mgrid[:70, :90]
    stripes = numpy.stack([(x // 6 + y // 9) % 2 * 255, (x + y) * 3 % 256, 255 - y * 3], axis=2).astype(numpy.uint8)
    Image.fromarray(stripes).save(FILES / "stripes.jpg", quality=85)
    noise = rng.integers(0, 256, (29, 37, 4), dtype=numpy.uint8)
    Image.fromarray(noise[..., :3]).save(FILES / "noise.png")
    Image.fromarray(noise).save(FILES / "clear.png")
    Image.fromarray(noise[..., :2], "LA").save(FILES / "grey_alpha.png")
    Image.fromarray((noise[..., 0] > 127).astype(numpy.uint8) * 255).save(FILES / "edges.png")
    Image.fromarray(noise[..., :3]).quantize(16).save(FILES / "palette.png")


def line(file, steps, tensor):
    values = tensor.to(torch.uint8)
    return f"{file} {steps} {values.shape[1]} {values.shape[2]} {values.numpy().tobytes().hex()}\n"


def bytes_of(tensor):
    return (tensor * 255).round()


def on(image, color):
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, color), image).convert("RGB")


make_files()
text = ""
usual = transforms.Compose([transforms.Resize(24), transforms.CenterCrop(16), transforms.ToTensor()])
for path in sorted(FILES.iterdir()):
    image = Image.open(path)
    text += line(path.name, "torchvision", bytes_of(usual(image.convert("RGB"))))
    text += line(path.name, "turned", bytes_of(usual(ImageOps.exif_transpose(image).convert("RGB"))))
    text += line(path.name, "white", bytes_of(usual(on(image, "white"))))
    text += line(path.name, "orange", bytes_of(usual(on(image, (255, 128, 0)))))
    text += line(path.name, "grey", bytes_of(usual(on(image, "white").convert("L"))))
    for size in (16, 16), (33, 20):
        orange = (255, 128, 0)
        fitted = ImageOps.pad(on(image, orange), size[::-1], Image.Resampling.BILINEAR, color=orange)
        text += line(path.name, "fitted", F.pil_to_tensor(fitted))
    if path.suffix == ".png":
        tensor = F.pil_to_tensor(image.convert("RGB"))
        for mode in InterpolationMode.BILINEAR, InterpolationMode.BICUBIC:
            for size in (11, 16), (33, 20), (9, 40):
                text += line(path.name, mode.value, F.resize(tensor, size, mode, antialias=True))
        larger = transforms.Compose([transforms.Resize(20), transforms.CenterCrop((34, 21))])
        text += line(path.name, "padded", bytes_of(F.to_tensor(larger(image.convert("RGB")))))
(HERE / "images.txt").write_text(text)
