// Makes every call that the filter refuses, in every convention of this machine, past libc. One line
// per call: name, convention, what came of it. Then "reached N of M".
//
// A call was reached when the kernel looked at its arguments. All of them are ones that it then finds
// fault with, so that nothing happens should a call get through: descriptors and pointers of -1,
// flags that exclude each other. EPERM, EACCES, ENOSYS and SIGSYS are refusals.

#include "../../native/seccomp-calls.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum convention { NATIVE, X32, I386, CONVENTIONS };

static const char *const convention_names[CONVENTIONS] = {"native", "x32", "i386"};

struct numbers {
  const char *name;
  int by_convention[CONVENTIONS];
};

#if defined(__x86_64__)
enum { X32_BIT = 0x40000000 };
#define CALL(name, x86_64, i386, arm64, rule)                                                      \
  {#name, {x86_64, (x86_64) < 0 ? -1 : (x86_64) | X32_BIT, i386}},
static const struct numbers table[] = {
    SECCOMP_CALLS(CALL)
    // x32 has numbers of its own for calls whose arguments differ in size.
    {"ioctl", {514, 514 | X32_BIT, -1}},
    {"ptrace", {521, 521 | X32_BIT, -1}},
    {"kexec_load", {528, 528 | X32_BIT, -1}},
    {"move_pages", {533, 533 | X32_BIT, -1}},
    {"process_vm_readv", {539, 539 | X32_BIT, -1}},
    {"process_vm_writev", {540, 540 | X32_BIT, -1}},
};
#elif defined(__aarch64__)
#define CALL(name, x86_64, i386, arm64, rule) {#name, {arm64, -1, -1}},
static const struct numbers table[] = {SECCOMP_CALLS(CALL)};
#else
#error "there is no way to make system calls on this machine"
#endif
#undef CALL

// Calls that need other arguments than -1 to be the ones that are refused, or to be harmless.
static const struct arguments {
  const char *name;
  long args[3];
} special[] = {
    // CLONE_SIGHAND without CLONE_VM is refused by the kernel, whatever stands beside it.
    {"clone", {0x00020800, -1, -1}}, // mount
    {"clone", {0x02000800, -1, -1}}, // cgroup
    {"clone", {0x04000800, -1, -1}}, // uts
    {"clone", {0x08000800, -1, -1}}, // ipc
    {"clone", {0x10000800, -1, -1}}, // user
    {"clone", {0x20000800, -1, -1}}, // pid
    {"clone", {0x40000800, -1, -1}}, // net
    // Bit 0 is no flag of unshare.
    {"unshare", {0x00020001, -1, -1}},
    {"unshare", {0x02000001, -1, -1}},
    {"unshare", {0x04000001, -1, -1}},
    {"unshare", {0x08000001, -1, -1}},
    {"unshare", {0x10000001, -1, -1}},
    {"unshare", {0x20000001, -1, -1}},
    {"unshare", {0x40000001, -1, -1}},
    {"unshare", {0x00000081, -1, -1}}, // time
    {"mknod", {-1, 0020600, 0x0101}},  // character device
    {"mknod", {-1, 0060600, 0x0800}},  // block device
    {"mknodat", {-1, -1, 0020600}},
    {"mknodat", {-1, -1, 0060600}},
    {"ioctl", {-1, 0x5412, 0}}, // TIOCSTI
    {"ioctl", {-1, 0x541c, 0}}, // TIOCLINUX
    {"setns", {3, 0x10000000, 0}}, // user
    {"setsockopt", {-1, 1, 26}},   // SO_ATTACH_FILTER
    {"setsockopt", {-1, 1, 51}},   // SO_ATTACH_REUSEPORT_CBPF
    {"fcntl", {-1, 1024, 0}},   // F_SETLEASE
    {"fcntl64", {-1, 1024, 0}}, // F_SETLEASE
    {"setrlimit", {4, -1, -1}}, // RLIMIT_CORE: the pointer would be EFAULT
    {"prlimit64", {0, 4, -1}},
    {"personality", {0x0400000, 0, 0}}, // READ_IMPLIES_EXEC, of this process alone
    {"modify_ldt", {2, -1, 16}},        // an unknown function would be ENOSYS anyway
    {"socket", {17, 3, 0}},             // packet
    {"socket", {17, 2, 0}},
    {"socket", {2, 10, 3}}, // the old way to packets
    {"socket", {2, 3, 255}}, // raw
    {"socket", {2, 3, 1}},
    {"socket", {10, 3, 58}},
    {"socket", {40, 1, 0}}, // vsock
    {"socket", {40, 2, 0}},
    {"socketpair", {40, 1, 0}},
    {"socketcall", {1, -1, 0}}, // socket
    {"socketcall", {8, -1, 0}}, // socketpair
};

static sigjmp_buf caught;
static volatile sig_atomic_t caught_signal;

static void catch_signal(int signal) {
  caught_signal = signal;
  siglongjmp(caught, 1);
}

// The kernel's answer: negative is an errno.
static long make_call(enum convention convention, int number, const long args[3]) {
  long rest = -1;
  long answer;
#if defined(__x86_64__)
  if (convention == I386) {
    int narrow;
    __asm__ volatile("push %%rbp\n mov $-1, %%rbp\n int $0x80\n pop %%rbp"
                     : "=a"(narrow)
                     : "a"(number), "b"(args[0]), "c"(args[1]), "d"(args[2]), "S"(rest), "D"(rest)
                     : "r8", "r9", "r10", "r11", "memory", "cc");
    return narrow;
  }
  register long r10 __asm__("r10") = rest;
  register long r8 __asm__("r8") = rest;
  register long r9 __asm__("r9") = rest;
  __asm__ volatile("syscall"
                   : "=a"(answer)
                   : "a"((long)number), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10),
                     "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory", "cc");
#else
  (void)convention;
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = args[0];
  register long x1 __asm__("x1") = args[1];
  register long x2 __asm__("x2") = args[2];
  register long x3 __asm__("x3") = rest;
  register long x4 __asm__("x4") = rest;
  register long x5 __asm__("x5") = rest;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory", "cc");
  answer = x0;
#endif
  return answer;
}

