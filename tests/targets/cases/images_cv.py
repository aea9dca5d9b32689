# SPDX-License-Identifier: GPL-2.0-or-later
"""Faces cut out of camera pictures, with OpenCV. A cut is a view: it keeps the whole picture alive unless copied."""
import cv2
import numpy

import case

options = case.start(__doc__, cuts=["views", "copies"])
RECENT = []  # of views: all of them; of copies: the latest 20
numbers = numpy.random.RandomState(options.seed)


def camera():
    return cv2.imencode(".jpg", numbers.randint(0, 255, (300, 400, 3), dtype=numpy.uint8))[1]


def face(data):
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)  # LEAK
    grey = cv2.GaussianBlur(picture, (5, 5), 0)
    top, left = numbers.randint(0, 200, 2)
    cut = picture[top:top + 64, left:left + 64]
    RECENT.append(cut if options.cuts == "views" else cut.copy())
    if options.cuts == "copies":
        del RECENT[:-20]
    return grey.mean()


face(camera())
case.ready()
for _ in case.rounds(options.chance, options.chance.uniform(2, 5)):
    face(camera())
