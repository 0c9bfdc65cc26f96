// What every job has beside the files of its runtime: /dev, /proc, /sys and /run of its own.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
  TTY_GID = 5,
  PTS_LIMIT = 256, // terminals of a job; all of a host together are a few thousand
  PATH_ROOM = 4200, // a path of the plan and a little more
};

// ---- /dev --------------------------------------------------------------------------------------

static const struct {
  const char *name;
  unsigned major, minor;
} nodes[] = {
    {"null", 1, 3}, {"zero", 1, 5},    {"full", 1, 7},
    {"tty", 5, 0},  {"random", 1, 8}, {"urandom", 1, 9},
};

static const struct {
  const char *name, *text;
} dev_links[] = {
    {"ptmx", "pts/ptmx"},           {"fd", "/proc/self/fd"},
    {"stdin", "/proc/self/fd/0"},   {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"},
};

static const char *const dev_directories[] = {"pts", "shm"};

static void make_node(const struct op *dev, const char *name, unsigned major, unsigned minor,
                      uid_t owner) {
  if (mknodat(dev->fd, name, S_IFCHR | 0666, makedev(major, minor)) != 0 ||
      fchownat(dev->fd, name, owner, owner, 0) != 0) {
    report_and_exit("dev", name);
  }
}

// The nodes belong to the job's root so that they look as they do everywhere; the mount is
// read-only, so it cannot change them. Every other mount of a job honours none, and a job can make
// none, so these are all the devices that it reaches.
void system_make_dev(int base, const struct plan *plan, struct op *op) {
  uid_t owner = plan->ids_first;
  op->bytes = 64 << 10;
  op->inodes = 128; // some twenty are every job's, one is that of each GPU
  op->mode = 0755;
  op->fd = mount_tmpfs("dev", plan, op, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  for (unsigned i = 0; i < LENGTH(nodes); i++) {
    make_node(op, nodes[i].name, nodes[i].major, nodes[i].minor, owner);
  }
  for (unsigned i = 0; i < plan->root_op_count; i++) {
    const struct op *wish = &plan->ops[i];
    if (wish->kind == OP_DEVICE) {
      make_node(op, wish->target, wish->device[0], wish->device[1], owner);
    }
  }
  for (unsigned i = 0; i < LENGTH(dev_links); i++) {
    if (symlinkat(dev_links[i].text, op->fd, dev_links[i].name) != 0 ||
        fchownat(op->fd, dev_links[i].name, owner, owner, AT_SYMLINK_NOFOLLOW) != 0) {
      report_and_exit("dev", dev_links[i].name);
    }
  }
  for (unsigned i = 0; i < LENGTH(dev_directories); i++) {
    if (mkdirat(op->fd, dev_directories[i], 0755) != 0 ||
        fchownat(op->fd, dev_directories[i], owner, owner, 0) != 0) {
      report_and_exit("dev", dev_directories[i]);
    }
  }
  if (mount_set(op->fd, MOUNT_ATTR_RDONLY, -1) != 0) report_and_exit("dev", op->target);
  mount_attach(base, plan, op);
}

// ---- /run --------------------------------------------------------------------------------------

static int run_mount = -1;
static int boot_id = -1; // a mount of the file that says it

void system_mount_run(int base, const struct plan *plan) {
  struct op op = {.kind = OP_RUN_FILE, .target = (char[]){"/run"}, .bytes = 1 << 20, .inodes = 64,
                  .mode = 0755};
  mount_tmpfs_in_root(base, plan, &op, MS_NOSUID | MS_NODEV | MS_NOEXEC);
  run_mount = openat(base, "run", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (run_mount < 0) report_and_exit("run-file", "/run");
}

void system_add_boot_id(const struct plan *plan, const struct op *op) {
  char line[64];
  snprintf(line, sizeof line, "%s\n", op->text);
  if (root_file(run_mount, "boot_id", 0444, plan->ids_first, line) != 0) {
    report_and_exit("boot-id", op->text);
  }
}

void system_add_run_file(const struct plan *plan, const struct op *op) {
  if (root_file(run_mount, op->target, 0644, plan->ids_first, op->text) != 0) {
    report_and_exit("run-file", op->target);
  }
}

void system_finish_run(void) {
  if (run_mount < 0) return;
  if (mount_set(run_mount, MOUNT_ATTR_RDONLY, -1) != 0) report_and_exit("run-file", "/run");
  // The clone is taken after the mount is attached and read-only: only then does the kernel
  // before 6.15 allow to clone of it.
  if (faccessat(run_mount, "boot_id", F_OK, 0) != 0) return;
  boot_id = mount_clone(run_mount, "boot_id");
  if (boot_id < 0) report_and_exit("boot-id", "/run/boot_id");
}

// ---- /proc and /sys ----------------------------------------------------------------------------

// What is masked is covered by the job's own /dev/null or by a bare, read-only directory.
struct masked {
  const char *name;
  const char *sign; // what is looked for instead of the thing itself, or NULL
  bool may_come; // with a module, after the launcher has looked
  enum { ABSENT, A_FILE, A_DIRECTORY } kind;
};

// Each costs a start some 10 us of processor time.
static struct masked proc_masked[] = {
    {.name = "acpi"},
    // which name the host's disks, and more
    {.name = "cmdline"},     {.name = "bootconfig"},
    {.name = "kcore"},       {.name = "keys"},     {.name = "latency_stats"},
    {.name = "sched_debug"}, {.name = "swaps"},    {.name = "sysrq-trigger"},
    {.name = "timer_list"},  {.name = "scsi", .may_come = true},
    // which tells the identities of GPUs
    {.name = "driver", .sign = "driver/nvidia", .may_come = true},
};

// debug, tracing, bpf, pstore and the like are mounts of their own on the host: in a fresh sysfs
// they are bare directories, so there is nothing to cover.
static struct masked sys_masked[] = {
    {.name = "firmware"},
    {.name = "hypervisor"},
    {.name = "devices/virtual/block", .may_come = true}, // loop devices name the files behind them
    {.name = "devices/virtual/dmi"},
    {.name = "devices/virtual/powercap", .may_come = true},
};

// Finds out what kind of thing is to be masked. 0, or -1 with errno.
static int look(int directory, struct masked *masked) {
  struct stat found;
  const char *sign = masked->sign != NULL ? masked->sign : masked->name;
  if (fstatat(directory, sign, &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? 0 : -1;
  }
  masked->kind = S_ISDIR(found.st_mode) ? A_DIRECTORY : A_FILE;
  return 0;
}

// Looks at the host's own /proc or /sys, which shows the same names. 0, or -1 with errno.
static int survey(const char *path, struct masked *masked, unsigned count) {
  int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -1;
  int result = 0;
  for (unsigned i = 0; i < count && result == 0; i++) result = look(directory, &masked[i]);
  int error = errno;
  close(directory);
  errno = error;
  return result;
}

int system_survey(void) {
  if (survey("/proc", proc_masked, LENGTH(proc_masked)) != 0) return -1;
  return survey("/sys", sys_masked, LENGTH(sys_masked));
}

static struct covers {
  int file;
  int directory;
} covers = {-1, -1};

static void cover(const char *step, int mount, const struct masked *masked) {
  int clone = mount_clone(masked->kind == A_FILE ? covers.file : covers.directory, "");
  if (clone < 0 || mount_attach_at(clone, mount, masked->name) != 0) {
    report_and_exit(step, masked->name);
  }
  close(clone);
}

// What was there when the launcher looked.
static void cover_known(const char *step, int mount, const struct masked *masked, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    // A clone that is closed unattached would cost the kernel a grace period.
    if (masked[i].kind != ABSENT) cover(step, mount, &masked[i]);
  }
}

// Whether something of ours is there already, as what a job with GPUs is told of its own.
static bool is_covered(int mount, const struct masked *masked) {
  struct stat whole, part;
  if (fstat(mount, &whole) != 0) return false;
  if (fstatat(mount, masked->name, &part, AT_SYMLINK_NOFOLLOW) != 0) return false;
  return part.st_dev != whole.st_dev;
}

// What has come since then.
static void cover_new(const char *step, int mount, struct masked *masked, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    if (masked[i].kind != ABSENT || !masked[i].may_come) continue;
    if (look(mount, &masked[i]) != 0) report_and_exit(step, masked[i].name);
    if (masked[i].kind != ABSENT && !is_covered(mount, &masked[i])) cover(step, mount, &masked[i]);
  }
}

static int proc_mount = -1, proc_sys = -1;

// The root of what was mounted at the target of `op`.
static int open_mounted(int base, const struct op *op) {
  int mounted = root_open(base, op->target, O_PATH | O_DIRECTORY);
  if (mounted < 0) report_and_exit(op_name(op), op->target);
  return mounted;
}

void system_mount_proc(int base, const struct plan *plan, const struct op *op) {
  mount_in_root(base, plan, op, "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC);
  proc_mount = open_mounted(base, op);
  cover_known("proc", proc_mount, proc_masked, LENGTH(proc_masked));
  proc_sys = mount_clone(proc_mount, "sys");
  if (proc_sys < 0 ||
      mount_set(proc_sys, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1) != 0 ||
      mount_attach_at(proc_sys, proc_mount, "sys") != 0) {
    report_and_exit("proc", "sys");
  }
}

void system_finish_proc(void) {
  if (proc_mount < 0) return;
  cover_new("proc", proc_mount, proc_masked, LENGTH(proc_masked));
  if (boot_id >= 0 && mount_attach_at(boot_id, proc_sys, "kernel/random/boot_id") != 0) {
    report_and_exit("boot-id", "kernel/random/boot_id");
  }
}

// ---- the job's cgroups below /sys --------------------------------------------------------------

// The directories of these hierarchies become the job's view of the tree: within its cgroup
// namespace they look like roots. Programs size themselves by the memory and the processors that
// they read there; nothing else is worth a mount of each job.
static const char *const shown_hierarchies[] = {"cpu", "cpu,cpuacct", "memory"};

static const char sys_cgroup[] = "fs/cgroup";
static int cgroup_trees[CGROUP_LIMIT];

// The name of a v1 hierarchy that is shown, where hosts mount them side by side, or NULL.
static const char *shown_name(const struct cgroup *cgroup) {
  static const char mounts[] = "/sys/fs/cgroup/";
  if (cgroup->kind != CGROUP_V1) return NULL;
  if (strncmp(cgroup->path, mounts, sizeof mounts - 1) != 0) return NULL;
  const char *begin = cgroup->path + sizeof mounts - 1;
  size_t length = strcspn(begin, "/");
  for (unsigned i = 0; i < LENGTH(shown_hierarchies); i++) {
    const char *name = shown_hierarchies[i];
    if (strlen(name) == length && memcmp(name, begin, length) == 0) return name;
  }
  return NULL;
}

// The host's mounts can only be cloned before its mount namespace is left.
void system_clone_cgroups(const struct plan *plan) {
  const uint64_t attributes =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    const struct cgroup *cgroup = &plan->cgroups[i];
    cgroup_trees[i] = -1;
    if (cgroup->kind != CGROUP_V2 && shown_name(cgroup) == NULL) continue;
    cgroup_trees[i] = mount_clone(AT_FDCWD, cgroup->path);
    if (cgroup_trees[i] < 0 || mount_set(cgroup_trees[i], attributes, -1) != 0) {
      report_and_exit("sys", cgroup->path);
    }
  }
}

// Part of the shared root, where /sys will cover it: a shelf for v1 hierarchies, so that no job
// needs a file system for that.
void system_make_shelf(int base, const struct plan *plan) {
  for (unsigned i = plan->root_op_count; i < plan->op_count; i++) {
    for (unsigned k = 0; plan->ops[i].kind == OP_SYS && k < plan->cgroup_count; k++) {
      const char *name = shown_name(&plan->cgroups[k]);
      if (name == NULL) continue;
      char path[PATH_ROOM];
      snprintf(path, sizeof path, "%s/%s/%s", plan->ops[i].target, sys_cgroup, name);
      int directory = root_directory(base, path, 0755, plan->ids_first);
      if (directory < 0) report_and_exit("sys", path);
      close(directory);
    }
  }
}

void system_mount_sys(int base, const struct plan *plan, const struct op *op) {
  char path[PATH_ROOM];
  snprintf(path, sizeof path, "%s/%s", op->target, sys_cgroup);
  int shelf = root_open(base, path, O_PATH | O_DIRECTORY);
  mount_in_root(base, plan, op, "sysfs", NULL, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
  int sys = open_mounted(base, op);
  cover_known("sys", sys, sys_masked, LENGTH(sys_masked));
  cover_new("sys", sys, sys_masked, LENGTH(sys_masked));

  int tree = shelf < 0 ? -1 : mount_clone(shelf, "");
  if (tree >= 0 && mount_attach_at(tree, sys, sys_cgroup) != 0) {
    report_and_exit("sys", sys_cgroup);
  }
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    if (cgroup_trees[i] < 0) continue;
    bool is_v2 = plan->cgroups[i].kind == CGROUP_V2;
    int at = is_v2 ? sys : tree;
    const char *name = is_v2 ? sys_cgroup : shown_name(&plan->cgroups[i]);
    if (at >= 0 && mount_attach_at(cgroup_trees[i], at, name) == 0) continue;
    // A root that was first built for a job without this hierarchy has no place for it.
    if (at < 0 || (!is_v2 && errno == ENOENT)) continue;
    report_and_exit("sys", plan->cgroups[i].path);
  }
}

// ---- first things ------------------------------------------------------------------------------

void system_mount_pts(int base, const struct plan *plan) {
  int dev = root_open(base, plan->dev_target, O_PATH | O_DIRECTORY);
  if (dev < 0) report_and_exit("dev", plan->dev_target);
  covers.file = openat(dev, "null", O_PATH | O_CLOEXEC);
  // The bare directory that lies below the job's own pts.
  covers.directory = openat(dev, "pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (covers.file < 0 || covers.directory < 0) report_and_exit("dev", plan->dev_target);
  char target[PATH_ROOM], settings[64];
  snprintf(target, sizeof target, "%s/pts", plan->dev_target);
  snprintf(settings, sizeof settings, "mode=0620,ptmxmode=0666,gid=%u,max=%d", plan->ids_first + TTY_GID,
           PTS_LIMIT);
  const struct op op = {.kind = OP_DEV, .target = target};
  mount_in_root(base, plan, &op, "devpts", settings, MS_NOSUID | MS_NOEXEC);
}
