// What a job sees as its file system. Process 1 makes it; every step that fails ends the launch.
//
// The shared part of a root (the plan's operations between root-key and root-end) is built once for
// a key and a range of ids, in a mount namespace of its own that the launcher keeps: the template.
// A job enters it and takes a copy (20 us instead of some 500 for the mounts and pivot_root), then
// attaches what is its own. New file systems are made unattached while the keeper makes the
// cgroups at the same time; sources on the host can only be cloned before its mount namespace is
// left. What says which job it is comes last, from the first run-file, boot-id or sys of the plan on:
// all before that can be made while the job is not known yet.

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
#include <unistd.h>

enum {
  COPY_DEPTH = 128, // directories within directories that copy-in follows
  DETACH = 2, // MNT_DETACH, which lives in a header that does not go with the kernel's
};

// ---- binds -------------------------------------------------------------------------------------

// A clone of the mount at a path of the host, or -1 when it is missing and may be.
static int clone_host(const char *step, const char *path, bool may_miss, uint64_t attributes,
                      int ids) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  int source = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  if (source < 0) {
    if (may_miss && (errno == ENOENT || errno == ENOTDIR)) return -1;
    report_and_exit(step, path);
  }
  // Not recursive: what else the host has mounted below stays with the host.
  int mount = mount_clone(source, "");
  if (mount < 0 || mount_set(mount, attributes, ids) != 0) report_and_exit(step, path);
  close(source);
  return mount;
}

static void prepare_bind(struct op *op, int ids) {
  uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (op->kind != OP_BIND_RW) attributes |= MOUNT_ATTR_RDONLY;
  op->fd = clone_host(op_name(op), op->source, op->kind == OP_BIND_RO_TRY, attributes, ids);
}

