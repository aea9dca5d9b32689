# SPDX-License-Identifier: GPL-2.0-or-later
"""What pyleak cannot or must not trace: one line that says why, the right exit status, nothing attached."""
import os
import pathlib
import struct
import subprocess

import pytest

import pyleak

SLEEPER_32 = """
void _start(void)
{
	for (;;)
		__asm__ volatile("int $0x80" : : "a"(29)); /* pause(2) of i386 */
}
"""


def refused(done, *statuses):
    assert done.returncode in statuses, (done.returncode, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("pyleak: ") and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("\n") and len(done.stderr) > len("pyleak: \n") + 10
    return done.stderr


@pytest.fixture
def process():
    """Starts programs that are killed in the end."""
    started = []

    def start(*command, **options):
        started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options))
        return started[-1].pid

    yield start
    for each in started:
        each.kill()
        each.wait()


def wait_for_mapping(pid, text):
    pyleak.wait_until(lambda: text in pyleak.read("/proc/%d/maps" % pid))


def sleeping(pid):
    """In the system call of time.sleep(), which differs by version: select, nanosleep, clock_nanosleep, pselect6."""
    return pyleak.read("/proc/%d/syscall" % pid).split()[0] in ("23", "35", "230", "270")


def test_no_such_process():
    # Above the largest pid that the kernel hands out.
    limit = int(pyleak.read("/proc/sys/kernel/pid_max"))
    message = refused(pyleak.run("-p", limit + 1), 4)
    assert str(limit + 1) in message


def test_a_zombie_is_gone():
    child = subprocess.Popen(["true"])
    pyleak.wait_until(lambda: ") Z " in pyleak.read("/proc/%d/stat" % child.pid))
    refused(pyleak.run("-p", child.pid), 4)
    child.wait()


def test_not_python(process):
    message = refused(pyleak.run("-p", process("sleep", "600")), 4)
    assert "Python" in message


def test_a_kernel_thread():
    refused(pyleak.run("-p", 2), 4)


def test_a_32_bit_process(process):
    program = pyleak.compile_c("sleeper32", SLEEPER_32, "-m32", "-nostdlib", "-static", "-fno-pic", "-no-pie")
    message = refused(pyleak.run("-p", process(program)), 3)
    assert "32" in message


def test_pypy(process):
    pid = process("/usr/bin/pypy3", "-c", "import time; time.sleep(600)")
    wait_for_mapping(pid, "libpypy")
    message = refused(pyleak.run("-p", pid), 3)
    assert "PyPy" in message


@pytest.mark.parametrize("arguments", [
    [], ["-p"], ["-p", "x"], ["-p", "0"], ["-p", "-5"], ["-p", "1", "--interval", "soon"], ["-p", "1", "-i", "0"],
    ["-p", "1", "-i", "-1"], ["-p", "1", "--top", "-3"], ["-p", "1", "--group-by", "colour"],
    ["-p", "1", "--sort", "colour"], ["-p", "1", "-f", "punchcard"], ["--no-such-option"], ["stray"], ["--"],
    ["-p", "1", "--max-memory", "plenty"], ["-p", "1", "--count", "1.5"], ["-p", "1", "-d", "nan"],
    ["-p", "1", "-a"], ["-p", "1", "--match", "x"], ["-a", "--match", "("], ["-a", "--user", "no-such-user"],
    ["-p", "1", "--native", "some"], ["-p", "1", "--", "true"], ["serve"], ["-p", "1", "--listen", "127.0.0.1:1"],
    ["serve", "-p", "1", "--listen", ":9464"], ["serve", "-p", "1", "-j"], ["-p", "1", "--overhead", "-2"],
], ids=" ".join)
def test_bad_usage(arguments):
    refused(pyleak.run(*arguments), 2)


@pytest.mark.parametrize("arguments", [["-p", "1", "-f", "html"]], ids=" ".join)
def test_what_is_promised_for_later_is_refused_not_ignored(arguments):
    refused(pyleak.run(*arguments), 2, 3)


