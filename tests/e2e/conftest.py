# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests need is part of the machine: where something is missing they fail, they never skip."""
import os

import pytest

import pyleak


def pytest_sessionstart(session):
    missing = []
    if os.geteuid() != 0:
        missing.append("root: run them with sudo")
    if not os.access("/sys/kernel/btf/vmlinux", os.R_OK):
        missing.append("/sys/kernel/btf/vmlinux: a kernel with CONFIG_DEBUG_INFO_BTF=y")
    if not os.access(pyleak.PROGRAM, os.X_OK):
        missing.append(pyleak.PROGRAM + ": run make")
    for python in pyleak.INTERPRETERS:
        if not os.access((python.root or "") + python.path, os.X_OK):
            where = "run tests/distros/prepare" if python.root else "install it, or point PYLEAK_PYENV_ROOT to where it is"
            missing.append((python.root or "") + python.path + ": " + where)
    if missing:
        pytest.exit("the end-to-end tests need " + "; ".join(missing), returncode=1)


@pytest.fixture(params=pyleak.INTERPRETERS, ids=repr)
def python(request):
    return request.param


@pytest.fixture(params=[pyleak.DEBIAN, pyleak.PLAIN], ids=repr)
def some_python(request):
    """An optimised, stripped, static build and a plain shared one: for what does not depend on the version."""
    return request.param
