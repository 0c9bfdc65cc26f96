// Process 1 of a job: enters everything in order, then starts the command and becomes the job's
// tiny init (or, without one, becomes the command). Any step that fails ends the launch.

#include "launch.h"
#include "seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  KERNEL_SIGSET_BYTES = 8,
  I386_PRCTL = 172, // as a 64-bit call it is iopl, which is refused anyway
  REPORT_FD = 3, // beside standard input, output and error the only descriptor of the command
  COMMAND_UMASK = 022,
};

// Should the keeper be killed, the job dies with it. Asked for again whenever credentials change,
// for the kernel forgets it then.
static void die_with_keeper(int report_fd) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The keeper may have died before that. Only it holds the read end of this pipe.
  struct pollfd reader = {.fd = report_fd, .events = 0};
  if (poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR)) _exit(1);
}

static const char no_domain[] = "(none)"; // as the kernel calls it

static void enter_network(const struct plan *plan, const struct entry *entry) {
  if (plan->host_net) return;
  if (entry->net >= 0) {
    if (setns(entry->net, CLONE_NEWNET) != 0) report_and_exit("net", "pool");
  } else if (unshare(CLONE_NEWNET) != 0 || net_loopback_up() != 0) {
    report_and_exit("net", "loopback");
  }
}

// Should the host itself run out of memory, its kernel is to end a job and nothing else. Who has more
// already may not be let down to this, and need not be.
static void offer_to_oom_killer(void) {
  if (write_file(AT_FDCWD, "/proc/self/oom_score_adj", "500") == 0 || errno == EACCES) return;
  report_and_exit("oom", "oom_score_adj");
}

// The job's own, not the host's, whose path and device would show.
static OWN_FRAME int open_null(const struct plan *plan) {
  char path[4200];
  snprintf(path, sizeof path, "%s/null", plan->dev_target);
  int null = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (null < 0) report_and_exit("stdio", path);
  return null;
}

// What a program opens as /dev/stdout is the pipe itself. By its group: an owner could let himself read
// from it too, and so take output that the keeper waits for.
static void open_stdio_to_job(const struct plan *plan, const struct entry *entry) {
  for (int i = 0; i < 3; i++) {
    if (entry->stdio[i] < 0) continue;
    if (fchown(entry->stdio[i], (uid_t)-1, plan->ids_first) != 0 ||
        fchmod(entry->stdio[i], i == 0 ? 0440 : 0220) != 0) {
      report_and_exit("stdio", "pipe");
    }
  }
}

// Becomes root of the job's user namespace and gives up what this could be good for, but for the
// capabilities that the plan names.
static void drop_privileges(const struct plan *plan, const struct entry *entry) {
  bool is_there = entry->ids == SECCOMP_IDS_FD;
  if ((!is_there && dup3(entry->ids, SECCOMP_IDS_FD, O_CLOEXEC) < 0) ||
      setns(SECCOMP_IDS_FD, CLONE_NEWUSER) != 0) {
    report_and_exit("ids", "user namespace");
  }
  if (syscall(SYS_setgroups, 0, NULL) != 0) report_and_exit("ids", "setgroups");
  if (syscall(SYS_setresgid, 0, 0, 0) != 0) report_and_exit("ids", "setresgid");
  if (syscall(SYS_setresuid, 0, 0, 0) != 0) report_and_exit("ids", "setresuid");

  // Without CAP_SETFCAP the kernel lets nobody map his user id 0 into a namespace of his own, so a
  // job that may make such namespaces keeps this one. Alone it marks files, which no_new_privs and
  // nosuid make worthless.
  uint32_t kept = plan->capabilities;
  if (plan->allow & SECCOMP_ALLOW_USERNS) kept |= 1u << CAP_SETFCAP;

  // Joining a user namespace fills the bounding set again, so it is emptied here each time.
  for (unsigned capability = 0;; capability++) {
    if (capability < 32 && kept & 1u << capability) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) break;
  }
  if (errno != EINVAL) report_and_exit("capabilities", "bounding set");
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2] = {{.effective = kept, .permitted = kept}, {0}};
  if (syscall(SYS_capset, &header, sets) != 0) report_and_exit("capabilities", "capset");
  // Set for good in the launcher; the promise is worth a look.
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
    errno = EPERM;
    report_and_exit("capabilities", "no_new_privs");
  }
  // Nobody in the job may look into this process: not its memory, descriptors or executable.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

