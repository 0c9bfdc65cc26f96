// Files of a job, fetched or put there:
// `joblet-launch files VERB ROOT PATH MOST-FILES MOST-BYTES MOST-MEMORY LINGER-MS`.
//
// ROOT is `job:PID:FIRST-ID`, a running job, or `dir:PATH`, a directory of the host that holds what a
// job has left. A job's files are reached from within its mount namespace, as its own user, without any
// capability, so that nothing is reached which the job could not reach; paths are resolved within
// the root. What the kernel makes up (/proc, /sys) is refused: it would tell secrets of the job.
// The job may end meanwhile: then there are LINGER-MS left for the rest, for what it had mounted is held by
// whoever is in there.
// Frames go out, or come in, as a number of bytes (32 bits), a kind (one letter) and so many bytes.
//
//   E TYPE MODE SIZE MTIME-NS PATH LINK   an entry, as strings that end with a NUL; TYPE is f, d, l or o
//   D bytes   H count                     content of the file before it, and a hole in it
//   S PATH ERRNO                          an entry that could not be read
//   Z                                     the end
//   X OBJECT ERRNO                        the end, because something failed

#include "launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
  CHUNK_BYTES = 128 << 10,
  PATH_ROOM = 4096,
  DEPTH_LIMIT = 128,
};

// What the kernel makes up, by the magic number of its file system.
static const unsigned long made_up[] = {
    0x9fa0,     // proc
    0x62656572, // sysfs
    0x27e0eb,   // cgroup
    0x63677270, // cgroup2
    0x1cd1,     // devpts
    0x64626720, // debugfs
    0x74726163, // tracefs
};

static char chunk[CHUNK_BYTES + 1];
static uint64_t files_left, bytes_left, most_memory, linger_ms;
static uint64_t files_done, bytes_done;

// ---- frames ------------------------------------------------------------------------------------

static void put_all(const void *bytes, size_t length) {
  for (const char *at = bytes; length > 0;) {
    ssize_t put = write(STDOUT_FILENO, at, length);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) _exit(1); // nobody listens any more
    at += put;
    length -= (size_t)put;
  }
}

static void put_frame(char kind, const void *bytes, size_t length) {
  char head[5];
  uint32_t size = (uint32_t)length;
  memcpy(head, &size, sizeof size);
  head[4] = kind;
  put_all(head, sizeof head);
  put_all(bytes, length);
}

// Two strings, each with its NUL.
static void put_pair(char kind, const char *first, const char *second) {
  static char out[2 * PATH_ROOM];
  size_t length = strnlen(first, PATH_ROOM - 1);
  memcpy(out, first, length);
  out[length++] = 0;
  size_t more = strnlen(second, PATH_ROOM - 1);
  memcpy(out + length, second, more);
  out[length + more] = 0;
  put_frame(kind, out, length + more + 1);
}

static _Noreturn void fail(const char *object, int error) {
  put_pair('X', object, errno_name(error));
  _exit(0);
}

static _Noreturn void end(void) {
  char counts[48];
  int length = snprintf(counts, sizeof counts, "%llu", (unsigned long long)files_done) + 1;
  length += snprintf(counts + length, sizeof counts - (size_t)length, "%llu",
                     (unsigned long long)bytes_done) + 1;
  put_frame('Z', counts, (size_t)length);
  _exit(0);
}

static void count_file(const char *path) {
  if (files_left-- == 0) fail(path, E2BIG);
  files_done++;
}

static void count_bytes(const char *path, uint64_t bytes) {
  if (bytes > bytes_left) fail(path, EFBIG);
  bytes_left -= bytes;
  bytes_done += bytes;
}

// ---- the root ----------------------------------------------------------------------------------

static void give_up_everything(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  for (unsigned capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;) capability++;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2] = {{0}};
  if (syscall(SYS_capset, &header, sets) != 0) fail("capabilities", errno);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

// Ends this process when the job has been over for long enough, whatever it waits for then. It takes a
// process of its own, which goes with this one.
static void leave_in_time(const char *pid) {
  uint64_t number;
  if (!number_of(pid, &number) || number > INT32_MAX) fail("process", EINVAL);
  int job = (int)syscall(SYS_pidfd_open, (pid_t)number, 0);
  if (job < 0) fail("process", errno);
  pid_t here = getpid(), watcher = fork();
  if (watcher < 0) fail("process", errno);
  if (watcher == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != here) _exit(0);
    for (int each = STDIN_FILENO; each <= STDERR_FILENO; each++) close(each);
    struct pollfd over = {.fd = job, .events = POLLIN};
    while (poll(&over, 1, -1) < 0 && errno == EINTR) continue;
    poll(NULL, 0, (int)linger_ms);
    kill(here, SIGKILL);
    _exit(0);
  }
  close(job);
}

