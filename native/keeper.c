// The keeper of one job: outside of the sandbox, in a session of its own. It copies output to the
// log, keeps the timeout and the grace, writes the end record, and needs no daemon for any of it.
//
//   starting ── exec'd ──> running ── process 1 is gone ──> ended
//       └── a step failed, stopped, timed out ──> refused: everything is taken back
//
// It never blocks: not on the job (what cannot be logged is dropped), not on a client (one that
// does not read is let go).

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  CONNECTION_LIMIT = 8,
  SMALL_FRAME = 64, // everything but input is smaller
  FRAMES_AT_ONCE = 16,
  OUTPUT_ROOM = 64 << 10, // what a pipe holds
  PAGE = 4096,
};

struct connection {
  int fd; // -1 is free
  bool watching;
  uint64_t belled; // position that the last bell named
  // The frame that is being read.
  uint32_t have;
  uint32_t length;
  char *body;
  char small[SMALL_FRAME];
  // Input that waits for room in the pipe, or NULL.
  char *input;
  uint32_t input_at;
  uint32_t input_end;
  uint64_t input_turn;
};

static struct keeper {
  struct plan *plan;
  struct entry *entry;
  int daemon;
  enum { STARTING, RUNNING, ENDED } phase;

  int listener;
  int report;
  int input;
  int output[2]; // stdout, stderr
  int memory;    // readable when a v1 job ran out of memory
  int pidfd;     // of process 1
  pid_t pid;
  unsigned cgroups_made; // a bit for each of the plan's
  bool log_made;
  bool socket_made;

  uint64_t started_ns;    // since 1970
  uint64_t timeout_at_ns; // monotonic; 0 is none
  uint64_t kill_at_ns;
  const char *cause;
  bool out_of_memory;
  bool close_input_after;
  bool seen;
  uint64_t input_turns;
  bool output_touched;

  struct log log;
  struct connection connections[CONNECTION_LIMIT];
} keeper;

static char output[OUTPUT_ROOM] __attribute__((aligned(PAGE)));

static uint64_t now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t in_ms(uint64_t ms) {
  return ms == 0 ? 0 : now_ns(CLOCK_MONOTONIC) + ms * 1000000;
}

// ---- ending a job ------------------------------------------------------------------------------

static void signal_job(int signal) {
  if (keeper.plan->no_init) kill(-keeper.pid, signal);
  else syscall(SYS_pidfd_send_signal, keeper.pidfd, signal, NULL, 0);
}

// Process 1 takes its whole pid namespace with it; the cgroup's own kill is for speed.
static void kill_job(void) {
  cgroup_kill(keeper.plan);
  syscall(SYS_pidfd_send_signal, keeper.pidfd, SIGKILL, NULL, 0);
  keeper.kill_at_ns = 0;
}

static void end_job(const char *cause, uint64_t grace_ms) {
  if (keeper.phase == ENDED) return;
  if (keeper.phase == STARTING) {
    report("start", cause, strcmp(cause, "timeout") == 0 ? ETIMEDOUT : ECANCELED);
    kill_job();
    return;
  }
  if (keeper.cause == NULL) keeper.cause = cause;
  if (grace_ms == 0) {
    kill_job();
    return;
  }
  signal_job(SIGTERM);
  uint64_t at = in_ms(grace_ms);
  if (keeper.kill_at_ns == 0 || at < keeper.kill_at_ns) keeper.kill_at_ns = at;
}

static void keep_deadlines(void) {
  uint64_t now = now_ns(CLOCK_MONOTONIC);
  if (keeper.timeout_at_ns != 0 && now >= keeper.timeout_at_ns) {
    keeper.timeout_at_ns = 0;
    end_job("timeout", keeper.plan->grace_ms);
  }
  if (keeper.kill_at_ns != 0 && now >= keeper.kill_at_ns) kill_job();
}

// ---- connections -------------------------------------------------------------------------------

static void drop_connection(struct connection *connection) {
  close(connection->fd);
  if (connection->body != connection->small) free(connection->body);
  free(connection->input);
  *connection = (struct connection){.fd = -1};
}

static void tell(struct connection *connection, const struct frame *frame) {
  if (connection->fd >= 0 && frame_send(connection->fd, frame) != 0) drop_connection(connection);
}

