// The system calls that a job does not get, one line each: name, its number in the x86_64, i386 and
// arm64 conventions (-1 where it does not exist), and the rule. Everything that is not named here is
// allowed, up to SECCOMP_NEWEST_CALL; what is newer than this table does not exist for a job.
//
// Rules:
//   REFUSED    EPERM: what it asks for belongs to the host
//   ABSENT     ENOSYS: programs probe for it and fall back when the kernel lacks it
//   TRACING    EPERM, unless the job was allowed to trace
//   MOUNTING   EPERM, unless the job was allowed user namespaces of its own
//   CHROOT     EPERM, unless the job was allowed that, or user namespaces of its own
//   MOUNT_API  ENOSYS, unless the job was allowed user namespaces of its own
//   others     decided by an argument; see the checks in seccomp.c
//
// test/seccomp.test.ts compares the numbers with the kernel's headers.

#ifndef JOBLET_SECCOMP_CALLS_H
#define JOBLET_SECCOMP_CALLS_H

// Up to NAMESPACE a call without a door is refused when all its arguments are -1.
enum rule {
  ALLOWED, // what is not in the table
  REFUSED,
  ABSENT,
  TRACING,
  MOUNTING,
  CHROOT,
  MOUNT_API,
  JOIN,
  NAMESPACE,
  MKNOD,
  MKNODAT,
  SOCKET,
  IOCTL,
  FCNTL,
  SOCKET_OPTION,
  SETRLIMIT,
  PRLIMIT,
  PERSONALITY,
  RULES,
};

// The newest call known here, file_setattr of Linux 6.17. From 424 on, all conventions count alike.
enum { SECCOMP_NEWEST_CALL = 469 };

