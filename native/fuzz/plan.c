// A launch plan. One that is accepted keeps every bound, and says the same when it is written out and
// read again; one that is refused says why.

#include "../launch.h"
#include "../seccomp.h"
#include "fuzz.h"

#include <linux/capability.h>
#include <sys/resource.h>

static const char *begin, *end; // of the text that was read

static void require_inside(const char *text) {
  REQUIRE(text >= begin && text < end);
  REQUIRE(memchr(text, 0, (size_t)(end - text)) != NULL);
}

static void require_inside_or_none(const char *text) {
  if (text != NULL) require_inside(text);
}

static void require_path(const char *path) {
  require_inside(path);
  REQUIRE(path[0] == '/' && strlen(path) <= 4000);
  REQUIRE(strstr(path, "//") == NULL && strstr(path, "/../") == NULL && strstr(path, "/./") == NULL);
  size_t length = strlen(path);
  REQUIRE(length == 1 || path[length - 1] != '/');
  REQUIRE(length < 3 || strcmp(path + length - 3, "/..") != 0);
  REQUIRE(length < 2 || strcmp(path + length - 2, "/.") != 0);
}

static void require_op(const struct op *op) {
  REQUIRE(op->fd == -1 && op->mode <= 01777);
  REQUIRE(strcmp(op_name(op), "operation") != 0);
  require_inside_or_none(op->text);
  if (op->source != NULL) require_path(op->source);
  if (op->kind == OP_RUN_FILE) REQUIRE(strchr(op->target, '/') == NULL && op->target[0] != '.');
  else if (op->kind != OP_BOOT_ID) require_path(op->target);
}

static void require_bounds(const struct plan *plan) {
  require_inside(plan->id);
  REQUIRE(strlen(plan->id) > 0 && strlen(plan->id) < ID_ROOM);
  require_inside_or_none(plan->proof);
  require_path(plan->log_dir);
  require_inside(plan->socket);
  require_inside(plan->hostname);
  REQUIRE(strlen(plan->hostname) <= 63);
  require_inside(plan->root_key);
  if (plan->tree != NULL) require_path(plan->tree);
  REQUIRE(!plan->tree_root || plan->tree != NULL);
  REQUIRE(strlen(plan->root_key) < KEY_ROOM);
  require_path(plan->dev_target);
  require_path(plan->cwd);
  REQUIRE(plan->ids_first >= IDS_COUNT && plan->ids_first <= UINT32_MAX - IDS_COUNT);
  REQUIRE((plan->allow & ~(unsigned)SECCOMP_ALLOW_ALL) == 0);
  REQUIRE((plan->capabilities & (1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN | 1u << CAP_MKNOD)) == 0);
  REQUIRE(plan->argc > 0 && plan->argv[plan->argc] == NULL && plan->env[plan->env_count] == NULL);
  for (unsigned i = 0; i < plan->argc; i++) require_inside(plan->argv[i]);
  for (unsigned i = 0; i < plan->env_count; i++) {
    require_inside(plan->env[i]);
    REQUIRE(strchr(plan->env[i], '=') > plan->env[i]);
  }
  REQUIRE(plan->op_count <= OP_LIMIT && plan->root_op_count <= plan->op_count);
  for (unsigned i = 0; i < plan->op_count; i++) require_op(&plan->ops[i]);
  REQUIRE(plan->cgroup_count <= CGROUP_LIMIT && plan->cgroup_set_count <= CGROUP_SET_LIMIT);
  unsigned births = 0;
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    require_path(plan->cgroups[i].path);
    births += plan->cgroups[i].kind != CGROUP_V1;
  }
  REQUIRE(births <= 1);
  for (unsigned i = 0; i < plan->cgroup_set_count; i++) {
    const struct cgroup_set *set = &plan->cgroup_sets[i];
    REQUIRE(set->cgroup >= plan->cgroups && set->cgroup < plan->cgroups + plan->cgroup_count);
    require_inside(set->value);
    require_inside(set->file);
    REQUIRE(set->file[0] != 0 && strchr(set->file, '/') == NULL && strcmp(set->file, "..") != 0);
  }
  REQUIRE(plan->rlimit_count <= RLIMIT_LIMIT);
  for (unsigned i = 0; i < plan->rlimit_count; i++) {
    REQUIRE(plan->rlimits[i].soft <= plan->rlimits[i].hard);
    REQUIRE(plan->rlimits[i].resource >= 0 && plan->rlimits[i].resource < RLIM_NLIMITS);
  }
}

