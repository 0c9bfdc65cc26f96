// Looks at a job from inside: `joblet-launch inspect` is run as the command of one, tries what no job may
// do and writes what came of it. One line for each thing: a kind, a name and a result, with tabs between.
// Then it waits for the end of its input, so that somebody can look at it from outside.
//
// It needs nothing of the host: no shell, no library.

#include "launch.h"
#include "seccomp-calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void say(const char *kind, const char *name, const char *result) {
  printf("%s\t%s\t%s\n", kind, name, result);
}

static void say_number(const char *kind, const char *name, long number) {
  char text[24];
  snprintf(text, sizeof text, "%ld", number);
  say(kind, name, text);
}

// `result` as a system call's wrapper returns it.
static void say_result(const char *kind, const char *name, long result) {
  say(kind, name, result < 0 ? errno_name(errno) : "ok");
}

// ---- system calls ------------------------------------------------------------------------------

static const struct {
  const char *name;
  int x86_64, i386, arm64;
  enum rule rule;
} calls[] = {
#define CALL(name, x86_64, i386, arm64, rule) {#name, x86_64, i386, arm64, rule},
    SECCOMP_CALLS(CALL)
#undef CALL
};

// All arguments are -1, with which the kernel finds fault should a call get through to it.
static long call_native(int number) {
  return syscall(number, -1L, -1L, -1L, -1L, -1L, -1L);
}

#if defined(__x86_64__)
enum { X32_BIT = 0x40000000 };

static long call_i386(int number) {
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"((long)number), "b"(-1L), "c"(-1L), "d"(-1L), "S"(-1L), "D"(-1L)
                   : "r8", "r9", "r10", "r11", "memory");
  if ((int)result >= 0) return (int)result;
  errno = -(int)result;
  return -1;
}
#endif

static bool is_refused(long result) {
  return result < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS);
}

static void try_calls(const char *convention) {
  long tried = 0;
  for (unsigned i = 0; i < LENGTH(calls); i++) {
#if defined(__x86_64__)
    bool is_i386 = strcmp(convention, "i386") == 0;
    int number = is_i386 ? calls[i].i386 : calls[i].x86_64;
    if (number < 0 || calls[i].rule > NAMESPACE) continue;
    bool is_x32 = strcmp(convention, "x32") == 0;
    long result = is_i386 ? call_i386(number) : call_native(number | (is_x32 ? X32_BIT : 0));
#else
    int number = calls[i].arm64;
    if (number < 0 || calls[i].rule > NAMESPACE) continue;
    long result = call_native(number);
#endif
    tried++;
    if (!is_refused(result)) say_result("reached", calls[i].name, result);
  }
  say_number("calls", convention, tried);
}

// In a process of its own: where the kernel lacks a convention, the first call ends it.
static void try_convention(const char *convention) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    try_calls(convention);
    fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) say_number("no convention", convention, WTERMSIG(status));
}

static void try_arguments(void) {
  say_result("refuse", "packet socket", socket(AF_PACKET, SOCK_RAW, 0));
  say_result("refuse", "raw socket", socket(AF_INET, SOCK_RAW, 1));
  say_result("refuse", "vsock socket", socket(AF_VSOCK, SOCK_STREAM, 0));
  say_result("refuse", "block device", mknod("/tmp/inspect", S_IFBLK | 0600, makedev(7, 0)));
  say_result("refuse", "another user id", (long)syscall(SYS_setresuid, 1, 1, 1));
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2] = {{.effective = ~0u, .permitted = ~0u}, {0}};
  say_result("refuse", "a capability", (long)syscall(SYS_capset, &header, sets));
}

// ---- files -------------------------------------------------------------------------------------

static void try_files(void) {
  static const char *const writable[] = {"/work", "/tmp", "/dev/shm"};
  static const char *const closed[] = {"/",    "/usr", "/etc",  "/dev",
                                       "/run", "/sys", "/proc", "/sys/fs/cgroup"};
  // Opened only; nothing is written.
  static const char *const kernel_files[] = {
      "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches",
      "/proc/sysrq-trigger",       "/sys/power/state",
  };
  static const char *const masked[] = {"/proc/cmdline", "/proc/kcore",      "/proc/keys",
                                       "/proc/swaps",   "/proc/timer_list", "/proc/sysrq-trigger"};
  static const char *const devices[] = {"/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse",
                                        "/dev/loop-control", "/dev/net/tun"};
  char path[64];
  for (unsigned i = 0; i < LENGTH(writable); i++) {
    snprintf(path, sizeof path, "%s/inspect", writable[i]);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    say_result("write", writable[i], file);
    if (file >= 0) unlink(path);
  }
  for (unsigned i = 0; i < LENGTH(closed); i++) {
    snprintf(path, sizeof path, "%s/inspect", closed[i]);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    say_result("refuse", closed[i], file);
    if (file >= 0) unlink(path);
  }
  for (unsigned i = 0; i < LENGTH(kernel_files); i++) {
    int file = open(kernel_files[i], O_WRONLY | O_CLOEXEC);
    // What is masked is the job's own /dev/null, which anybody may write.
    struct stat found;
    bool is_null = file >= 0 && fstat(file, &found) == 0 && S_ISCHR(found.st_mode) &&
                   found.st_rdev == makedev(1, 3);
    say("refuse", kernel_files[i], is_null ? "masked" : file < 0 ? errno_name(errno) : "ok");
  }
  for (unsigned i = 0; i < LENGTH(masked); i++) {
    char byte;
    int file = open(masked[i], O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, &byte, 1);
    say("hide", masked[i], length > 0 ? "ok" : "empty");
  }
  for (unsigned i = 0; i < LENGTH(devices); i++) {
    say_result("refuse", devices[i], open(devices[i], O_RDONLY | O_CLOEXEC));
  }
}

static void list(const char *kind, const char *path) {
  DIR *directory = opendir(path);
  if (directory == NULL) {
    say_result("list", path, -1);
    return;
  }
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    bool is_own = strcmp(kind, "descriptor") == 0 &&
                  (int)strtol(entry->d_name, NULL, 10) == dirfd(directory);
    if (entry->d_name[0] != '.' && !is_own) say(kind, entry->d_name, "");
  }
  closedir(directory);
}

static void count_processes(void) {
  long count = 0;
  DIR *directory = opendir("/proc");
  if (directory == NULL) return;
  for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    count += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
  }
  closedir(directory);
  say_number("processes", "/proc", count);
}

static void say_text(const char *name, const char *path) {
  char text[128];
  if (read_file(AT_FDCWD, path, text, sizeof text) < 0) snprintf(text, sizeof text, "?");
  text[strcspn(text, "\n")] = 0;
  say("identity", name, text);
}

int inspect_run(void) {
  list("descriptor", "/proc/self/fd");
  list("device", "/dev");
  count_processes();
  for (char **each = environ; *each != NULL; each++) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(*each, "="), *each);
    say("variable", name, "");
  }
  say_text("host name", "/proc/sys/kernel/hostname");
  say_text("boot id", "/proc/sys/kernel/random/boot_id");
  say_text("machine id", "/etc/machine-id");
  try_files();
  try_arguments();
  try_convention("native");
#if defined(__x86_64__)
  try_convention("i386");
  try_convention("x32");
#endif
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  return 0;
}
