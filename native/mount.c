// The kernel's mount calls, and directories and files in a root. Paths inside a root are resolved by
// openat2 within it, so that no link can lead out of it, and never through the magic links of /proc.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TMPFS_MODE = 01777 }; // of a tmpfs that is given none

int mount_clone(int dir, const char *path) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path == 0 ? AT_EMPTY_PATH : 0);
  return (int)syscall(SYS_open_tree, dir, path, flags);
}

int mount_clone_all(int dir) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
  return (int)syscall(SYS_open_tree, dir, "", flags);
}

int mount_set(int mount, uint64_t attributes, int ids) {
  struct mount_attr attr = {
      .attr_set = attributes | (ids < 0 ? 0 : MOUNT_ATTR_IDMAP),
      .propagation = MS_PRIVATE,
      .userns_fd = ids < 0 ? 0 : (uint64_t)ids,
  };
  return (int)syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attr, sizeof attr);
}

int mount_attach_at(int mount, int dir, const char *path) {
  unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (*path == 0 ? MOVE_MOUNT_T_EMPTY_PATH : 0);
  return (int)syscall(SYS_move_mount, mount, "", dir, path, flags);
}

int root_open(int base, const char *path, uint64_t flags) {
  struct open_how how = {
      .flags = flags | O_CLOEXEC,
      .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
  };
  return (int)syscall(SYS_openat2, base, path, &how, sizeof how);
}

int mount_new(const char *step, const char *object, const char *type,
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

void mount_in_root(int base, const struct plan *plan, const struct op *op, const char *type,
                   const char *settings, unsigned long flags) {
  // Within the job's own root no path leads out of it.
  if (syscall(SYS_mount, "none", op->target, type, flags, settings) == 0) return;
  if (errno != ENOENT || root_directory(base, op->target, 0755, plan->ids_first) < 0 ||
      syscall(SYS_mount, "none", op->target, type, flags, settings) != 0) {
    report_and_exit(op_name(op), op->target);
  }
}

void mount_tmpfs_in_root(int base, const struct plan *plan, const struct op *op, unsigned long flags) {
  char settings[128];
  snprintf(settings, sizeof settings, "size=%llu,nr_inodes=%llu,uid=%u,gid=%u,mode=%o",
           (unsigned long long)op->bytes, (unsigned long long)op->inodes, plan->ids_first,
           plan->ids_first, op->mode);
  mount_in_root(base, plan, op, "tmpfs", settings, flags);
}

int mount_tmpfs(const char *step, const struct plan *plan, const struct op *op,
                unsigned attributes) {
  char mode[8];
  snprintf(mode, sizeof mode, "%o", op->mode);
  const struct setting settings[] = {
      {.key = "size", .number = op->bytes},     {.key = "nr_inodes", .number = op->inodes},
      {.key = "uid", .number = plan->ids_first}, {.key = "gid", .number = plan->ids_first},
      {.key = "mode", .text = mode},
  };
  unsigned count = LENGTH(settings) - (op->mode == TMPFS_MODE);
  return mount_new(step, op->target, "tmpfs", settings, count, attributes);
}

int root_parent(int base, char *path, uid_t owner, const char **name) {
  char *slash = strrchr(path, '/');
  *name = slash + 1;
  if (slash == path) return root_open(base, "/", O_PATH | O_DIRECTORY);
  *slash = 0;
  int parent = root_open(base, path, O_PATH | O_DIRECTORY);
  if (parent < 0 && errno == ENOENT) parent = root_directory(base, path, 0755, owner);
  *slash = '/';
  return parent;
}

int root_directory(int base, char *path, mode_t mode, uid_t owner) {
  const char *name;
  int parent = root_parent(base, path, owner, &name);
  if (parent < 0) return -1;
  if (*name != 0) {
    if (mkdirat(parent, name, mode) == 0) {
      if (fchownat(parent, name, owner, owner, AT_SYMLINK_NOFOLLOW) != 0) return -1;
    } else if (errno != EEXIST) {
      return -1;
    }
  }
  close(parent);
  return root_open(base, path, O_PATH | O_DIRECTORY);
}

int root_file(int parent, const char *name, mode_t mode, uid_t owner, const char *text) {
  int file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (file < 0) return -1;
  size_t length = strlen(text);
  ssize_t written = write(file, text, length);
  if (written >= 0 && (size_t)written != length) errno = ENOSPC;
  if (written != (ssize_t)length || fchown(file, owner, owner) != 0) return -1;
  return close(file);
}

void mount_attach(int base, const struct plan *plan, const struct op *op) {
  int target = root_open(base, op->target, O_PATH);
  if (target < 0 && errno == ENOENT) {
    struct stat source;
    if (fstat(op->fd, &source) != 0) report_and_exit(op_name(op), op->target);
    if (S_ISDIR(source.st_mode)) {
      target = root_directory(base, op->target, 0755, plan->ids_first);
    } else {
      const char *name;
      int parent = root_parent(base, op->target, plan->ids_first, &name);
      if (parent < 0 || root_file(parent, name, 0644, plan->ids_first, "") != 0) {
        report_and_exit(op_name(op), op->target);
      }
      close(parent);
      target = root_open(base, op->target, O_PATH);
    }
  }
  if (target < 0 || mount_attach_at(op->fd, target, "") != 0) {
    report_and_exit(op_name(op), op->target);
  }
  close(target);
}