// Without an init the command is process 1 itself, and must not be able to outlive its keeper: the
// signal of its death stays the one that it cannot but hear.
static void pin_death_signal(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef __x86_64__
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, I386_PRCTL, 1, 0),
#endif
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_PDEATHSIG, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SIGKILL, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = LENGTH(code), .filter = code};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    report_and_exit("seccomp", "no-init");
  }
}

// ---- the command -------------------------------------------------------------------------------

static void lower_limit(int resource, uint64_t soft, uint64_t hard) {
  struct rlimit limit;
  if (getrlimit((unsigned)resource, &limit) != 0) report_and_exit("rlimit", "getrlimit");
  // Only ever lowered: root may lack the right to raise.
  limit.rlim_max = limit.rlim_max < hard ? limit.rlim_max : hard;
  limit.rlim_cur = limit.rlim_max < soft ? limit.rlim_max : soft;
  if (setrlimit((unsigned)resource, &limit) != 0) report_and_exit("rlimit", "setrlimit");
}

// No core dumps, whatever the plan says. Not 0: a host whose core_pattern is a pipe starts its helper
// all the same, as root; only at 1 it does not, and a file is refused at 1 as well. The filter keeps
// it at that, so this comes before the filter.
static void end_core_dumps(void) { lower_limit(RLIMIT_CORE, 1, 1); }

static void lower_limits(const struct plan *plan) {
  // The launcher raised its own soft limit of files; the command starts from what it was.
  lower_limit(RLIMIT_NOFILE, files_soft_limit, RLIM_INFINITY);
  for (unsigned i = 0; i < plan->rlimit_count; i++) {
    const struct rlimit_wish *wish = &plan->rlimits[i];
    if (wish->resource != RLIMIT_CORE) lower_limit(wish->resource, wish->soft, wish->hard);
  }
}

static const char *path_of(const struct plan *plan) {
  for (unsigned i = 0; i < plan->env_count; i++) {
    if (strncmp(plan->env[i], "PATH=", 5) == 0) return plan->env[i] + 5;
  }
  return "/usr/local/bin:/usr/bin:/bin";
}

// Returns with errno when the file cannot be executed.
static void execute(const struct plan *plan, const char *file) {
  execve(file, plan->argv, plan->env);
  if (errno != ENOEXEC) return;
  // A text without `#!` is a shell script, as every shell and execvp has it.
  char *argv[plan->argc + 2];
  argv[0] = (char *)"/bin/sh";
  argv[1] = (char *)file;
  memcpy(argv + 2, plan->argv + 1, plan->argc * sizeof *argv);
  execve(argv[0], argv, plan->env);
  errno = ENOEXEC;
}

// Looks argv[0] up in the job's own PATH. Returns with errno when nothing could be executed.
static void search_and_execute(const struct plan *plan) {
  const char *name = plan->argv[0];
  if (strchr(name, '/') != NULL || *name == 0) {
    execute(plan, name);
    return;
  }
  bool denied = false;
  const char *next;
  for (const char *at = path_of(plan); at != NULL; at = next) {
    char file[4096];
    const char *colon = strchr(at, ':');
    size_t length = colon == NULL ? strlen(at) : (size_t)(colon - at);
    next = colon == NULL ? NULL : colon + 1;
    // An empty part is the working directory.
    int needed = snprintf(file, sizeof file, "%.*s%s%s", (int)length, at, length > 0 ? "/" : "",
                          name);
    if (needed >= (int)sizeof file) continue;
    execute(plan, file);
    if (errno == EACCES) denied = true;
    else if (errno != ENOENT && errno != ENOTDIR) return;
  }
  errno = denied ? EACCES : ENOENT;
}

// Runs in the command's own process, which shares its memory with a waiting init.
static OWN_FRAME _Noreturn void start_command(const struct plan *plan) {
  syscall(SYS_setsid);
  umask(COMMAND_UMASK);
  // As the job, not as root: what it may not enter it is not put into.
  if (chdir(plan->cwd) != 0) report_and_exit("cwd", plan->cwd);
  lower_limits(plan);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  __atomic_store_n(&shared->execing, 1, __ATOMIC_RELEASE);
  search_and_execute(plan);
  report_and_exit("exec", plan->argv[0]);
}

