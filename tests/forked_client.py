"""The program that `forked.python()` names: a few milliseconds of Python that stand for a process of the server.

Its first lines, which name the interpreter and the server's socket as ADDRESS, are put before these.
"""

import json
import os
import signal
import socket
import sys


def inherited():
    """The files that a Python would have from whoever started it."""
    numbers = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (pathlib takes longer than all of this)
        try:
            os.fstat(int(name))
        except OSError:  # the folder that was listed
            continue
        numbers.append(int(name))
    return numbers


def main(address):
    files = inherited()
    order = {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "cwd": os.getcwd(),  # noqa: PTH109
        "files": files,
        "leads": os.getsid(0) == os.getpid(),
    }
    server = socket.socket(socket.AF_UNIX)
    server.connect(address)
    socket.send_fds(server, [b"!"], files)
    server.sendall(json.dumps(order).encode() + b"\n")
    for number in files:  # the process alone holds them
        os.close(number)
    told = server.makefile()
    pid = int(told.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    status = int(told.readline() or 1)
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


main(ADDRESS)  # noqa: F821