static void tell_verb(struct connection *connection, const char *verb) {
  struct frame frame;
  frame_start(&frame, verb);
  tell(connection, &frame);
}

static void tell_state(struct connection *connection) {
  static const char *const phases[] = {
      [STARTING] = "starting", [RUNNING] = "running", [ENDED] = "ended"};
  struct frame frame;
  frame_start(&frame, "state");
  frame_text(&frame, keeper.plan->id);
  frame_text(&frame, phases[keeper.phase]);
  frame_number(&frame, (uint64_t)getpid());
  frame_number(&frame, (uint64_t)keeper.pid);
  frame_number(&frame, keeper.started_ns);
  tell(connection, &frame);
}

static void ring(struct connection *connection) {
  if (!connection->watching || connection->belled >= keeper.log.position) return;
  connection->watching = false;
  connection->belled = keeper.log.position;
  struct frame frame;
  frame_start(&frame, "bell");
  frame_number(&frame, keeper.log.position);
  tell(connection, &frame);
}

static bool accept_connection(void) {
  int fd = accept4(keeper.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return false;
  for (unsigned i = 0; i < CONNECTION_LIMIT; i++) {
    struct connection *connection = &keeper.connections[i];
    if (connection->fd >= 0) continue;
    *connection = (struct connection){.fd = fd, .body = connection->small};
    tell_state(connection);
    return true;
  }
  close(fd);
  return true;
}

// ---- standard input ----------------------------------------------------------------------------

static void close_input(void) {
  if (keeper.input >= 0) close(keeper.input);
  keeper.input = -1;
  for (unsigned i = 0; i < CONNECTION_LIMIT; i++) {
    struct connection *connection = &keeper.connections[i];
    if (connection->input == NULL) continue;
    free(connection->input);
    connection->input = NULL;
    tell_verb(connection, "stdin-gone");
  }
}

// The connection whose input came first, or NULL.
static struct connection *next_input(void) {
  struct connection *next = NULL;
  for (unsigned i = 0; i < CONNECTION_LIMIT; i++) {
    struct connection *connection = &keeper.connections[i];
    if (connection->input == NULL) continue;
    if (next == NULL || connection->input_turn < next->input_turn) next = connection;
  }
  return next;
}

// Writes what the pipe takes.
static void feed_input(void) {
  struct connection *from;
  while (keeper.input >= 0 && (from = next_input()) != NULL) {
    size_t left = from->input_end - from->input_at;
    ssize_t written = left == 0 ? 0 : write(keeper.input, from->input + from->input_at, left);
    if (written < 0 && errno == EAGAIN) return;
    if (written < 0) {
      close_input();
      return;
    }
    from->input_at += (uint32_t)written;
    if (from->input_at < from->input_end) continue;
    free(from->input);
    from->input = NULL;
    tell_verb(from, "stdin-taken");
  }
  if (keeper.close_input_after && next_input() == NULL) close_input();
}

// ---- what a client may say ---------------------------------------------------------------------

// Each is given the operand of its verb; false closes the connection.
static bool hear_stop(struct connection *connection, const char *operand) {
  (void)connection;
  uint64_t grace_ms;
  if (!number_of(operand, &grace_ms)) return false;
  end_job("stop", grace_ms);
  return true;
}

static bool hear_deadline(struct connection *connection, const char *operand) {
  (void)connection;
  uint64_t ms;
  if (!number_of(operand, &ms)) return false;
  keeper.timeout_at_ns = in_ms(ms);
  return true;
}

static bool hear_stdin_close(struct connection *connection, const char *operand) {
  (void)connection, (void)operand;
  keeper.close_input_after = true;
  feed_input();
  return true;
}

static bool hear_watch(struct connection *connection, const char *operand) {
  (void)operand;
  connection->watching = true;
  ring(connection);
  return true;
}

static bool hear_seen(struct connection *connection, const char *operand) {
  (void)connection, (void)operand;
  keeper.seen = true;
  return true;
}

static const struct {
  const char *verb;
  bool has_operand;
  bool (*hear)(struct connection *connection, const char *operand);
} verbs[] = {
    {"stop", true, hear_stop},
    {"deadline", true, hear_deadline},
    {"stdin-close", false, hear_stdin_close},
    {"watch", false, hear_watch},
    {"seen", false, hear_seen},
};

static const char stdin_verb[] = "stdin";

// Takes over a frame of input, whose bytes stand behind the verb.
static bool hear_stdin(struct connection *connection) {
  if (keeper.input < 0 || keeper.close_input_after) {
    tell_verb(connection, "stdin-gone");
    return true;
  }
  // The one before has not been answered yet: this client does not keep to the protocol.
  if (connection->input != NULL) return false;
  if (connection->body == connection->small) {
    connection->input = malloc(SMALL_FRAME);
    if (connection->input == NULL) return false;
    memcpy(connection->input, connection->small, SMALL_FRAME);
  } else {
    connection->input = connection->body;
    connection->body = connection->small;
  }
  connection->input_at = sizeof stdin_verb;
  connection->input_end = connection->length;
  connection->input_turn = keeper.input_turns++;
  feed_input();
  return true;
}

static bool hear(struct connection *connection) {
  char *body = connection->body;
  uint32_t length = connection->length;
  if (length >= sizeof stdin_verb && memcmp(body, stdin_verb, sizeof stdin_verb) == 0) {
    return hear_stdin(connection);
  }
  if (body[length - 1] != 0) return false;
  for (unsigned i = 0; i < LENGTH(verbs); i++) {
    if (strcmp(body, verbs[i].verb) != 0) continue;
    const char *operand = body + strlen(body) + 1;
    bool has_operand = operand < body + length;
    return has_operand == verbs[i].has_operand && verbs[i].hear(connection, operand);
  }
  return false;
}

// One frame, as far as it has come. False when there is no more to read for now.
static bool read_frame(struct connection *connection) {
  const uint32_t head = sizeof connection->length;
  char *into = connection->have < head ? (char *)&connection->length + connection->have
                                       : connection->body + (connection->have - head);
  size_t wanted = connection->have < head ? head - connection->have
                                          : connection->length - (connection->have - head);
  ssize_t got = recv(connection->fd, into, wanted, 0);
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    drop_connection(connection);
    return false;
  }
  connection->have += (uint32_t)got;
  if (connection->have == head) {
    if (connection->length == 0 || connection->length > FRAME_LIMIT) {
      drop_connection(connection);
      return false;
    }
    if (connection->length > SMALL_FRAME) connection->body = malloc(connection->length);
    if (connection->body == NULL) {
      drop_connection(connection);
      return false;
    }
  }
  if (connection->have < head || connection->have - head < connection->length) return true;
  bool sound = hear(connection);
  if (connection->fd < 0) return false;
  if (!sound) {
    drop_connection(connection);
    return false;
  }
  if (connection->body != connection->small) free(connection->body);
  connection->body = connection->small;
  connection->have = 0;
  return true;
}

