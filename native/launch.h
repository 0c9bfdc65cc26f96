// joblet-launch: the launcher, the keeper of each job, and process 1 of each job.
//
//   main.c      chooses the part to play
//   launcher.c  one process: takes plans, forks keepers, keeps what can be used again
//   keeper.c    one process per job: output, deadline, stop, end record
//   setup.c     what a keeper makes before the command runs
//   client.c    who listens to a keeper, and what they may say
//   inside.c    process 1 of a job, up to the command
//   rootfs.c    what a job sees as its file system
//   system.c    its /dev, /proc, /sys and /run
//   mount.c     the kernel's mount calls
//   cgroup.c    limits and what was used of them
//   net.c       network namespaces, made ahead
//   pool.c      those of them that wait for jobs
//   attach.c    links, addresses and routes of those that lead out
//   netlink.c   messages to the kernel about them
//   flows.c     says what connections there are
//   ids.c       user namespaces
//   log.c       the log of a job
//   orders.c    cuts what the daemon says into orders
//   plan.c      reads a launch plan, and does nothing else
//   frame.c     frames to the daemon
//   memory.c    gives back what starting took
//   seccomp.c   the system call filter
//   report.c    how a failing step is told
//   probe.c     what the host's kernel can do
//   inspect.c   what a job can do, from inside
//   files.c     files of a job, fetched or put there
//   exchange.c  two directories change places
//
// The whole of what the daemon and this program say to each other is in docs/launch-plan.md.
// Every descriptor is close-on-exec from birth. Nothing is freed on the way to exec or exit. On the way to
// exec files are opened by openat: musl's open makes a second call of its own.

#ifndef JOBLET_LAUNCH_H
#define JOBLET_LAUNCH_H

#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

// For functions with much on their stack that long-lived ones call: their frames are not to become
// part of frames that stay.
#define OWN_FRAME __attribute__((noinline))

// ---- report.c: failing steps -------------------------------------------------------------------

enum { STEP_ROOM = 32, OBJECT_ROOM = 512 };

// A step that failed: what was being done, to what, and the kernel's errno.
struct failure {
  int error; // 0 is none
  char step[STEP_ROOM];
  char object[OBJECT_ROOM];
};

// What process 1 waits for, one after the other.
enum stage {
  STAGE_CGROUPS = 1, // the cgroups are there with their limits
  STAGE_READY = 2,   // so are the log and the socket
};

// The one page that a keeper and process 1 of its job share. It holds what a pipe would have to
// carry at a descriptor each: the stage, the failure, the wait status of the command.
struct shared {
  int stage;         // futex: how far the keeper is
  int failure_taken; // the first failure is the one that is told
  int execing;       // the command's own process has come as far as execve
  int ended;         // the command has ended and `status` holds
  int status;        // its wait status
  struct failure failure;
};

// Set in a keeper and in its process 1.
extern struct shared *shared;

// For process 1: returns when its keeper has come to `stage`.
void wait_for_stage(enum stage stage);
// For the keeper.
void announce_stage(enum stage stage);

// Records that `step` failed on `object` with `error`, unless an earlier failure stands.
void report(const char *step, const char *object, int error);

// Records the failure with errno and ends this process: for process 1 and its children.
_Noreturn void report_and_exit(const char *step, const char *object);

// The name of an errno, as `ENOENT`.
const char *errno_name(int error);

// ---- frame.c -----------------------------------------------------------------------------------

enum {
  FRAME_LIMIT = 1 << 20, // bytes of a frame, as docs/launch-plan.md has it
  FRAME_ROOM = 4092,     // bytes of the frames that we send
};

// A frame on its way out, laid out as it travels.
struct frame {
  uint32_t length;
  char bytes[FRAME_ROOM];
};

void frame_start(struct frame *frame, const char *verb);
void frame_text(struct frame *frame, const char *text);
void frame_number(struct frame *frame, uint64_t number);
// `key=text` and `key=number` as one string.
void frame_pair(struct frame *frame, const char *key, const char *text);
void frame_pair_number(struct frame *frame, const char *key, uint64_t number);
// One send, which never blocks. 0, or -1 with errno.
int frame_send(int socket, const struct frame *frame);
// The same for the daemon's socket: when its buffer is full, waits until it reads or is gone.
int frame_send_patiently(int socket, const struct frame *frame);

