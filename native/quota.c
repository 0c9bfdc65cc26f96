// Directories with a hard size by a quota of the file system: `joblet-launch quota VERB DIRECTORY BYTES FILES`. A directory is a project: what comes into being in it belongs to it, and no job
// can change that, for it takes a right over the host's own users.
//
//   probe   whether the file system that holds the directory enforces limits of projects, and says of a
//           full one what it says of a full disk
//   limit   makes the directory a project, unless it is one, that holds so much
//
// Ends with 0, or says on standard error what failed.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/quota.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443 // Linux 5.14; the C library may be older
#endif

enum {
  QUOTA_BLOCK = 1024, // what limits of bytes are counted in
  FIRST_PROJECT = 0x4a000000,
  PROJECTS = 1 << 24,
};

static int fail(const char *step) {
  fprintf(stderr, "%s: %s\n", step, errno_name(errno));
  return 1;
}

static int ask(int dir, unsigned command, uint32_t project, void *answer) {
  return (int)syscall(SYS_quotactl_fd, dir, QCMD(command, PRJQUOTA), project, answer);
}

static bool is_enforced(int dir) {
  struct fs_quota_statv found = {.qs_version = FS_QSTATV_VERSION1};
  if (ask(dir, Q_XGETQSTATV, 0, &found) != 0) return false;
  if (found.qs_flags & FS_QUOTA_PDQ_ENFD) return true;
  errno = EOPNOTSUPP;
  return false;
}

// ENOSPC is what programs know and have a way with; of ext4 they would hear EDQUOT.
static bool says_no_space(int dir) {
  struct statfs found;
  if (fstatfs(dir, &found) != 0) return false;
  if (found.f_type == XFS_SUPER_MAGIC) return true;
  errno = EOPNOTSUPP;
  return false;
}

// Projects are numbers that everybody on the host may use: one that has no file is free. 0 is none.
static uint32_t find_project(int dir) {
  struct stat found;
  if (fstat(dir, &found) != 0) return 0;
  for (unsigned i = 0; i < PROJECTS; i++) {
    uint32_t project = FIRST_PROJECT + (uint32_t)((found.st_ino + i) % PROJECTS);
    struct if_dqblk used;
    if (ask(dir, Q_GETQUOTA, project, &used) != 0) {
      if (errno == ENOENT || errno == ESRCH) return project; // nothing was ever counted for it
      return 0;
    }
    if (used.dqb_curinodes == 0) return project;
  }
  errno = ENOSPC;
  return 0;
}

// A disk may have projects of other people's, and what comes into being in one belongs to it: their limits
// are not ours to change.
static bool is_ours(const struct fsxattr *attributes) {
  uint32_t project = attributes->fsx_projid;
  return project >= FIRST_PROJECT && project - FIRST_PROJECT < PROJECTS &&
         attributes->fsx_xflags & FS_XFLAG_PROJINHERIT;
}

// The limit comes first: the directory is never a project without one.
static int limit(int dir, uint64_t bytes, uint64_t files) {
  struct fsxattr attributes;
  if (ioctl(dir, FS_IOC_FSGETXATTR, &attributes) != 0) return fail("project");
  bool is_project = is_ours(&attributes);
  uint32_t project = is_project ? attributes.fsx_projid : find_project(dir);
  if (project == 0) return fail("project");
  struct if_dqblk most = {
      .dqb_bhardlimit = (bytes + QUOTA_BLOCK - 1) / QUOTA_BLOCK,
      .dqb_ihardlimit = files,
      .dqb_valid = QIF_LIMITS,
  };
  if (ask(dir, Q_SETQUOTA, project, &most) != 0) return fail("limit");
  if (is_project) return 0;
  attributes.fsx_projid = project;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  return ioctl(dir, FS_IOC_FSSETXATTR, &attributes) == 0 ? 0 : fail("project");
}

int quota_run(char **argv) {
  uint64_t bytes, files;
  if (!number_of(argv[2], &bytes) || !number_of(argv[3], &files)) {
    errno = EINVAL;
    return fail("limit");
  }
  int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (dir < 0) return fail("directory");
  if (!is_enforced(dir)) return fail("quotas of projects");
  if (strcmp(argv[0], "probe") == 0) return says_no_space(dir) ? 0 : fail("quotas of projects");
  // Of two at once each finds a project of its own.
  int above = openat(dir, "../..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (above < 0 || flock(above, LOCK_EX) != 0) return fail("directory");
  return limit(dir, bytes, files);
}
