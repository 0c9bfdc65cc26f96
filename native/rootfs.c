// What a job sees as its file system. Process 1 makes it; every step that fails ends the launch.
//
// The shared part of a root (the plan's operations between root-key and root-end) is built once for
// a key and a range of ids, in a mount namespace of its own that the launcher keeps: the template.
// A job enters it and takes a copy (20 us instead of some 500 for the mounts and pivot_root), then
// attaches what is its own. New file systems are made unattached while the keeper makes the
// cgroups at the same time; sources on the host can only be cloned before its mount namespace is
// left.
//
// Paths inside the root are resolved by openat2 within it, so that no link can lead out of it, and
// never through the magic links of /proc.

#include "launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum {
  COPY_DEPTH = 128, // directories within directories that copy-in follows
  TTY_GID = 5,
  DETACH = 2, // MNT_DETACH, which lives in a header that does not go with the kernel's
};

// ---- the kernel's mount calls ------------------------------------------------------------------

static int clone_tree(int dir, const char *path) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path == 0 ? AT_EMPTY_PATH : 0);
  return (int)syscall(SYS_open_tree, dir, path, flags);
}

static int set_attributes(int mount, uint64_t attributes, int ids) {
  struct mount_attr attr = {
      .attr_set = attributes | (ids < 0 ? 0 : MOUNT_ATTR_IDMAP),
      .propagation = MS_PRIVATE,
      .userns_fd = ids < 0 ? 0 : (uint64_t)ids,
  };
  return (int)syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attr, sizeof attr);
}

static int attach_at(int mount, int dir, const char *path) {
  unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*path == 0 ? MOVE_MOUNT_T_EMPTY_PATH : 0);
  return (int)syscall(SYS_move_mount, mount, "", dir, path, flags);
}

static int open_in(int base, const char *path, uint64_t flags) {
  struct open_how how = {
      .flags = flags | O_CLOEXEC,
      .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
  };
  return (int)syscall(SYS_openat2, base, path, &how, sizeof how);
}

// A setting of a new file system; `text` NULL is a number.
struct setting {
  const char *key;
  uint64_t number;
  const char *text;
};

// A new file system, not attached anywhere.
static int mount_new(const char *step, const char *object, const char *type,
                     const struct setting *settings, unsigned count, unsigned attributes) {
  int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
  if (fs < 0) report_and_exit(step, object);
  for (unsigned i = 0; i < count; i++) {
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)settings[i].number);
    const char *value = settings[i].text != NULL ? settings[i].text : number;
    if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, settings[i].key, value, 0) != 0) {
      report_and_exit(step, object);
    }
  }
  if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
    report_and_exit(step, object);
  }
  int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
  if (mount < 0) report_and_exit(step, object);
  close(fs);
  return mount;
}

static int mount_tmpfs(const char *step, const struct plan *plan, const struct op *op,
                       unsigned attributes) {
  char mode[8];
  snprintf(mode, sizeof mode, "%o", op->mode);
  const struct setting settings[] = {
      {.key = "size", .number = op->bytes},      {.key = "nr_inodes", .number = op->inodes},
      {.key = "mode", .text = mode},             {.key = "uid", .number = plan->ids_first},
      {.key = "gid", .number = plan->ids_first},
  };
  return mount_new(step, op->target, "tmpfs", settings, LENGTH(settings), attributes);
}

// ---- directories and files in the root ---------------------------------------------------------

static const char *step_of(const struct op *op) {
  static const char *const names[] = {
      [OP_BIND_RO] = "bind-ro",
      [OP_BIND_RO_TRY] = "bind-ro-try",
      [OP_BIND_RW] = "bind-rw",
      [OP_TMPFS] = "tmpfs",
      [OP_DIR] = "dir",
      [OP_FILE] = "file",
      [OP_SYMLINK] = "symlink",
      [OP_DEV] = "dev",
      [OP_PROC] = "proc",
      [OP_SYS] = "sys",
      [OP_RUN_FILE] = "run-file",
      [OP_BOOT_ID] = "boot-id",
      [OP_COPY_IN] = "copy-in",
  };
  return names[op->kind];
}

static int make_directory(int base, char *path, mode_t mode, uid_t owner);

// The directory that holds `path`, made when it is missing; its last part in `name`. -1 with errno.
static int open_parent(int base, char *path, uid_t owner, const char **name) {
  char *slash = strrchr(path, '/');
  *name = slash + 1;
  if (slash == path) return open_in(base, "/", O_PATH | O_DIRECTORY);
  *slash = 0;
  int parent = open_in(base, path, O_PATH | O_DIRECTORY);
  if (parent < 0 && errno == ENOENT) parent = make_directory(base, path, 0755, owner);
  *slash = '/';
  return parent;
}