static void read_connection(struct connection *connection) {
  for (int i = 0; i < FRAMES_AT_ONCE; i++) {
    if (!read_frame(connection)) return;
  }
}

// ---- output ------------------------------------------------------------------------------------

// One read, one record. False at the end of the pipe.
static bool copy_output(int which) {
  ssize_t length = read(keeper.output[which], output, sizeof output);
  if (length > PAGE) keeper.output_touched = true;
  if (length > 0) {
    log_output(&keeper.log, which == 0 ? LOG_STDOUT : LOG_STDERR, output, (size_t)length);
    return true;
  }
  close(keeper.output[which]);
  keeper.output[which] = -1;
  return false;
}

static void ring_all(void) {
  for (unsigned i = 0; i < CONNECTION_LIMIT; i++) {
    if (keeper.connections[i].fd >= 0) ring(&keeper.connections[i]);
  }
}

// Everything that the job has written by its end. Nobody is left who could write more.
static void drain_output(void) {
  for (int which = 0; which < 2; which++) {
    struct pollfd ready = {.events = POLLIN};
    while ((ready.fd = keeper.output[which]) >= 0 && poll(&ready, 1, 0) > 0) {
      if (!copy_output(which)) break;
    }
  }
}

// ---- setting up --------------------------------------------------------------------------------