// ---- plan.c ------------------------------------------------------------------------------------

enum {
  ID_ROOM = 37,
  KEY_ROOM = 129,
  OP_LIMIT = 512,
  CGROUP_LIMIT = 16,
  CGROUP_SET_LIMIT = 128,
  RLIMIT_LIMIT = 16,
  IDS_COUNT = 65536, // ids of a job, from `ids_first` on
};

enum op_kind {
  OP_BIND_RO,
  OP_BIND_RO_TRY,
  OP_BIND_RW,
  OP_BIND_TREE,
  OP_BIND_OWN,
  OP_TMPFS,
  OP_DIR,
  OP_FILE,
  OP_SYMLINK,
  OP_DEV,
  OP_DEVICE,
  OP_PROC,
  OP_SYS,
  OP_RUN_FILE,
  OP_BOOT_ID,
  OP_COPY_IN,
};

// One mount operation. Which members count depends on the kind.
struct op {
  enum op_kind kind;
  char *source;
  char *target;
  char *text;
  uint64_t bytes;
  uint64_t inodes;
  mode_t mode;
  unsigned device[2]; // major and minor number
  int fd; // what was prepared for it before the new root was entered, or -1
};

enum cgroup_kind { CGROUP_V1, CGROUP_V2, CGROUP_KILL };

struct cgroup {
  enum cgroup_kind kind;
  char *path;
};

// What becomes of the directories: made for this job and removed after it; or kept from job to job,
// then either as an earlier job with the very same limits left them, or to be made anew.
enum cgroup_life { CGROUPS_OWN, CGROUPS_KEPT_AS_IS, CGROUPS_KEPT_ANEW };

struct cgroup_set {
  const struct cgroup *cgroup;
  char *file;
  char *value;
};

// A directory where something is counted; path is NULL when the plan names none.
struct counter {
  int version;
  char *path;
};

struct rlimit_wish {
  int resource;
  uint64_t soft;
  uint64_t hard;
};

// A plan that has been read. Its strings lie in the text that it was read from.
struct plan {
  // What is needed for as long as the job runs.
  char *id;
  char *proof; // said first on every connection, or NULL
  uint64_t grace_ms;
  bool no_init;
  struct cgroup cgroups[CGROUP_LIMIT];
  unsigned cgroup_count;
  enum cgroup_life cgroup_life;
  struct counter memory;
  struct counter cpu;
  struct counter io;

  // What is needed to start it.
  char *log_dir;
  uint64_t log_segment_bytes;
  uint64_t log_quota_bytes;
  uint64_t log_reserve_bytes;
  bool log_waits;
  char *socket;
  uint64_t timeout_ms;
  uint32_t ids_first;
  char *net; // `pool`, or the key of an attached network namespace
  char *hostname;
  char *root_key;
  char *tree;     // of a runtime, whose place on the host is not to show; or NULL
  bool tree_root; // it is the root, below what the plan puts there
  char *dev_target;
  bool host_net;
  unsigned allow; // SECCOMP_ALLOW_*
  uint32_t capabilities; // those that the command keeps, a bit each
  bool stdin_pipe;
  char *cwd;
  char **env;
  unsigned env_count;
  char **argv;
  unsigned argc;
  char **pointers; // a mapping of its own that holds env and argv: it goes as a whole
  size_t pointers_bytes;
  struct cgroup_set cgroup_sets[CGROUP_SET_LIMIT];
  unsigned cgroup_set_count;
  struct rlimit_wish rlimits[RLIMIT_LIMIT];
  unsigned rlimit_count;
  struct op ops[OP_LIMIT];
  unsigned op_count;
  unsigned root_op_count; // so many of them make the shared part of the root
};

enum { PROBLEM_ROOM = 256 };

// Reads the strings in text[0..length) into `plan`. False, with a sentence in `problem`, when the
// plan is to be refused; what could be read by then (the id) stays in `plan`. plan_forget is to
// be called in either case.
bool plan_read(struct plan *plan, char *text, size_t length, char problem[PROBLEM_ROOM]);
void plan_forget(struct plan *plan);
// The plan's word for an operation.
const char *op_name(const struct op *op);
// Whether an operation says which job it is, or shows its network.
bool plan_is_of_job(const struct op *op);
// The index of the first of those in a plan; the number of its operations when there is none.
unsigned plan_first_of_job(const struct plan *plan);

