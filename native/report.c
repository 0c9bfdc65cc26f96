// What a keeper and process 1 of its job tell each other, in the one page that they share: how far
// the keeper is, and what failed. A failing step is told in one way: what was being done, to what,
// and the errno.

#include "launch.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct shared *shared;

void wait_for_stage(enum stage stage) {
  int now;
  while ((now = __atomic_load_n(&shared->stage, __ATOMIC_ACQUIRE)) < (int)stage) {
    syscall(SYS_futex, &shared->stage, FUTEX_WAIT, now, NULL, NULL, 0);
  }
}

void announce_stage(enum stage stage) {
  __atomic_store_n(&shared->stage, (int)stage, __ATOMIC_RELEASE);
  syscall(SYS_futex, &shared->stage, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void report(const char *step, const char *object, int error) {
  if (__atomic_exchange_n(&shared->failure_taken, 1, __ATOMIC_ACQ_REL)) return;
  struct failure *failure = &shared->failure;
  snprintf(failure->step, sizeof failure->step, "%s", step);
  snprintf(failure->object, sizeof failure->object, "%s", object);
  __atomic_store_n(&failure->error, error, __ATOMIC_RELEASE);
}

_Noreturn void report_and_exit(const char *step, const char *object) {
  report(step, object, errno);
  _exit(1);
}

#define NAMED(error) [error] = #error

static const char *const names[] = {
    NAMED(EPERM),        NAMED(ENOENT),        NAMED(ESRCH),           NAMED(EINTR),
    NAMED(EIO),          NAMED(ENXIO),         NAMED(E2BIG),           NAMED(ENOEXEC),
    NAMED(EBADF),        NAMED(ECHILD),        NAMED(EAGAIN),          NAMED(ENOMEM),
    NAMED(EACCES),       NAMED(EFAULT),        NAMED(ENOTBLK),         NAMED(EBUSY),
    NAMED(EEXIST),       NAMED(EXDEV),         NAMED(ENODEV),          NAMED(ENOTDIR),
    NAMED(EISDIR),       NAMED(EINVAL),        NAMED(ENFILE),          NAMED(EMFILE),
    NAMED(ENOTTY),       NAMED(ETXTBSY),       NAMED(EFBIG),           NAMED(ENOSPC),
    NAMED(ESPIPE),       NAMED(EROFS),         NAMED(EMLINK),          NAMED(EPIPE),
    NAMED(EDOM),         NAMED(ERANGE),        NAMED(EDEADLK),         NAMED(ENAMETOOLONG),
    NAMED(ENOLCK),       NAMED(ENOSYS),        NAMED(ENOTEMPTY),       NAMED(ELOOP),
    NAMED(ENODATA),      NAMED(ETIME),         NAMED(ENOLINK),         NAMED(EPROTO),
    NAMED(EOVERFLOW),    NAMED(EBADFD),        NAMED(ELIBACC),         NAMED(ELIBBAD),
    NAMED(EUSERS),       NAMED(ENOTSOCK),      NAMED(EMSGSIZE),        NAMED(EOPNOTSUPP),
    NAMED(EPROTONOSUPPORT),
    NAMED(EAFNOSUPPORT), NAMED(EADDRINUSE),    NAMED(EADDRNOTAVAIL),   NAMED(ENETDOWN),
    NAMED(ENETUNREACH),  NAMED(ECONNABORTED),  NAMED(ECONNRESET),      NAMED(ENOBUFS),
    NAMED(ENOTCONN),     NAMED(ETIMEDOUT),     NAMED(ECONNREFUSED),    NAMED(EHOSTUNREACH),
    NAMED(EALREADY),     NAMED(EINPROGRESS),   NAMED(ESTALE),          NAMED(EUCLEAN),
    NAMED(EREMOTEIO),    NAMED(EDQUOT),        NAMED(ENOMEDIUM),       NAMED(EMEDIUMTYPE),
    NAMED(ECANCELED),    NAMED(ENOKEY),        NAMED(EKEYREJECTED),    NAMED(EOWNERDEAD),
    NAMED(ENOTRECOVERABLE),
};

const char *errno_name(int error) {
  static char number[16];
  if (error > 0 && (size_t)error < LENGTH(names) && names[error] != NULL) return names[error];
  snprintf(number, sizeof number, "E%d", error);
  return number;
}
