# SPDX-License-Identifier: GPL-2.0-or-later
"""Thumbnails of uploaded pictures, with Pillow. The uploads are kept, though only the thumbnails are needed."""
import io

from PIL import Image

import case

options = case.start(__doc__, uploads=["kept", "dropped"])
KEPT = []


def upload():
    picture = io.BytesIO()
    width, red, green = (options.chance.randrange(1, 256) for _ in range(3))
    Image.new("RGB", (400 + width, 400), (red, green, 0)).save(picture, "PNG")
    return picture


def thumbnail(picture):
    image = Image.open(picture)
    image.load()  # LEAK
    small = image.resize((32, 32))
    if options.uploads == "kept":
        KEPT.append(image)
    return small.getpixel((0, 0))


thumbnail(upload())
case.ready()
for _ in case.rounds(options.chance, options.chance.uniform(2, 5)):
    thumbnail(upload())
