// User namespaces. A range of ids is made into one once; every job with that range joins it.
//
// It belongs to the range's own first id, not to root. What the kernel counts for each user (inotify
// instances and watches, timers and queued signals, message queues, locked memory, processes) it
// counts for the owners of the namespaces above, too: owned by root, all jobs together would share
// what root has, and one of them could leave nothing to the others and to the host's own services.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
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

// Makes the namespace as the user `owner`. The effective id alone changes, so what root may is still
// permitted and has only to be taken up again: hosts may let nobody else make user namespaces.
static bool enter_namespace_of(uint32_t owner) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2];
  if (syscall(SYS_setresuid, -1, owner, -1) != 0) return false;
  if (syscall(SYS_capget, &header, sets) != 0) return false;
  for (unsigned i = 0; i < LENGTH(sets); i++) sets[i].effective = sets[i].permitted;
  if (syscall(SYS_capset, &header, sets) != 0) return false;
  return unshare(CLONE_NEWUSER) == 0;
}

int ids_open(uint32_t first) {
  // The namespace needs a process only until a descriptor holds it.
  struct clone_args args = {.exit_signal = SIGCHLD};
  pid_t parent = getpid();
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return -1;
  if (pid == 0) {
    if (!enter_namespace_of(first)) _exit(errno);
    // Stopped, it has made the namespace; it is killed as soon as that is held.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // The keeper may have died before that; nobody would kill this process any more.
    if (syscall(SYS_getppid) != parent) _exit(ESRCH);
    for (;;) syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
  }
  int status = 0;
  while (waitpid(pid, &status, WUNTRACED) < 0 && errno == EINTR) continue;
  if (!WIFSTOPPED(status)) {
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    return -1;
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
