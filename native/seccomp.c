// Turns the table of refused calls into BPF. The kernel runs a filter at each call whose answer
// depends on arguments, and once per call number when it is installed; so a filter is cheap when it
// is short and shallow. Calls with the same answer are joined to ranges, and the ranges become a
// binary tree: seven comparisons instead of one for each refused call.
//
// Programs grow from their end to their start, because BPF only jumps forward: when a jump is
// written, its target is there, and a return that is near enough is used again.

#include "seccomp.h"
#include "seccomp-calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum convention { X86_64, I386, ARM64, CONVENTIONS };

struct call {
  const char *name;
  int16_t numbers[CONVENTIONS];
  enum rule rule;
};

#define CALL(name, x86_64, i386, arm64, rule) {#name, {x86_64, i386, arm64}, rule},
static const struct call calls[] = {SECCOMP_CALLS(CALL)};
#undef CALL

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

// ---- checks of arguments -----------------------------------------------------------------------
// Where the kernel looks at the low half of an argument only, the checks do, too. Both machines that
// we build for are little-endian.

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define LOAD_HIGH(member)                                                                          \
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member) + 4)
#define MASK(bits) BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits)
// Skip so many instructions when the condition holds.
#define IF_EQUAL(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, skip, 0)
#define IF_ANY(bits, skip) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, skip, 0)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define ANSWER(number) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (number))

enum {
  // CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, and NEWTIME, whose bit belongs
  // to the signal number in clone, where no signal has it.
  NAMESPACES = 0x7e020080,
  FORMAT_OF_MODE = 0170000,
  CHARACTER_DEVICE = 0020000,
  BLOCK_DEVICE = 0060000,
  SOCKET_TYPE = 0xf, // the other bits are flags
  USER_NAMESPACE = 0x10000000, // CLONE_NEWUSER
  // PER_LINUX32, UNAME26 and ADDR_NO_RANDOMIZE, which setarch and debuggers set.
  HARMLESS_PERSONALITY = 0x0060008,
};

static const struct sock_filter allow_it[] = {ALLOW};
static const struct sock_filter refuse_it[] = {ANSWER(EPERM)};
static const struct sock_filter be_absent[] = {ANSWER(ENOSYS)};

static const struct sock_filter check_namespace[] = {
    LOAD(args[0]),
    IF_ANY(NAMESPACES, 1),
    ALLOW,
    ANSWER(EPERM),
};

// What process 1 itself does under the filter, and is of no use later: a job has no descriptor of a user
// namespace but its own, which nobody can join who is in it.
static const struct sock_filter check_join[] = {
    LOAD(args[0]),
    IF_EQUAL(SECCOMP_IDS_FD, 1),
    ANSWER(EPERM),
    LOAD(args[1]),
    IF_EQUAL(USER_NAMESPACE, 1),
    ANSWER(EPERM),
    ALLOW,
};

#define REFUSE_DEVICES(mode)                                                                       \
  LOAD(mode), MASK(FORMAT_OF_MODE), IF_EQUAL(CHARACTER_DEVICE, 2), IF_EQUAL(BLOCK_DEVICE, 1),      \
      ALLOW, ANSWER(EPERM)

static const struct sock_filter check_mknod[] = {REFUSE_DEVICES(args[1])};
static const struct sock_filter check_mknodat[] = {REFUSE_DEVICES(args[2])};