// ---- orders.c ----------------------------------------------------------------------------------

// What the daemon wants: a plan to be launched, or a sandbox to be made for one like it; a template's key to be forgotten; a network namespace to
// be attached, or one to be dropped that no job has; connections of addresses to be forgotten.
struct order {
  enum order_kind { ORDER_LAUNCH, ORDER_PREPARE, ORDER_FORGET, ORDER_ATTACH, ORDER_DETACH, ORDER_FLOWS } kind;
  char *text; // the plan, or else the strings, the last NUL included
  size_t length;
};

// Reads the order at the begin of text[0..length); its text lies there. Answers how many bytes it
// took, 0 when it is not whole yet, or -1 with a sentence in `problem` when it is none.
ssize_t orders_read(char *text, size_t length, struct order *order, char problem[PROBLEM_ROOM]);

// ---- ids.c -------------------------------------------------------------------------------------

// A descriptor of a new user namespace whose ids 0 to 65535 are `first` and following outside.
// Or -1 with errno.
int ids_open(uint32_t first);

// ---- net.c -------------------------------------------------------------------------------------

// A network namespace with loopback up, and the descriptor that tells whether it was used.
struct netns {
  int fd;      // -1 is none
  int devices; // its /proc/net/dev
};

enum {
  NET_KEY_ROOM = 32,
  NET_TEXT_ROOM = 512, // the strings of an order to the filler
};

// What the filler made, or could not make.
struct made {
  char key[NET_KEY_ROOM]; // of an attached one; else empty
  char step[STEP_ROOM];   // that failed, or empty
  int error;
  struct netns net; // its descriptors are those that came along
};

// Starts the process that makes network namespaces ahead. Its socket, or -1 with errno.
int net_start_filler(pid_t *pid);
// Asks the filler for another one.
void net_request(int filler);
// Asks it for what the strings of an order say. False when there are too many.
bool net_request_order(int filler, const struct order *order);
// Takes what the filler made; false at its end.
bool net_receive(int filler, struct made *made);
// Whether no packet was ever sent or received in it.
bool net_is_pristine(const struct netns *net);

struct traffic {
  uint64_t rx_bytes, rx_packets, tx_bytes, tx_packets;
};

// What went over its devices but loopback; zeros where that cannot be told.
struct traffic net_traffic(const struct netns *net);
void net_close(struct netns *net);
// Brings loopback up in the network namespace of this process. 0, or -1 with errno.
int net_loopback_up(void);

// ---- pool.c ------------------------------------------------------------------------------------
// For the launcher alone.

// Starts the filler.
void pool_start(void);
// Its socket, to be polled; -1 when it does not run.
int pool_filler(void);
// Whether a process that has ended was the filler.
bool pool_was_filled_by(pid_t pid);
// Takes what the filler made.
void pool_receive(void);
// One that leads nowhere; none when there is none ready.
struct netns pool_take(void);
// One that the daemon had attached by this key; none when none of it waits.
struct netns pool_take_attached(const char *key);
// Keeps one that leads nowhere and that nobody has sent anything in.
void pool_keep(struct netns *net);
// Gives back an attached one that a job had. Only where its last process is certainly gone, `in_order`, can it
// be used again.
void pool_give_back(struct netns *net, const char *key, bool in_order);
// What the daemon orders: one more attached, one dropped that no job has, connections forgotten.
void pool_attach(const struct order *order);
void pool_detach(const char *key);
void pool_forget_flows(const struct order *order);
// For a keeper and an init: nothing of it is needed any more.
void pool_drop(void);

// ---- netlink.c ---------------------------------------------------------------------------------

enum { NETLINK_ROOM = 1024 }; // bytes of a message that is sent; the longest is below 400

struct netlink_message {
  struct nlmsghdr head;
  char body[NETLINK_ROOM - sizeof(struct nlmsghdr)];
};

// Begins a message that is to be acknowledged, with a head of its kind.
void netlink_begin(struct netlink_message *message, unsigned type, unsigned flags, const void *head,
                   size_t length);
