// User namespaces. A range of ids is made into one once; every job with that range joins it.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Writes both maps of a process from outside, as root may.
static int write_maps(pid_t pid, uint32_t first) {
  char path[64], line[64];
  snprintf(line, sizeof line, "0 %u %u\n", first, IDS_COUNT);
  snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
  if (write_file(AT_FDCWD, path, line) != 0) return -1;
  snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
  return write_file(AT_FDCWD, path, line);
}

int ids_open(uint32_t first) {
  // The namespace needs a process only until a descriptor holds it.
  struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return -1;
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
  int ids = write_maps(pid, first) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  int error = errno;
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  errno = error;
  return ids;
}