// A directory that is new or was there. Its descriptor, or -1 with errno.
static int make_directory(int base, char *path, mode_t mode, uid_t owner) {
  const char *name;
  int parent = open_parent(base, path, owner, &name);
  if (parent < 0) return -1;
  if (*name != 0) {
    if (mkdirat(parent, name, mode) == 0) {
      if (fchownat(parent, name, owner, owner, AT_SYMLINK_NOFOLLOW) != 0) return -1;
    } else if (errno != EEXIST) {
      return -1;
    }
  }
  close(parent);
  return open_in(base, path, O_PATH | O_DIRECTORY);
}

// A new file. 0, or -1 with errno.
static int make_file(int parent, const char *name, mode_t mode, uid_t owner, const char *text) {
  int file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (file < 0) return -1;
  size_t length = strlen(text);
  ssize_t written = write(file, text, length);
  if (written >= 0 && (size_t)written != length) errno = ENOSPC;
  if (written != (ssize_t)length || fchown(file, owner, owner) != 0) return -1;
  return close(file);
}

// Attaches a prepared mount at the operation's target, which is made when it is missing.
static void attach(int base, const struct plan *plan, struct op *op) {
  int target = open_in(base, op->target, O_PATH);
  if (target < 0 && errno == ENOENT) {
    struct stat source;
    if (fstat(op->fd, &source) != 0) report_and_exit(step_of(op), op->target);
    if (S_ISDIR(source.st_mode)) {
      target = make_directory(base, op->target, 0755, plan->ids_first);
    } else {
      const char *name;
      int parent = open_parent(base, op->target, plan->ids_first, &name);
      if (parent < 0 || make_file(parent, name, 0644, plan->ids_first, "") != 0) {
        report_and_exit(step_of(op), op->target);
      }
      close(parent);
      target = open_in(base, op->target, O_PATH);
    }
  }
  if (target < 0 || attach_at(op->fd, target, "") != 0) report_and_exit(step_of(op), op->target);
  close(target);
}

// ---- binds -------------------------------------------------------------------------------------

static void prepare_bind(struct op *op, int ids) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  int source = (int)syscall(SYS_openat2, AT_FDCWD, op->source, &how, sizeof how);
  if (source < 0) {
    if (op->kind == OP_BIND_RO_TRY && (errno == ENOENT || errno == ENOTDIR)) return;
    report_and_exit(step_of(op), op->source);
  }
  uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (op->kind != OP_BIND_RW) attributes |= MOUNT_ATTR_RDONLY;
  // Not recursive: what else the host has mounted below stays with the host.
  op->fd = clone_tree(source, "");
  if (op->fd < 0 || set_attributes(op->fd, attributes, ids) != 0) {
    report_and_exit(step_of(op), op->source);
  }
  close(source);
}

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

