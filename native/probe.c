// What this host's kernel can do, found out by doing it, with the functions that launches use where
// there are some. `joblet-launch probe FIRST-ID CGROUP DIRECTORY...` writes one line for each thing: its
// name, a tab, and `ok`, a number or the name of an errno. Everything is tried in a process of its own
// that ends at once, so nothing of it stays.

#include "launch.h"
#include "seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Newer than some headers that this is built with.
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
enum {
  LANDLOCK_VERSION = 1, // LANDLOCK_CREATE_RULESET_VERSION
  NEW_TIME = 0x80,      // CLONE_NEWTIME
  NFTABLES = 10,        // NFNL_SUBSYS_NFTABLES
  NFT_GET_GENERATION = 16,
  NOBODY = 65534,
  TIMES_OUT_S = 20,
};

static uint32_t first_id;

// Each answers 0, or an errno. They may leave anything behind in their process.

static int try_namespace(const char *flag) {
  return unshare((int)strtol(flag, NULL, 0)) == 0 ? 0 : errno;
}

// As somebody without any right, which is what a job is that opened the door `userns`.
static int try_unprivileged(const char *unused) {
  (void)unused;
  if (syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) != 0 ||
      syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) != 0) {
    return errno;
  }
  // Where it is made, but is good for nothing, the second namespace is refused.
  return unshare(CLONE_NEWUSER) == 0 && unshare(CLONE_NEWNS) == 0 ? 0 : errno;
}

static int try_ids(const char *unused) {
  (void)unused;
  return ids_open(first_id) >= 0 ? 0 : errno;
}

static bool enter_mounts(void) {
  return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static int try_idmap(const char *directory) {
  if (!enter_mounts()) return errno;
  int ids = ids_open(first_id);
  int clone = ids < 0 ? -1 : mount_clone(AT_FDCWD, directory);
  if (clone < 0) return errno;
  return mount_set(clone, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, ids) == 0 ? 0 : errno;
}

// Made, set, attached: what each mount of a job goes through.
static int try_mounts(const char *unused) {
  (void)unused;
  if (!enter_mounts()) return errno;
  int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", "4096", 0) != 0 ||
      syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
    return errno;
  }
  int mounted = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID);
  if (mounted < 0 || mount_set(mounted, MOUNT_ATTR_RDONLY, -1) != 0) return errno;
  return mount_attach_at(mounted, AT_FDCWD, "/proc") == 0 ? 0 : errno;
}

static int try_openat2(const char *unused) {
  (void)unused;
  return root_open(AT_FDCWD, "/", O_PATH | O_DIRECTORY) >= 0 ? 0 : errno;
}

static int try_file_system(const char *type) {
  return syscall(SYS_fsopen, type, FSOPEN_CLOEXEC) >= 0 ? 0 : errno;
}

static int try_birth(const char *cgroup) {
  int directory = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return errno;
  struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD,
                            .cgroup = (uint64_t)directory};
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(0);
  return pid < 0 ? errno : 0;
}

static int try_pidfd(const char *unused) {
  (void)unused;
  return syscall(SYS_pidfd_open, getpid(), 0) >= 0 ? 0 : errno;
}

static int try_close_range(const char *unused) {
  (void)unused;
  return syscall(SYS_close_range, 100, ~0u, 0) == 0 ? 0 : errno;
}

// The very filter that jobs get.
static int try_filter(const char *unused) {
  (void)unused;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  seccomp_compile();
  if (seccomp_install(0) != 0) return errno;
  // It must answer, too.
  return unshare(CLONE_NEWNS) == 0 ? EINVAL : errno == EPERM ? 0 : errno;
}

static int try_open(const char *device) {
  return open(device, O_RDWR | O_CLOEXEC) >= 0 ? 0 : errno;
}

