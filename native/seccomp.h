// The system-call filter of a job. What it refuses is listed in seccomp-calls.h.

#ifndef JOBLET_SECCOMP_H
#define JOBLET_SECCOMP_H

// Doors that a job may have asked to have opened.
enum {
  SECCOMP_ALLOW_PTRACE = 1, // tracing and reading other processes of the job
  SECCOMP_ALLOW_USERNS = 2, // namespaces and mounts inside user namespaces of the job's own
  SECCOMP_ALLOW_CHROOT = 4, // another directory of its own for the root of its processes
  SECCOMP_ALLOW_ALL = 7,
};

// The descriptor by which process 1 joins the job's user namespace: under the filter there is no other.
enum { SECCOMP_IDS_FD = 63 };

// Compiles the filter for every combination of doors. To be called once, before the first install.
void seccomp_compile(void);

// Puts this thread and everything it starts under the filter, for ever; no_new_privs must be set, or
// CAP_SYS_ADMIN held. `allow` is a sum of SECCOMP_ALLOW_*. 0, or -1 with errno.
int seccomp_install(unsigned allow);

#endif