// Makes it longer, by zeros.
void *netlink_extend(struct netlink_message *message, size_t length);
void netlink_attribute(struct netlink_message *message, unsigned type, const void *data, size_t length);
struct rtattr *netlink_open_nest(struct netlink_message *message, unsigned type);
void netlink_close_nest(struct netlink_message *message, struct rtattr *nest);
// Sends it and waits for the kernel's answer, which comes at once. 0, or -1 with errno.
int netlink_ask(int socket, const struct netlink_message *message);

// ---- attach.c ----------------------------------------------------------------------------------
// For the filler alone.

// Ways into the host's network, from wherever this process is.
struct host_net {
  int ns;
  int routes;
  int flows;
};

// Opens them in the network namespace of this process. 0, or -1 with errno.
int attach_open_host(struct host_net *host);
// Attaches the network namespace of this process to the host's. The step that failed with errno, or NULL.
const char *attach_namespace(const struct host_net *host, const char *text, size_t length);
// Forgets what the host's connection tracking knows of two addresses.
void attach_forget_flows(const struct host_net *host, const char *text, size_t length);

// ---- flows.c -----------------------------------------------------------------------------------

// Says what connections there are, as lines on standard output, until standard input ends; see flows.c.
int flows_run(const char *group);

// ---- cgroup.c ----------------------------------------------------------------------------------

// The directory that a process can be born into, or NULL.
const struct cgroup *cgroup_of_birth(const struct plan *plan);
// Makes one directory, as the plan has it. False after a report.
bool cgroup_make(const struct plan *plan, const struct cgroup *cgroup);
// Writes the limits in the plan's order. False after a report.
bool cgroup_set_all(const struct plan *plan);
// Begins to count from here what earlier jobs in the same directories have counted up.
void cgroup_start_counting(const struct plan *plan);
// Moves this process into the v1 directories. For process 1: ends it on failure.
void cgroup_join(const struct plan *plan);
// A descriptor that becomes readable when a v1 job runs out of memory; -1 when there is nothing to
// watch; -2 after a report.
int cgroup_watch_memory(const struct plan *plan);
// Kills everything in the job, where the kernel has one write for that.
void cgroup_kill(const struct plan *plan);
// Removes the directories whose bit is set in `made`, the last first, unless they are kept.
void cgroup_remove(const struct plan *plan, unsigned made);

struct usage {
  uint64_t oom_kills;
  uint64_t memory_peak_bytes;
  uint64_t cpu_usec;
  uint64_t read_bytes; // from disks
  uint64_t written_bytes;
};

// What the kernel counted; 0 where the plan names no counter.
struct usage cgroup_usage(const struct plan *plan);
// Whether the next job finds kept directories as if nobody had been in them.
bool cgroup_is_as_new(const struct plan *plan, const struct usage *usage);

// ---- mount.c -----------------------------------------------------------------------------------
// MOUNT_ATTR_* and O_PATH are the kernel's. Each returns -1 with errno unless it says otherwise.

// A clone of the mount below `path` of `dir` (of `dir` itself when empty), not attached anywhere.
int mount_clone(int dir, const char *path);
// The same of `dir` itself, with all that is mounted below it.
int mount_clone_all(int dir);
// Sets attributes of a mount, makes it private, and maps its ids unless `ids` is -1.
int mount_set(int mount, uint64_t attributes, int ids);
int mount_attach_at(int mount, int dir, const char *path);

// A setting of a new file system; `text` NULL is a number.
struct setting {
  const char *key;
  uint64_t number;
  const char *text;
};

// A new file system, not attached anywhere. For process 1: ends it on failure.
int mount_new(const char *step, const char *object, const char *type,
              const struct setting *settings, unsigned count, unsigned attributes);
// A new file system at the target of `op`, in the root that this process has entered: one call, where
// one that is attached elsewhere takes a dozen. The target is made when it is missing. For process 1: ends
// it on failure.
void mount_in_root(int base, const struct plan *plan, const struct op *op, const char *type,
                   const char *settings, unsigned long flags);