static int try_ipv6(const char *unused) {
  (void)unused;
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int server = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (server < 0 || unshare(CLONE_NEWNET) != 0 || net_loopback_up() != 0) return errno;
  server = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return bind(server, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
}

// ---- netlink -----------------------------------------------------------------------------------

// A request that grows attribute by attribute.
struct request {
  struct nlmsghdr header;
  char body[512];
};

static void *add(struct request *request, const void *data, size_t length) {
  char *at = (char *)request + NLMSG_ALIGN(request->header.nlmsg_len);
  if (length > 0 && data != NULL) memcpy(at, data, length);
  request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + (uint32_t)length;
  return at;
}

static struct rtattr *attribute(struct request *request, unsigned short type, const void *data,
                                size_t length) {
  struct rtattr head = {.rta_len = (unsigned short)RTA_LENGTH(length), .rta_type = type};
  struct rtattr *at = add(request, &head, sizeof head);
  add(request, data, length);
  return at;
}

// 0, or the errno that the kernel answers with.
static int ask(int protocol, struct request *request) {
  char answer[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (netlink < 0) return errno;
  if (send(netlink, request, request->header.nlmsg_len, 0) < 0) return errno;
  if (recv(netlink, answer, sizeof answer, 0) < (ssize_t)NLMSG_LENGTH(0)) return errno;
  const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
  if (header->nlmsg_type != NLMSG_ERROR) return 0;
  return -((const struct nlmsgerr *)NLMSG_DATA(header))->error;
}

static struct request new_request(unsigned short type) {
  return (struct request){.header = {
      .nlmsg_len = NLMSG_LENGTH(0),
      .nlmsg_type = type,
      .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
  }};
}

// In a network of its own, which goes with its process.
static int try_link(const char *kind) {
  if (unshare(CLONE_NEWNET) != 0) return errno;
  struct request request = new_request(RTM_NEWLINK);
  struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
  add(&request, &info, sizeof info);
  attribute(&request, IFLA_IFNAME, "probe0", sizeof "probe0");
  struct rtattr *nest = attribute(&request, IFLA_LINKINFO, NULL, 0);
  attribute(&request, IFLA_INFO_KIND, kind, strlen(kind));
  nest->rta_len = (unsigned short)((char *)&request + request.header.nlmsg_len - (char *)nest);
  return ask(NETLINK_ROUTE, &request);
}

static int try_qdisc(const char *kind) {
  if (unshare(CLONE_NEWNET) != 0 || net_loopback_up() != 0) return errno;
  struct request request = new_request(RTM_NEWQDISC);
  bool is_ingress = strcmp(kind, "ingress") == 0;
  struct tcmsg info = {
      .tcm_family = AF_UNSPEC,
      .tcm_ifindex = 1, // loopback
      .tcm_parent = is_ingress ? TC_H_INGRESS : TC_H_ROOT,
      .tcm_handle = is_ingress ? TC_H_MAKE(TC_H_INGRESS, 0) : TC_H_MAKE(1u << 16, 0),
  };
  add(&request, &info, sizeof info);
  attribute(&request, TCA_KIND, kind, strlen(kind) + 1);
  int error = ask(NETLINK_ROUTE, &request);
  // One that is there finds that its options are missing; one that is not is not found.
  return error == EINVAL ? 0 : error;
}

static int try_nftables(const char *unused) {
  (void)unused;
  if (unshare(CLONE_NEWNET) != 0) return errno;
  struct request request = new_request(NFTABLES << 8 | NFT_GET_GENERATION);
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  const unsigned char header[4] = {AF_UNSPEC};
  add(&request, header, sizeof header);
  return ask(NETLINK_NETFILTER, &request);
}

// ---- all of them -------------------------------------------------------------------------------

#define NAMESPACE(flag) #flag
#define TEXT(flag) NAMESPACE(flag)

static const struct probe {
  const char *name;
  int (*try)(const char *argument);
  const char *argument;
} probes[] = {
    {"namespace mnt", try_namespace, TEXT(CLONE_NEWNS)},
    {"namespace pid", try_namespace, TEXT(CLONE_NEWPID)},
    {"namespace net", try_namespace, TEXT(CLONE_NEWNET)},
    {"namespace ipc", try_namespace, TEXT(CLONE_NEWIPC)},
    {"namespace uts", try_namespace, TEXT(CLONE_NEWUTS)},
    {"namespace cgroup", try_namespace, TEXT(CLONE_NEWCGROUP)},
    {"namespace user", try_namespace, TEXT(CLONE_NEWUSER)},
    {"namespace time", try_namespace, "0x80"},
    {"unprivileged user namespace", try_unprivileged, NULL},
    {"ids", try_ids, NULL},
    {"mounts", try_mounts, NULL},
    {"openat2", try_openat2, NULL},
    {"pidfd", try_pidfd, NULL},
    {"close_range", try_close_range, NULL},
    {"filter", try_filter, NULL},
    {"file system tmpfs", try_file_system, "tmpfs"},
    {"file system proc", try_file_system, "proc"},
    {"file system sysfs", try_file_system, "sysfs"},
    {"file system devpts", try_file_system, "devpts"},
    {"file system ext4", try_file_system, "ext4"},
    {"file system overlay", try_file_system, "overlay"},
    {"file system squashfs", try_file_system, "squashfs"},
    {"file system erofs", try_file_system, "erofs"},
    {"loop", try_open, "/dev/loop-control"},
    {"ipv6", try_ipv6, NULL},
    {"link veth", try_link, "veth"},
    {"link bridge", try_link, "bridge"},
    {"link ifb", try_link, "ifb"},
    {"qdisc htb", try_qdisc, "htb"},
    {"qdisc tbf", try_qdisc, "tbf"},
    {"qdisc ingress", try_qdisc, "ingress"},
    {"nftables", try_nftables, NULL},
};

static void say(const char *name, const char *argument, const char *result) {
  printf("%s%s%s\t%s\n", name, *argument == 0 ? "" : " ", argument, result);
}

// Tries in a process of its own; `shown` is what stands behind the name.
static void run(const char *name, int (*try)(const char *), const char *argument,
                const char *shown) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(TIMES_OUT_S);
    _exit(try(argument));
  }
  int status;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) say(name, shown, errno_name(errno));
  else if (!WIFEXITED(status)) say(name, shown, "ETIMEDOUT");
  else say(name, shown, WEXITSTATUS(status) == 0 ? "ok" : errno_name(WEXITSTATUS(status)));
}

static void say_landlock(void) {
  long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
  char number[24];
  snprintf(number, sizeof number, "%ld", version);
  say("landlock", "", version > 0 ? number : errno_name(errno));
}

int probe_run(unsigned argc, char **argv) {
  uint64_t first;
  if (argc < 2 || !number_of(argv[0], &first)) return 2;
  first_id = (uint32_t)first;
  for (unsigned i = 0; i < LENGTH(probes); i++) {
    run(probes[i].name, probes[i].try, probes[i].argument, "");
  }
  if (*argv[1] != 0) run("birth in a cgroup", try_birth, argv[1], "");
  for (unsigned i = 2; i < argc; i++) run("idmap", try_idmap, argv[i], argv[i]);
  say_landlock();
  return 0;
}