// Streams and datagrams of the internet, unix sockets, and the one netlink protocol that libc asks
// for addresses and routes. Any other family or protocol would load its module into the host's
// kernel; for a job it is not there, and programs that probe for it go on. What reads or forges
// packets, and what talks to the hypervisor, is forbidden.
static const struct sock_filter check_socket[] = {
    /*  0 */ LOAD(args[0]),
    /*  1 */ IF_EQUAL(AF_UNIX, 22),
    /*  2 */ IF_EQUAL(AF_INET, 6),
    /*  3 */ IF_EQUAL(AF_INET6, 5),
    /*  4 */ IF_EQUAL(AF_NETLINK, 16),
    /*  5 */ IF_EQUAL(AF_PACKET, 2),
    /*  6 */ IF_EQUAL(AF_VSOCK, 1),
    /*  7 */ ANSWER(EAFNOSUPPORT),
    /*  8 */ ANSWER(EPERM),
    /*  9: internet, which type */ LOAD(args[1]),
    /* 10 */ MASK(SOCKET_TYPE),
    /* 11 */ IF_EQUAL(SOCK_STREAM, 2),
    /* 12 */ IF_EQUAL(SOCK_DGRAM, 1),
    /* 13 */ ANSWER(EPERM),
    /* 14: which protocol */ LOAD(args[2]),
    /* 15: TCP */ IF_EQUAL(6, 8),
    /* 16: UDP */ IF_EQUAL(17, 7),
    /* 17: ICMP, where the network permits it to everybody */ IF_EQUAL(1, 6),
    /* 18: ICMPv6 */ IF_EQUAL(58, 5),
    /* 19: MPTCP */ IF_EQUAL(262, 4),
    /* 20: the type's usual one */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 2),
    /* 21: netlink, which protocol */ LOAD(args[2]),
    /* 22: NETLINK_ROUTE */ IF_EQUAL(0, 1),
    /* 23 */ ANSWER(EPROTONOSUPPORT),
    /* 24 */ ALLOW,
};

// Commands that put input into a terminal, take over its output, or load a line discipline.
static const struct sock_filter check_ioctl[] = {
    LOAD(args[1]),
    IF_EQUAL(0x5412, 4), // TIOCSTI
    IF_EQUAL(0x541c, 3), // TIOCLINUX
    IF_EQUAL(0x541d, 2), // TIOCCONS
    IF_EQUAL(0x5423, 1), // TIOCSETD
    ALLOW,
    ANSWER(EPERM),
};

// To the kernel a job owns the files of its root, and their owner may ask for a lease: whoever on the
// host then opens such a file for writing waits for the job.
static const struct sock_filter check_fcntl[] = {
    LOAD(args[1]),
    IF_EQUAL(1024, 2), // F_SETLEASE
    IF_EQUAL(1040, 1), // F_SETDELEG
    ALLOW,
    ANSWER(EPERM),
};

// Filters of sockets are compiled by the kernel, which has room for the code of all filters together, those
// of system calls included: a job that fills it would leave none to anybody.
static const struct sock_filter check_socket_option[] = {
    /* 0 */ LOAD(args[1]),
    /* 1 */ IF_EQUAL(SOL_SOCKET, 1),
    /* 2 */ ALLOW,
    /* 3 */ LOAD(args[2]),
    /* 4 */ IF_EQUAL(26, 2), // SO_ATTACH_FILTER
    /* 5 */ IF_EQUAL(51, 1), // SO_ATTACH_REUSEPORT_CBPF
    /* 6 */ ALLOW,
    /* 7 */ ANSWER(EPERM),
};

// Core dumps are off by a limit of one byte, for at zero a host whose core_pattern is a pipe dumps all
// the same. Programs that switch them off set zero and may end when they cannot, so they are told
// that it is done; nobody can make the limit greater anyway.
enum { CORE = 4 }; // RLIMIT_CORE

static const struct sock_filter check_setrlimit[] = {
    LOAD(args[0]),
    IF_EQUAL(CORE, 1),
    ALLOW,
    ANSWER(0),
};

static const struct sock_filter check_prlimit[] = {
    /*  0 */ LOAD(args[1]),
    /*  1 */ IF_EQUAL(CORE, 1),
    /*  2 */ ALLOW,
    /*  3: a new limit, or does it only ask */ LOAD(args[2]),
    /*  4 */ IF_ANY(~0u, 3),
    /*  5 */ LOAD_HIGH(args[2]),
    /*  6 */ IF_ANY(~0u, 1),
    /*  7 */ ALLOW,
    /*  8: and the old one, which only the kernel could write */ LOAD(args[3]),
    /*  9 */ IF_ANY(~0u, 3),
    /* 10 */ LOAD_HIGH(args[3]),
    /* 11 */ IF_ANY(~0u, 1),
    /* 12 */ ANSWER(0),
    /* 13 */ ANSWER(EPERM),
};