static int open_in(int proc, const char *name) {
  int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("process", errno == ENOENT ? ESRCH : errno);
  return fd;
}

// Process ids are used again: what is entered has to be mapped to the ids of that job. The directory
// in /proc stands for one process only, so nothing can come in between.
static void enter_job(const char *pid, const char *first_id) {
  char path[64], map[128] = "", wanted[64], found[128];
  snprintf(path, sizeof path, "/proc/%s", pid);
  int proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) fail("process", ESRCH);
  leave_in_time(pid);
  int user = open_in(proc, "ns/user");
  int mnt = open_in(proc, "ns/mnt");
  int ids = open_in(proc, "uid_map");
  if (read(ids, map, sizeof map - 1) <= 0) fail("process", ESRCH);
  unsigned inside, outside, count;
  if (sscanf(map, "%u %u %u", &inside, &outside, &count) != 3) fail("process", ESRCH);
  snprintf(found, sizeof found, "%u %u %u", inside, outside, count);
  snprintf(wanted, sizeof wanted, "0 %s %d", first_id, IDS_COUNT);
  if (strcmp(found, wanted) != 0) fail("process", ESRCH);
  if (setns(mnt, CLONE_NEWNS) != 0) fail("mount namespace", errno);
  if (setns(user, CLONE_NEWUSER) != 0) fail("user namespace", errno);
  if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, 0, 0, 0) != 0 ||
      syscall(SYS_setresuid, 0, 0, 0) != 0) {
    fail("user namespace", errno);
  }
}

static int open_root(char *root) {
  const char *directory = "/";
  if (strncmp(root, "job:", 4) == 0) {
    char *colon = strchr(root + 4, ':');
    if (colon == NULL) fail("root", EINVAL);
    *colon = 0;
    enter_job(root + 4, colon + 1);
  } else if (strncmp(root, "dir:/", 5) == 0) {
    directory = root + 4;
  } else {
    fail("root", EINVAL);
  }
  int base = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (base < 0) fail("root", errno);
  give_up_everything();
  return base;
}

// Whether files of a made-up file system are behind a descriptor.
static bool is_made_up(int fd) {
  struct statfs found;
  if (fstatfs(fd, &found) != 0) return true;
  for (unsigned i = 0; i < LENGTH(made_up); i++) {
    if ((unsigned long)found.f_type == made_up[i]) return true;
  }
  return false;
}

