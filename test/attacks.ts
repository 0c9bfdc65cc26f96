// What a hostile job does, as data: each takes all it can get of one thing, prints "held" when it gets
// no more, and keeps it. The tests and the bench run them.

import type { JobRequest } from '../src/client/messages.ts';
import { python, shell } from './job-calls.ts';

export interface Attack {
  readonly name: string;
  readonly request: JobRequest;
  /** Whatever its limits are, it goes on until the kernel kills it as a whole. */
  readonly dies?: true;
}

/** What most programs begin with: the C library, and as many descriptors as a job may have. */
const PRELUDE = `
import array, ctypes, errno, fcntl, os, resource, signal, socket, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held = []
def until_refused(take, at_most=1 << 20):
    try:
        for _ in range(at_most): held.append(take())
    except (OSError, RuntimeError) as error: return error
def checked(result):
    if result < 0: raise OSError(ctypes.get_errno(), 'refused')
    return result
def hold():
    print('held', flush=True)
    while True: signal.pause()
`;

function hoard(program: string, more: JobRequest = {}): JobRequest {
  return python(`${PRELUDE}${program}\nhold()`, more);
}

/** Fills a file system with one big file, then, in place of it, with empty ones. */
const fill = (place: string) => `
block = bytes(1 << 16)
file = os.open('${place}/big', os.O_CREAT | os.O_WRONLY)
until_refused(lambda: os.write(file, block))
os.ftruncate(file, 0)
names = iter(range(1 << 20))
until_refused(lambda: os.close(os.open(f'${place}/{next(names)}', os.O_CREAT)))
until_refused(lambda: os.write(file, block))
`;

export const attacks: readonly Attack[] = [
  // ---- processes
  {
    name: 'a fork bomb',
    request: shell('echo held; bomb() { bomb | bomb & }; bomb; exec sleep 600'),
  },
  {
    name: 'threads without end',
    request: hoard(`
threading.stack_size(65536)
def start():
    thread = threading.Thread(target=signal.pause, daemon=True)
    thread.start()
until_refused(start)`),
  },
  {
    name: 'thousands of zombies and orphans',
    request: hoard(`
def orphan():
    pid = os.fork()
    if pid == 0:
        os.fork()
        os._exit(0)
    os.waitpid(pid, 0)
until_refused(orphan, 1000)
def zombie():
    if os.fork() == 0: os._exit(0)
until_refused(zombie)`),
  },
  {
    name: 'sessions that ignore every signal, and stop themselves',
    request: hoard(`
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)
        signal.pause()
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
print('held', flush=True)
os.kill(0, signal.SIGSTOP)`),
  },
  {
    name: 'processor hogs that ask for real-time',
    request: hoard(
      `
for _ in range(16):
    if os.fork() == 0:
        for ask in (lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99)),
                    lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)):
            try:
                ask()
                print('given', flush=True)
            except OSError: pass
        while True: pass`,
      { maxCpu: 200 },
    ),
  },
  // ---- memory
  {
    name: 'memory, in one process',
    request: python('held = []\nwhile True: held.append(bytearray(b"x") * (1 << 20))'),
    dies: true,
  },
  {
    name: 'memory, in many processes',
    request: hoard(`
for _ in range(100):
    if os.fork() == 0:
        block = bytearray(b'x') * (8 << 20)
        signal.pause()`),
    dies: true,
  },
  {
    name: 'memory that is locked, shared or has no name',
    request: hoard(`
size = 8 << 20
def segment():
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(checked(libc.shmget(0, size, 0o1600)), None, 0)
    ctypes.memset(at, 1, size)
def nameless():
    file = os.memfd_create('x')
    os.write(file, bytes(size))
libc.mlockall(3)
for _ in range(100):
    segment()
    nameless()`),
    dies: true,
  },
  ...['/work', '/tmp', '/dev/shm'].map((place) => ({
    name: `${place} full, of bytes and then of files`,
    request: hoard(fill(place)),
  })),
  // ---- descriptors, and what stands behind them
  {
    name: 'descriptors, in many processes',
    request: hoard(`
for _ in range(4):
    if os.fork() == 0:
        until_refused(lambda: os.open('/dev/null', os.O_RDONLY))
        signal.pause()
until_refused(lambda: os.open('/dev/null', os.O_RDONLY))`),
  },
  {
    name: 'pipes full of bytes',
    request: hoard(`
def full():
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    try:
        while True: os.write(ends[1], bytes(65536))
    except BlockingIOError: pass
until_refused(full)`),
  },
  {
    name: 'sockets full of bytes and of descriptors',
    request: hoard(`
def full():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    a.setblocking(False)
    held.append((a, b))
    try: a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0] * 253))])
    except OSError: pass
    try:
        while True: a.send(bytes(65536))
    except BlockingIOError: pass
until_refused(full, 1000)`),
  },
  {
    name: 'watches, timers, queues and terminals',
    request: hoard(`
timer = ctypes.c_void_p()
def queue():
    name = b'/%d' % len(held)
    return checked(libc.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None))
until_refused(lambda: checked(libc.inotify_init1(0)))
until_refused(queue)
until_refused(lambda: os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY))
until_refused(lambda: checked(libc.epoll_create1(0)), 2000)
until_refused(lambda: checked(libc.eventfd(0, 0)), 2000)
until_refused(lambda: checked(libc.timerfd_create(1, 0)), 2000)
until_refused(lambda: checked(libc.timer_create(1, None, ctypes.byref(timer))))`),
  },
  {
    name: 'message queues and semaphores',
    request: hoard(`
libc.msgget.restype = libc.semget.restype = ctypes.c_int
class Message(ctypes.Structure): _fields_ = [('type', ctypes.c_long), ('text', ctypes.c_char * 8192)]
def queue():
    number = checked(libc.msgget(0, 0o1600))
    until_refused(lambda: checked(libc.msgsnd(number, ctypes.byref(Message(1)), 8192, 0o4000)))
until_refused(queue, 500)
until_refused(lambda: checked(libc.semget(0, 250, 0o1600)), 500)`),
  },
  // ---- output
  {
    name: 'output without end, byte by byte',
    request: python(
      'import os\nos.write(1, b"held\\n")\nwhile True:\n  os.write(1, b"x")\n  os.write(2, b"y")',
    ),
  },
  {
    name: 'output without end, and no end of a line',
    request: shell('echo held; exec tr "\\0" x < /dev/zero'),
  },
];

/** An ordinary job that needs a little of all that the others take. */
export const ORDINARY: JobRequest = python(`${PRELUDE}
def need(error):
    if error is not None: raise error
need(until_refused(lambda: checked(libc.inotify_init1(0)), 10))
need(until_refused(lambda: checked(libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p()))), 10))
need(until_refused(lambda: checked(libc.mq_open(b'/one', os.O_CREAT | os.O_RDWR, 0o600, None)), 1))
need(until_refused(lambda: os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY), 10))
need(until_refused(lambda: checked(libc.shmget(0, 65536, 0o1600)), 10))
need(until_refused(lambda: os.pipe(), 100))
need(until_refused(lambda: socket.socketpair(), 100))
for place in '/work', '/tmp', '/dev/shm':
    with open(place + '/file', 'wb') as file: file.write(bytes(65536))
for _ in range(10):
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
print('all there')
`);