// A tmpfs as `op` wants it, owned by the job's root, likewise.
void mount_tmpfs_in_root(int base, const struct plan *plan, const struct op *op, unsigned long flags);
// The same, not attached anywhere. For process 1: ends it on failure.
int mount_tmpfs(const char *step, const struct plan *plan, const struct op *op,
                unsigned attributes);
// Attaches what was prepared for `op` at its target, which is made when it is missing. For
// process 1: ends it on failure.
void mount_attach(int base, const struct plan *plan, const struct op *op);

// Opens a path within the root `base`.
int root_open(int base, const char *path, uint64_t flags);
// The directory at `path`, made with its parents when it is missing.
int root_directory(int base, char *path, mode_t mode, uid_t owner);
// The directory that holds `path`, made likewise; the last part of the path in `name`.
int root_parent(int base, char *path, uid_t owner, const char **name);
// A new file. 0, or -1 with errno.
int root_file(int parent, const char *name, mode_t mode, uid_t owner, const char *text);

// ---- system.c, rootfs.c ------------------------------------------------------------------------
// Nearly all of these are for process 1 and end it on failure.

// For the launcher: finds out once what this host has that is to be masked. 0, or -1 with errno.
int system_survey(void);
void system_add_run_file(const struct plan *plan, const struct op *op);
void system_add_boot_id(const struct plan *plan, const struct op *op);
// Clones the job's cgroup directories, before the host's mount namespace is left.
void system_clone_cgroups(const struct plan *plan);
// For the shared part of the root.
void system_make_dev(int base, const struct plan *plan, struct op *op);
void system_make_shelf(int base, const struct plan *plan);
// Inside the root. /dev/pts is first, for the others build on it; /proc is that of this pid namespace, /sys
// shows this network namespace.
void system_mount_pts(int base, const struct plan *plan);
void system_mount_run(int base, const struct plan *plan);
void system_mount_proc(int base, const struct plan *plan, const struct op *op);
void system_mount_sys(int base, const struct plan *plan, const struct op *op);
// All files of /run are there.
void system_finish_run(void);
// What of /proc could not be masked before.
void system_finish_proc(void);

// What process 1 needs beside the plan.
struct entry {
  int ids;      // user namespace
  int template; // mount namespace with the shared part of the root, or -1
  int net;      // network namespace, or -1 to make one
  int launcher; // socket to the launcher, for what can be used again
  uint32_t generation;
  int orders; // where process 1 that stands by is given its job, or -1
  int report; // write end of the pipe whose end says "exec'd"
  int stdio[3];
};

// Takes what the job gets of the host. To be called before the host's mount namespace is left.
void rootfs_prepare(struct plan *plan, const struct entry *entry);
// Enters the root: from the template, or else builds it and hands the template to the launcher.
// Then attaches what was prepared, and makes the job's own file systems. Its cgroups must have been joined.
void rootfs_enter(struct plan *plan, const struct entry *entry);
// The rest, from the first operation on that says which job it is. In the job's network namespace.
void rootfs_finish(struct plan *plan);

// ---- inside.c ----------------------------------------------------------------------------------

// Process 1 of a job. When `entry` names where it is given its job, the plan is only what the sandbox
// is made by, and that of the job comes there.
_Noreturn void inside_run(struct plan *plan, struct entry *entry);

// ---- log.c -------------------------------------------------------------------------------------

enum log_stream { LOG_STDOUT = 1, LOG_STDERR = 2, LOG_GAP = 3, LOG_END = 4 };

struct log {
  int dir;
  int segment; // open segment, or -1
  uint64_t segment_limit_bytes;
  uint64_t quota_bytes; // 0 is none
  uint64_t reserve_bytes; // what is left free of the disk
  uint64_t unchecked_bytes; // written since the last look at that
  bool is_short;            // what came last was dropped for that
  bool waits;               // nothing is: who writes asks log_has_room before
  uint64_t records;
  uint64_t segment_bytes;
  uint64_t position;      // output bytes kept
  uint64_t dropped_bytes; // output bytes dropped
  uint64_t gap_bytes;     // of those, not told yet
  const char *gap_reason;
  bool broken; // a half-written record could not be taken back
};