static bool make_log(void) {
  const char *path = keeper.plan->log_dir;
  // One that is there already means that this job was started before: it runs at most once.
  if (mkdir(path, 0700) != 0) {
    report("log-dir", path, errno);
    return false;
  }
  keeper.log_made = true;
  int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) {
    report("log-dir", path, errno);
    return false;
  }
  log_start(&keeper.log, dir, keeper.plan->log_segment_bytes, keeper.plan->log_quota_bytes);
  return true;
}

static bool listen_for_clients(void) {
  const char *path = keeper.plan->socket;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    report("socket", path, ENAMETOOLONG);
    return false;
  }
  memcpy(address.sun_path, path, strlen(path));
  keeper.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  mode_t before = umask(0177);
  bool bound = keeper.listener >= 0 &&
               bind(keeper.listener, (struct sockaddr *)&address, sizeof address) == 0;
  int error = errno;
  umask(before);
  if (!bound || listen(keeper.listener, CONNECTION_LIMIT) != 0) {
    if (bound) unlink(path);
    report("socket", path, bound ? errno : error);
    return false;
  }
  keeper.socket_made = true;
  return true;
}

static bool make_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) == 0) return true;
  report("stdio", "pipe", errno);
  return false;
}

// Starts process 1.
static bool start_inside(void) {
  struct entry *entry = keeper.entry;
  int in[2] = {-1, -1}, out[2], err[2], exec_report[2];
  if (keeper.plan->stdin_pipe && !make_pipe(in)) return false;
  if (!make_pipe(out) || !make_pipe(err) || !make_pipe(exec_report)) return false;
  if (in[1] >= 0) fcntl(in[1], F_SETFL, O_NONBLOCK);
  keeper.input = in[1];
  keeper.output[0] = out[0];
  keeper.output[1] = err[0];
  keeper.report = exec_report[0];
  entry->stdio[0] = in[0];
  entry->stdio[1] = out[1];
  entry->stdio[2] = err[1];
  entry->report = exec_report[1];

  struct clone_args args = {
      .flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
      .pidfd = (uint64_t)(uintptr_t)&keeper.pidfd,
      .exit_signal = SIGCHLD,
  };
  int birth = -1;
  const struct cgroup *cgroup = cgroup_of_birth(keeper.plan);
  if (cgroup != NULL) {
    birth = open(cgroup->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (birth < 0) {
      report("cgroup", cgroup->path, errno);
      return false;
    }
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)birth;
  }
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) {
    report("process", "clone3", errno);
    return false;
  }
  if (pid == 0) {
    // Only the keeper may hold this end: its closing tells of the keeper's death.
    close(keeper.report);
    inside_run(keeper.plan, entry);
  }
  keeper.pid = pid;
  int not_ours[] = {in[0], out[1], err[1], exec_report[1], birth};
  for (unsigned i = 0; i < LENGTH(not_ours); i++) {
    if (not_ours[i] >= 0) close(not_ours[i]);
  }
  return true;
}

static bool make_cgroups(bool of_birth) {
  for (unsigned i = 0; i < keeper.plan->cgroup_count; i++) {
    const struct cgroup *cgroup = &keeper.plan->cgroups[i];
    if ((cgroup->kind != CGROUP_V1) != of_birth) continue;
    if (!cgroup_make(cgroup)) return false;
    keeper.cgroups_made |= 1u << i;
  }
  return true;
}

static bool open_ids(void) {
  struct entry *entry = keeper.entry;
  if (entry->ids >= 0) return true;
  entry->ids = ids_open(keeper.plan->ids_first);
  if (entry->ids < 0) {
    report("ids", "user namespace", errno);
    return false;
  }
  struct notice notice = {.what = NOTICE_IDS, .ids_first = keeper.plan->ids_first};
  launcher_offer(entry->launcher, &notice, entry->ids);
  return true;
}

static bool set_up(void) {
  if (!open_ids() || !make_cgroups(true) || !start_inside()) return false;
  // From here on process 1 works at the same time, and waits where it needs what is made here.
  if (!make_cgroups(false) || !cgroup_set_all(keeper.plan)) return false;
  announce_stage(STAGE_CGROUPS);
  keeper.memory = cgroup_watch_memory(keeper.plan);
  if (keeper.memory == -2 || !make_log() || !listen_for_clients()) return false;
  announce_stage(STAGE_READY);
  return true;
}

static int compare_fds(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}

