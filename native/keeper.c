// The keeper of one job: outside of the sandbox, in a session of its own. It copies output to the
// log, keeps the timeout and the grace, writes the end record, and needs no daemon for any of it.
//
//   starting ── exec'd ──> running ── process 1 is gone ──> ended
//       └── a step failed, stopped, timed out ──> refused: everything is taken back
//
// While the job runs it never blocks: not on the job (what cannot be logged is dropped), not on a client
// (one that does not read is let go), not on the daemon (one that does not read is told later).

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  PIPE_ROOM = 64 << 10,    // what a pipe holds
  OUTPUT_ROOM = 256 << 10, // what one holds of a job that writes much
  IDLE_MS = 50,
  ROOM_MS = 250, // from one look at a full disk to the next
  STRINGS_ROOM = 1536,
};

static const uint64_t MS_LIMIT = 1ull << 40; // centuries, and no overflow in nanoseconds

struct keeper keeper;

static char output[OUTPUT_ROOM] __attribute__((aligned(PAGE)));

static uint64_t now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t in_ms(uint64_t ms) {
  if (ms > MS_LIMIT) ms = MS_LIMIT;
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

void keeper_end_job(const char *cause, uint64_t grace_ms) {
  if (keeper.phase == ENDED) return;
  if (keeper.cause == NULL && !keeper.out_of_memory) keeper.cause = cause;
  // Whether the command has run by then is known when the report pipe ends.
  if (keeper.phase == STARTING || grace_ms == 0) {
    kill_job();
    return;
  }
  signal_job(SIGTERM);
  uint64_t at = in_ms(grace_ms);
  if (keeper.kill_at_ns == 0 || at < keeper.kill_at_ns) keeper.kill_at_ns = at;
}

bool keeper_move_timeout(uint64_t ms) {
  if (keeper.phase == ENDED || keeper.cause != NULL || keeper.out_of_memory) return false;
  keeper.timeout_at_ns = in_ms(ms);
  return true;
}

uint64_t keeper_timeout_ms(void) {
  if (keeper.timeout_at_ns == 0) return 0;
  uint64_t now = now_ns(CLOCK_MONOTONIC);
  return keeper.timeout_at_ns > now ? (keeper.timeout_at_ns - now) / 1000000 + 1 : 1;
}

static void keep_deadlines(void) {
  uint64_t now = now_ns(CLOCK_MONOTONIC);
  if (keeper.timeout_at_ns != 0 && now >= keeper.timeout_at_ns) {
    keeper.timeout_at_ns = 0;
    keeper_end_job("timeout", keeper.plan->grace_ms);
  }
  if (keeper.kill_at_ns != 0 && now >= keeper.kill_at_ns) kill_job();
  if (now >= keeper.held_until_ns) keeper.held_until_ns = 0;
}

// ---- output ------------------------------------------------------------------------------------

// A job that writes much gets a longer pipe: it and its keeper then take turns less often. Where the
// kernel does not give that, it is as long as before.
static void widen_pipe(int which) {
  if (keeper.pipe_widened[which]) return;
  keeper.pipe_widened[which] = true;
  fcntl(keeper.output[which], F_SETPIPE_SZ, OUTPUT_ROOM);
}

// One read, one record. False at the end of the pipe.
static bool copy_output(int which) {
  ssize_t length = read(keeper.output[which], output, sizeof output);
  if (length > PAGE) keeper.output_touched = true;
  if (length >= PIPE_ROOM) widen_pipe(which);
  if (length > 0) {
    log_output(&keeper.log, which == 0 ? LOG_STDOUT : LOG_STDERR, output, (size_t)length);
    return true;
  }
  close(keeper.output[which]);
  keeper.output[which] = -1;
  return false;
}

// The same, unless it has to wait for room on the disk. No kernel says when there is some again.
static void take_output(int which) {
  if (log_has_room(&keeper.log, sizeof output)) copy_output(which);
  else keeper.held_until_ns = in_ms(ROOM_MS);
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

// ---- the loop ----------------------------------------------------------------------------------

// The few strings of a plan that are needed for as long as the job runs.
static char strings[STRINGS_ROOM];
static size_t strings_length;

static char *keep_string(const char *text) {
  if (text == NULL) return NULL;
  size_t length = strlen(text) + 1;
  if (length > sizeof strings - strings_length) return strdup(text);
  char *copy = memcpy(strings + strings_length, text, length);
  strings_length += length;
  return copy;
}

// Lets go of the launcher's memory, the plan with the job's environment in it, and keeps the little
// that is needed still.
static void forget_plan(void) {
  static struct plan lasting; // the rest of it is never touched
  struct plan *plan = keeper.plan;
  memcpy(&lasting, plan, offsetof(struct plan, log_dir));
  lasting.id = keep_string(plan->id);
  lasting.proof = keep_string(plan->proof);
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    lasting.cgroups[i].path = keep_string(plan->cgroups[i].path);
  }
  lasting.memory.path = keep_string(plan->memory.path);
  lasting.cpu.path = keep_string(plan->cpu.path);
  lasting.io.path = keep_string(plan->io.path);
  plan_forget(plan);
  keeper.plan = &lasting;
  keeper.entry = NULL;
  launcher_drop();
  memory_drop_stack();
}

// False when it could not be said, and then `untold` says whether it can be said later.
static bool tell_daemon(const struct frame *frame, bool *untold) {
  bool told = frame_send(keeper.daemon, frame) == 0;
  *untold = !told && errno == EAGAIN;
  return told;
}

static OWN_FRAME void tell_started(void) {
  struct frame frame;
  frame_start(&frame, "started");
  frame_text(&frame, keeper.plan->id);
  frame_number(&frame, (uint64_t)getpid());
  frame_number(&frame, (uint64_t)keeper.pid);
  frame_number(&frame, keeper.started_ns);
  tell_daemon(&frame, &keeper.start_untold);
}

static bool tell_ended(const struct frame *ended) {
  if (keeper.start_untold) tell_started();
  keeper.end_untold = keeper.start_untold;
  return !keeper.end_untold && tell_daemon(ended, &keeper.end_untold);
}

// Killed on the way: by us, by its memory limit, or by somebody.
static void report_unstarted(void) {
  if (keeper.cause != NULL) {
    report("start", keeper.cause, strcmp(keeper.cause, "timeout") == 0 ? ETIMEDOUT : ECANCELED);
    return;
  }
  struct usage usage = cgroup_usage(keeper.plan);
  bool out_of_memory = keeper.out_of_memory || usage.oom_kills > 0;
  report("start", "process 1", out_of_memory ? ENOMEM : ECANCELED);
}

// To take a job's mounts apart costs the kernel a grace period, and the last process of the job would wait
// for it. Where nothing of the host is among them, that is left for behind the end.
static void hold_mounts(void) {
  if (!standby_is_plain(keeper.plan)) return;
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/ns/mnt", keeper.pid);
  // A job that has ended by now has none any more.
  keeper.mounts = open(path, O_RDONLY | O_CLOEXEC);
}

// The report pipe has ended: the command was exec'd, or something failed. False when it failed.
static bool hear_report(void) {
  close(keeper.report);
  keeper.report = -1;
  if (shared->failure.error != 0) return false;
  if (!__atomic_load_n(&shared->execing, __ATOMIC_ACQUIRE)) {
    report_unstarted();
    return false;
  }
  keeper.phase = RUNNING;
  keeper.started_ns = now_ns(CLOCK_REALTIME);
  tell_started();
  client_tell_state();
  hold_mounts();
  forget_plan();
  return true;
}

// Nanoseconds until the next deadline, or NULL for none.
static const struct timespec *until_deadline(struct timespec *wait) {
  uint64_t at = keeper.timeout_at_ns;
  if (keeper.kill_at_ns != 0 && (at == 0 || keeper.kill_at_ns < at)) at = keeper.kill_at_ns;
  if (keeper.held_until_ns != 0 && (at == 0 || keeper.held_until_ns < at)) at = keeper.held_until_ns;
  if (at == 0) return NULL;
  uint64_t now = now_ns(CLOCK_MONOTONIC);
  uint64_t left = at > now ? at - now : 0;
  *wait = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
  return wait;
}

enum {
  FROM_LISTENER, FROM_REPORT, FROM_PIDFD, FROM_OUT, FROM_ERR, FROM_IN, FROM_MEMORY, FROM_DAEMON, FROM_FIXED
};

static int wait_for_anything(struct pollfd *polled) {
  polled[FROM_LISTENER] = (struct pollfd){.fd = keeper.listener, .events = POLLIN};
  polled[FROM_REPORT] = (struct pollfd){.fd = keeper.report, .events = POLLIN};
  polled[FROM_PIDFD] = (struct pollfd){.fd = keeper.pidfd, .events = POLLIN};
  bool held = keeper.held_until_ns != 0;
  polled[FROM_OUT] = (struct pollfd){.fd = held ? -1 : keeper.output[0], .events = POLLIN};
  polled[FROM_ERR] = (struct pollfd){.fd = held ? -1 : keeper.output[1], .events = POLLIN};
  polled[FROM_IN] = (struct pollfd){.fd = keeper.input,
                                    .events = input_waits() ? POLLOUT : 0};
  polled[FROM_MEMORY] = (struct pollfd){.fd = keeper.memory, .events = POLLIN};
  bool is_untold = keeper.start_untold || keeper.end_untold;
  polled[FROM_DAEMON] = (struct pollfd){.fd = is_untold ? keeper.daemon : -1, .events = POLLOUT};
  client_poll(polled + FROM_FIXED);
  const nfds_t count = FROM_FIXED + CLIENT_LIMIT;
  struct timespec wait;
  const struct timespec *until = until_deadline(&wait);
  if (keeper.output_touched) {
    // An idle keeper gives back the room that a burst of output took.
    const struct timespec idle = {.tv_nsec = IDLE_MS * 1000000};
    bool sooner = until != NULL && until->tv_sec == 0 && until->tv_nsec < idle.tv_nsec;
    int ready = ppoll(polled, count, sooner ? until : &idle, NULL);
    if (ready != 0 || sooner) return ready;
    madvise(output, sizeof output, MADV_DONTNEED);
    keeper.output_touched = false;
    until = until_deadline(&wait);
  }
  return ppoll(polled, count, until, NULL);
}

// Until process 1 is gone. False when the launch failed before the command ran.
static bool watch_job(void) {
  struct pollfd polled[FROM_FIXED + CLIENT_LIMIT];
  for (;;) {
    if (wait_for_anything(polled) < 0 && errno != EINTR) _exit(1);
    // What has ended by itself was neither stopped nor late, however close it was.
    bool is_over = polled[FROM_PIDFD].revents != 0 && keeper.phase == RUNNING;
    if (!is_over) keep_deadlines();
    if (polled[FROM_REPORT].revents != 0 && !hear_report()) return false;
    if (polled[FROM_MEMORY].revents != 0) {
      keeper.out_of_memory = true;
      close(keeper.memory);
      keeper.memory = -1;
      kill_job();
    }
    if (is_over) return true;
    for (int which = 0; which < 2; which++) {
      if (polled[FROM_OUT + which].revents != 0) take_output(which);
    }
    client_ring();
    if (polled[FROM_IN].revents & POLLERR) input_close();
    else if (polled[FROM_IN].revents != 0) input_feed();
    client_serve(polled + FROM_FIXED);
    if (polled[FROM_LISTENER].revents != 0) client_accept(NULL);
    if (polled[FROM_DAEMON].revents != 0) tell_started();
  }
}

// ---- the end -----------------------------------------------------------------------------------

// The wait status of the command, or of process 1 where that did not get to say it.
static int reap(void) {
  int status = 0;
  while (waitpid(keeper.pid, &status, 0) < 0 && errno == EINTR) continue;
  return __atomic_load_n(&shared->ended, __ATOMIC_ACQUIRE) ? shared->status : status;
}

static bool left_as_new(const struct usage *usage) {
  if (cgroup_is_as_new(keeper.plan, usage)) return true;
  if (keeper.mounts < 0) return false;
  // What it left in its memory file systems goes with them.
  close(keeper.mounts);
  keeper.mounts = -1;
  return cgroup_is_as_new(keeper.plan, usage);
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
  keeper.leaves_as_new = left_as_new(&usage);
  if (keeper.leaves_as_new) frame_pair(frame, "cgroups", "as-new");
  frame_pair_number(frame, "cpu-usec", usage.cpu_usec);
  frame_pair_number(frame, "read-bytes", usage.read_bytes);
  frame_pair_number(frame, "written-bytes", usage.written_bytes);
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

// Where the end record could not be written, stays until somebody has taken note of the end; where the
// daemon does not read, until it is told.
static void wait_until_known(const struct frame *ended, bool held) {
  struct pollfd polled[FROM_FIXED + CLIENT_LIMIT];
  while ((held || keeper.end_untold) && !client_has_seen()) {
    wait_for_anything(polled);
    if (polled[FROM_DAEMON].revents != 0) tell_ended(ended);
    client_serve(polled + FROM_FIXED);
    if (polled[FROM_LISTENER].revents != 0) client_accept(ended);
  }
}

static OWN_FRAME _Noreturn void finish(void) {
  int status = reap();
  uint64_t ended_ns = now_ns(CLOCK_REALTIME);
  close(keeper.pidfd);
  keeper.pidfd = -1;
  // Removing the cgroup rings this bell too, and nobody would answer it any more.
  if (keeper.memory >= 0) close(keeper.memory);
  keeper.memory = -1;
  drain_output();
  client_ring();
  struct frame ended;
  describe_end(&ended, status, ended_ns);
  cgroup_remove(keeper.plan, keeper.cgroups_made);
  keeper.phase = ENDED;
  keeper.timeout_at_ns = keeper.kill_at_ns = 0;

  size_t length;
  const char *pairs = pairs_of(&ended, &length);
  bool written = log_end(&keeper.log, pairs, length) == 0;
  // Where somebody deleted the log, nobody will come to ask for the end.
  bool deleted = !written && errno == ENOENT;
  bool held = !written && !deleted;
  if (held) frame_pair(&ended, "held", errno_name(errno));
  bool told = tell_ended(&ended);
  // Nobody records the end now: whoever comes later must find it, even behind a crash.
  if (written && !told) log_make_durable(&keeper.log);
  client_tell_all(&ended);
  client_accept(&ended);
  // A keeper that has to wait holds nothing of its job meanwhile.
  if (keeper.mounts >= 0) close(keeper.mounts);
  wait_until_known(&ended, held);
  _exit(keeper.leaves_as_new ? 0 : KEEPER_LEFT_TRACES);
}

// Takes everything back and tells what failed.
static OWN_FRAME _Noreturn void refuse(void) {
  if (keeper.pidfd >= 0) {
    kill_job();
    reap();
  }
  cgroup_remove(keeper.plan, keeper.cgroups_made);
  if (keeper.log_made) rmdir(keeper.plan->log_dir);
  const struct failure *failure = &shared->failure;
  struct frame frame;
  frame_start(&frame, "failed");
  frame_text(&frame, keeper.plan->id);
  frame_text(&frame, failure->step);
  frame_text(&frame, failure->object);
  frame_text(&frame, errno_name(failure->error));
  if (frame_send_patiently(keeper.daemon, &frame) == 0 || !keeper.log_made) _exit(KEEPER_LEFT_TRACES);

  // No daemon hears it: the log says it to the next one.
  keeper.log_made = setup_log();
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
  _exit(KEEPER_LEFT_TRACES);
}

static const struct keeper nothing = {
    .daemon = -1, .listener = -1, .report = -1, .input = -1, .output = {-1, -1},
    .memory = -1, .pidfd = -1,    .mounts = -1, .log = {.dir = -1, .segment = -1},
};

void keeper_prepare(void) {
  setsid();
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) _exit(1);
  keeper = nothing;
}

bool keeper_make_sandbox(struct plan *plan, struct entry *entry) {
  keeper.plan = plan;
  keeper.entry = entry;
  if (setup_sandbox()) return true;
  keeper_drop_sandbox();
  return false;
}

void keeper_drop_sandbox(void) {
  if (keeper.pidfd >= 0) {
    // Not by the cgroup: a directory that was once killed by is never as new again.
    syscall(SYS_pidfd_send_signal, keeper.pidfd, SIGKILL, NULL, 0);
    reap();
  }
  const int mine[] = {keeper.pidfd,     keeper.report,    keeper.input,
                      keeper.output[0], keeper.output[1], keeper.memory};
  for (unsigned i = 0; i < LENGTH(mine); i++) {
    if (mine[i] >= 0) close(mine[i]);
  }
  *shared = (struct shared){0};
  keeper = nothing;
}

_Noreturn void keeper_run(struct plan *plan, struct entry *entry, int daemon) {
  keeper.plan = plan;
  keeper.entry = entry;
  keeper.daemon = daemon;
  client_start();
  keeper_move_timeout(plan->timeout_ms);
  if (!setup_job()) refuse();
  setup_settle();
  if (!watch_job()) refuse();
  finish();
}