// The nodes belong to the job's root so that they look as they do everywhere; the mount is
// read-only, so it cannot change them.
static void make_dev(int base, const struct plan *plan, struct op *op) {
  uid_t owner = plan->ids_first;
  op->bytes = 64 << 10;
  op->inodes = 64;
  op->mode = 0755;
  op->fd = mount_tmpfs("dev", plan, op, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
  for (unsigned i = 0; i < LENGTH(nodes); i++) {
    dev_t number = makedev(nodes[i].major, nodes[i].minor);
    if (mknodat(op->fd, nodes[i].name, S_IFCHR | 0666, number) != 0 ||
        fchownat(op->fd, nodes[i].name, owner, owner, 0) != 0) {
      report_and_exit("dev", nodes[i].name);
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
  if (set_attributes(op->fd, MOUNT_ATTR_RDONLY, -1) != 0) report_and_exit("dev", op->target);
  attach(base, plan, op);
}

// ---- /proc and /sys ----------------------------------------------------------------------------

// What is masked is covered by the job's own /dev/null or by a bare, read-only directory.
static const char *const proc_masked[] = {
    "acpi", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "sysrq-trigger",
    "timer_list",
};

// debug, tracing, bpf, pstore and the like are mounts of their own on the host: in a fresh sysfs
// they are bare directories, so there is nothing to cover.
static const char *const sys_masked[] = {
    "firmware", "hypervisor", "devices/virtual/dmi", "devices/virtual/powercap",
};

struct masks {
  int file;
  int directory;
};

static void mask(const char *step, int mount, const char *name, const struct masks *masks) {
  struct stat found;
  // A clone that is closed unattached would cost the kernel a grace period: look first.
  if (fstatat(mount, name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;
    report_and_exit(step, name);
  }
  int cover = clone_tree(S_ISDIR(found.st_mode) ? masks->directory : masks->file, "");
  if (cover < 0 || attach_at(cover, mount, name) != 0) report_and_exit(step, name);
  close(cover);
}

static int run_mount = -1;
static int boot_id = -1; // a mount of the file that says it
static int pts_mount = -1;

static void attach_proc(int base, const struct plan *plan, struct op *op,
                        const struct masks *masks) {
  attach(base, plan, op);
  for (unsigned i = 0; i < LENGTH(proc_masked); i++) mask("proc", op->fd, proc_masked[i], masks);
  int sys = clone_tree(op->fd, "sys");
  if (sys < 0 ||
      set_attributes(sys, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1) != 0 ||
      attach_at(sys, op->fd, "sys") != 0) {
    report_and_exit("proc", "sys");
  }
  if (boot_id >= 0 && attach_at(boot_id, sys, "kernel/random/boot_id") != 0) {
    report_and_exit("boot-id", "kernel/random/boot_id");
  }
}

// ---- the job's cgroups below /sys ---------------------------------------------------------------

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
static void clone_cgroups(const struct plan *plan) {
  const uint64_t attributes =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    const struct cgroup *cgroup = &plan->cgroups[i];
    cgroup_trees[i] = -1;
    if (cgroup->kind != CGROUP_V2 && shown_name(cgroup) == NULL) continue;
    cgroup_trees[i] = clone_tree(AT_FDCWD, cgroup->path);
    if (cgroup_trees[i] < 0 || set_attributes(cgroup_trees[i], attributes, -1) != 0) {
      report_and_exit("sys", cgroup->path);
    }
  }
}

// Part of the shared root, where /sys will cover it: a shelf for v1 hierarchies, so that no job
// needs a file system for that.
static void make_shelf(int base, const struct plan *plan, const struct op *op) {
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    const char *name = shown_name(&plan->cgroups[i]);
    if (name == NULL) continue;
    char path[4200];
    snprintf(path, sizeof path, "%s/%s/%s", op->target, sys_cgroup, name);
    int directory = make_directory(base, path, 0755, plan->ids_first);
    if (directory < 0) report_and_exit("sys", path);
    close(directory);
  }
}

static void attach_sys(int base, const struct plan *plan, struct op *op,
                       const struct masks *masks) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", op->target, sys_cgroup);
  int shelf = open_in(base, path, O_PATH | O_DIRECTORY);
  attach(base, plan, op);
  for (unsigned i = 0; i < LENGTH(sys_masked); i++) mask("sys", op->fd, sys_masked[i], masks);

  int tree = shelf < 0 ? -1 : clone_tree(shelf, "");
  if (tree >= 0 && attach_at(tree, op->fd, sys_cgroup) != 0) report_and_exit("sys", sys_cgroup);
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    if (cgroup_trees[i] < 0) continue;
    bool is_v2 = plan->cgroups[i].kind == CGROUP_V2;
    int at = is_v2 ? op->fd : tree;
    const char *name = is_v2 ? sys_cgroup : shown_name(&plan->cgroups[i]);
    if (at < 0 || attach_at(cgroup_trees[i], at, name) != 0) {
      report_and_exit("sys", plan->cgroups[i].path);
    }
  }
}

// ---- /run --------------------------------------------------------------------------------------