// Closes what the launcher had open, and what only process 1 needed.
static void close_the_rest(void) {
  int kept[] = {keeper.daemon, keeper.listener,  keeper.report, keeper.input,  keeper.output[0],
                keeper.memory, keeper.output[1], keeper.pidfd,  keeper.log.dir};
  qsort(kept, LENGTH(kept), sizeof *kept, compare_fds);
  int next = STDERR_FILENO + 1;
  for (unsigned i = 0; i < LENGTH(kept); i++) {
    if (kept[i] < next) continue;
    if (kept[i] > next) syscall(SYS_close_range, next, kept[i] - 1, 0);
    next = kept[i] + 1;
  }
  syscall(SYS_close_range, next, ~0u, 0);
}

// Becomes a process of its own, while process 1 works.
static void settle_down(void) {
  static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE,
                                SIGXFSZ, SIGUSR1, SIGUSR2};
  // A daemon's whole group may be signalled when it is stopped or upgraded; jobs live on.
  for (unsigned i = 0; i < LENGTH(ignored); i++) signal(ignored[i], SIG_IGN);
  // Standard input is /dev/null in the launcher already.
  dup2(STDIN_FILENO, STDOUT_FILENO);
  dup2(STDIN_FILENO, STDERR_FILENO);
  (void)!chdir("/");
  main_rename("joblet-keeper");
  close_the_rest();
}

// ---- the loop ----------------------------------------------------------------------------------

// Lets go of the plan's text, with its environment; keeps the few strings that are needed still.
static void forget_plan(void) {
  struct plan *plan = keeper.plan;
  plan->id = strdup(plan->id);
  plan->socket = strdup(plan->socket);
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    plan->cgroups[i].path = strdup(plan->cgroups[i].path);
  }
  if (plan->memory.path != NULL) plan->memory.path = strdup(plan->memory.path);
  if (plan->cpu.path != NULL) plan->cpu.path = strdup(plan->cpu.path);
  plan_forget(plan);
  launcher_drop_text();
}

// The report pipe has ended: the command was exec'd, or something failed. False when it failed.
static bool hear_report(void) {
  close(keeper.report);
  keeper.report = -1;
  if (shared->failure.error != 0) return false;
  if (!__atomic_load_n(&shared->execing, __ATOMIC_ACQUIRE)) {
    // Killed on the way: by its memory limit, or by somebody.
    struct usage usage = cgroup_usage(keeper.plan);
    report("start", "process 1", usage.oom_kills > 0 ? ENOMEM : ECANCELED);
    return false;
  }
  keeper.phase = RUNNING;
  keeper.started_ns = now_ns(CLOCK_REALTIME);
  struct frame frame;
  frame_start(&frame, "started");
  frame_text(&frame, keeper.plan->id);
  frame_number(&frame, (uint64_t)getpid());
  frame_number(&frame, (uint64_t)keeper.pid);
  frame_number(&frame, keeper.started_ns);
  frame_send_patiently(keeper.daemon, &frame);
  forget_plan();
  return true;
}

// Nanoseconds until the next deadline, or NULL for none.
static const struct timespec *until_deadline(struct timespec *wait) {
  uint64_t at = keeper.timeout_at_ns;
  if (keeper.kill_at_ns != 0 && (at == 0 || keeper.kill_at_ns < at)) at = keeper.kill_at_ns;
  if (at == 0) return NULL;
  uint64_t now = now_ns(CLOCK_MONOTONIC);
  uint64_t left = at > now ? at - now : 0;
  *wait = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
  return wait;
}

enum { FROM_LISTENER, FROM_REPORT, FROM_PIDFD, FROM_OUT, FROM_ERR, FROM_IN, FROM_MEMORY, FROM_FIXED };

