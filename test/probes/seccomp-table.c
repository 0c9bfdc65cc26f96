// Shows the filter's table, and compares the programs made from it with the table itself: every
// number in every convention, under every combination of doors, by running the BPF here.
//
//   seccomp-table table     name, numbers and rule of each call, one per line
//   seccomp-table compare   one line per difference, then "compared N, longest path M"

#include "../../native/seccomp.c"

#include <stdio.h>
#include <string.h>

static unsigned longest_path;

// Runs a program as the kernel would. The filter's return value; exits on anything it should not do.
static uint32_t run(const struct program *program, const struct seccomp_data *data) {
  uint32_t accumulator = 0;
  unsigned steps = 0;
  for (unsigned at = program->start;; at++) {
    if (at >= PROGRAM_ROOM) {
      printf("runs past its end for call %d\n", data->nr);
      exit(1);
    }
    steps++;
    const struct sock_filter *instruction = &program->code[at];
    switch (instruction->code) {
    case BPF_LD | BPF_W | BPF_ABS:
      memcpy(&accumulator, (const char *)data + instruction->k, sizeof accumulator);
      break;
    case BPF_ALU | BPF_AND | BPF_K: accumulator &= instruction->k; break;
    case BPF_JMP | BPF_JA: at += instruction->k; break;
    case BPF_JMP | BPF_JEQ | BPF_K:
      at += accumulator == instruction->k ? instruction->jt : instruction->jf;
      break;
    case BPF_JMP | BPF_JGE | BPF_K:
      at += accumulator >= instruction->k ? instruction->jt : instruction->jf;
      break;
    case BPF_JMP | BPF_JSET | BPF_K:
      at += accumulator & instruction->k ? instruction->jt : instruction->jf;
      break;
    case BPF_RET | BPF_K:
      if (steps > longest_path) longest_path = steps;
      return instruction->k;
    default: printf("unknown instruction %#x\n", instruction->code); exit(1);
    }
  }
}