// ---- init --------------------------------------------------------------------------------------

static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

// Uses its own frame and the shared page only: everything else is given back.
static OWN_FRAME _Noreturn void run_init(pid_t command, struct shared *ours) {
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGCHLD);
  for (unsigned i = 0; i < LENGTH(forwarded); i++) sigaddset(&awaited, forwarded[i]);
  memory_drop_data();
  memory_drop_stack();
  for (;;) {
    long signal = memory_syscall(SYS_rt_sigtimedwait, (long)&awaited, 0, 0, KERNEL_SIGSET_BYTES);
    if (signal != SIGCHLD) {
      if (signal > 0) memory_syscall(SYS_kill, -command, signal, 0, 0);
      continue;
    }
    int status;
    for (long pid; (pid = memory_syscall(SYS_wait4, -1, (long)&status, WNOHANG, 0)) > 0;) {
      if (pid != command) continue; // an orphan
      ours->status = status;
      __atomic_store_n(&ours->ended, 1, __ATOMIC_RELEASE);
      memory_syscall(SYS_exit_group, 0, 0, 0, 0); // the kernel ends whatever is left of the job
    }
  }
}

// What is the same whichever job comes into this sandbox.
static void make_sandbox(struct plan *plan, const struct entry *entry) {
  offer_to_oom_killer();
  open_stdio_to_job(plan, entry);
  rootfs_prepare(plan, entry);
  wait_for_stage(STAGE_CGROUPS);
  cgroup_join(plan);
  if (unshare(CLONE_NEWCGROUP) != 0) report_and_exit("cgroup", "namespace");
  rootfs_enter(plan, entry);
}

static _Noreturn void enter_sandbox(struct plan *plan, const struct entry *entry) {
  main_rename("init");
  enter_network(plan, entry);
  // What a namespace starts with is the host's: its name, and that of its NIS domain.
  if (sethostname(plan->hostname, strlen(plan->hostname)) != 0 || setdomainname(no_domain, sizeof no_domain - 1) != 0) {
    report_and_exit("hostname", plan->hostname);
  }
  rootfs_finish(plan);

  for (int i = 0; i < 3; i++) {
    int from = entry->stdio[i] >= 0 ? entry->stdio[i] : open_null(plan);
    if (dup2(from, i) < 0) report_and_exit("stdio", "dup2");
  }
  if (dup3(entry->report, REPORT_FD, O_CLOEXEC) < 0) report_and_exit("stdio", "dup3");

  end_core_dumps();
  // While this is root still: the kernel's room for the code of filters is one for the whole host, and
  // where jobs have filled it nobody else is given any.
  if (seccomp_install(plan->allow) != 0) report_and_exit("seccomp", "filter");
  if (plan->no_init) pin_death_signal();
  drop_privileges(plan, entry);
  die_with_keeper(REPORT_FD);
  if (syscall(SYS_close_range, REPORT_FD + 1, ~0u, 0) != 0) report_and_exit("stdio", "close_range");
  wait_for_stage(STAGE_READY);
  if (plan->no_init) start_command(plan);

  // The filter is in force for init too, so the command inherits it and it is installed once.
  pid_t command = vfork();
  if (command < 0) report_and_exit("exec", "vfork");
  if (command == 0) start_command(plan);
  if (shared->failure.error != 0) _exit(1);
  syscall(SYS_close_range, 0, ~0u, 0);
  // Environment and secrets are the command's now.
  plan_forget(plan);
  launcher_drop();
  run_init(command, shared);
}

_Noreturn void inside_run(struct plan *plan, struct entry *entry) {
  die_with_keeper(entry->report);
  umask(0);
  // Nothing may come in between before the command's own dispositions hold.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);

  make_sandbox(plan, entry);
  struct plan *job = entry->orders < 0 ? plan : launcher_take_job(entry->orders, entry, NULL);
  if (job == NULL) _exit(0);
  enter_sandbox(job, entry);
}
