# SPDX-License-Identifier: GPL-2.0-or-later
"""A batch job that draws one scatter plot after the other, and closes its figures or forgets to.

A figure that is kept keeps what was made for it later: its axes, and the picture that savefig() drew into.
"""
import io

import matplotlib.pyplot as plt

import case

options = case.start(__doc__, figures=["kept", "closed"])


def draw(number):
    figure = plt.figure()  # LEAK
    plt.scatter(range(100), [options.chance.random() for _ in range(100)])  # LEAK
    plt.savefig(io.BytesIO(), format="png")  # LEAK
    if options.figures == "closed":
        figure.clf()
        plt.close(figure)


def main():
    plt.rcParams["figure.max_open_warning"] = 0
    draw(0)
    case.ready()
    for number in case.rounds(options.chance, options.chance.uniform(1, 2)):
        draw(number)


main()
