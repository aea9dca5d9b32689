# SPDX-License-Identifier: GPL-2.0-or-later
"""A JSON service, as busy as it can be: orders are decoded, priced, answered, cached for ever."""
import json
import threading

import service
import workload

SUMMARY = 100
CACHE = [None] * 1024


class Orders:
    def __init__(self, account):
        self.account, self.lock = account, threading.Lock()

    def answer(self, body):
        order = json.loads(body)
        lines = [
            {"article": line["article"].upper(), "sum": round(line["price"] * line["count"], 2)}
            for line in order["lines"]
        ]
        total = sum(line["sum"] for line in lines)
        answer = json.dumps({"order": order["order"], "lines": lines, "total": total}).encode()
        self.remember(order["order"] % len(CACHE), answer)
        return answer

    def remember(self, slot, answer):
        with self.lock:
            for _ in range(self.account.due()):
                CACHE[slot] = workload.Kept(CACHE[slot], answer[:SUMMARY])  # LEAK


def main():
    running = workload.Workload(__doc__, [workload.object_block(bytes(SUMMARY))], rate=750e3)
    service.serve(running, Orders(running.account()).answer, "--connections", "2")


if __name__ == "__main__":
    main()
