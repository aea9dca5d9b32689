# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures scaled by a C library that loses its work space. LIBRARY names it; see scratch.c."""
import ctypes
import os

import case

options = case.start(__doc__)
library = ctypes.CDLL(os.environ["LIBRARY"])
library.scale.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def scale(pixels):
    return library.scale(pixels, len(pixels))  # LEAK


scale(b"pixel" * 100)
case.ready()
for number in case.rounds(options.chance, options.chance.uniform(5, 15)):
    scale(bytes(bytearray([number % 256])) * options.chance.randrange(10000, 60000))