// Arguments that a check lets pass, and such that it refuses, and how.
// `error` is 0 where the kernel gets the call.
enum { PRETEND = -1 }; // it answers 0 without getting it
static const struct sample {
  enum rule rule;
  uint64_t args[4];
  int error;
} samples[] = {
    {NAMESPACE, {0x11}, 0}, // what fork passes
    {NAMESPACE, {0x003d0f00}, 0}, // what pthread_create passes
    {NAMESPACE, {0x00020000}, EPERM},
    {NAMESPACE, {0x02000000}, EPERM},
    {NAMESPACE, {0x04000000}, EPERM},
    {NAMESPACE, {0x08000000}, EPERM},
    {NAMESPACE, {0x10000011}, EPERM},
    {NAMESPACE, {0x20000000}, EPERM},
    {NAMESPACE, {0x40000000}, EPERM},
    {NAMESPACE, {0x00000080}, EPERM},
    {NAMESPACE, {0x80000000}, 0}, // CLONE_IO
    {JOIN, {63, 0x10000000}, 0}, // what process 1 does
    {JOIN, {63, 0}, EPERM},
    {JOIN, {63, 0x00020000}, EPERM},
    {JOIN, {3, 0x10000000}, EPERM},
    {JOIN, {0xffffffff, 0xffffffff}, EPERM},
    {MKNOD, {0, 0100644, 0}, 0},
    {MKNOD, {0, 0010644, 0}, 0},
    {MKNOD, {0, 0140644, 0}, 0},
    {MKNOD, {0, 0644, 0}, 0},
    {MKNOD, {0, 0020644, 0}, EPERM},
    {MKNOD, {0, 0060644, 0}, EPERM},
    {MKNOD, {0, 0xffff0000 | 0020644, 0}, EPERM},
    {MKNODAT, {0, 0020644, 0100644}, 0},
    {MKNODAT, {0, 0, 0020644}, EPERM},
    {MKNODAT, {0, 0, 0060644}, EPERM},
    {SOCKET, {1, 1, 0}, 0},
    {SOCKET, {1, 2, 0}, 0},
    {SOCKET, {1, 5, 0}, 0},
    {SOCKET, {2, 1, 0}, 0},
    {SOCKET, {2, 1 | 02000000 | 04000, 6}, 0},
    {SOCKET, {2, 2, 17}, 0},
    {SOCKET, {2, 2, 1}, 0},
    {SOCKET, {2, 1, 262}, 0},
    {SOCKET, {10, 1, 6}, 0},
    {SOCKET, {10, 2, 58}, 0},
    {SOCKET, {16, 3, 0}, 0},
    {SOCKET, {16, 2, 0}, 0},
    {SOCKET, {2, 3, 1}, EPERM},
    {SOCKET, {2, 3 | 02000000, 255}, EPERM},
    {SOCKET, {10, 3, 58}, EPERM},
    {SOCKET, {2, 10, 3}, EPERM}, // SOCK_PACKET
    {SOCKET, {2, 4, 0}, EPERM},
    {SOCKET, {2, 5, 132}, EPERM},
    {SOCKET, {2, 6, 33}, EPERM},
    {SOCKET, {2, 1, 132}, EPROTONOSUPPORT},
    {SOCKET, {2, 2, 136}, EPROTONOSUPPORT},
    {SOCKET, {17, 3, 0}, EPERM},
    {SOCKET, {17, 2, 0}, EPERM},
    {SOCKET, {40, 1, 0}, EPERM},
    {SOCKET, {16, 3, 6}, EPROTONOSUPPORT}, // xfrm, whose number is TCP's
    {SOCKET, {16, 3, 9}, EPROTONOSUPPORT}, // audit
    {SOCKET, {16, 3, 12}, EPROTONOSUPPORT}, // netfilter
    {SOCKET, {16, 2, 15}, EPROTONOSUPPORT}, // kernel events
    {SOCKET, {0, 1, 0}, EAFNOSUPPORT},
    {SOCKET, {3, 5, 0}, EAFNOSUPPORT},
    {SOCKET, {15, 2, 0}, EAFNOSUPPORT}, // PF_KEY
    {SOCKET, {30, 1, 0}, EAFNOSUPPORT}, // TIPC
    {SOCKET, {31, 1, 0}, EAFNOSUPPORT}, // bluetooth
    {SOCKET, {38, 5, 0}, EAFNOSUPPORT}, // crypto
    {SOCKET, {44, 3, 0}, EAFNOSUPPORT}, // XDP
    {SOCKET, {0xffffffff, 1, 0}, EAFNOSUPPORT},
    {IOCTL, {0, 0x5401, 0}, 0},
    {IOCTL, {0, 0x5413, 0}, 0},
    {IOCTL, {0, 0x5411, 0}, 0},
    {IOCTL, {0, 0x5412, 0}, EPERM},
    {IOCTL, {0, 0x541c, 0}, EPERM},
    {IOCTL, {0, 0x541d, 0}, EPERM},
    {IOCTL, {0, 0x5423, 0}, EPERM},
    {IOCTL, {0, 0x100005412, 0}, EPERM}, // the kernel drops the upper half
    {FCNTL, {0, 2, 1}, 0}, // close-on-exec
    {FCNTL, {0, 6, 0}, 0}, // a lock
    {FCNTL, {0, 1030, 0}, 0}, // a copy of the descriptor
    {FCNTL, {0, 1031, 0}, 0}, // the size of a pipe
    {FCNTL, {0, 1024, 0}, EPERM},
    {FCNTL, {0, 1040, 0}, EPERM},
    {SOCKET_OPTION, {0, 1, 2}, 0}, // an address that is used again
    {SOCKET_OPTION, {0, 6, 26}, 0}, // of TCP
    {SOCKET_OPTION, {0, 41, 51}, 0}, // of IPv6
    {SOCKET_OPTION, {0, 1, 50}, 0}, // a program that was loaded, which no job can
    {SOCKET_OPTION, {0, 1, 26}, EPERM},
    {SOCKET_OPTION, {0, 1, 51}, EPERM},
    {SOCKET_OPTION, {0, 0x100000001, 0x10000001a}, EPERM}, // the kernel drops the upper halves
    {SETRLIMIT, {7, 1}, 0},
    {SETRLIMIT, {4, 1}, PRETEND},
    {SETRLIMIT, {0x100000004, 1}, PRETEND},
    {PRLIMIT, {0, 7, 1, 1}, 0},
    {PRLIMIT, {0, 4, 0, 1}, 0}, // only asks
    {PRLIMIT, {0, 4, 0, 0x100000000}, 0},
    {PRLIMIT, {0, 4, 1, 0}, PRETEND},
    {PRLIMIT, {0, 4, 0x100000000, 0}, PRETEND},
    {PRLIMIT, {0, 4, 1, 1}, EPERM},
    {PRLIMIT, {0, 4, 0x100000000, 0x100000000}, EPERM},
    {PERSONALITY, {0xffffffff, 0, 0}, 0},
    {PERSONALITY, {0, 0, 0}, 0},
    {PERSONALITY, {0x0040000, 0, 0}, 0},
    {PERSONALITY, {0x0020008, 0, 0}, 0},
    {PERSONALITY, {0x0400000, 0, 0}, EPERM}, // READ_IMPLIES_EXEC
    {PERSONALITY, {0x0100000, 0, 0}, EPERM}, // MMAP_PAGE_ZERO
    {PERSONALITY, {0x0040001, 0, 0}, EPERM},
};

