// The launcher: takes plans from the daemon, forks a keeper for each, and keeps what later launches
// can use again: user namespaces, templates of roots, network namespaces. It never waits for a job
// and never makes one of these itself: keepers and the filler do, and hand them over.

#include "launch.h"
#include "seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  IDS_KEPT = 1024, // user namespaces kept, one for each job that runs at the same time
  TEMPLATES_KEPT = 256,
  KEEPER_BUCKETS = 256,
  STANDBY_AFTER_MS = 5, // without an order: a fork then is in nobody's way
  AHEAD_LIMIT = 2, // sandboxes made ahead: one can be made while the other one's job runs
  AHEAD_TEXT_ROOM = 16 << 10, // of a plan without environment and arguments
  MISSES_LIMIT = 16, // so many jobs elsewhere, and a sandbox is made where they are
  EXIT_CLAIMED = 3, // another daemon runs its jobs where this one is to
};

uint64_t files_soft_limit;

// A namespace that can be joined again; fd 0 is a free place.
struct kept {
  int fd;
  uint32_t ids_first;
  uint64_t used; // the higher, the later
  char *key;     // of a template
};

// A keeper that lives.
struct running {
  struct running *next;
  pid_t pid;
  uint32_t ids_first;
  char id[ID_ROOM];
  struct netns net;
  char net_key[NET_KEY_ROOM]; // of an attached one; else empty
  char *sandbox;              // the text that its sandbox is made by, if one can be made ahead; or NULL
  size_t sandbox_length;
};

// A keeper that waits for a job.
struct standby {
  pid_t pid;  // 0 is none
  int socket; // to the keeper
  int inside; // to process 1 in its sandbox, or -1
};

// One that waits in a sandbox, for a job like that which was last there.
struct ahead {
  struct standby standby;
  struct plan plan; // what the sandbox was made by
  char text[AHEAD_TEXT_ROOM];
};

// All that the launcher knows, in whole pages of its own: keepers are copies of this process, and
// give them back.
static struct launcher {
  char text[PAGE + FRAME_LIMIT]; // what arrived from the daemon
  size_t text_length;
  struct plan plan; // the last that was read; a keeper has its own copy
  struct kept ids[IDS_KEPT];
  struct kept templates[TEMPLATES_KEPT];
  uint64_t uses;
  uint32_t generation; // goes up when something is forgotten
  struct running *running[KEEPER_BUCKETS];
  int notices[2]; // keepers write to [1]
  struct standby spare; // for any job
  bool wants_spare;
  struct ahead ahead[AHEAD_LIMIT];
  unsigned ahead_next; // whose turn it is to be replaced
  unsigned misses; // jobs that went elsewhere, since one was made
  int turn; // the lock of this launcher's turn
  int claimed;
} __attribute__((aligned(PAGE))) my;

void launcher_drop(void) {
  madvise(&my, sizeof my, MADV_DONTNEED);
  pool_drop();
}

// ---- what is kept ------------------------------------------------------------------------------

static bool fits(const struct kept *kept, uint32_t ids_first, const char *key) {
  return kept->fd != 0 && kept->ids_first == ids_first &&
         (key == NULL || strcmp(kept->key, key) == 0);
}

// The descriptor, or -1.
static int find_kept(struct kept *all, unsigned count, uint32_t ids_first, const char *key) {
  for (unsigned i = 0; i < count; i++) {
    if (!fits(&all[i], ids_first, key)) continue;
    all[i].used = ++my.uses;
    return all[i].fd;
  }
  return -1;
}

static void let_go(struct kept *kept) {
  close(kept->fd);
  free(kept->key);
  *kept = (struct kept){0};
}

