// The log of a job, as docs/log-format.md has it. One write for each record; a record that did not
// fit whole is taken back, so that a reader meets a torn record only after a crash of the machine.

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
  ROOM_CHECK = 256 << 10,  // bytes from one look at the free space to the next
  HEADERS_FREE = 64 << 10, // bytes of headers that the smallest quota lets pass
  BESIDE = 64 << 10,       // bytes that a disk takes beside what is written
};

struct header {
  uint8_t magic[2];
  uint8_t stream;
  uint8_t zero;
  uint32_t length;
  uint64_t time_ns;
  uint64_t position;
  uint32_t checksum;
  uint32_t spare;
};

_Static_assert(sizeof(struct header) == 32, "the header is laid out as it is written");

// FNV-1a, 32 bit.
static uint32_t checksum(const struct header *header) {
  const uint8_t *bytes = (const uint8_t *)header;
  uint32_t hash = 0x811c9dc5;
  for (size_t i = 0; i < offsetof(struct header, checksum); i++) {
    hash = (hash ^ bytes[i]) * 0x01000193u;
  }
  return hash;
}

void log_start(struct log *log, int dir, const struct plan *plan) {
  *log = (struct log){.dir = dir, .segment = -1, .segment_limit_bytes = plan->log_segment_bytes,
                      .quota_bytes = plan->log_quota_bytes,
                      .reserve_bytes = plan->log_reserve_bytes,
                      .waits = plan->log_waits};
}

static int open_segment(struct log *log) {
  char name[32];
  snprintf(name, sizeof name, "%020llu.log", (unsigned long long)log->position);
  log->segment = openat(log->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  if (log->segment >= 0) log->segment_bytes = 0;
  return log->segment < 0 ? -1 : 0;
}

// 0, or -1 with errno; then nothing of the record is in the segment.
static int append(struct log *log, enum log_stream stream, const char *payload, size_t length) {
  if (log->broken) {
    errno = EIO;
    return -1;
  }
  if (log->segment < 0 && open_segment(log) != 0) return -1;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  struct header header = {
      .magic = {'J', 'L'},
      .stream = (uint8_t)stream,
      .length = (uint32_t)length,
      .time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
      .position = log->position,
  };
  header.checksum = checksum(&header);
  struct iovec parts[] = {{&header, sizeof header}, {(char *)payload, length}};
  ssize_t written = writev(log->segment, parts, 2);
  if (written == (ssize_t)(sizeof header + length)) {
    log->segment_bytes += (uint64_t)written;
    log->records++;
    return 0;
  }
  int error = written < 0 ? errno : ENOSPC;
  if (written > 0 && ftruncate(log->segment, (off_t)log->segment_bytes) != 0) log->broken = true;
  errno = error;
  return -1;
}

// Whether so much output may be written: the last of a disk is not for logs. Gaps and ends are small
// and may always.
static bool leaves_reserve(struct log *log, size_t length) {
  log->unchecked_bytes += length;
  if (log->waits || log->reserve_bytes == 0 || log->unchecked_bytes < ROOM_CHECK) return true;
  struct statvfs disk;
  bool leaves = fstatvfs(log->dir, &disk) != 0 ||
                (uint64_t)disk.f_bavail * disk.f_frsize > log->reserve_bytes;
  // While there is no room, each record asks again.
  if (leaves) log->unchecked_bytes = 0;
  return leaves;
}

bool log_has_room(const struct log *log, size_t length) {
  if (!log->waits) return true;
  struct statvfs disk;
  return fstatvfs(log->dir, &disk) != 0 ||
         (uint64_t)disk.f_bavail * disk.f_frsize > log->reserve_bytes + length + BESIDE;
}

void log_tell_gap(struct log *log) {
  if (log->gap_bytes == 0) return;
  char pairs[96];
  int length = snprintf(pairs, sizeof pairs, "bytes=%llu%creason=%s",
                        (unsigned long long)log->gap_bytes, 0, log->gap_reason);
  if (append(log, LOG_GAP, pairs, (size_t)length + 1) == 0) log->gap_bytes = 0;
}

static void drop(struct log *log, const char *reason, size_t length) {
  log->dropped_bytes += length;
  // A gap of another reason is another gap, where there is room to tell the first.
  if (log->gap_bytes > 0 && strcmp(log->gap_reason, reason) != 0) log_tell_gap(log);
  log->gap_reason = reason;
  log->gap_bytes += length;
}

// Headers of records count for themselves: a job that writes byte by byte takes no more than twice its
// quota of the disk.
static uint64_t quota_left(const struct log *log) {
  bool headers_left =
      log->records * sizeof(struct header) < log->quota_bytes + HEADERS_FREE;
  return headers_left ? log->quota_bytes - log->position : 0;
}

void log_output(struct log *log, enum log_stream stream, const char *bytes, size_t length) {
  size_t kept = length;
  if (log->quota_bytes > 0 && length > quota_left(log)) kept = quota_left(log);
  if (kept > 0 && !leaves_reserve(log, kept)) {
    drop(log, errno_name(ENOSPC), length);
    // Told at once, and then only when there is room again: gaps would fill the disk, too.
    if (!log->is_short) log_tell_gap(log);
    log->is_short = true;
    return;
  }
  log->is_short = log->is_short && kept == 0;
  // What was dropped before must be told before what comes after it.
  if (kept > 0) log_tell_gap(log);
  if (kept > 0 && log->gap_bytes > 0) {
    drop(log, log->gap_reason, length);
    return;
  }
  if (kept > 0 && append(log, stream, bytes, kept) != 0) {
    drop(log, errno_name(errno), length);
    log_tell_gap(log); // often there is room for this much
    return;
  }
  log->position += kept;
  if (kept < length) {
    bool first = log->dropped_bytes == 0;
    drop(log, "quota", length - kept);
    // Followers see at once that there is no more to come; the rest is told at the end.
    if (first) log_tell_gap(log);
  }
  // Sealed only behind output: the next segment is named by another position.
  if (kept > 0 && log->segment_bytes >= log->segment_limit_bytes) {
    close(log->segment);
    log->segment = -1;
  }
}

int log_end(struct log *log, const char *pairs, size_t length) {
  log_tell_gap(log);
  return append(log, LOG_END, pairs, length);
}

void log_make_durable(const struct log *log) {
  fsync(log->segment);
}