// The others bring back rules of old systems that weaken the memory protection of a program.
static const struct sock_filter check_personality[] = {
    LOAD(args[0]),
    IF_EQUAL(0xffffffff, 1), // only asks
    IF_ANY((uint32_t)~HARMLESS_PERSONALITY, 1),
    ALLOW,
    ANSWER(EPERM),
};

// ---- what each rule becomes --------------------------------------------------------------------

#define CODE(array) array, LENGTH(array)
static const struct {
  const struct sock_filter *code;
  unsigned length;
} rules[RULES] = {
    [ALLOWED] = {CODE(allow_it)},
    [REFUSED] = {CODE(refuse_it)},
    [ABSENT] = {CODE(be_absent)},
    [JOIN] = {CODE(check_join)},
    [NAMESPACE] = {CODE(check_namespace)},
    [MKNOD] = {CODE(check_mknod)},
    [MKNODAT] = {CODE(check_mknodat)},
    [SOCKET] = {CODE(check_socket)},
    [IOCTL] = {CODE(check_ioctl)},
    [FCNTL] = {CODE(check_fcntl)},
    [SOCKET_OPTION] = {CODE(check_socket_option)},
    [SETRLIMIT] = {CODE(check_setrlimit)},
    [PRLIMIT] = {CODE(check_prlimit)},
    [PERSONALITY] = {CODE(check_personality)},
};
#undef CODE

// Rules that a door lifts, and what they are while it is closed. Calls that are treated alike make
// one range, so a rule that is only another word for one of the above must not stay beside it.
static const struct {
  enum rule rule;
  unsigned door; // SECCOMP_ALLOW_*
  enum rule closed;
} doors[] = {
    {TRACING, SECCOMP_ALLOW_PTRACE, REFUSED},
    {MOUNTING, SECCOMP_ALLOW_USERNS, REFUSED},
    {CHROOT, SECCOMP_ALLOW_USERNS | SECCOMP_ALLOW_CHROOT, REFUSED},
    {MOUNT_API, SECCOMP_ALLOW_USERNS, ABSENT},
    {JOIN, SECCOMP_ALLOW_USERNS, JOIN},
    {NAMESPACE, SECCOMP_ALLOW_USERNS, NAMESPACE},
};

// The conventions in which a program of this machine can call its kernel. Calls in x32 are native
// ones with a high bit set, so they are beyond the newest call; 32-bit arm has no entry and does not
// get any call.
static const struct {
  uint32_t audit_arch;
  enum convention convention;
} conventions[] = {
#if defined(__x86_64__)
    {AUDIT_ARCH_X86_64, X86_64},
    {AUDIT_ARCH_I386, I386},
#elif defined(__aarch64__)
    {AUDIT_ARCH_AARCH64, ARM64},
#else
#error "there is no table of system calls for this machine"
#endif
};

static enum rule behind_door(enum rule rule, unsigned allow) {
  for (unsigned i = 0; i < LENGTH(doors); i++) {
    if (doors[i].rule == rule) return doors[i].door & allow ? ALLOWED : doors[i].closed;
  }
  return rule;
}

static enum rule rule_of(enum convention convention, uint32_t number, unsigned allow) {
  if (number > SECCOMP_NEWEST_CALL) return ABSENT;
  for (unsigned i = 0; i < LENGTH(calls); i++) {
    if (calls[i].numbers[convention] == (int)number) return behind_door(calls[i].rule, allow);
  }
  return ALLOWED;
}

// ---- programs ----------------------------------------------------------------------------------

enum {
  PROGRAM_ROOM = 640,
  RANGE_ROOM = 2 * LENGTH(calls) + 2,
  JUMP_LIMIT = 255, // instructions that a conditional jump can skip
};