void log_start(struct log *log, int dir, const struct plan *plan);
// Appends output as one record, or drops it and marks the gap. Never fails: the job comes first.
void log_output(struct log *log, enum log_stream stream, const char *bytes, size_t length);
// Tells what was dropped and not told yet.
// Whether there is room on the disk for the next output of a job that waits for it; others need not ask.
bool log_has_room(const struct log *log, size_t length);
void log_tell_gap(struct log *log);
// Appends the end record. 0, or -1 with errno.
int log_end(struct log *log, const char *pairs, size_t length);
// Returns when the segment with the end record is on the disk.
void log_make_durable(const struct log *log);

// ---- keeper.c, setup.c, client.c: the keeper of a job -------------------------------------------

enum {
  CLIENT_LIMIT = 8,
  KNOCKS = 128, // so many wait to be let in; anybody on the host may, and is sent away
};

// What a keeper knows. Its three files share it.
struct keeper {
  struct plan *plan;
  struct entry *entry;
  int daemon;
  enum { STARTING, RUNNING, ENDED } phase;

  int listener;
  int report;    // ends when the command is exec'd or a step failed
  int input;     // write end of the command's standard input
  int output[2]; // read ends of its stdout and stderr
  int memory;    // readable when a v1 job ran out of memory
  int pidfd;     // of process 1
  pid_t pid;
  int mounts; // its mount namespace, held until the end is told; or -1
  unsigned cgroups_made; // a bit for each of the plan's
  bool leaves_as_new;    // the next job may have its cgroups as they are
  bool log_made;

  bool start_untold; // the daemon does not read; it is told when it does
  bool end_untold;
  uint64_t started_ns;    // since 1970; 0 is not yet
  uint64_t timeout_at_ns; // monotonic; 0 is none
  uint64_t kill_at_ns;
  const char *cause; // why the keeper ended the job, or NULL
  bool out_of_memory;
  bool output_touched;
  bool pipe_widened[2];
  uint64_t held_until_ns; // output is not read until then, while the disk is full; 0 is read
  struct log log;
};

extern struct keeper keeper;

// How a keeper ends that leaves in order, but its job's cgroups not as if nobody had been in them: it did not
// come to run, or there is more in them than the next one may find.
enum { KEEPER_LEFT_TRACES = 4 };

// What a keeper can make of itself before its job is known.
void keeper_prepare(void);
// Makes the sandbox of a job that is not known yet: one that `plan` would get. False when it could not
// be made, and then nothing of it is there.
bool keeper_make_sandbox(struct plan *plan, struct entry *entry);
// Takes it back.
void keeper_drop_sandbox(void);
// The keeper of a job, prepared. `daemon` is the socket to the daemon; `entry` what process 1 will need,
// where that is not in its sandbox already.
_Noreturn void keeper_run(struct plan *plan, struct entry *entry, int daemon);
// Ends the job for `cause`: SIGTERM, and SIGKILL after the grace; at once when that is 0.
void keeper_end_job(const char *cause, uint64_t grace_ms);
// The timeout is now `ms` from now; 0 is none. False when the job is being ended already.
bool keeper_move_timeout(uint64_t ms);
// Milliseconds until the timeout, at least 1; 0 is none.
uint64_t keeper_timeout_ms(void);

// Makes the cgroups of a job and starts process 1. False after a report.
bool setup_sandbox(void);
// The same unless it is done, and all else that a job needs. False after a report.
bool setup_job(void);
// Makes the directory of the log. False after a report.
bool setup_log(void);
// Leaves what was the launcher's, while process 1 works.
void setup_settle(void);
// Closes all descriptors beyond standard error but these, which it sorts; -1 is none.
void setup_close_but(int *kept, unsigned count);

struct pollfd;

void client_start(void);
// Fills CLIENT_LIMIT entries to be polled.
void client_poll(struct pollfd *polled);
// Reads from those that have something to say.
void client_serve(const struct pollfd *polled);
// Takes those that have knocked; each is told the state, and `ended` where that is not NULL.
void client_accept(const struct frame *ended);
// Rings for everybody who waits for output.
void client_ring(void);
void client_tell_all(const struct frame *frame);
// Says again what the state is: it has changed.
void client_tell_state(void);
// Whether somebody has said that the end is recorded.
bool client_has_seen(void);

