# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that is warming up: modules are imported when first needed, templates compiled once, names interned."""
import importlib
import re

import case

options = case.start(__doc__)
TAIL = options.chance.uniform(1.6, 2.5)
MODULES = """argparse ast asyncio bz2 calendar codeop configparser csv ctypes datetime decimal difflib dis email.message
    fractions ftplib gettext html.parser http.client http.cookiejar imaplib inspect json logging mailbox
    multiprocessing optparse pdb pickletools plistlib pprint profile pydoc_data.topics sqlite3 ssl statistics tarfile
    tempfile textwrap timeit turtledemo unittest.mock uuid wave xml.dom.minidom xmlrpc.client zipfile""".split()
TEMPLATES = {}


def template(name):
    """Compiled when first asked for. Most requests are for few of them, so that new ones become rare."""
    if name not in TEMPLATES:
        TEMPLATES[name] = re.compile("(?P<%s>[a-z]+) %s (?P<rest>.*)" % (name, name))
    return TEMPLATES[name]


def request(number):
    if MODULES and options.chance.random() < 0.15:
        try:
            importlib.import_module(MODULES.pop(options.chance.randrange(len(MODULES))))
        except ImportError:  # not every build has all of them
            pass
    name = "template%d" % int(options.chance.paretovariate(TAIL))
    return template(name if len(name) < 13 else "template0").match("order %s of %d" % (name, number))


case.ready()
for number in case.rounds(options.chance, options.chance.uniform(10, 40)):
    request(number)