// ---- the plan written out again -----------------------------------------------------------------

static char *written;
static size_t written_length, written_room;

static void put(const char *text) {
  size_t length = strlen(text) + 1;
  if (written_length + length > written_room) {
    written_room = 2 * (written_length + length);
    written = realloc(written, written_room);
    REQUIRE(written != NULL);
  }
  memcpy(written + written_length, text, length);
  written_length += length;
}

static void put_text(const char *option, const char *text) {
  if (text == NULL) return;
  put(option);
  put(text);
}

static void put_formatted(const char *format, uint64_t number) {
  char text[32];
  snprintf(text, sizeof text, format, (unsigned long long)number);
  put(text);
}

static void put_number(const char *option, uint64_t number) {
  put(option);
  put_formatted("%llu", number);
}

static void put_op(const struct op *op) {
  put(op_name(op));
  switch (op->kind) {
  case OP_BIND_RO:
  case OP_BIND_RO_TRY:
  case OP_BIND_RW:
  case OP_BIND_TREE:
  case OP_BIND_OWN:
  case OP_COPY_IN:
    put(op->source);
    put(op->target);
    return;
  case OP_TMPFS:
    put(op->target);
    put_formatted("%llu", op->bytes);
    put_formatted("%llu", op->inodes);
    put_formatted("%llo", op->mode);
    return;
  case OP_DIR:
  case OP_FILE:
    put(op->target);
    put_formatted("%llo", op->mode);
    if (op->kind == OP_FILE) put(op->text);
    return;
  case OP_SYMLINK:
    put(op->text);
    put(op->target);
    return;
  case OP_RUN_FILE:
    put(op->target);
    put(op->text);
    return;
  case OP_BOOT_ID:
    put(op->text);
    return;
  case OP_DEVICE:
    put(op->target);
    put_formatted("%u", op->device[0]);
    put_formatted("%u", op->device[1]);
    return;
  case OP_DEV:
  case OP_PROC:
  case OP_SYS:
    put(op->target);
    return;
  }
}

static void put_counter(const char *option, const struct counter *counter) {
  if (counter->path == NULL) return;
  put(option);
  put(counter->version == 1 ? "v1" : "v2");
  put(counter->path);
}

// The names of resources, which the plan has as the kernel's numbers.
static const char *const resources[RLIM_NLIMITS] = {
    [RLIMIT_AS] = "as",         [RLIMIT_CORE] = "core",         [RLIMIT_CPU] = "cpu",
    [RLIMIT_DATA] = "data",     [RLIMIT_FSIZE] = "fsize",       [RLIMIT_LOCKS] = "locks",
    [RLIMIT_NICE] = "nice",     [RLIMIT_MEMLOCK] = "memlock",   [RLIMIT_MSGQUEUE] = "msgqueue",
    [RLIMIT_RSS] = "rss",       [RLIMIT_NOFILE] = "nofile",     [RLIMIT_NPROC] = "nproc",
    [RLIMIT_STACK] = "stack",   [RLIMIT_RTPRIO] = "rtprio",     [RLIMIT_RTTIME] = "rttime",
    [RLIMIT_SIGPENDING] = "sigpending",
};

static const struct {
  const char *name;
  unsigned number;
} capabilities[] = {
    {"chown", CAP_CHOWN},   {"dac-override", CAP_DAC_OVERRIDE}, {"fowner", CAP_FOWNER},
    {"fsetid", CAP_FSETID}, {"kill", CAP_KILL},                 {"setgid", CAP_SETGID},
    {"setuid", CAP_SETUID}, {"sys-chroot", CAP_SYS_CHROOT},
};

