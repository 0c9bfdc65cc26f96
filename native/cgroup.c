// Limits, and what was used of them. The plan says which files get which values; this file knows
// only how a directory is made, joined, killed, read and removed on v1 and v2.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  PATH_ROOM = 4096,
  EMPTY_WAIT_MS = 5000, // a directory whose processes are dead is empty long before
  LEFT_LIMIT_BYTES = 4 << 20, // the kernel's own small change, which it gives back when it likes
};

static const char *join(char path[PATH_ROOM], const char *directory, const char *file) {
  int length = snprintf(path, PATH_ROOM, "%s/%s", directory, file);
  // A path that was cut short would name another file.
  return length < PATH_ROOM ? path : "";
}

int write_file(int dir, const char *path, const char *text) {
  int file = openat(dir, path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return -1;
  ssize_t written = write(file, text, strlen(text));
  int error = errno;
  close(file);
  errno = error;
  return written < 0 ? -1 : 0;
}

ssize_t read_file(int dir, const char *path, char *text, size_t room) {
  int file = openat(dir, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  ssize_t length = read(file, text, room - 1);
  int error = errno;
  close(file);
  errno = error;
  text[length < 0 ? 0 : length] = 0;
  return length;
}

const struct cgroup *cgroup_of_birth(const struct plan *plan) {
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    if (plan->cgroups[i].kind != CGROUP_V1) return &plan->cgroups[i];
  }
  return NULL;
}

static bool remove_empty(const struct plan *plan, const char *directory);

bool cgroup_make(const struct plan *plan, const struct cgroup *cgroup) {
  if (plan->cgroup_life == CGROUPS_KEPT_AS_IS) return true;
  if (plan->cgroup_life == CGROUPS_KEPT_ANEW && !remove_empty(plan, cgroup->path)) {
    report("cgroup", cgroup->path, errno);
    return false;
  }
  // One that is there already is somebody's: its limits and processes are not ours to take over.
  if (mkdir(cgroup->path, 0755) == 0) return true;
  report("cgroup", cgroup->path, errno);
  return false;
}

bool cgroup_set_all(const struct plan *plan) {
  if (plan->cgroup_life == CGROUPS_KEPT_AS_IS) return true;
  char path[PATH_ROOM];
  for (unsigned i = 0; i < plan->cgroup_set_count; i++) {
    const struct cgroup_set *set = &plan->cgroup_sets[i];
    join(path, set->cgroup->path, set->file);
    if (write_file(AT_FDCWD, path, set->value) != 0) {
      report("cgroup-set", path, errno);
      return false;
    }
  }
  return true;
}

void cgroup_join(const struct plan *plan) {
  char path[PATH_ROOM];
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    if (plan->cgroups[i].kind != CGROUP_V1) continue;
    // "0" in `tasks` moves this one thread and so spares the kernel the lock over all of a
    // process's threads, which costs a grace period: 0.05 ms instead of 8.
    if (write_file(AT_FDCWD, join(path, plan->cgroups[i].path, "tasks"), "0") != 0) {
      report_and_exit("cgroup", path);
    }
  }
}

int cgroup_watch_memory(const struct plan *plan) {
  // On v2 memory.oom.group, set by the plan, makes the kernel kill the job as a whole.
  if (plan->memory.version != 1) return -1;
  char path[PATH_ROOM], line[64];
  int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int control = openat(AT_FDCWD, join(path, plan->memory.path, "memory.oom_control"), O_RDONLY | O_CLOEXEC);
  snprintf(line, sizeof line, "%d %d", event, control);
  if (event < 0 || control < 0 ||
      write_file(AT_FDCWD, join(path, plan->memory.path, "cgroup.event_control"), line) != 0) {
    report("memory-events", path, errno);
    if (event >= 0) close(event);
    return -2;
  }
  close(control);
  return event;
}

static bool killed;

void cgroup_kill(const struct plan *plan) {
  killed = true;
  char path[PATH_ROOM];
  const struct cgroup *birth = cgroup_of_birth(plan);
  // Kernels before 5.14 lack the file; process 1's death ends the job there.
  if (birth != NULL) write_file(AT_FDCWD, join(path, birth->path, "cgroup.kill"), "1");
}

// Waits until the kernel has let go of the last process. False when it does not say so in time.
static bool wait_until_empty(const struct plan *plan) {
  const struct cgroup *birth = cgroup_of_birth(plan);
  if (birth == NULL) return false;
  char path[PATH_ROOM], text[256];
  int events = open(join(path, birth->path, "cgroup.events"), O_RDONLY | O_CLOEXEC);
  if (events < 0) return false;
  bool empty = false;
  for (;;) {
    ssize_t length = pread(events, text, sizeof text - 1, 0);
    if (length < 0) break;
    text[length] = 0;
    empty = strstr(text, "populated 0") != NULL;
    struct pollfd change = {.fd = events, .events = POLLPRI};
    if (empty || poll(&change, 1, EMPTY_WAIT_MS) <= 0) break;
  }
  close(events);
  return empty;
}

// False with errno when it is still there.
static bool remove_empty(const struct plan *plan, const char *directory) {
  if (rmdir(directory) == 0 || errno == ENOENT) return true;
  return errno == EBUSY && wait_until_empty(plan) && rmdir(directory) == 0;
}