static const char *const rule_names[RULES] = {
    [ALLOWED] = "ALLOWED", [REFUSED] = "REFUSED",     [ABSENT] = "ABSENT",
    [TRACING] = "TRACING", [MOUNTING] = "MOUNTING",   [MOUNT_API] = "MOUNT_API",
    [CHROOT] = "CHROOT",  [JOIN] = "JOIN",           [SOCKET_OPTION] = "SOCKET_OPTION",
    [NAMESPACE] = "NAMESPACE", [MKNOD] = "MKNOD",     [MKNODAT] = "MKNODAT",
    [SOCKET] = "SOCKET",   [IOCTL] = "IOCTL",         [FCNTL] = "FCNTL",
    [SETRLIMIT] = "SETRLIMIT", [PRLIMIT] = "PRLIMIT",
    [PERSONALITY] = "PERSONALITY",
};

static const int plain_errors[RULES] = {
    [REFUSED] = EPERM,  [ABSENT] = ENOSYS, [TRACING] = EPERM,
    [MOUNTING] = EPERM, [CHROOT] = EPERM,  [MOUNT_API] = ENOSYS,
};

static unsigned compared;
static unsigned differences;

static void expect(unsigned allow, uint32_t arch, uint32_t number, const uint64_t args[4],
                   int error) {
  struct seccomp_data data = {.nr = (int)number, .arch = arch};
  memcpy(data.args, args, 4 * sizeof *args);
  uint32_t refused = SECCOMP_RET_ERRNO | (error == PRETEND ? 0 : (uint32_t)error);
  uint32_t expected = error == 0 ? SECCOMP_RET_ALLOW : refused;
  uint32_t got = run(&programs[allow], &data);
  compared++;
  if (got == expected) return;
  differences++;
  printf("call %u arch %#x allow %u args %#llx %#llx %#llx: %#x instead of %#x\n", number, arch,
         allow, (unsigned long long)args[0], (unsigned long long)args[1],
         (unsigned long long)args[2], got, expected);
}

// What the table says, read in the plainest way.
static void compare_number(unsigned allow, uint32_t arch, enum convention convention,
                           uint32_t number) {
  static const uint64_t none[4];
  enum rule rule = number > SECCOMP_NEWEST_CALL ? ABSENT : ALLOWED;
  for (unsigned i = 0; i < LENGTH(calls); i++) {
    if (calls[i].numbers[convention] == (int)number) rule = calls[i].rule;
  }
  unsigned door = 0;
  if (rule == TRACING) door = SECCOMP_ALLOW_PTRACE;
  if (rule == MOUNTING || rule == MOUNT_API || rule == JOIN || rule == NAMESPACE) door = SECCOMP_ALLOW_USERNS;
  if (rule == CHROOT) door = SECCOMP_ALLOW_USERNS | SECCOMP_ALLOW_CHROOT;
  if (door & allow) rule = ALLOWED;
  unsigned used = 0;
  for (unsigned i = 0; i < LENGTH(samples); i++) {
    if (samples[i].rule != rule) continue;
    expect(allow, arch, number, samples[i].args, samples[i].error);
    used++;
  }
  if (used == 0) expect(allow, arch, number, none, plain_errors[rule]);
}

static void compare_all(void) {
  static const uint64_t none[4];
  for (unsigned allow = 0; allow < LENGTH(programs); allow++) {
    for (unsigned i = 0; i < LENGTH(conventions); i++) {
      uint32_t arch = conventions[i].audit_arch;
      for (uint32_t number = 0; number < 2048; number++) {
        compare_number(allow, arch, conventions[i].convention, number);
        // x32, where the kernel has it.
        expect(allow, arch, number | 0x40000000, none, ENOSYS);
        // Any other machine.
        expect(allow, AUDIT_ARCH_ARM, number, none, ENOSYS);
      }
      expect(allow, arch, 0xffffffff, none, ENOSYS);
      expect(allow, arch, 0x80000000, none, ENOSYS);
    }
  }
}

int main(int argc, char **argv) {
  seccomp_compile();
  if (argc == 2 && strcmp(argv[1], "table") == 0) {
    for (unsigned i = 0; i < LENGTH(calls); i++) {
      const int16_t *numbers = calls[i].numbers;
      printf("%s %d %d %d %s\n", calls[i].name, numbers[X86_64], numbers[I386], numbers[ARM64],
             rule_names[calls[i].rule]);
    }
    return 0;
  }
  compare_all();
  printf("compared %u, longest path %u, instructions %u\n", compared, longest_path,
         PROGRAM_ROOM - programs[0].start);
  return differences != 0;
}
