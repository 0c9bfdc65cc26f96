"""What every probe uses: it counts what it tried, and says what it should not have got.

One line per check, `ok NAME` or `LEAK: NAME: WHAT`, and `checks N` as the last one, so that a probe
that stopped half-way cannot pass for one that found nothing.
"""

import ctypes
import errno
import json
import os

libc = ctypes.CDLL(None, use_errno=True)
# What the test knows of the host and the job does not.
with open('/work/facts.json') as file:
    facts = json.load(file)
count = 0


def check(name, holds, what=''):
    """Notes whether a promise holds; `what` was found when it does not."""
    global count
    count += 1
    print(f'ok {name}' if holds else f'LEAK: {name}: {what}')


def refused(name, attempt, *errors):
    """The attempt must fail with one of the errors; without any, with whatever OSError."""
    try:
        got = attempt()
    except OSError as error:
        word = errno.errorcode.get(error.errno, str(error.errno))
        check(name, not errors or word in errors, f'failed with {word}, not {" or ".join(errors)}')
    else:
        check(name, False, f'succeeded: {got!r}')


def call(number, *args):
    """A system call by number; answers its result or raises OSError."""
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in args]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def read(path, limit=1 << 20):
    """The bytes of a file, never waiting for more."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.read(file, limit)
    finally:
        os.close(file)


def text(path):
    return read(path).decode(errors='replace')


def write(path, content=b'x'):
    """Opens an existing file for writing and writes."""
    file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.write(file, content)
    finally:
        os.close(file)


def done():
    print(f'checks {count}')