// clang-format off
#define SECCOMP_CALLS(CALL) \
  /* namespaces and mounts */ \
  CALL(clone,              56, 120, 220, NAMESPACE) \
  CALL(clone3,            435, 435, 435, MOUNT_API) /* its flags lie in memory; libc falls back to clone */ \
  CALL(unshare,           272, 310,  97, NAMESPACE) \
  CALL(setns,             308, 346, 268, JOIN) \
  CALL(mount,             165,  21,  40, MOUNTING) \
  CALL(umount,             -1,  22,  -1, MOUNTING) \
  CALL(umount2,           166,  52,  39, MOUNTING) \
  CALL(pivot_root,        155, 217,  41, MOUNTING) \
  CALL(chroot,            161,  61,  51, CHROOT) \
  CALL(open_tree,         428, 428, 428, MOUNT_API) \
  CALL(move_mount,        429, 429, 429, MOUNT_API) \
  CALL(fsopen,            430, 430, 430, MOUNT_API) \
  CALL(fsconfig,          431, 431, 431, MOUNT_API) \
  CALL(fsmount,           432, 432, 432, MOUNT_API) \
  CALL(fspick,            433, 433, 433, MOUNT_API) \
  CALL(mount_setattr,     442, 442, 442, MOUNT_API) \
  CALL(open_tree_attr,    467, 467, 467, MOUNT_API) \
  CALL(statmount,         457, 457, 457, MOUNT_API) \
  CALL(listmount,         458, 458, 458, MOUNT_API) \
  CALL(mknod,             133,  14,  -1, MKNOD) \
  CALL(mknodat,           259, 297,  33, MKNODAT) \
  /* other processes */ \
  CALL(ptrace,            101,  26, 117, TRACING) \
  CALL(process_vm_readv,  310, 347, 270, TRACING) \
  CALL(process_vm_writev, 311, 348, 271, TRACING) \
  CALL(kcmp,              312, 349, 272, TRACING) \
  CALL(pidfd_getfd,       438, 438, 438, TRACING) \
  CALL(process_madvise,   440, 440, 440, ABSENT) \
  CALL(process_mrelease,  448, 448, 448, ABSENT) \
  CALL(migrate_pages,     256, 294, 238, REFUSED) \
  CALL(move_pages,        279, 317, 239, REFUSED) \
  /* large parts of the kernel that a job can do without */ \
  CALL(bpf,               321, 357, 280, REFUSED) \
  CALL(perf_event_open,   298, 336, 241, REFUSED) \
  CALL(userfaultfd,       323, 374, 282, ABSENT) \
  CALL(io_uring_setup,    425, 425, 425, ABSENT) \
  CALL(io_uring_enter,    426, 426, 426, ABSENT) \
  CALL(io_uring_register, 427, 427, 427, ABSENT) \
  CALL(io_setup,          206, 245,   0, ABSENT) /* one count of requests for the whole host */ \
  CALL(memfd_secret,      447, 447, 447, ABSENT) \
  CALL(add_key,           248, 286, 217, REFUSED) \
  CALL(request_key,       249, 287, 218, REFUSED) \
  CALL(keyctl,            250, 288, 219, REFUSED) \
  CALL(name_to_handle_at, 303, 341, 264, REFUSED) \
  CALL(open_by_handle_at, 304, 342, 265, REFUSED) \
  CALL(fanotify_init,     300, 338, 262, REFUSED) \
  CALL(fanotify_mark,     301, 339, 263, REFUSED) \
  CALL(socket,             41, 359, 198, SOCKET) \
  CALL(socketpair,         53, 360, 199, SOCKET) \
  CALL(setsockopt,         54, 366, 208, SOCKET_OPTION) \
  CALL(socketcall,         -1, 102,  -1, ABSENT) /* its arguments lie in memory; there are direct calls */ \
  CALL(ioctl,              16,  54,  29, IOCTL) \
  CALL(fcntl,              72,  55,  25, FCNTL) \
  CALL(fcntl64,            -1, 221,  -1, FCNTL) \
  CALL(setrlimit,         160,  75, 164, SETRLIMIT) \
  CALL(prlimit64,         302, 340, 261, PRLIMIT) \
  CALL(personality,       135, 136,  92, PERSONALITY) \
  CALL(modify_ldt,        154, 123,  -1, REFUSED) \
  CALL(vm86old,            -1, 113,  -1, REFUSED) \
  CALL(vm86,               -1, 166,  -1, REFUSED) \
  CALL(_sysctl,           156, 149,  -1, REFUSED) \
  CALL(uselib,            134,  86,  -1, REFUSED) \
  CALL(lookup_dcookie,    212, 253,  18, REFUSED) \
  CALL(nfsservctl,        180, 169,  42, REFUSED) \
  /* the host itself */ \
  CALL(kexec_load,        246, 283, 104, REFUSED) \
  CALL(kexec_file_load,   320,  -1, 294, REFUSED) \
  CALL(create_module,     174, 127,  -1, REFUSED) \
  CALL(init_module,       175, 128, 105, REFUSED) \
  CALL(finit_module,      313, 350, 273, REFUSED) \
  CALL(delete_module,     176, 129, 106, REFUSED) \
  CALL(get_kernel_syms,   177, 130,  -1, REFUSED) \
  CALL(query_module,      178, 167,  -1, REFUSED) \
  CALL(reboot,            169,  88, 142, REFUSED) \
  CALL(swapon,            167,  87, 224, REFUSED) \
  CALL(swapoff,           168, 115, 225, REFUSED) \
  CALL(quotactl,          179, 131,  60, REFUSED) \
  CALL(quotactl_fd,       443, 443, 443, ABSENT) \
  CALL(acct,              163,  51,  89, REFUSED) \
  CALL(settimeofday,      164,  79, 170, REFUSED) \
  CALL(stime,              -1,  25,  -1, REFUSED) \
  CALL(clock_settime,     227, 264, 112, REFUSED) \
  CALL(clock_settime64,    -1, 404,  -1, REFUSED) \
  CALL(adjtimex,          159, 124, 171, REFUSED) \
  CALL(clock_adjtime,     305, 343, 266, REFUSED) \
  CALL(clock_adjtime64,    -1, 405,  -1, REFUSED) \
  CALL(sethostname,       170,  74, 161, MOUNTING) \
  CALL(setdomainname,     171, 121, 162, MOUNTING) \
  CALL(syslog,            103, 103, 116, REFUSED) \
  CALL(vhangup,           153, 111,  58, REFUSED) \
  CALL(iopl,              172, 110,  -1, REFUSED) \
  CALL(ioperm,            173, 101,  -1, REFUSED)
// clang-format on

#endif