static void put_cgroups(const struct plan *plan) {
  static const char *const kinds[] = {
      [CGROUP_V1] = "v1", [CGROUP_V2] = "v2", [CGROUP_KILL] = "kill"};
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    put("cgroup");
    put(kinds[plan->cgroups[i].kind]);
    put(plan->cgroups[i].path);
  }
  for (unsigned i = 0; i < plan->cgroup_set_count; i++) {
    char file[8192];
    const struct cgroup_set *set = &plan->cgroup_sets[i];
    snprintf(file, sizeof file, "%s/%s", set->cgroup->path, set->file);
    put_text("cgroup-set", file);
    put(set->value);
  }
}

static void put_plan(const struct plan *plan) {
  written_length = 0;
  put_text("id", plan->id);
  put_text("log-dir", plan->log_dir);
  put_number("log-segment", plan->log_segment_bytes);
  put_number("log-quota", plan->log_quota_bytes);
  put_text("proof", plan->proof);
  put_text("socket", plan->socket);
  put_number("timeout", plan->timeout_ms);
  put_number("grace", plan->grace_ms);
  put_number("ids", plan->ids_first);
  put_text("net", "pool");
  if (plan->host_net) put("host-net");
  put_text("hostname", plan->hostname);
  put_text("root-key", plan->root_key);
  put_text("tree", plan->tree);
  if (plan->tree_root) put("tree-root");
  for (unsigned i = 0; i < plan->root_op_count; i++) put_op(&plan->ops[i]);
  put("root-end");
  for (unsigned i = plan->root_op_count; i < plan->op_count; i++) put_op(&plan->ops[i]);
  put_cgroups(plan);
  put_counter("memory-events", &plan->memory);
  put_counter("cpu-usage", &plan->cpu);
  put_counter("io-usage", &plan->io);
  for (unsigned i = 0; i < plan->rlimit_count; i++) {
    put_text("rlimit", resources[plan->rlimits[i].resource]);
    put_formatted("%llu", plan->rlimits[i].soft);
    put_formatted("%llu", plan->rlimits[i].hard);
  }
  if (plan->allow & SECCOMP_ALLOW_PTRACE) put_text("allow", "ptrace");
  if (plan->allow & SECCOMP_ALLOW_USERNS) put_text("allow", "userns");
  if (plan->allow & SECCOMP_ALLOW_CHROOT) put_text("allow", "chroot");
  for (unsigned i = 0; i < LENGTH(capabilities); i++) {
    if (plan->capabilities & 1u << capabilities[i].number) put_text("capability", capabilities[i].name);
  }
  if (plan->no_init) put("no-init");
  put_text("stdin", plan->stdin_pipe ? "pipe" : "null");
  put_text("cwd", plan->cwd);
  for (unsigned i = 0; i < plan->env_count; i++) put_text("env", plan->env[i]);
  for (unsigned i = 0; i < plan->argc; i++) put_text("arg", plan->argv[i]);
}

// Twice written, it is the same: what was left out the first time has its default.
static void require_round_trip(const struct plan *plan) {
  put_plan(plan);
  size_t length = written_length;
  char *first = copy_of((const uint8_t *)written, length);
  static struct plan again;
  char problem[PROBLEM_ROOM];
  REQUIRE(plan_read(&again, first, length, problem));
  put_plan(&again);
  REQUIRE(written_length == length && memcmp(written, first, length) == 0);
  plan_forget(&again);
  free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > FRAME_LIMIT) return 0;
  static struct plan plan;
  char problem[PROBLEM_ROOM];
  memset(problem, 'x', sizeof problem);
  char *text = copy_of(data, size);
  begin = text;
  end = text + size;
  if (plan_read(&plan, text, size, problem)) {
    REQUIRE(memcmp(text, data, size) == 0);
    require_bounds(&plan);
    require_round_trip(&plan);
  } else {
    REQUIRE(memchr(problem, 0, sizeof problem) != NULL && problem[0] != 0);
    require_inside_or_none(plan.id);
  }
  plan_forget(&plan);
  plan_forget(&plan);
  free(text);
  return 0;
}