static void keep(struct kept *all, unsigned count, uint32_t ids_first, const char *key, int fd) {
  struct kept *place = &all[0];
  for (unsigned i = 0; i < count; i++) {
    if (fits(&all[i], ids_first, key)) {
      close(fd);
      return;
    }
    // A free place was never used; else the one that was not used for longest.
    if (all[i].used < place->used) place = &all[i];
  }
  if (place->fd != 0) let_go(place);
  char *copy = key == NULL ? NULL : strdup(key);
  if (key != NULL && copy == NULL) {
    close(fd);
    return;
  }
  *place = (struct kept){.fd = fd, .ids_first = ids_first, .used = ++my.uses, .key = copy};
}

// A root with more in it has the key of that root, a plus and more.
static bool is_of(const char *key, const char *root_key) {
  size_t length = strlen(root_key);
  return strncmp(key, root_key, length) == 0 && (key[length] == 0 || key[length] == '+');
}

static void let_go_of_standby(struct standby *standby) {
  close(standby->socket);
  if (standby->inside >= 0) close(standby->inside);
  *standby = (struct standby){0};
  my.wants_spare |= standby == &my.spare;
}

static void forget(const char *key) {
  // A template of it may be on its way.
  my.generation++;
  for (unsigned i = 0; i < TEMPLATES_KEPT; i++) {
    if (my.templates[i].fd != 0 && is_of(my.templates[i].key, key)) let_go(&my.templates[i]);
  }
  for (unsigned i = 0; i < AHEAD_LIMIT; i++) {
    struct ahead *ahead = &my.ahead[i];
    if (ahead->standby.pid != 0 && is_of(ahead->plan.root_key, key)) let_go_of_standby(&ahead->standby);
  }
}