// One step down, through no link.
static int open_below(int dir, const char *name, uint64_t flags, mode_t mode) {
  struct open_how how = {
      .flags = flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY,
      .mode = flags & O_CREAT ? mode : 0,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  };
  return (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
}

// ---- reading -----------------------------------------------------------------------------------

static char type_of(mode_t mode) {
  if (S_ISREG(mode)) return 'f';
  if (S_ISDIR(mode)) return 'd';
  return S_ISLNK(mode) ? 'l' : 'o';
}

// A job dates its files as it likes, beyond what the number holds, too.
static long long in_ns(struct timespec at) {
  const long long most = INT64_MAX / 1000000000 - 1;
  if (at.tv_sec > most) return INT64_MAX;
  if (at.tv_sec < -most) return INT64_MIN;
  return (long long)at.tv_sec * 1000000000 + at.tv_nsec;
}

static void put_entry(const char *path, const struct stat *found, const char *link) {
  static char out[2 * PATH_ROOM + 96];
  int length = snprintf(out, sizeof out, "%c%c%o%c%llu%c%lld%c%s%c%s", type_of(found->st_mode), 0,
                        (unsigned)found->st_mode & 0777, 0, (unsigned long long)found->st_size, 0,
                        in_ns(found->st_mtim), 0, path, 0, link);
  put_frame('E', out, (size_t)length + 1);
}

static void put_hole(uint64_t bytes) {
  char text[24];
  int length = snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
  put_frame('H', text, (size_t)length + 1);
}

// Sends as much as the file has now; what is appended meanwhile is not waited for.
static void put_content(const char *path, int file, off_t size) {
  for (off_t at = 0; at < size;) {
    off_t data = lseek(file, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) data = size;
    if (data < 0) data = at; // a file system that knows of no holes
    if (data > size) data = size;
    if (data > at) put_hole((uint64_t)(data - at));
    off_t hole = data < size ? lseek(file, data, SEEK_HOLE) : size;
    if (hole < 0 || hole > size) hole = size;
    for (at = data; at < hole;) {
      size_t wanted = hole - at < CHUNK_BYTES ? (size_t)(hole - at) : CHUNK_BYTES;
      ssize_t got = pread(file, chunk, wanted, at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail(path, errno);
      if (got == 0) return; // it was cut off meanwhile
      count_bytes(path, (uint64_t)got);
      put_frame('D', chunk, (size_t)got);
      at += got;
    }
  }
}

static void read_directory(int dir, const char *path, bool deep, int depth);

// Says what is at `name` and, when `deep`, what is in it. `path` is what it is called outside.
static void read_entry(int dir, const char *name, const char *path, bool deep, int depth) {
  struct stat found;
  if (fstatat(dir, name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) put_pair('S', path, errno_name(errno));
    return;
  }
  count_file(path);
  char link[PATH_ROOM] = "";
  if (S_ISLNK(found.st_mode)) {
    ssize_t length = readlinkat(dir, name, link, sizeof link - 1);
    link[length < 0 ? 0 : length] = 0;
  }
  // Of a list, which is one answer, names are all there is.
  size_t told = deep ? 0 : strlen(path) + strlen(link);
  if (told > bytes_left) fail(path, E2BIG);
  bytes_left -= told;
  bool is_content = S_ISREG(found.st_mode) || S_ISDIR(found.st_mode);
  if (!deep || !is_content) {
    put_entry(path, &found, link);
    return;
  }
  // What is there may have become another thing since: whatever it is, opening it waits for nobody.
  int fd = open_below(dir, name, O_RDONLY | O_NONBLOCK, 0);
  struct stat opened;
  if (fd < 0 || fstat(fd, &opened) != 0 || is_made_up(fd) ||
      (opened.st_mode & S_IFMT) != (found.st_mode & S_IFMT)) {
    put_pair('S', path, errno_name(fd < 0 ? errno : EACCES));
    if (fd >= 0) close(fd);
    return;
  }
  put_entry(path, &opened, "");
  if (S_ISREG(opened.st_mode)) {
    put_content(path, fd, opened.st_size);
    close(fd);
  } else {
    read_directory(fd, path, true, depth + 1);
  }
}

// Consumes `dir`.
static void read_directory(int dir, const char *path, bool deep, int depth) {
  if (depth > DEPTH_LIMIT) fail(path, ELOOP);
  DIR *list = fdopendir(dir);
  if (list == NULL) fail(path, errno);
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(list);
    if (entry == NULL && errno != 0) fail(path, errno);
    if (entry == NULL) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    char below[PATH_ROOM];
    int length = snprintf(below, sizeof below, "%s%s%s", path, *path == 0 ? "" : "/",
                          entry->d_name);
    if (length >= (int)sizeof below) fail(path, ENAMETOOLONG);
    read_entry(dirfd(list), entry->d_name, below, deep, depth);
  }
  closedir(list);
}

// What a path leads to, links within the root included.
static int open_asked(int base, const char *path, struct stat *found) {
  int place = root_open(base, path, O_PATH);
  if (place < 0 || fstat(place, found) != 0) fail(path, errno);
  if (is_made_up(place)) fail(path, EACCES);
  close(place);
  if (!S_ISREG(found->st_mode) && !S_ISDIR(found->st_mode)) fail(path, EINVAL);
  int fd = root_open(base, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat(fd, found) != 0) fail(path, errno);
  if (is_made_up(fd)) fail(path, EACCES);
  if (!S_ISREG(found->st_mode) && !S_ISDIR(found->st_mode)) fail(path, EINVAL);
  return fd;
}

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

static _Noreturn void read_files(int base, const char *path, bool deep) {
  struct stat found;
  int fd = open_asked(base, path, &found);
  if (S_ISDIR(found.st_mode)) {
    if (deep) put_entry("", &found, "");
    read_directory(fd, "", deep, 0);
  } else {
    count_file(path);
    put_entry(last_part(path), &found, "");
    if (deep) put_content(path, fd, found.st_size);
  }
  end();
}

// ---- writing -----------------------------------------------------------------------------------

static bool take_all(void *bytes, size_t length) {
  for (char *at = bytes; length > 0;) {
    ssize_t got = read(STDIN_FILENO, at, length);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    length -= (size_t)got;
  }
  return true;
}

// The kind of the next frame, with its bytes in `chunk`, or 0 at the end of the stream.
static char take_frame(size_t *length) {
  char head[5];
  uint32_t size;
  if (!take_all(head, sizeof head)) return 0;
  memcpy(&size, head, sizeof size);
  if (size > CHUNK_BYTES) fail("frame", EMSGSIZE);
  if (!take_all(chunk, size)) return 0;
  chunk[size] = 0;
  *length = size;
  return head[4];
}

// Where things are put: into `dir`, where the first part of each path is called `top` unless NULL.
struct destination {
  int dir;
  const char *top;
};

static struct destination find_destination(int base, char *path) {
  int dir = root_open(base, path, O_RDONLY | O_DIRECTORY);
  const char *top = NULL;
  if (dir < 0 && (errno == ENOENT || errno == ENOTDIR)) {
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash[1] == 0) fail(path, ENOENT);
    *slash = 0;
    top = slash + 1;
    dir = root_open(base, *path == 0 ? "/" : path, O_RDONLY | O_DIRECTORY);
  }
  if (dir < 0) fail(path, errno);
  if (is_made_up(dir)) fail(path, EACCES);
  return (struct destination){dir, top};
}