// Whether input waits for room in the pipe.
bool input_waits(void);
// Writes what the pipe takes.
void input_feed(void);
// Nobody reads it any more, or nobody writes.
void input_close(void);

// ---- standby.c ---------------------------------------------------------------------------------

// Whether the sandbox of such a job can be made before the next one of its kind is known: nothing in
// it is of this job alone.
bool standby_is_plain(const struct plan *plan);
// Whether a job gets the sandbox that was made by `made`.
bool standby_fits(const struct plan *made, const struct plan *plan);
// So much of a plan's text is needed to make its sandbox: not the environment and the arguments, which
// are nobody else's business. They must be at its end.
size_t standby_text(const struct plan *plan, const char *text, size_t length);

// Gives whoever stands by behind `socket` its job. `in_sandbox` says that process 1 was told as well.
// False when it cannot take it.
bool standby_hand_over(int socket, const struct entry *entry, const char *text, size_t length,
                       bool in_sandbox);
// For who stands by: waits for the job. The plan's length, or -1 when the launcher is gone; of the
// entry it fills what is the launcher's. `in_sandbox` may be NULL.
ssize_t standby_take(int socket, struct entry *entry, char *text, size_t room, bool *in_sandbox);

// ---- launcher.c --------------------------------------------------------------------------------

enum { DAEMON_FD = 3 };

// What process 1 of a job or its keeper sends to the launcher, with one descriptor.
struct notice {
  enum { NOTICE_IDS, NOTICE_TEMPLATE } what;
  uint32_t ids_first;
  uint32_t generation;
  char key[KEY_ROOM];
};

// For a process of ours that stands by: waits at `socket` for its job. NULL when there is none to come.
struct plan *launcher_take_job(int socket, struct entry *entry, bool *in_sandbox);

// Hands a descriptor to the launcher for later launches. What the launcher cannot take is no loss.
void launcher_offer(int launcher, const struct notice *notice, int fd);

// For a keeper and an init: nothing of the launcher is needed any more, the plan and the text that
// it was read from included.
void launcher_drop(void);

// Never returns an error worth a name: 0 when the daemon has closed its end. `lock_path` is the file
// that the launchers of one daemon take turns by, `claimed_path` the directory that no other daemon may
// run jobs in, or NULL.
int launcher_run(const char *lock_path, const char *claimed_path);

// ---- probe.c, inspect.c ------------------------------------------------------------------------
// Not a part of any launch: `joblet doctor` runs them. Each answers the exit code.

int probe_run(unsigned argc, char **argv);
int inspect_run(void);

// ---- files.c -----------------------------------------------------------------------------------

// VERB ROOT PATH MOST-FILES MOST-BYTES MOST-MEMORY LINGER-MS; see there.
int files_run(char **argv);

// ---- quota.c -----------------------------------------------------------------------------------

// VERB DIRECTORY BYTES FILES; see there.
int quota_run(char **argv);

// ---- exchange.c --------------------------------------------------------------------------------
// Not a part of any launch either: how an installed tree is replaced. Answers the exit code, and
// what the kernel said on standard error.

int exchange_run(const char *one, const char *other);

// ---- main.c ------------------------------------------------------------------------------------

// Gives this process another name in lists of processes.
void main_rename(const char *name);

// Soft limit of open files that the launcher was started with; it raises its own.
extern uint64_t files_soft_limit;

// ---- memory.c ----------------------------------------------------------------------------------
// A keeper and an init wait for as long as their job runs: they give back what starting took.

enum { PAGE = 4096 };

// The stack below the caller's frame.
void memory_drop_stack(void);
// All static data, as if nothing had ever been written to it. Only for a caller that uses none any
// more, nor libc; see memory_syscall.
void memory_drop_data(void);
// A system call that touches no memory of libc, not even errno. Negative errno on failure.
long memory_syscall(long number, long a, long b, long c, long d);

// ---- small words -------------------------------------------------------------------------------

// Reads a decimal number of at most 2^53; false when the text is anything else.
bool number_of(const char *text, uint64_t *number);
// Writes a short text to a file. 0, or -1 with errno.
int write_file(int dir, const char *path, const char *text);
// Reads at most room-1 bytes of a file as text. Length, or -1 with errno.
ssize_t read_file(int dir, const char *path, char *text, size_t room);

#endif
