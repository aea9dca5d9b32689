# SPDX-License-Identifier: GPL-2.0-or-later
"""16 threads that take turns: text counted under the GIL, compression and digests without it."""
import hashlib
import threading
import zlib

import workload

THREADS = 16
PAYLOAD = 80
TEXT = " ".join("word%d" % (i * 7919 % 503) for i in range(600))


def operation(account, due):
    counts = {}
    for word in TEXT.split():
        counts[word] = counts.get(word, 0) + 1
    page = "\n".join("%s: %d" % pair for pair in sorted(counts.items())).encode()
    packed = zlib.compress(page, 1)
    assert zlib.decompress(packed) == page and hashlib.sha256(page).digest()
    for _ in range(due):
        account.kept = workload.Kept(account.kept, bytes(PAYLOAD))  # LEAK


def work(account):
    while True:
        operation(account, account.due())


def main():
    running = workload.Workload(__doc__, [workload.object_block(bytes(PAYLOAD))], rate=1e6)
    for _ in range(THREADS):
        threading.Thread(target=work, args=(running.account(),), daemon=True).start()
    running.wait()


if __name__ == "__main__":
    main()