def test_a_command_that_does_not_exist():
    refused(pyleak.run("-q", "--exact", "--", "/no/such/program"), 1, 4)


def test_an_output_file_that_cannot_be_written():
    with pyleak.Target("leaks.py") as target:
        message = refused(pyleak.run("-q", "-p", target.pid, "--exact", "-o", "/no/such/folder/report"), 1)
        assert "/no/such/folder/report" in message
        assert not pyleak.breakpoints(target.pid)


def copied_interpreter(name, change):
    """A pyenv 3.13 whose executable and library went through change(bytes), in a folder of its own."""
    original = pyleak.interpreter("pyenv-3.13").path
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(original)))
    root = pyleak.scratch() / name
    (root / "bin").mkdir(parents=True)
    (root / "lib").mkdir()
    for source, destination in (
        ("bin/python3.13", "bin/python3.99"),
        ("lib/libpython3.13.so.1.0", "lib/libpython3.99.so.1.0"),
    ):
        data = pathlib.Path(os.path.join(prefix, source)).read_bytes()
        (root / destination).write_bytes(change(data))
        (root / destination).chmod(0o755)
    for name in ("python3.13", "python3.99"):  # getpath.py has the version from the code, others from strings
        os.symlink(os.path.join(prefix, "lib", "python3.13"), str(root / "lib" / name))
    return root


def to_version_3_99(data):
    """Renames 3.13 to 3.99 wherever a version is told: strings, wide strings, PY_VERSION_HEX."""
    data = data.replace(b"3.13", b"3.99")
    data = data.replace("3.13".encode("utf-32-le"), "3.99".encode("utf-32-le"))
    return data.replace(struct.pack("<I", 0x030D00F0), struct.pack("<I", 0x036300F0))


def test_an_unknown_version(process):
    root = copied_interpreter("unknown-version", to_version_3_99)
    environment = {"PYTHONHOME": str(root), "LD_LIBRARY_PATH": str(root / "lib"), "PATH": os.environ["PATH"]}
    python = str(root / "bin" / "python3.99")
    told = subprocess.check_output([python, "-S", "-c", "import sys; print(sys.version)"], env=environment, text=True)
    assert told.startswith("3.99.0")
    pid = process(python, "-S", "-c", "import time; time.sleep(600)", env=environment)
    wait_for_mapping(pid, "libpython3.99")
    pyleak.wait_until(lambda: sleeping(pid))
    message = refused(pyleak.run("-p", pid), 3)
    assert "3.99" in message
    assert not pyleak.breakpoints(pid)


@pytest.mark.parametrize("damage", ["magic", "section_headers", "program_headers"])
def test_a_broken_elf(process, damage):
    """The file is damaged in place while the process runs from it: what is mapped privately and was used lives on."""
    root = copied_interpreter("broken-" + damage, lambda data: data)
    os.symlink("libpython3.99.so.1.0", str(root / "lib" / "libpython3.13.so.1.0"))
    environment = {"PYTHONHOME": str(root), "LD_LIBRARY_PATH": str(root / "lib"), "PATH": os.environ["PATH"]}
    pid = process(str(root / "bin" / "python3.99"), "-S", "-c", "import time; time.sleep(600)", env=environment)
    library = root / "lib" / "libpython3.99.so.1.0"
    wait_for_mapping(pid, "libpython3.99")
    pyleak.wait_until(lambda: sleeping(pid))
    header = bytearray(library.read_bytes()[:64])
    with open(library, "r+b") as file:
        if damage == "magic":
            header[0:4] = b"JUNK"
        elif damage == "section_headers":
            header[40:48] = struct.pack("<Q", 1 << 62)  # e_shoff
            header[60:62] = struct.pack("<H", 0xFFFF)  # e_shnum
        else:
            header[32:40] = struct.pack("<Q", 1 << 62)  # e_phoff
            header[56:58] = struct.pack("<H", 0xFFFF)  # e_phnum
        file.write(header)
    message = refused(pyleak.run("-p", pid), 1, 3, 4)
    assert "Segmentation" not in message
    assert not pyleak.breakpoints(pid)