void cgroup_remove(const struct plan *plan, unsigned made) {
  if (plan->cgroup_life != CGROUPS_OWN) return;
  for (unsigned i = plan->cgroup_count; i-- > 0;) {
    if (made >> i & 1) remove_empty(plan, plan->cgroups[i].path);
  }
}

static uint64_t read_number(const struct counter *counter, const char *file) {
  char path[PATH_ROOM], text[64];
  if (read_file(AT_FDCWD, join(path, counter->path, file), text, sizeof text) < 0) return 0;
  return strtoull(text, NULL, 10);
}

// The number behind `key ` at the begin of a line.
static uint64_t read_keyed(const struct counter *counter, const char *file, const char *key) {
  char path[PATH_ROOM], text[2048];
  if (read_file(AT_FDCWD, join(path, counter->path, file), text, sizeof text) < 0) return 0;
  size_t length = strlen(key);
  for (const char *line = text; line != NULL && *line != 0; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, key, length) == 0 && line[length] == ' ') {
      return strtoull(line + length, NULL, 10);
    }
  }
  return 0;
}

static uint64_t read_cpu_usec(const struct plan *plan) {
  if (plan->cpu.version == 1) return read_number(&plan->cpu, "cpuacct.usage") / 1000;
  if (plan->cpu.version == 2) return read_keyed(&plan->cpu, "cpu.stat", "usage_usec");
  return 0;
}

struct disk_bytes {
  uint64_t read;
  uint64_t written;
};

static uint64_t larger(uint64_t one, uint64_t other) {
  return one > other ? one : other;
}

// What one of the two files says was read and written, of all disks together. What goes to a loop device v2
// counts there, and for the disk behind it again if the kernel finds that it was the job's: mostly when it
// is read, and when much is written for long. So the larger of the two sums is what there was.
static struct disk_bytes read_disk_bytes(const struct plan *plan) {
  struct disk_bytes disks = {0}, loops = {0};
  bool is_v1 = plan->io.version == 1;
  const char *file = is_v1 ? "blkio.throttle.io_service_bytes" : "io.stat";
  const char *read_key = is_v1 ? " Read " : " rbytes=";
  const char *write_key = is_v1 ? " Write " : " wbytes=";
  char path[PATH_ROOM], text[8192];
  if (plan->io.version == 0) return disks;
  if (read_file(AT_FDCWD, join(path, plan->io.path, file), text, sizeof text) < 0) return disks;
  for (char *line = text, *next; *line != 0; line = next) {
    next = strchrnul(line, '\n');
    if (*next != 0) *next++ = 0;
    struct disk_bytes *sum = !is_v1 && strncmp(line, "7:", 2) == 0 ? &loops : &disks;
    const char *bytes_read = strstr(line, read_key), *bytes_written = strstr(line, write_key);
    if (bytes_read != NULL) sum->read += strtoull(bytes_read + strlen(read_key), NULL, 10);
    if (bytes_written != NULL) sum->written += strtoull(bytes_written + strlen(write_key), NULL, 10);
  }
  return (struct disk_bytes){
      .read = larger(disks.read, loops.read),
      .written = larger(disks.written, loops.written),
  };
}

static uint64_t cpu_usec_before;
static struct disk_bytes disk_bytes_before;

void cgroup_start_counting(const struct plan *plan) {
  if (plan->cgroup_life != CGROUPS_KEPT_AS_IS) return;
  cpu_usec_before = read_cpu_usec(plan);
  disk_bytes_before = read_disk_bytes(plan);
  static const char *const peaks[] = {"memory.max_usage_in_bytes", "memory.memsw.max_usage_in_bytes"};
  char path[PATH_ROOM];
  // Where the kernel does not count swap, the second is not there.
  for (unsigned i = 0; plan->memory.version == 1 && i < LENGTH(peaks); i++) {
    write_file(AT_FDCWD, join(path, plan->memory.path, peaks[i]), "0");
  }
}

struct usage cgroup_usage(const struct plan *plan) {
  struct disk_bytes disks = read_disk_bytes(plan);
  struct usage usage = {
      .cpu_usec = read_cpu_usec(plan) - cpu_usec_before,
      .read_bytes = disks.read - disk_bytes_before.read,
      .written_bytes = disks.written - disk_bytes_before.written,
  };
  if (plan->memory.version == 1) {
    usage.oom_kills = read_keyed(&plan->memory, "memory.oom_control", "oom_kill");
    // memsw counts swap too, and is at least as high wherever it exists.
    usage.memory_peak_bytes = read_number(&plan->memory, "memory.memsw.max_usage_in_bytes");
    if (usage.memory_peak_bytes == 0) {
      usage.memory_peak_bytes = read_number(&plan->memory, "memory.max_usage_in_bytes");
    }
  } else if (plan->memory.version == 2) {
    usage.oom_kills = read_keyed(&plan->memory, "memory.events", "oom_kill");
    usage.memory_peak_bytes = read_number(&plan->memory, "memory.peak");
  }
  return usage;
}

bool cgroup_is_as_new(const struct plan *plan, const struct usage *usage) {
  if (plan->cgroup_life == CGROUPS_OWN) return false;
  // A directory that cgroup.kill was written to remembers it: the kernel compares a count of kills
  // that the parent of a new process brings along, and kills whatever is born into it later.
  if (killed || usage->oom_kills > 0) return false;
  return plan->memory.version != 1 ||
         read_number(&plan->memory, "memory.usage_in_bytes") <= LEFT_LIMIT_BYTES;
}