struct program {
  struct sock_filter code[PROGRAM_ROOM];
  unsigned start;       // of what has been written
  unsigned made[RULES]; // where the code of a rule was last written, or 0
};

struct range {
  uint32_t first;
  enum rule rule;
};

static struct program programs[SECCOMP_ALLOW_ALL + 1];

// Writes in front of what there is. The position of what was written.
static unsigned emit(struct program *program, struct sock_filter instruction) {
  if (program->start == 0) abort(); // the table has outgrown the room
  program->code[--program->start] = instruction;
  return program->start;
}

// A position from which the next two instructions to be written can jump to `target`.
static unsigned bring_near(struct program *program, unsigned target) {
  if (target - program->start + 2 <= JUMP_LIMIT) return target;
  unsigned distance = target - program->start;
  return emit(program, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, distance));
}

static unsigned emit_jump(struct program *program, unsigned condition, uint32_t value,
                          unsigned if_true, unsigned if_false) {
  unsigned on_true = bring_near(program, if_true);
  unsigned on_false = bring_near(program, if_false);
  unsigned next = program->start;
  return emit(program, (struct sock_filter)BPF_JUMP(BPF_JMP | condition | BPF_K, value,
                                                    (uint8_t)(on_true - next),
                                                    (uint8_t)(on_false - next)));
}

static unsigned emit_rule(struct program *program, enum rule rule) {
  unsigned made = program->made[rule];
  // A jump that gets too long costs one more instruction, as a plain answer does. It gets longer
  // while the way back to the root is written, so a plain answer counts as near up to a half of it.
  bool plain = rules[rule].length == 1;
  if (made != 0 && (!plain || made - program->start < JUMP_LIMIT / 2)) return made;
  for (unsigned i = rules[rule].length; i > 0; i--) emit(program, rules[rule].code[i - 1]);
  return program->made[rule] = program->start;
}

static unsigned emit_tree(struct program *program, const struct range *ranges, unsigned count) {
  if (count == 1) return emit_rule(program, ranges->rule);
  unsigned middle = count / 2;
  unsigned above = emit_tree(program, ranges + middle, count - middle);
  unsigned below = emit_tree(program, ranges, middle);
  return emit_jump(program, BPF_JGE, ranges[middle].first, above, below);
}

static unsigned emit_convention(struct program *program, enum convention convention,
                                unsigned allow) {
  struct range ranges[RANGE_ROOM];
  unsigned count = 0;
  for (uint32_t number = 0; number <= SECCOMP_NEWEST_CALL + 1; number++) {
    enum rule rule = rule_of(convention, number, allow);
    if (count > 0 && ranges[count - 1].rule == rule) continue;
    ranges[count++] = (struct range){number, rule};
  }
  unsigned root = emit_tree(program, ranges, count);
  if (root != program->start) abort(); // a table without refused calls
  return emit(program, (struct sock_filter)LOAD(nr));
}

static void compile(struct program *program, unsigned allow) {
  program->start = PROGRAM_ROOM;
  unsigned other = emit_rule(program, ABSENT);
  for (unsigned i = LENGTH(conventions); i > 0; i--) {
    unsigned matches = emit_convention(program, conventions[i - 1].convention, allow);
    other = emit_jump(program, BPF_JEQ, conventions[i - 1].audit_arch, matches, other);
  }
  emit(program, (struct sock_filter)LOAD(arch));
}

void seccomp_compile(void) {
  for (unsigned allow = 0; allow < LENGTH(programs); allow++) compile(&programs[allow], allow);
}

int seccomp_install(unsigned allow) {
  struct program *program = &programs[allow % LENGTH(programs)];
  struct sock_fprog filter = {
      .len = (unsigned short)(PROGRAM_ROOM - program->start),
      .filter = program->code + program->start,
  };
  // Without SECCOMP_FILTER_FLAG_SPEC_ALLOW: on kernels before 5.16 that flag would switch mitigations
  // of speculative execution off for the job, and from then on it changes nothing.
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
}
