"""Stops a program before each step by which it changes a file: to kill it there, to fail the step, or to look around.

strace can inject as well, but counts the calls of each thread and of each name on its own, so that it misses some steps.
Here all threads and children are counted together. A seccomp filter stops the program at the system calls in question, and
ptrace says what becomes of them.
"""

import ctypes
import os
import pathlib
import platform
import signal
import struct
import sys
import tempfile
import threading
from typing import Callable, NamedTuple

from shared.common import expect

# System calls of x86_64 by where their path is: an open file, or a folder and a name below it, or a name alone.
OF_FILE = {1: "write", 18: "pwrite64", 20: "writev", 74: "fsync", 75: "fdatasync", 77: "ftruncate", 91: "fchmod"}
OF_FILE |= {285: "fallocate", 296: "pwritev", 306: "syncfs", 16: "ioctl", 40: "sendfile"}
OF_THIRD = {326: "copy_file_range"}
BELOW = {257: "openat", 258: "mkdirat", 263: "unlinkat", 268: "fchmodat"}
BELOW_THIRD = {264: "renameat", 265: "linkat", 266: "symlinkat", 316: "renameat2"}
ALONE = {2: "open", 76: "truncate", 83: "mkdir", 84: "rmdir", 87: "unlink", 90: "chmod"}
ALONE_SECOND = {82: "rename", 86: "link", 88: "symlink"}
# System calls that take a descriptor, for whoever has none left.
TAKES = {41: "socket", 53: "socketpair", 290: "eventfd2", 288: "accept4", 291: "epoll_create1", 293: "pipe2", 437: "openat2"}
CHANGES = OF_FILE | OF_THIRD | BELOW | BELOW_THIRD | ALONE | ALONE_SECOND
NAMES = CHANGES | TAKES
SYNCS = ("fsync", "fdatasync", "syncfs")
CREATES = os.O_CREAT | os.O_TRUNC
FICLONE = 0x40049409

TRACEME, CONT, SETOPTIONS, GETREGSET, SETREGSET, GET_SYSCALL_INFO = 0, 7, 0x4200, 0x4204, 0x4205, 0x420E
FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL = 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 7, 1 << 20
EVENT_SECCOMP = 7
NT_PRSTATUS, RAX, ORIG_RAX = 1, 10, 15
WALL = 0x40000000

GO_ON, KILL = "go on", "kill"
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Step(NamedTuple):
    """A step that a program is about to take: the first is number 1."""

    number: int
    name: str
    path: str

    def __str__(self) -> str:
        return f"step {self.number} ({self.name} {self.path})"


class Ended(NamedTuple):
    """How a program ended; `code` is None when it was killed."""

    code: int | None
    out: str
    err: str
    steps: list[Step]


def traced(
    command: list, where: pathlib.Path, at: Callable = lambda _: GO_ON, descriptors: bool = False, seconds: float = 600.0
) -> Ended:
    """Runs a program in a folder, and asks `at(step)` before each step that concerns the folder.

    It answers GO_ON, KILL, or the number that the system call returns instead of being made: 0, or an error below it.
    With `descriptors`, the steps are those that take a descriptor instead. After so many seconds it is killed.
    """
    expect(platform.machine() == "x86_64", "x86_64, whose system calls this knows")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            become([str(word) for word in command], where, out.fileno(), err.fileno())
        steps: list[Step] = []
        too_long = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
        too_long.start()
        code = follow(child, Look(where, descriptors), at, steps)
        too_long.cancel()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
        return Ended(code, *texts, steps)


