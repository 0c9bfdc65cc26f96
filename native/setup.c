// What a keeper makes before the command runs: cgroups, pipes, process 1, log, socket. Process 1 is
// started as early as it can be, for it has the most to do.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

bool setup_log(void) {
  const char *path = keeper.plan->log_dir;
  // One that is there already means that this job was started before: it runs at most once.
  if (mkdir(path, 0700) != 0) {
    report("log-dir", path, errno);
    return false;
  }
  keeper.log_made = true;
  int dir = openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) {
    report("log-dir", path, errno);
    return false;
  }
  log_start(&keeper.log, dir, keeper.plan);
  return true;
}

// The socket is an abstract one: it has no file to make, to remove or to leave behind, and it is gone
// with the keeper, however that ends.
static bool listen_for_clients(void) {
  const char *name = keeper.plan->socket;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(name);
  if (length > sizeof address.sun_path - 1) {
    report("socket", name, ENAMETOOLONG);
    return false;
  }
  memcpy(address.sun_path + 1, name, length);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
  keeper.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (keeper.listener < 0 || bind(keeper.listener, (struct sockaddr *)&address, size) != 0 ||
      listen(keeper.listener, KNOCKS) != 0) {
    report("socket", name, errno);
    return false;
  }
  return true;
}

static bool make_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) == 0) return true;
  report("stdio", "pipe", errno);
  return false;
}

// Starts process 1.
static bool start_inside(void) {
  struct entry *entry = keeper.entry;
  int in[2] = {-1, -1}, out[2], err[2], exec_report[2];
  if (keeper.plan->stdin_pipe && !make_pipe(in)) return false;
  if (!make_pipe(out) || !make_pipe(err) || !make_pipe(exec_report)) return false;
  if (in[1] >= 0) fcntl(in[1], F_SETFL, O_NONBLOCK);
  keeper.input = in[1];
  keeper.output[0] = out[0];
  keeper.output[1] = err[0];
  keeper.report = exec_report[0];
  entry->stdio[0] = in[0];
  entry->stdio[1] = out[1];
  entry->stdio[2] = err[1];
  entry->report = exec_report[1];

  struct clone_args args = {
      .flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
      .pidfd = (uint64_t)(uintptr_t)&keeper.pidfd,
      .exit_signal = SIGCHLD,
  };
  int birth = -1;
  const struct cgroup *cgroup = cgroup_of_birth(keeper.plan);
  if (cgroup != NULL) {
    birth = openat(AT_FDCWD, cgroup->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (birth < 0) {
      report("cgroup", cgroup->path, errno);
      return false;
    }
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)birth;
  }
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) {
    report("process", "clone3", errno);
    return false;
  }
  if (pid == 0) {
    // Only the keeper may hold this end: its closing tells of the keeper's death.
    close(keeper.report);
    inside_run(keeper.plan, entry);
  }
  keeper.pid = pid;
  int not_ours[] = {in[0], out[1], err[1], exec_report[1], birth};
  for (unsigned i = 0; i < LENGTH(not_ours); i++) {
    if (not_ours[i] >= 0) close(not_ours[i]);
  }
  return true;
}

static bool make_cgroups(bool of_birth) {
  for (unsigned i = 0; i < keeper.plan->cgroup_count; i++) {
    const struct cgroup *cgroup = &keeper.plan->cgroups[i];
    if ((cgroup->kind != CGROUP_V1) != of_birth) continue;
    if (!cgroup_make(keeper.plan, cgroup)) return false;
    keeper.cgroups_made |= 1u << i;
  }
  return true;
}

static bool open_ids(void) {
  struct entry *entry = keeper.entry;
  if (entry->ids >= 0) return true;
  entry->ids = ids_open(keeper.plan->ids_first);
  if (entry->ids < 0) {
    report("ids", "user namespace", errno);
    return false;
  }
  struct notice notice = {.what = NOTICE_IDS, .ids_first = keeper.plan->ids_first};
  launcher_offer(entry->launcher, &notice, entry->ids);
  return true;
}

bool setup_sandbox(void) {
  if (!open_ids() || !make_cgroups(true) || !start_inside()) return false;
  // From here on process 1 works at the same time, and waits where it needs what is made here.
  if (!make_cgroups(false) || !cgroup_set_all(keeper.plan)) return false;
  announce_stage(STAGE_CGROUPS);
  keeper.memory = cgroup_watch_memory(keeper.plan);
  return keeper.memory != -2;
}

bool setup_job(void) {
  if (keeper.pidfd < 0 && !setup_sandbox()) return false;
  cgroup_start_counting(keeper.plan);
  if (!setup_log() || !listen_for_clients()) return false;
  announce_stage(STAGE_READY);
  return true;
}

static int compare_fds(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}

void setup_close_but(int *kept, unsigned count) {
  qsort(kept, count, sizeof *kept, compare_fds);
  int next = STDERR_FILENO + 1;
  for (unsigned i = 0; i < count; i++) {
    if (kept[i] < next) continue;
    if (kept[i] > next) syscall(SYS_close_range, next, kept[i] - 1, 0);
    next = kept[i] + 1;
  }
  syscall(SYS_close_range, next, ~0u, 0);
}

void setup_settle(void) {
  static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE,
                                SIGXFSZ, SIGUSR1, SIGUSR2};
  // A daemon's whole group may be signalled when it is stopped or upgraded; jobs live on. Nobody ever
  // takes what is blocked here.
  sigset_t mask;
  sigemptyset(&mask);
  for (unsigned i = 0; i < LENGTH(ignored); i++) sigaddset(&mask, ignored[i]);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  // Standard input is /dev/null in the launcher already.
  dup2(STDIN_FILENO, STDOUT_FILENO);
  dup2(STDIN_FILENO, STDERR_FILENO);
  (void)!chdir("/");
  main_rename("joblet-keeper");
  // What the launcher had open, and what only process 1 needed.
  int kept[] = {keeper.daemon, keeper.listener,  keeper.report, keeper.input,  keeper.output[0],
                keeper.memory, keeper.output[1], keeper.pidfd,  keeper.log.dir};
  setup_close_but(kept, LENGTH(kept));
}
