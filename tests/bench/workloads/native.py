# SPDX-License-Identifier: GPL-2.0-or-later
"""Native churn: rows through sqlite, documents through lxml, text through re; much malloc."""
import re
import sqlite3

from lxml import etree

import workload

PAYLOAD = 600  # beyond pymalloc: a block of malloc's
ROWS = 200
WORD = re.compile(r"(\w+)-(\d+)\s*")


def open_database():
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute("create table item (id integer primary key, name text, price real)")
    return database


DATABASE = open_database()


def through_sqlite():
    DATABASE.execute("begin")
    DATABASE.executemany(
        "insert into item (name, price) values (?, ?)",
        (("item-%d" % i, i * 0.5) for i in range(ROWS)),
    )
    rows = DATABASE.execute(
        "select name, price from item where price > 10 order by name desc"
    ).fetchall()
    DATABASE.execute("delete from item")
    DATABASE.execute("commit")
    return rows


def through_lxml(rows):
    root = etree.Element("items")
    for name, price in rows:
        etree.SubElement(root, "item", name=name).text = str(price)
    parsed = etree.fromstring(etree.tostring(root))
    return parsed.xpath("//item[@name='item-50']/text() | //item[position() < 20]/@name")


def through_re(rows):
    text = " ".join(name for name, _ in rows)
    numbers = sum(int(match.group(2)) for match in WORD.finditer(text))
    return numbers, WORD.sub(r"\2 of \1, ", text)


def operation(account, due):
    rows = through_sqlite()
    found = through_lxml(rows)
    numbers, _ = through_re(rows)
    assert "25.0" in found and numbers == sum(range(21, ROWS))
    for _ in range(due):
        account.kept = workload.Kept(account.kept, bytes(PAYLOAD))  # LEAK


if __name__ == "__main__":
    workload.Workload(__doc__, [workload.object_block(bytes(PAYLOAD))], rate=6e6).run(operation)