void launcher_offer(int launcher, const struct notice *notice, int fd) {
  char control[CMSG_SPACE(sizeof fd)] __attribute__((aligned(8))) = {0};
  struct iovec body = {.iov_base = (void *)notice, .iov_len = sizeof *notice};
  struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  (void)!sendmsg(launcher, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void take_notice(void) {
  struct notice notice;
  int fd;
  char control[CMSG_SPACE(sizeof fd)] __attribute__((aligned(8)));
  struct iovec body = {.iov_base = &notice, .iov_len = sizeof notice};
  struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
  ssize_t got = recvmsg(my.notices[0], &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  struct cmsghdr *header = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
  if (header == NULL || header->cmsg_len != CMSG_LEN(sizeof fd)) return;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  if (got == sizeof notice && notice.what == NOTICE_IDS) {
    keep(my.ids, IDS_KEPT, notice.ids_first, NULL, fd);
  } else if (got == sizeof notice && notice.what == NOTICE_TEMPLATE &&
             notice.generation == my.generation && memchr(notice.key, 0, sizeof notice.key) != NULL) {
    keep(my.templates, TEMPLATES_KEPT, notice.ids_first, notice.key, fd);
  } else {
    close(fd);
  }
}

// ---- keepers -----------------------------------------------------------------------------------

// How much of a plan's text a sandbox is made ahead by; 0 where none can be.
static size_t sandbox_text(const struct plan *plan, const char *text, size_t length) {
  if (!standby_is_plain(plan)) return 0;
  size_t needed = standby_text(plan, text, length);
  return needed > AHEAD_TEXT_ROOM - sizeof "arg\0" ? 0 : needed;
}

// Keeps what the next sandbox is made by where this job is.
static void keep_sandbox_text(struct running *job, const struct plan *plan, const char *text, size_t length) {
  job->sandbox_length = sandbox_text(plan, text, length);
  job->sandbox = job->sandbox_length == 0 ? NULL : malloc(job->sandbox_length);
  if (job->sandbox != NULL) memcpy(job->sandbox, text, job->sandbox_length);
}

static OWN_FRAME void tell_failed(const char *id, const char *step, const char *object, int error) {
  struct frame frame;
  frame_start(&frame, "failed");
  frame_text(&frame, id);
  frame_text(&frame, step);
  frame_text(&frame, object);
  frame_text(&frame, errno_name(error));
  frame_send_patiently(DAEMON_FD, &frame);
}

struct plan *launcher_take_job(int socket, struct entry *entry, bool *in_sandbox) {
  ssize_t length = standby_take(socket, entry, my.text, sizeof my.text, in_sandbox);
  char problem[PROBLEM_ROOM];
  if (length < 0) return NULL;
  // The launcher has read it already: only memory can be short.
  if (!plan_read(&my.plan, my.text, (size_t)length, problem)) _exit(1);
  return &my.plan;
}

// A keeper that waits for its job. It holds nothing of what the launcher keeps but the locks, which
// have to cover every launch. When the launcher ends it finds the end of its socket, but behind the job
// that was on its way to it.
static _Noreturn void stand_by(int socket, int inside, struct plan *made_by, struct entry *entry) {
  int kept[] = {DAEMON_FD, socket, inside, entry->ids, entry->template, my.notices[1], my.turn, my.claimed};
  setup_close_but(kept, LENGTH(kept));
  main_rename("joblet-standby");
  keeper_prepare();
  bool has_sandbox = inside >= 0 && keeper_make_sandbox(made_by, entry);
  if (inside >= 0) close(inside);
  entry->orders = -1;
  bool in_sandbox;
  struct plan *plan = launcher_take_job(socket, entry, &in_sandbox);
  if (has_sandbox && (plan == NULL || !in_sandbox)) keeper_drop_sandbox();
  if (plan == NULL) _exit(0);
  close(socket);
  keeper_run(plan, entry, DAEMON_FD);
}

static bool make_pair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0;
}

// Without one, keepers are forked when they are needed. `made_by` is NULL for one without a sandbox.
static void start_standby(struct standby *place, struct plan *made_by) {
  int ends[2], inside[2] = {-1, -1};
  if (!make_pair(ends)) return;
  if (made_by != NULL && !make_pair(inside)) inside[0] = inside[1] = -1;
  pid_t pid = fork();
  if (pid == 0) {
    struct entry entry = {.ids = -1, .template = -1, .net = -1, .launcher = my.notices[1],
                          .generation = my.generation, .orders = inside[1], .stdio = {-1, -1, -1}};
    if (made_by != NULL) {
      entry.ids = find_kept(my.ids, IDS_KEPT, made_by->ids_first, NULL);
      entry.template = find_kept(my.templates, TEMPLATES_KEPT, made_by->ids_first, made_by->root_key);
    }
    stand_by(ends[1], inside[1], made_by, &entry);
  }
  close(ends[1]);
  if (inside[1] >= 0) close(inside[1]);
  struct standby started = {.pid = pid, .socket = ends[0], .inside = inside[0]};
  // One that cannot be forked now is not tried again before there is another job.
  if (pid < 0) let_go_of_standby(&started);
  else *place = started;
}

static void start_spare(void) {
  my.wants_spare = false;
  start_standby(&my.spare, NULL);
}

// A place for a sandbox to be made ahead; NULL when there is none.
static struct ahead *free_place(void) {
  for (unsigned i = 0; i < AHEAD_LIMIT; i++) {
    if (my.ahead[i].standby.pid == 0) return &my.ahead[i];
  }
  if (my.misses < MISSES_LIMIT) return NULL;
  struct ahead *oldest = &my.ahead[my.ahead_next++ % AHEAD_LIMIT];
  let_go_of_standby(&oldest->standby);
  return oldest;
}

// A keeper tells the end of its job, and leaves behind that: the next job may be there already.
static bool is_in_use(uint32_t ids_first) {
  for (unsigned i = 0; i < KEEPER_BUCKETS; i++) {
    for (const struct running *job = my.running[i]; job != NULL; job = job->next) {
      if (job->ids_first == ids_first) return true;
    }
  }
  return false;
}

// Makes a sandbox ahead by the text of a plan without its arguments, for a job in these ids.
static void make_ahead(uint32_t ids_first, const char *text, size_t length) {
  static const char arguments[] = "arg\0"; // a plan has some
  if (is_in_use(ids_first)) return;
  struct ahead *ahead = free_place();
  if (ahead == NULL) return;
  char problem[PROBLEM_ROOM];
  memcpy(ahead->text, text, length);
  memcpy(ahead->text + length, arguments, sizeof arguments);
  bool is_read = plan_read(&ahead->plan, ahead->text, length + sizeof arguments, problem);
  plan_forget(&ahead->plan);
  if (!is_read) return;
  // Its cgroups have these limits.
  ahead->plan.cgroup_life = CGROUPS_KEPT_AS_IS;
  my.misses = 0;
  start_standby(&ahead->standby, &ahead->plan);
}

// The one where the ids of a job are, or NULL.
static struct ahead *find_ahead(const struct plan *plan) {
  for (unsigned i = 0; i < AHEAD_LIMIT; i++) {
    struct ahead *ahead = &my.ahead[i];
    if (ahead->standby.pid != 0 && ahead->plan.ids_first == plan->ids_first) return ahead;
  }
  return NULL;
}

// The keeper of a job: one that stands by, or else one that is forked now. -1 with errno.
static pid_t start_keeper(struct plan *plan, struct entry *entry, const char *text, size_t length) {
  struct ahead *ahead = find_ahead(plan);
  struct standby *standby = ahead == NULL ? &my.spare : &ahead->standby;
  bool in_sandbox = ahead != NULL && standby_fits(&ahead->plan, plan) &&
                    standby_hand_over(standby->inside, entry, text, length, true);
  if (ahead == NULL) my.misses++;
  if (standby->pid != 0) {
    pid_t pid = standby->pid;
    bool is_taken = standby_hand_over(standby->socket, entry, text, length, in_sandbox);
    let_go_of_standby(standby);
    if (is_taken) return pid;
  }
  pid_t pid = fork();
  if (pid != 0) return pid;
  keeper_prepare();
  keeper_run(plan, entry, DAEMON_FD);
}

static void launch(char *plan_text, size_t length) {
  struct plan *plan = &my.plan;
  char problem[PROBLEM_ROOM];
  if (!plan_read(plan, plan_text, length, problem)) {
    tell_failed(plan->id == NULL ? "" : plan->id, "plan", problem, EINVAL);
    plan_forget(plan);
    return;
  }
  struct running *job = malloc(sizeof *job);
  if (job == NULL) {
    tell_failed(plan->id, "keeper", "memory", ENOMEM);
    plan_forget(plan);
    return;
  }
  bool is_attached = strcmp(plan->net, "pool") != 0;
  job->net = is_attached ? pool_take_attached(plan->net) : pool_take();
  if (is_attached && job->net.fd < 0) {
    tell_failed(plan->id, "net", plan->net, ENOENT);
    plan_forget(plan);
    free(job);
    return;
  }
  snprintf(job->net_key, sizeof job->net_key, "%s", is_attached ? plan->net : "");
  struct entry entry = {
      .ids = find_kept(my.ids, IDS_KEPT, plan->ids_first, NULL),
      .template = find_kept(my.templates, TEMPLATES_KEPT, plan->ids_first, plan->root_key),
      .net = job->net.fd,
      .launcher = my.notices[1],
      .generation = my.generation,
      .orders = -1,
      .stdio = {-1, -1, -1},
  };
  pid_t pid = start_keeper(plan, &entry, plan_text, length);
  if (pid < 0) {
    tell_failed(plan->id, "keeper", "fork", errno);
    if (is_attached) pool_give_back(&job->net, job->net_key, true);
    else pool_keep(&job->net);
    free(job);
  } else {
    job->pid = pid;
    job->ids_first = plan->ids_first;
    keep_sandbox_text(job, plan, plan_text, length);
    snprintf(job->id, sizeof job->id, "%s", plan->id);
    job->next = my.running[pid % KEEPER_BUCKETS];
    my.running[pid % KEEPER_BUCKETS] = job;
  }
  plan_forget(plan);
}

static OWN_FRAME void tell_gone(const char *id, int status) {
  struct frame frame;
  frame_start(&frame, "gone");
  frame_text(&frame, id);
  frame_number(&frame, (uint64_t)status);
  frame_send_patiently(DAEMON_FD, &frame);
}

static void keeper_ended(pid_t pid, int status) {
  struct running **link = &my.running[pid % KEEPER_BUCKETS];
  while (*link != NULL && (*link)->pid != pid) link = &(*link)->next;
  struct running *job = *link;
  if (job == NULL) return;
  *link = job->next;
  bool in_order = status == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == KEEPER_LEFT_TRACES);
  if (!in_order) tell_gone(job->id, status);
  // The keeper left in good order, so the job's last process is gone.
  if (job->net_key[0] != 0) pool_give_back(&job->net, job->net_key, in_order);
  else if (in_order && job->net.fd >= 0 && net_is_pristine(&job->net)) pool_keep(&job->net);
  else net_close(&job->net);
  // Else the daemon may be about to clear them.
  if (status == 0 && job->sandbox != NULL) make_ahead(job->ids_first, job->sandbox, job->sandbox_length);
  free(job->sandbox);
  free(job);
}

static struct standby *find_standby(pid_t pid) {
  if (pid == my.spare.pid) return &my.spare;
  for (unsigned i = 0; i < AHEAD_LIMIT; i++) {
    if (pid == my.ahead[i].standby.pid) return &my.ahead[i].standby;
  }
  return NULL;
}

static void reap_children(int signals) {
  struct signalfd_siginfo info;
  (void)!read(signals, &info, sizeof info);
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pool_was_filled_by(pid)) continue;
    struct standby *standby = find_standby(pid);
    if (standby != NULL) let_go_of_standby(standby);
    else keeper_ended(pid, status);
    if (my.wants_spare) start_spare();
  }
}