static unsigned made;
static unsigned reached;

static void try_call(const struct numbers *call, enum convention convention, const long args[3]) {
  made++;
  char result[32];
  int refused;
  if (sigsetjmp(caught, 1) != 0) {
    // SIGSEGV: this kernel has no such convention.
    refused = 1;
    snprintf(result, sizeof result, "%s", caught_signal == SIGSYS ? "SIGSYS" : "no-convention");
  } else {
    long answer = make_call(convention, call->by_convention[convention], args);
    // Told that it is done, although the pointer was none: the kernel did not see it.
    int pretended = answer == 0 && strcmp(call->name, "setrlimit") == 0;
    refused = pretended || answer == -EPERM || answer == -EACCES || answer == -ENOSYS;
    const char *done = pretended ? "pretended" : "done";
    snprintf(result, sizeof result, "%s", answer < 0 ? strerrorname_np((int)-answer) : done);
  }
  if (!refused) reached++;
  printf("%s %s %s\n", call->name, convention_names[convention], result);
}

int main(void) {
  static const long wrong[3] = {-1, -1, -1};
  // Each line goes out as it is known, should a call end this program.
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGSYS, catch_signal);
  signal(SIGSEGV, catch_signal);
  for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
    for (enum convention convention = NATIVE; convention < CONVENTIONS; convention++) {
      if (table[i].by_convention[convention] < 0) continue;
      int has_special = 0;
      for (unsigned k = 0; k < sizeof special / sizeof *special; k++) {
        if (strcmp(special[k].name, table[i].name) != 0) continue;
        has_special = 1;
        try_call(&table[i], convention, special[k].args);
      }
      if (!has_special) try_call(&table[i], convention, wrong);
    }
  }
  printf("reached %u of %u\n", reached, made);
  return 0;
}
