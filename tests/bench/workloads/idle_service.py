# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that is mostly idle: 200 requests a second, each a page of HTML; visits are kept."""
import html
import json

import service
import workload

RATE = 200
PAYLOAD = 300
ROW = "<tr><td>{article}</td><td>{price:.2f}</td><td>{count}</td></tr>"


class Pages:
    def __init__(self, account):
        self.account = account

    def answer(self, body):
        order = json.loads(body)
        rows = [
            ROW.format(
                article=html.escape(line["article"]), price=line["price"], count=line["count"]
            )
            for line in order["lines"]
        ]
        for _ in range(self.account.due()):
            self.account.kept = workload.Kept(self.account.kept, bytes(PAYLOAD))  # LEAK
        return ("<h1>%s</h1><table>%s</table>" % (order["customer"], "\n".join(rows))).encode()


def main():
    running = workload.Workload(__doc__, [workload.object_block(bytes(PAYLOAD))], rate=100e3)
    service.serve(running, Pages(running.account()).answer, "--rate", str(RATE))


if __name__ == "__main__":
    main()
