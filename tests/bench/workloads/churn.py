# SPDX-License-Identifier: GPL-2.0-or-later
"""Object churn: small objects of every common kind, made and dropped as fast as Python can."""
import workload

PAYLOAD = 14


class Order:
    def __init__(self, number, items):
        self.number, self.items = number, items

    def total(self):
        return sum(item["price"] * item["count"] for item in self.items)


def make_items(number):
    return [
        {"name": "item-%d" % (number + i), "price": number * 0.5 + i, "count": i} for i in range(8)
    ]


def operation(account, due):
    orders = [Order(number, make_items(number)) for number in range(100)]
    orders.sort(key=lambda order: -order.total())
    names = {item["name"] for order in orders for item in order.items}
    assert len(names) == 107
    for _ in range(due):
        account.kept = workload.Kept(account.kept, bytes(PAYLOAD))  # LEAK


if __name__ == "__main__":
    workload.Workload(__doc__, [workload.object_block(bytes(PAYLOAD))], rate=1300e3).run(operation)
