# SPDX-License-Identifier: GPL-2.0-or-later
"""A charting service on a desktop backend: each request gets a scatter matrix and a heat map. Wants a display.

pyplot is told to clear what it drew, but not to close it: pandas opens a new figure for each matrix, with a Tk window.
"""
import io

import matplotlib

matplotlib.use("TkAgg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)
import numpy  # noqa: E402
import pandas  # noqa: E402
import seaborn  # noqa: E402

import case  # noqa: E402

options = case.start(__doc__)


def chart():
    picture = io.BytesIO()
    plt.savefig(picture, format="png")
    plt.clf()
    return picture.getvalue()


def handle(frame):
    pandas.plotting.scatter_matrix(frame, figsize=(3, 3))  # LEAK
    matrix = chart()
    seaborn.heatmap(frame.corr())
    return matrix, chart()


def main():
    plt.rcParams["figure.max_open_warning"] = 0
    numbers = numpy.random.RandomState(options.seed)
    for number in case.rounds(options.chance, options.chance.uniform(0.5, 0.8)):
        handle(pandas.DataFrame(numbers.normal(size=(30, 2)), columns=["price", "weight"]))
        if number == 1:
            case.ready()


main()
