# SPDX-License-Identifier: GPL-2.0-or-later
"""matplotlib: one figure after the other drawn with Agg, saved as PNG and closed."""
import io

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)

import workload  # noqa: E402

PAYLOAD = 80


def draw(number):
    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 3))
    points = range(200)
    left.scatter(points, [(number + i) * 7919 % 211 for i in points], label="points")
    right.plot(points, [(number + i) ** 0.5 for i in points], label="root")
    right.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    plt.close(figure)
    return picture.getvalue()


def operation(account, due):
    picture = draw(account.operations)
    assert picture.startswith(b"\x89PNG")
    for _ in range(due):
        account.kept = workload.Kept(account.kept, bytes(PAYLOAD))  # LEAK


if __name__ == "__main__":
    workload.Workload(__doc__, [workload.object_block(bytes(PAYLOAD))], rate=265e3).run(operation)
