// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/error.h"

G_DEFINE_QUARK(pyleak - error - quark, pyleak_error)