// ---- the daemon's orders -----------------------------------------------------------------------

static void prepare(char *text, size_t length) {
  char problem[PROBLEM_ROOM];
  size_t needed = plan_read(&my.plan, text, length, problem) ? sandbox_text(&my.plan, text, length) : 0;
  uint32_t ids_first = my.plan.ids_first;
  plan_forget(&my.plan);
  // What cannot be made ahead is made with its job, and that hears what is wrong.
  if (needed > 0) make_ahead(ids_first, text, needed);
}

static void obey(const struct order *order) {
  switch (order->kind) {
  case ORDER_LAUNCH:
    launch(order->text, order->length);
    return;
  case ORDER_PREPARE:
    prepare(order->text, order->length);
    return;
  case ORDER_FORGET:
    forget(order->text);
    return;
  case ORDER_ATTACH:
    pool_attach(order);
    return;
  case ORDER_DETACH:
    pool_detach(order->text);
    return;
  case ORDER_FLOWS:
    pool_forget_flows(order);
    return;
  }
}

// False when the daemon has closed its end.
static bool read_daemon(void) {
  ssize_t got = recv(DAEMON_FD, my.text + my.text_length, sizeof my.text - my.text_length, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  my.text_length += (size_t)got;
  size_t at = 0;
  struct order order;
  char problem[PROBLEM_ROOM];
  ssize_t taken;
  while ((taken = orders_read(my.text + at, my.text_length - at, &order, problem)) > 0) {
    obey(&order);
    at += (size_t)taken;
  }
  if (taken < 0) {
    fprintf(stderr, "joblet-launch: %s\n", problem);
    exit(1);
  }
  memmove(my.text, my.text + at, my.text_length - at);
  my.text_length -= at;
  // What stands by for a job gets a copy of this memory, and is to know nothing of another's secrets.
  memset(my.text + my.text_length, 0, at);
  return true;
}

// Returns when those that stand by are gone, with what they hold of cgroups.
static void end_standbys(void) {
  for (unsigned i = 0; i <= AHEAD_LIMIT; i++) {
    struct standby *standby = i < AHEAD_LIMIT ? &my.ahead[i].standby : &my.spare;
    pid_t pid = standby->pid;
    if (pid == 0) continue;
    let_go_of_standby(standby);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  }
}

// ---- start -------------------------------------------------------------------------------------

static void raise_files_limit(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files_soft_limit = files.rlim_cur;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

static int take_signals(void) {
  // Whoever started the daemon may have had signals ignored; a job inherits none of that.
  for (int each = 1; each < NSIG; each++) signal(each, SIG_DFL);
  sigset_t mask;
  sigemptyset(&mask);
  sigprocmask(SIG_SETMASK, &mask, NULL);
  sigaddset(&mask, SIGCHLD);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int fail(const char *what) {
  fprintf(stderr, "joblet-launch: %s: %s\n", what, errno_name(errno));
  return 1;
}

static OWN_FRAME int tell_ready(void) {
  struct frame ready;
  frame_start(&ready, "ready");
  frame_text(&ready, JOBLET_VERSION);
  return frame_send_patiently(DAEMON_FD, &ready);
}

// One launcher at a time. The lock belongs to this process and, by inheritance, to each keeper and
// process 1 until it has closed what was ours: whoever gets it next finds that every launch of ours
// has come to a keeper that listens, or to an end.
static int take_turn(const char *lock_path) {
  int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return -1;
  my.turn = lock;
  int taken = flock(lock, LOCK_EX | LOCK_NB);
  if (taken != 0 && errno == EWOULDBLOCK) {
    fprintf(stderr, "joblet-launch: waits for what the launcher before was starting\n");
    do taken = flock(lock, LOCK_EX);
    while (taken != 0 && errno == EINTR);
  }
  return taken;
}

// Two daemons must not run jobs in the same cgroups: each would take the other's for its own. 0, or the
// exit code. `directory` is open since before the turn was taken, so that whoever inherits both lets
// go of it first.
static int claim(int directory, const char *path) {
  if (directory < 0 || flock(directory, LOCK_EX | LOCK_NB) == 0) return 0;
  int code = errno == EWOULDBLOCK ? EXIT_CLAIMED : 1;
  fail(path);
  return code;
}

int launcher_run(const char *lock_path, const char *claimed_path) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0) return fail("/dev/null");
  if (fcntl(DAEMON_FD, F_SETFD, FD_CLOEXEC) != 0) return fail("descriptor 3");
  int signals = take_signals();
  if (signals < 0) return fail("signalfd");
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, my.notices) != 0) return fail("socketpair");
  // Inherited by every process from here on: no set-uid file can raise anything, and nobody but
  // root can look into a keeper.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail("no_new_privs");
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  umask(022);
  raise_files_limit();
  seccomp_compile();
  if (system_survey() != 0) return fail("/proc and /sys");
  int claimed = claimed_path == NULL ? -1 : open(claimed_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (claimed_path != NULL && claimed < 0) return fail(claimed_path);
  if (take_turn(lock_path) != 0) return fail(lock_path);
  int refused = claim(claimed, claimed_path);
  if (refused != 0) return refused;
  my.claimed = claimed;
  pool_start();
  start_spare();

  if (tell_ready() != 0) return fail("descriptor 3");
  for (;;) {
    struct pollfd polled[] = {
        {.fd = DAEMON_FD, .events = POLLIN},
        {.fd = signals, .events = POLLIN},
        {.fd = my.notices[0], .events = POLLIN},
        {.fd = pool_filler(), .events = POLLIN},
    };
    int ready = poll(polled, LENGTH(polled), my.wants_spare ? STANDBY_AFTER_MS : -1);
    if (ready < 0 && errno != EINTR) return fail("poll");
    if (ready == 0) start_spare();
    // What can be used again first, so that the launches behind it find it.
    if (polled[2].revents != 0) take_notice();
    if (polled[3].revents != 0) pool_receive();
    if (polled[1].revents != 0) reap_children(signals);
    if (polled[0].revents != 0 && !read_daemon()) break;
  }
  end_standbys();
  return 0;
}