def become(command: list[str], where: pathlib.Path, out: int, err: int) -> None:
    """In the child: waits for its tracer, and becomes the program."""
    try:
        os.chdir(where)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        ptrace(TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        filter_calls()
        # One worker, so that the steps have one order. Counting them needs no more.
        os.execve(command[0], command, {**os.environ, "RAYON_NUM_THREADS": "1"})
    finally:
        os._exit(127)


def filter_calls() -> None:
    """Stops this process at the system calls that count, and at no others."""
    load, jump_if_equal, answer = 0x20, 0x15, 0x06
    allow, trace = 0x7FFF0000, 0x7FF00000
    rules = [(load, 0, 0, 0)]
    for left, number in zip(range(len(NAMES), 0, -1), NAMES):
        rules.append((jump_if_equal, left, 0, number))
    rules += [(answer, 0, 0, allow), (answer, 0, 0, trace)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code)))
    no_new_privileges, set_seccomp, by_filter = 38, 22, 2
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    if libc.prctl(set_seccomp, by_filter, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def ptrace(request: int, thread: int, address=None, data=None) -> int:
    result = libc.ptrace(request, thread, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")
    return result


def follow(child: int, look: "Look", at: Callable, steps: list[Step]) -> int | None:
    """Lets a program run to its end, from stop to stop; its exit code."""
    os.waitpid(child, WALL)
    ptrace(SETOPTIONS, child, None, FORK | VFORK | CLONE | EXEC | SECCOMP | EXITKILL)
    ptrace(CONT, child)
    known, code = {child}, None
    while True:
        try:
            thread, status = os.waitpid(-1, WALL)
        except ChildProcessError:
            return code
        if not os.WIFSTOPPED(status):
            if thread == child:
                code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
            continue
        event, number = status >> 16, os.WSTOPSIG(status)
        deliver = 0 if event or (number == signal.SIGSTOP and thread not in known) else number
        known.add(thread)
        try:
            if event == EVENT_SECCOMP and (step := look.step(thread, len(steps) + 1)):
                steps.append(step)
                decide(at(step), child, thread)
            ptrace(CONT, thread, None, deliver)
        except ProcessLookupError:
            pass  # It was killed meanwhile.


def decide(decision: str | int, child: int, thread: int) -> None:
    if decision == KILL:
        os.kill(child, signal.SIGKILL)
    elif decision != GO_ON:
        registers = (ctypes.c_int64 * 27)()
        area = struct.pack("PN", ctypes.addressof(registers), ctypes.sizeof(registers))
        ptrace(GETREGSET, thread, NT_PRSTATUS, area)
        registers[ORIG_RAX], registers[RAX] = -1, decision
        ptrace(SETREGSET, thread, NT_PRSTATUS, area)


class Look:
    """Tells which system calls are steps: those that concern a folder, or those that take a descriptor."""

    def __init__(self, where: pathlib.Path, descriptors: bool):
        self.where, self.descriptors = str(where.resolve()), descriptors

    def step(self, thread: int, number: int) -> Step | None:
        info = ctypes.create_string_buffer(88)
        ptrace(GET_SYSCALL_INFO, thread, len(info), ctypes.addressof(info))
        call, *words = struct.unpack_from("7Q", info.raw, 24)
        path = self.path(thread, call, words)
        inside = path == self.where or path.startswith(self.where + "/")
        if self.descriptors:
            counts = inside and call in (2, 257) or call in TAKES
        else:
            counts = inside and call in CHANGES and self.changes(call, words)
        return Step(number, NAMES[call], path.removeprefix(self.where + "/")) if counts else None

    @staticmethod
    def changes(call: int, words: list[int]) -> bool:
        flags = {2: words[1], 257: words[2]}
        if call in flags:
            return bool(flags[call] & CREATES) or flags[call] & os.O_TMPFILE == os.O_TMPFILE
        return call != 16 or words[1] == FICLONE

    def path(self, thread: int, call: int, words: list[int]) -> str:
        """The path that a call is about, where it is to be afterwards."""
        if call in OF_FILE:
            return self.opened(thread, words[0])
        if call in OF_THIRD:
            return self.opened(thread, words[2])
        if call in BELOW or call in (437,):
            return self.below(thread, words[0], words[1])
        if call in BELOW_THIRD:
            at = 1 if NAMES[call] == "symlinkat" else 2
            return self.below(thread, words[at], words[at + 1])
        here = -100
        if call in ALONE or call in ALONE_SECOND:
            return self.below(thread, here, words[1 if call in ALONE_SECOND else 0])
        return ""

    def opened(self, thread: int, descriptor: int) -> str:
        try:
            return os.readlink(f"/proc/{thread}/fd/{ctypes.c_int32(descriptor).value}")
        except OSError:
            return ""

    def below(self, thread: int, folder: int, address: int) -> str:
        with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            name = memory.read(4096 - address % 4096)
            if b"\0" not in name:
                name += memory.read(4096)
        name = os.fsdecode(name.split(b"\0")[0])
        folder = ctypes.c_int32(folder).value
        base = os.readlink(f"/proc/{thread}/cwd") if folder < 0 else self.opened(thread, folder)
        return os.path.normpath(os.path.join(base, name))