// The directory that holds `path`, one step after the other, through no link; the last part in `name`.
static int open_parent(const struct destination *to, char *path, const char **name) {
  int dir = dup(to->dir);
  bool is_first = true;
  for (char *part = path;; is_first = false) {
    char *slash = strchr(part, '/');
    if (slash != NULL) *slash = 0;
    const char *called = is_first && to->top != NULL ? to->top : part;
    if (*called == 0 || strcmp(called, ".") == 0 || strcmp(called, "..") == 0) fail(path, EINVAL);
    if (slash == NULL) {
      *name = called;
      return dir;
    }
    int next = open_below(dir, called, O_RDONLY | O_DIRECTORY, 0);
    if (next < 0) fail(called, errno);
    // Other file systems begin anywhere below.
    if (is_made_up(next)) fail(called, EACCES);
    close(dir);
    dir = next;
    part = slash + 1;
  }
}

static int write_directory(int parent, const char *name, mode_t mode) {
  if (mkdirat(parent, name, mode) == 0) return -1;
  int there = errno == EEXIST ? open_below(parent, name, O_RDONLY | O_DIRECTORY, 0) : -1;
  if (there < 0) fail(name, errno);
  close(there);
  return -1;
}

static int write_file_anew(int parent, const char *name, mode_t mode) {
  int file = open_below(parent, name, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, mode);
  struct stat found;
  if (file < 0 || fstat(file, &found) != 0) fail(name, errno);
  if (!S_ISREG(found.st_mode)) fail(name, EINVAL);
  if (is_made_up(file)) fail(name, EACCES);
  if (fchmod(file, mode) != 0 && errno != EPERM) fail(name, errno);
  return file;
}

// What is written into memory from here is not charged to the job: no more of it than the job itself
// may have.
static void check_memory(const char *path, int file, size_t length) {
  enum { TMPFS = 0x01021994 };
  struct statfs found;
  if (fstatfs(file, &found) != 0) fail(path, errno);
  if ((unsigned long)found.f_type != TMPFS) return;
  uint64_t used = (uint64_t)(found.f_blocks - found.f_bfree) * (uint64_t)found.f_bsize;
  if (used + length > most_memory) fail(path, ENOSPC);
}

// Begins what an entry's strings describe; answers the file that content goes to, or -1.
static int begin_entry(const struct destination *to, size_t length) {
  char *type = chunk;
  char *mode = memchr(chunk, 0, length);
  char *path = mode == NULL ? NULL : memchr(mode + 1, 0, length - (size_t)(mode + 1 - chunk));
  if (path == NULL) fail("entry", EINVAL);
  mode++, path++;
  count_file(path);
  const char *name;
  mode_t bits = (mode_t)strtoul(mode, NULL, 8) & 0777;
  int parent = open_parent(to, path, &name);
  int file = *type == 'd' ? write_directory(parent, name, bits) : write_file_anew(parent, name, bits);
  close(parent);
  return file;
}

static _Noreturn void write_files(int base, char *path) {
  struct destination to = find_destination(base, path);
  int file = -1;
  size_t length = 0;
  for (;;) {
    char kind = take_frame(&length);
    if (kind == 'E' || kind == 'Z') {
      if (file >= 0 && close(file) != 0) fail(path, errno);
      if (kind == 'Z') end();
      file = begin_entry(&to, length);
    } else if (kind == 'D' && file >= 0) {
      count_bytes(path, length);
      check_memory(path, file, length);
      for (size_t done = 0; done < length;) {
        ssize_t put = write(file, chunk + done, length - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) fail(path, put == 0 ? ENOSPC : errno);
        done += (size_t)put;
      }
    } else {
      fail("stream", kind == 0 ? ECANCELED : EINVAL);
    }
  }
}

int files_run(char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  umask(0);
  if (!number_of(argv[3], &files_left) || !number_of(argv[4], &bytes_left) ||
      !number_of(argv[5], &most_memory) || !number_of(argv[6], &linger_ms) ||
      linger_ms > INT32_MAX) {
    fail("limit", EINVAL);
  }
  int base = open_root(argv[1]);
  // Where credentials change, the kernel forgets it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (strcmp(argv[0], "list") == 0) read_files(base, argv[2], false);
  if (strcmp(argv[0], "read") == 0) read_files(base, argv[2], true);
  if (strcmp(argv[0], "write") == 0) write_files(base, argv[2]);
  fail("verb", EINVAL);
}