static int wait_for_anything(struct pollfd *polled) {
  polled[FROM_LISTENER] = (struct pollfd){.fd = keeper.listener, .events = POLLIN};
  polled[FROM_REPORT] = (struct pollfd){.fd = keeper.report, .events = POLLIN};
  polled[FROM_PIDFD] = (struct pollfd){.fd = keeper.pidfd, .events = POLLIN};
  polled[FROM_OUT] = (struct pollfd){.fd = keeper.output[0], .events = POLLIN};
  polled[FROM_ERR] = (struct pollfd){.fd = keeper.output[1], .events = POLLIN};
  polled[FROM_IN] = (struct pollfd){.fd = keeper.input,
                                    .events = next_input() != NULL ? POLLOUT : 0};
  polled[FROM_MEMORY] = (struct pollfd){.fd = keeper.memory, .events = POLLIN};
  for (unsigned i = 0; i < CONNECTION_LIMIT; i++) {
    polled[FROM_FIXED + i] = (struct pollfd){.fd = keeper.connections[i].fd, .events = POLLIN};
  }
  const nfds_t count = FROM_FIXED + CONNECTION_LIMIT;
  if (keeper.output_touched) {
    // An idle keeper gives back the room that a burst of output took.
    int ready = poll(polled, count, 0);
    if (ready != 0) return ready;
    madvise(output, sizeof output, MADV_DONTNEED);
    keeper.output_touched = false;
  }
  struct timespec wait;
  return ppoll(polled, count, until_deadline(&wait), NULL);
}

static void serve_connections(const struct pollfd *polled) {
  for (unsigned i = 0; i < CONNECTION_LIMIT; i++) {
    struct connection *connection = &keeper.connections[i];
    if (connection->fd >= 0 && connection->fd == polled[FROM_FIXED + i].fd &&
        polled[FROM_FIXED + i].revents != 0) {
      read_connection(connection);
    }
  }
  if (polled[FROM_LISTENER].revents != 0) accept_connection();
}

// Until process 1 is gone. False when the launch failed before the command ran.
static bool watch_job(void) {
  struct pollfd polled[FROM_FIXED + CONNECTION_LIMIT];
  for (;;) {
    if (wait_for_anything(polled) < 0 && errno != EINTR) _exit(1);
    keep_deadlines();
    if (polled[FROM_REPORT].revents != 0 && !hear_report()) return false;
    if (polled[FROM_MEMORY].revents != 0) {
      keeper.out_of_memory = true;
      close(keeper.memory);
      keeper.memory = -1;
      kill_job();
    }
    for (int which = 0; which < 2; which++) {
      if (polled[FROM_OUT + which].revents != 0) copy_output(which);
    }
    ring_all();
    if (polled[FROM_IN].revents & POLLERR) close_input();
    else if (polled[FROM_IN].revents != 0) feed_input();
    serve_connections(polled);
    if (polled[FROM_PIDFD].revents != 0 && keeper.phase == RUNNING) return true;
  }
}

// ---- the end -----------------------------------------------------------------------------------

// The wait status of the command, or of process 1 where that did not get to say it.
static int reap(void) {
  int status = 0;
  while (waitpid(keeper.pid, &status, 0) < 0 && errno == EINTR) continue;
  return __atomic_load_n(&shared->ended, __ATOMIC_ACQUIRE) ? shared->status : status;
}

static void describe_end(struct frame *frame, int status, uint64_t ended_ns) {
  struct usage usage = cgroup_usage(keeper.plan);
  if (keeper.out_of_memory && usage.oom_kills == 0) usage.oom_kills = 1;
  frame_start(frame, "ended");
  frame_text(frame, keeper.plan->id);
  bool signaled = WIFSIGNALED(status);
  frame_pair(frame, "how", signaled ? "signaled" : "exited");
  frame_pair_number(frame, "code", (uint64_t)(signaled ? WTERMSIG(status) : WEXITSTATUS(status)));
  if (keeper.cause != NULL) frame_pair(frame, "cause", keeper.cause);
  frame_pair_number(frame, "oom-kills", usage.oom_kills);
  frame_pair_number(frame, "memory-peak", usage.memory_peak_bytes);
  frame_pair_number(frame, "cpu-usec", usage.cpu_usec);
  frame_pair_number(frame, "started-ns", keeper.started_ns);
  frame_pair_number(frame, "ended-ns", ended_ns);
  frame_pair_number(frame, "log-bytes", keeper.log.position);
  frame_pair_number(frame, "dropped-bytes", keeper.log.dropped_bytes);
}

// The pairs of an `ended` frame, which are those of the end record.
static const char *pairs_of(const struct frame *frame, size_t *length) {
  const char *id = frame->bytes + strlen(frame->bytes) + 1;
  const char *pairs = id + strlen(id) + 1;
  *length = frame->length - (size_t)(pairs - frame->bytes);
  return pairs;
}