static void need_run(const struct plan *plan) {
  if (run_mount >= 0) return;
  struct op op = {.kind = OP_RUN_FILE, .target = "/run", .bytes = 1 << 20, .inodes = 64,
                  .mode = 0755};
  run_mount = mount_tmpfs("run-file", plan, &op,
                          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

static void prepare_boot_id(const struct plan *plan, const struct op *op) {
  char line[64];
  snprintf(line, sizeof line, "%s\n", op->text);
  need_run(plan);
  if (make_file(run_mount, "boot_id", 0444, plan->ids_first, line) != 0) {
    report_and_exit("boot-id", op->text);
  }
}

static void attach_run(int base, const struct plan *plan) {
  if (run_mount < 0) return;
  if (set_attributes(run_mount, MOUNT_ATTR_RDONLY, -1) != 0) report_and_exit("run-file", "/run");
  struct op op = {.kind = OP_RUN_FILE, .target = (char[]){"/run"}, .fd = run_mount};
  attach(base, plan, &op);
  // The clone is taken after the mount is attached and read-only: only then does the kernel
  // before 6.15 allow to clone of it.
  if (faccessat(run_mount, "boot_id", F_OK, 0) != 0) return;
  boot_id = clone_tree(run_mount, "boot_id");
  if (boot_id < 0) report_and_exit("boot-id", "/run/boot_id");
}

// ---- copy-in -----------------------------------------------------------------------------------

static void copy_directory(const struct op *op, int from, int to, uid_t owner, int depth);

static void copy_entry(const struct op *op, int from, int to, const char *name, uid_t owner,
                       int depth) {
  struct stat found;
  int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (source < 0 || fstat(source, &found) != 0) report_and_exit("copy-in", name);
  mode_t mode = found.st_mode & 0777;
  if (S_ISDIR(found.st_mode)) {
    if (mkdirat(to, name, mode) != 0 && errno != EEXIST) report_and_exit("copy-in", name);
    if (fchownat(to, name, owner, owner, AT_SYMLINK_NOFOLLOW) != 0) {
      report_and_exit("copy-in", name);
    }
    int target = openat(to, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0) report_and_exit("copy-in", name);
    copy_directory(op, source, target, owner, depth + 1);
    close(target);
    return; // `source` was closed with its directory stream
  }
  if (!S_ISREG(found.st_mode)) {
    errno = EINVAL; // links, devices and the like are never copied
    report_and_exit("copy-in", name);
  }
  int target = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (target < 0 || fchown(target, owner, owner) != 0) report_and_exit("copy-in", name);
  ssize_t copied;
  while ((copied = sendfile(target, source, NULL, 1 << 30)) > 0) continue;
  if (copied < 0) report_and_exit("copy-in", name);
  close(source);
  close(target);
}

// Consumes `from`.
static void copy_directory(const struct op *op, int from, int to, uid_t owner, int depth) {
  DIR *list = fdopendir(from);
  if (list == NULL) report_and_exit("copy-in", op->source);
  if (depth > COPY_DEPTH) {
    errno = ELOOP;
    report_and_exit("copy-in", op->source);
  }
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(list);
    if (entry == NULL && errno != 0) report_and_exit("copy-in", op->source);
    if (entry == NULL) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    copy_entry(op, from, to, entry->d_name, owner, depth);
  }
  closedir(list);
}

static void copy_in(int base, const struct plan *plan, const struct op *op) {
  int target = open_in(base, op->target, O_PATH | O_DIRECTORY);
  if (target < 0) report_and_exit("copy-in", op->target);
  copy_directory(op, op->fd, target, plan->ids_first, 0);
  close(target);
}

// ---- the two phases ----------------------------------------------------------------------------

static void prepare(struct plan *plan, struct op *op, const struct entry *entry) {
  switch (op->kind) {
  case OP_BIND_RO:
  case OP_BIND_RO_TRY:
  case OP_BIND_RW:
    prepare_bind(op, entry->ids);
    return;
  case OP_TMPFS:
    op->fd = mount_tmpfs("tmpfs", plan, op, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    return;
  case OP_PROC:
    op->fd = mount_new("proc", op->target, "proc", NULL, 0,
                       MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return;
  case OP_SYS:
    op->fd = mount_new("sys", op->target, "sysfs", NULL, 0,
                       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                           MOUNT_ATTR_NOEXEC);
    return;
  case OP_RUN_FILE:
    need_run(plan);
    if (make_file(run_mount, op->target, 0644, plan->ids_first, op->text) != 0) {
      report_and_exit("run-file", op->target);
    }
    return;
  case OP_BOOT_ID:
    prepare_boot_id(plan, op);
    return;
  case OP_COPY_IN:
    op->fd = open(op->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (op->fd < 0) report_and_exit("copy-in", op->source);
    return;
  case OP_DIR:
  case OP_FILE:
  case OP_SYMLINK:
  case OP_DEV:
    return;
  }
}

static void place(int base, struct plan *plan, struct op *op, const struct masks *masks) {
  const char *name;
  int parent;
  switch (op->kind) {
  case OP_BIND_RO:
  case OP_BIND_RO_TRY:
  case OP_BIND_RW:
  case OP_TMPFS:
    if (op->fd >= 0) attach(base, plan, op);
    return;
  case OP_DIR:
    parent = make_directory(base, op->target, op->mode, plan->ids_first);
    if (parent < 0) report_and_exit("dir", op->target);
    close(parent);
    return;
  case OP_FILE:
    parent = open_parent(base, op->target, plan->ids_first, &name);
    if (parent < 0 || make_file(parent, name, op->mode, plan->ids_first, op->text) != 0) {
      report_and_exit("file", op->target);
    }
    close(parent);
    return;
  case OP_SYMLINK:
    parent = open_parent(base, op->target, plan->ids_first, &name);
    if (parent < 0 || symlinkat(op->text, parent, name) != 0 ||
        fchownat(parent, name, plan->ids_first, plan->ids_first, AT_SYMLINK_NOFOLLOW) != 0) {
      report_and_exit("symlink", op->target);
    }
    close(parent);
    return;
  case OP_DEV:
    make_dev(base, plan, op);
    return;
  case OP_PROC:
    attach_proc(base, plan, op, masks);
    return;
  case OP_SYS:
    attach_sys(base, plan, op, masks);
    return;
  case OP_COPY_IN:
    copy_in(base, plan, op);
    return;
  case OP_RUN_FILE:
  case OP_BOOT_ID:
    return;
  }
}

void rootfs_prepare(struct plan *plan, const struct entry *entry) {
  for (unsigned i = plan->root_op_count; i < plan->op_count; i++) {
    prepare(plan, &plan->ops[i], entry);
  }
  if (plan->dev_target == NULL) return;
  const struct setting settings[] = {
      {.key = "mode", .text = "0620"},
      {.key = "ptmxmode", .text = "0666"},
      {.key = "gid", .number = plan->ids_first + TTY_GID},
  };
  pts_mount = mount_new("dev", "pts", "devpts", settings, LENGTH(settings),
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

// Builds the shared part of the root in a mount namespace of its own and makes it the root.
static void build_template(struct plan *plan, const struct entry *entry) {
  if (unshare(CLONE_NEWNS) != 0) report_and_exit("root", "mount namespace");
  if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
    report_and_exit("root", "/");
  }
  int namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (namespace < 0) report_and_exit("root", "/proc/self/ns/mnt");

  struct op root = {.kind = OP_TMPFS, .target = "/", .bytes = 4 << 20, .inodes = 4096,
                    .mode = 0755};
  int base = mount_tmpfs("root", plan, &root, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  // Any directory will do as long as nothing below it is bound: the old root goes away.
  if (attach_at(base, AT_FDCWD, "/proc") != 0) report_and_exit("root", "/proc");
  for (unsigned i = 0; i < plan->root_op_count; i++) {
    prepare(plan, &plan->ops[i], entry);
    place(base, plan, &plan->ops[i], NULL);
  }
  for (unsigned i = plan->root_op_count; i < plan->op_count; i++) {
    if (plan->ops[i].kind == OP_SYS) make_shelf(base, plan, &plan->ops[i]);
  }
  char run[] = "/run";
  if (make_directory(base, run, 0755, plan->ids_first) < 0) report_and_exit("root", run);
  if (set_attributes(base, MOUNT_ATTR_RDONLY, -1) != 0) report_and_exit("root", "read-only");
  // The old root is stacked below the new one for a moment, then let go.
  if (fchdir(base) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
      syscall(SYS_umount2, ".", DETACH) != 0 || chdir("/") != 0) {
    report_and_exit("root", "pivot_root");
  }
  struct notice notice = {.what = NOTICE_TEMPLATE, .ids_first = plan->ids_first,
                          .generation = entry->generation};
  snprintf(notice.key, sizeof notice.key, "%s", plan->root_key);
  launcher_offer(entry->launcher, &notice, namespace);
}

void rootfs_enter(struct plan *plan, const struct entry *entry) {
  clone_cgroups(plan);
  if (entry->template < 0) build_template(plan, entry);
  else if (setns(entry->template, CLONE_NEWNS) != 0) report_and_exit("root", plan->root_key);
  if (unshare(CLONE_NEWNS) != 0) report_and_exit("root", "mount namespace");

  int base = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (base < 0) report_and_exit("root", "/");
  struct masks masks = {-1, -1};
  if (plan->dev_target != NULL) {
    int dev = open_in(base, plan->dev_target, O_PATH | O_DIRECTORY);
    masks.file = openat(dev, "null", O_PATH | O_CLOEXEC);
    // The bare directory that lies below the job's own pts.
    masks.directory = openat(dev, "pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (masks.file < 0 || masks.directory < 0 || attach_at(pts_mount, dev, "pts") != 0) {
      report_and_exit("dev", plan->dev_target);
    }
  }
  attach_run(base, plan);
  for (unsigned i = plan->root_op_count; i < plan->op_count; i++) {
    place(base, plan, &plan->ops[i], &masks);
  }
}