// A directory that the job has already, at another place as well. Where a volume lies over the place,
// the job could have put a link there, to what is not yet as it has to be.
static void bind_own(int base, const struct plan *plan, struct op *op) {
  int source = root_open(base, op->source, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (source < 0) report_and_exit("bind-own", op->source);
  op->fd = mount_clone_all(source);
  if (op->fd < 0 || mount_set(op->fd, 0, -1) != 0) report_and_exit("bind-own", op->source);
  close(source);
  mount_attach(base, plan, op);
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
  int target = root_open(base, op->target, O_PATH | O_DIRECTORY);
  if (target < 0) report_and_exit("copy-in", op->target);
  copy_directory(op, op->fd, target, plan->ids_first, 0);
  close(target);
}

// ---- the two phases ----------------------------------------------------------------------------

static void prepare(struct op *op, const struct entry *entry) {
  switch (op->kind) {
  case OP_BIND_RO:
  case OP_BIND_RO_TRY:
  case OP_BIND_RW:
    prepare_bind(op, entry->ids);
    return;
  case OP_COPY_IN:
    op->fd = open(op->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (op->fd < 0) report_and_exit("copy-in", op->source);
    return;
  case OP_BIND_OWN:
  case OP_BIND_TREE: // once the tree has its view
  case OP_TMPFS:
  case OP_DIR:
  case OP_FILE:
  case OP_SYMLINK:
  case OP_DEV:
  case OP_DEVICE:
  case OP_PROC:
  case OP_SYS:
  case OP_RUN_FILE:
  case OP_BOOT_ID:
    return;
  }
}

static void place_tmpfs(int base, const struct plan *plan, struct op *op) {
  if (op >= plan->ops + plan->root_op_count) {
    mount_tmpfs_in_root(base, plan, op, MS_NOSUID | MS_NODEV);
    return;
  }
  // A root that is being built is nobody's root yet.
  op->fd = mount_tmpfs("tmpfs", plan, op, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  mount_attach(base, plan, op);
}

static void place(int base, struct plan *plan, struct op *op) {
  const char *name;
  int parent;
  switch (op->kind) {
  case OP_BIND_RO:
  case OP_BIND_RO_TRY:
  case OP_BIND_RW:
  case OP_BIND_TREE:
    if (op->fd >= 0) mount_attach(base, plan, op);
    return;
  case OP_TMPFS:
    place_tmpfs(base, plan, op);
    return;
  case OP_BIND_OWN:
    bind_own(base, plan, op);
    return;
  case OP_DIR:
    parent = root_directory(base, op->target, op->mode, plan->ids_first);
    if (parent < 0) report_and_exit("dir", op->target);
    close(parent);
    return;
  case OP_FILE:
    parent = root_parent(base, op->target, plan->ids_first, &name);
    if (parent < 0 || root_file(parent, name, op->mode, plan->ids_first, op->text) != 0) {
      report_and_exit("file", op->target);
    }
    close(parent);
    return;
  case OP_SYMLINK:
    parent = root_parent(base, op->target, plan->ids_first, &name);
    if (parent < 0 || symlinkat(op->text, parent, name) != 0 ||
        fchownat(parent, name, plan->ids_first, plan->ids_first, AT_SYMLINK_NOFOLLOW) != 0) {
      report_and_exit("symlink", op->target);
    }
    close(parent);
    return;
  case OP_DEV:
    system_make_dev(base, plan, op);
    return;
  case OP_DEVICE: // made with /dev
    return;
  case OP_PROC:
    system_mount_proc(base, plan, op);
    return;
  case OP_SYS:
    system_mount_sys(base, plan, op);
    return;
  case OP_COPY_IN:
    copy_in(base, plan, op);
    return;
  case OP_RUN_FILE:
    system_add_run_file(plan, op);
    return;
  case OP_BOOT_ID:
    system_add_boot_id(plan, op);
    return;
  }
}

void rootfs_prepare(struct plan *plan, const struct entry *entry) {
  for (unsigned i = plan->root_op_count; i < plan->op_count; i++) prepare(&plan->ops[i], entry);
}

// Whether /run has anything in it.
static bool has_run(const struct plan *plan) {
  for (unsigned i = plan->root_op_count; i < plan->op_count; i++) {
    if (plan->ops[i].kind == OP_RUN_FILE || plan->ops[i].kind == OP_BOOT_ID) return true;
  }
  return false;
}

// ---- the tree of a runtime ---------------------------------------------------------------------
//
// The kernel tells in mountinfo where in its file system a bind begins, so a bind of the tree would
// tell where this host keeps its runtimes. Jobs see a view of it instead: an overlay, without a layer
// to write to, of what the plan puts there over the tree. It is a file system of its own, and begins
// at its own root. Locks and watches on its files are nobody else's, too.

// Where things lie while a root is built. Overlays name their layers by paths, which show: by these.
static const char stage_path[] = "/proc", bare_path[] = "/sys";
static const char own[] = "own", tree[] = "tree", view[] = "view";

static bool is_mount(const struct op *op) {
  return op->kind != OP_DIR && op->kind != OP_FILE && op->kind != OP_SYMLINK;
}

// A place to build at, on a mount that hides what of the host is there.
static int open_stage(const struct plan *plan, const char *path) {
  struct op op = {.kind = OP_TMPFS, .target = (char *)path, .bytes = 4 << 20, .inodes = 4096,
                  .mode = 0755};
  int stage = mount_tmpfs("root", plan, &op, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (mount_attach_at(stage, AT_FDCWD, path) != 0) report_and_exit("root", path);
  return stage;
}

// A directory on the stage that belongs to the job's root, as its root is to.
static int open_layer(int stage, const struct plan *plan, const char *name) {
  if (mkdirat(stage, name, 0755) != 0 ||
      fchownat(stage, name, plan->ids_first, plan->ids_first, AT_SYMLINK_NOFOLLOW) != 0) {
    report_and_exit("tree", name);
  }
  int layer = openat(stage, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (layer < 0) report_and_exit("tree", name);
  return layer;
}

// Mounts the view of `clone`, the tree, on the stage, with what is in `own` over it.
static int make_view(int stage, const struct plan *plan, int clone) {
  close(open_layer(stage, plan, tree));
  close(open_layer(stage, plan, view));
  if (mount_attach_at(clone, stage, tree) != 0) report_and_exit("tree", plan->tree);
  if (fchdir(stage) != 0) report_and_exit("tree", stage_path);
  const struct setting settings[] = {{.key = "lowerdir", .text = "own:tree"}};
  int mount = mount_new("tree", "overlay", "overlay", settings, LENGTH(settings),
                        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  // Attached, for what lies in it can only be cloned then.
  if (mount_attach_at(mount, stage, view) != 0) report_and_exit("tree", view);
  return mount;
}

static void bind_from_view(int mount, struct op *op) {
  int source = root_open(mount, op->source, O_PATH);
  op->fd = source < 0 ? -1 : mount_clone(source, "");
  if (op->fd < 0 ||
      mount_set(op->fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1) != 0) {
    report_and_exit(op_name(op), op->source);
  }
  close(source);
}

// ---- the shared part of the root ---------------------------------------------------------------

static void place_all(int base, struct plan *plan, bool mounts, bool others) {
  for (unsigned i = 0; i < plan->root_op_count; i++) {
    if (is_mount(&plan->ops[i]) ? mounts : others) place(base, plan, &plan->ops[i]);
  }
  if (!others) return;
  system_make_shelf(base, plan);
  char run[] = "/run";
  if (root_directory(base, run, 0755, plan->ids_first) < 0) report_and_exit("root", run);
}

// Answers the root, attached.
static int build_root(struct plan *plan, int clone) {
  if (clone < 0) {
    int base = open_stage(plan, stage_path);
    place_all(base, plan, true, true);
    return base;
  }
  int stage = open_stage(plan, stage_path);
  int layer = open_layer(stage, plan, own);
  if (plan->tree_root) {
    place_all(layer, plan, false, true);
    int root = make_view(stage, plan, clone);
    place_all(root, plan, true, false);
    return root;
  }
  int mount = make_view(stage, plan, clone);
  for (unsigned i = 0; i < plan->root_op_count; i++) {
    if (plan->ops[i].kind == OP_BIND_TREE) bind_from_view(mount, &plan->ops[i]);
  }
  int base = open_stage(plan, bare_path);
  place_all(base, plan, true, true);
  return base;
}

// Builds the shared part of the root in a mount namespace of its own and makes it the root.
static void build_template(struct plan *plan, const struct entry *entry) {
  if (unshare(CLONE_NEWNS) != 0) report_and_exit("root", "mount namespace");
  if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
    report_and_exit("root", "/");
  }
  int namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (namespace < 0) report_and_exit("root", "/proc/self/ns/mnt");

  const uint64_t attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  int clone = -1;
  if (plan->tree != NULL) clone = clone_host("tree", plan->tree, false, attributes, entry->ids);
  for (unsigned i = 0; i < plan->root_op_count; i++) prepare(&plan->ops[i], entry);
  // Nothing more of the host is looked up from here.
  int base = build_root(plan, clone);
  if (mount_set(base, MOUNT_ATTR_RDONLY, -1) != 0) report_and_exit("root", "read-only");
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
  system_clone_cgroups(plan);
  if (entry->template < 0) build_template(plan, entry);
  else if (setns(entry->template, CLONE_NEWNS) != 0) report_and_exit("root", plan->root_key);
  if (unshare(CLONE_NEWNS) != 0) report_and_exit("root", "mount namespace");

  int base = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (base < 0) report_and_exit("root", "/");
  system_mount_pts(base, plan);
  if (has_run(plan)) system_mount_run(base, plan);
  for (unsigned i = plan->root_op_count; i < plan_first_of_job(plan); i++) {
    place(base, plan, &plan->ops[i]);
  }
  close(base);
}

void rootfs_finish(struct plan *plan) {
  int base = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (base < 0) report_and_exit("root", "/");
  for (unsigned i = plan_first_of_job(plan); i < plan->op_count; i++) place(base, plan, &plan->ops[i]);
  system_finish_run();
  system_finish_proc();
}