// The end record could not be written: stays until somebody has taken note of the end.
static void wait_until_seen(const struct frame *ended) {
  struct pollfd polled[FROM_FIXED + CONNECTION_LIMIT];
  while (!keeper.seen) {
    uint64_t known = 0;
    for (unsigned i = 0; i < CONNECTION_LIMIT; i++) {
      known |= (uint64_t)(keeper.connections[i].fd >= 0) << i;
    }
    wait_for_anything(polled);
    serve_connections(polled);
    for (unsigned i = 0; i < CONNECTION_LIMIT; i++) {
      if (keeper.connections[i].fd >= 0 && !(known >> i & 1)) {
        tell(&keeper.connections[i], ended);
      }
    }
  }
}

static _Noreturn void finish(void) {
  int status = reap();
  uint64_t ended_ns = now_ns(CLOCK_REALTIME);
  close(keeper.pidfd);
  keeper.pidfd = -1;
  drain_output();
  ring_all();
  struct frame ended;
  describe_end(&ended, status, ended_ns);
  cgroup_remove(keeper.plan, keeper.cgroups_made);
  keeper.phase = ENDED;
  keeper.timeout_at_ns = keeper.kill_at_ns = 0;

  size_t length;
  const char *pairs = pairs_of(&ended, &length);
  bool written = log_end(&keeper.log, pairs, length) == 0;
  if (written) unlink(keeper.plan->socket);
  bool told = frame_send_patiently(keeper.daemon, &ended) == 0;
  // Nobody records the end now: whoever comes later must find it, even behind a crash.
  if (written && !told) log_make_durable(&keeper.log);
  while (accept_connection()) continue;
  for (unsigned i = 0; i < CONNECTION_LIMIT; i++) tell(&keeper.connections[i], &ended);
  if (!written) {
    wait_until_seen(&ended);
    unlink(keeper.plan->socket);
  }
  _exit(0);
}

// Takes everything back and tells what failed.
static _Noreturn void refuse(void) {
  if (keeper.pidfd >= 0) {
    kill_job();
    reap();
  }
  cgroup_remove(keeper.plan, keeper.cgroups_made);
  if (keeper.socket_made) unlink(keeper.plan->socket);
  if (keeper.log_made) rmdir(keeper.plan->log_dir);
  const struct failure *failure = &shared->failure;
  struct frame frame;
  frame_start(&frame, "failed");
  frame_text(&frame, keeper.plan->id);
  frame_text(&frame, failure->step);
  frame_text(&frame, failure->object);
  frame_text(&frame, errno_name(failure->error));
  if (frame_send_patiently(keeper.daemon, &frame) == 0 || !keeper.log_made) _exit(0);

  // No daemon hears it: the log says it to the next one.
  keeper.log_made = make_log();
  frame_start(&frame, "ended");
  frame_text(&frame, keeper.plan->id);
  frame_pair(&frame, "how", "not-started");
  frame_pair(&frame, "step", failure->step);
  frame_pair(&frame, "object", failure->object);
  frame_pair(&frame, "errno", errno_name(failure->error));
  frame_pair_number(&frame, "started-ns", 0);
  frame_pair_number(&frame, "ended-ns", now_ns(CLOCK_REALTIME));
  size_t length;
  const char *pairs = pairs_of(&frame, &length);
  if (keeper.log_made && log_end(&keeper.log, pairs, length) == 0) {
    log_make_durable(&keeper.log);
  }
  _exit(0);
}

_Noreturn void keeper_run(struct plan *plan, struct entry *entry, int daemon) {
  keeper = (struct keeper){
      .plan = plan, .entry = entry, .daemon = daemon, .listener = -1, .report = -1,
      .input = -1,  .output = {-1, -1}, .memory = -1, .pidfd = -1, .log = {.dir = -1, .segment = -1},
  };
  for (unsigned i = 0; i < CONNECTION_LIMIT; i++) keeper.connections[i].fd = -1;
  keeper.timeout_at_ns = in_ms(plan->timeout_ms);
  setsid();
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) _exit(1);
  if (!set_up()) refuse();
  settle_down();
  if (!watch_job()) refuse();
  finish();
}
