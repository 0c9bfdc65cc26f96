// Reads a launch plan: a flat list of NUL-terminated options and operands, checked against one
// table. It opens nothing and asks the kernel nothing, so that it can be tested on its own.

#include "launch.h"
#include "seccomp.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

// An operand with what it means as a number, where it is one.
struct operand {
  char *text;
  uint64_t number;
};

struct option {
  const char *name;
  // One letter for each operand: what it must look like.
  //   i id   p absolute path   n decimal number   m octal mode   t any text   k root key
  //   f file name   h host name   u uuid   v NAME=VALUE   w one word of a few
  const char *operands;
  // Takes the checked operands. A sentence when they are to be refused all the same.
  const char *(*take)(struct plan *plan, const struct option *option, struct operand *operands);
  size_t field; // of the plan, for take_text and take_number
  enum op_kind op;
  bool required; // must be given, once
};

static bool in_root;   // between root-key and root-end
static bool root_done; // after root-end

#define TEXT(member) .take = take_text, .field = offsetof(struct plan, member)
#define NUMBER(member) .take = take_number, .field = offsetof(struct plan, member)
#define OP(kind) .take = take_op, .op = kind

static const char *take_text(struct plan *plan, const struct option *option,
                             struct operand *operands) {
  char **field = (char **)(void *)((char *)plan + option->field);
  if (*field != NULL) return "given twice";
  *field = operands[0].text;
  return NULL;
}

static const char *take_number(struct plan *plan, const struct option *option,
                               struct operand *operands) {
  *(uint64_t *)(void *)((char *)plan + option->field) = operands[0].number;
  return NULL;
}

static const char *take_ids(struct plan *plan, const struct option *option,
                            struct operand *operands) {
  (void)option;
  // Below stand the host's own users; the last id is the kernel's "nobody at all".
  if (operands[0].number < IDS_COUNT || operands[0].number > UINT32_MAX - IDS_COUNT) {
    return "not an unprivileged range";
  }
  if (plan->ids_first != 0) return "given twice";
  plan->ids_first = (uint32_t)operands[0].number;
  return NULL;
}

static const char *take_root_key(struct plan *plan, const struct option *option,
                                 struct operand *operands) {
  const char *problem = take_text(plan, option, operands);
  if (problem == NULL) in_root = true;
  return problem;
}

static const char *take_root_end(struct plan *plan, const struct option *option,
                                 struct operand *operands) {
  (void)option, (void)operands;
  if (!in_root) return "without root-key";
  in_root = false;
  root_done = true;
  plan->root_op_count = plan->op_count;
  return NULL;
}

static const char *take_tree(struct plan *plan, const struct option *option,
                             struct operand *operands) {
  if (!in_root) return "outside of the shared root";
  return take_text(plan, option, operands);
}

static const char *take_tree_root(struct plan *plan, const struct option *option,
                                  struct operand *operands) {
  (void)option, (void)operands;
  if (plan->tree == NULL) return "before tree";
  plan->tree_root = true;
  return NULL;
}

static const char *take_op(struct plan *plan, const struct option *option,
                           struct operand *operands) {
  if (!in_root && !root_done) return "before root-key";
  if (plan->op_count == OP_LIMIT) return "too many mount operations";
  struct op *op = &plan->ops[plan->op_count];
  *op = (struct op){.kind = option->op, .fd = -1};
  switch (option->op) {
  case OP_BIND_RO:
  case OP_BIND_RO_TRY:
  case OP_BIND_RW:
  case OP_BIND_OWN:
  case OP_COPY_IN:
    op->source = operands[0].text;
    op->target = operands[1].text;
    break;
  case OP_BIND_TREE:
    if (plan->tree == NULL) return "before tree";
    if (!in_root) return "outside of the shared root";
    op->source = operands[0].text;
    op->target = operands[1].text;
    break;
  case OP_TMPFS:
    op->target = operands[0].text;
    op->bytes = operands[1].number;
    op->inodes = operands[2].number;
    op->mode = (mode_t)operands[3].number;
    break;
  case OP_DIR:
    op->target = operands[0].text;
    op->mode = (mode_t)operands[1].number;
    break;
  case OP_FILE:
    op->target = operands[0].text;
    op->mode = (mode_t)operands[1].number;
    op->text = operands[2].text;
    break;
  case OP_SYMLINK:
    op->text = operands[0].text;
    op->target = operands[1].text;
    break;
  case OP_DEV:
    if (plan->dev_target != NULL) return "given twice";
    plan->dev_target = operands[0].text;
    op->target = operands[0].text;
    break;
  case OP_DEVICE:
    if (!in_root) return "outside of the shared root";
    if (operands[1].number > UINT16_MAX || operands[2].number > UINT16_MAX) return "not a device";
    op->target = operands[0].text;
    op->device[0] = (unsigned)operands[1].number;
    op->device[1] = (unsigned)operands[2].number;
    break;
  case OP_PROC:
  case OP_SYS:
    // Their masks are made of the job's /dev, and they show the job's own namespaces.
    if (plan->dev_target == NULL) return "before dev";
    if (in_root) return "before root-end";
    op->target = operands[0].text;
    break;
  case OP_RUN_FILE:
    if (in_root) return "before root-end";
    op->target = operands[0].text;
    op->text = operands[1].text;
    break;
  case OP_BOOT_ID:
    if (in_root) return "before root-end";
    op->text = operands[0].text;
    break;
  }
  plan->op_count++;
  return NULL;
}

static const char *take_cgroup(struct plan *plan, const struct option *option,
                               struct operand *operands) {
  static const char *const kinds[] = {
      [CGROUP_V1] = "v1", [CGROUP_V2] = "v2", [CGROUP_KILL] = "kill"};
  (void)option;
  if (plan->cgroup_count == CGROUP_LIMIT) return "too many";
  for (unsigned kind = 0; kind < LENGTH(kinds); kind++) {
    if (strcmp(operands[0].text, kinds[kind]) != 0) continue;
    for (unsigned i = 0; kind != CGROUP_V1 && i < plan->cgroup_count; i++) {
      if (plan->cgroups[i].kind != CGROUP_V1) return "a second one to be born into";
    }
    plan->cgroups[plan->cgroup_count++] =
        (struct cgroup){.kind = (enum cgroup_kind)kind, .path = operands[1].text};
    return NULL;
  }
  return "not one of: v1, v2, kill";
}

static const char *take_cgroup_set(struct plan *plan, const struct option *option,
                                   struct operand *operands) {
  (void)option;
  if (plan->cgroup_set_count == CGROUP_SET_LIMIT) return "too many";
  char *slash = strrchr(operands[0].text, '/');
  size_t length = (size_t)(slash - operands[0].text);
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    const struct cgroup *cgroup = &plan->cgroups[i];
    if (strlen(cgroup->path) != length || memcmp(cgroup->path, operands[0].text, length) != 0) {
      continue;
    }
    plan->cgroup_sets[plan->cgroup_set_count++] =
        (struct cgroup_set){.cgroup = cgroup, .file = slash + 1, .value = operands[1].text};
    return NULL;
  }
  return "not a file of a cgroup of this plan";
}

static const char *take_cgroups_kept(struct plan *plan, const struct option *option,
                                     struct operand *operands) {
  (void)option;
  if (strcmp(operands[0].text, "as-is") == 0) plan->cgroup_life = CGROUPS_KEPT_AS_IS;
  else if (strcmp(operands[0].text, "anew") == 0) plan->cgroup_life = CGROUPS_KEPT_ANEW;
  else return "not one of: as-is, anew";
  return NULL;
}

static const char *take_counter(struct plan *plan, const struct option *option,
                                struct operand *operands) {
  struct counter *counter = (struct counter *)(void *)((char *)plan + option->field);
  if (counter->path != NULL) return "given twice";
  if (strcmp(operands[0].text, "v1") == 0) counter->version = 1;
  else if (strcmp(operands[0].text, "v2") == 0) counter->version = 2;
  else return "not one of: v1, v2";
  counter->path = operands[1].text;
  return NULL;
}

static const char *take_rlimit(struct plan *plan, const struct option *option,
                               struct operand *operands) {
  static const struct {
    const char *name;
    int resource;
  } resources[] = {
      {"as", RLIMIT_AS},           {"core", RLIMIT_CORE},
      {"cpu", RLIMIT_CPU},         {"data", RLIMIT_DATA},
      {"fsize", RLIMIT_FSIZE},     {"locks", RLIMIT_LOCKS},
      {"memlock", RLIMIT_MEMLOCK}, {"msgqueue", RLIMIT_MSGQUEUE},
      {"nice", RLIMIT_NICE},       {"nofile", RLIMIT_NOFILE},
      {"nproc", RLIMIT_NPROC},     {"rss", RLIMIT_RSS},
      {"rtprio", RLIMIT_RTPRIO},   {"rttime", RLIMIT_RTTIME},
      {"stack", RLIMIT_STACK},     {"sigpending", RLIMIT_SIGPENDING},
  };
  (void)option;
  if (plan->rlimit_count == RLIMIT_LIMIT) return "too many";
  if (operands[1].number > operands[2].number) return "soft above hard";
  for (unsigned i = 0; i < LENGTH(resources); i++) {
    if (strcmp(operands[0].text, resources[i].name) != 0) continue;
    plan->rlimits[plan->rlimit_count++] = (struct rlimit_wish){
        resources[i].resource, operands[1].number, operands[2].number};
    return NULL;
  }
  return "an unknown resource";
}

static const char *take_allow(struct plan *plan, const struct option *option,
                              struct operand *operands) {
  (void)option;
  if (strcmp(operands[0].text, "ptrace") == 0) plan->allow |= SECCOMP_ALLOW_PTRACE;
  else if (strcmp(operands[0].text, "userns") == 0) plan->allow |= SECCOMP_ALLOW_USERNS;
  else if (strcmp(operands[0].text, "chroot") == 0) plan->allow |= SECCOMP_ALLOW_CHROOT;
  else return "not one of: ptrace, userns, chroot";
  return NULL;
}

// What whoever installs packages needs, and nothing that reaches beyond files and processes of the
// job's own ids.
static const char *take_capability(struct plan *plan, const struct option *option,
                                   struct operand *operands) {
  static const struct {
    const char *name;
    unsigned number;
  } capabilities[] = {
      {"chown", CAP_CHOWN},   {"dac-override", CAP_DAC_OVERRIDE}, {"fowner", CAP_FOWNER},
      {"fsetid", CAP_FSETID}, {"kill", CAP_KILL},                 {"setgid", CAP_SETGID},
      {"setuid", CAP_SETUID}, {"sys-chroot", CAP_SYS_CHROOT},
  };
  (void)option;
  for (unsigned i = 0; i < LENGTH(capabilities); i++) {
    if (strcmp(operands[0].text, capabilities[i].name) != 0) continue;
    plan->capabilities |= 1u << capabilities[i].number;
    return NULL;
  }
  return "not one that a job can keep";
}

static const char *take_host_net(struct plan *plan, const struct option *option,
                                 struct operand *operands) {
  (void)option, (void)operands;
  plan->host_net = true;
  return NULL;
}

static const char *take_no_init(struct plan *plan, const struct option *option,
                                struct operand *operands) {
  (void)option, (void)operands;
  plan->no_init = true;
  return NULL;
}

static const char *take_stdin(struct plan *plan, const struct option *option,
                              struct operand *operands) {
  (void)option;
  if (strcmp(operands[0].text, "pipe") == 0) plan->stdin_pipe = true;
  else if (strcmp(operands[0].text, "null") == 0) plan->stdin_pipe = false;
  else return "not one of: null, pipe";
  return NULL;
}

// Room for these was made before.
static const char *take_env(struct plan *plan, const struct option *option,
                            struct operand *operands) {
  (void)option;
  plan->env[plan->env_count++] = operands[0].text;
  return NULL;
}

static const char *take_arg(struct plan *plan, const struct option *option,
                            struct operand *operands) {
  (void)option;
  plan->argv[plan->argc++] = operands[0].text;
  return NULL;
}

static const char *take_log_waits(struct plan *plan, const struct option *option,
                                  struct operand *operands) {
  (void)option, (void)operands;
  plan->log_waits = true;
  return NULL;
}

static const struct option options[] = {
    {.name = "id", .operands = "i", TEXT(id), .required = true},
    {.name = "log-dir", .operands = "p", TEXT(log_dir), .required = true},
    {.name = "log-segment", .operands = "n", NUMBER(log_segment_bytes)},
    {.name = "log-quota", .operands = "n", NUMBER(log_quota_bytes)},
    {.name = "log-reserve", .operands = "n", NUMBER(log_reserve_bytes)},
    {.name = "log-waits", .operands = "", .take = take_log_waits},
    {.name = "proof", .operands = "k", TEXT(proof)},
    {.name = "socket", .operands = "k", TEXT(socket), .required = true},
    {.name = "timeout", .operands = "n", NUMBER(timeout_ms)},
    {.name = "grace", .operands = "n", NUMBER(grace_ms)},
    {.name = "ids", .operands = "n", .take = take_ids, .required = true},
    {.name = "net", .operands = "k", TEXT(net), .required = true},
    {.name = "host-net", .operands = "", .take = take_host_net},
    {.name = "hostname", .operands = "h", TEXT(hostname), .required = true},
    {.name = "root-key",
     .operands = "k",
     .take = take_root_key,
     .field = offsetof(struct plan, root_key),
     .required = true},
    {.name = "root-end", .operands = "", .take = take_root_end, .required = true},
    {.name = "tree",
     .operands = "p",
     .take = take_tree,
     .field = offsetof(struct plan, tree)},
    {.name = "tree-root", .operands = "", .take = take_tree_root},
    {.name = "bind-tree", .operands = "pp", OP(OP_BIND_TREE)},
    {.name = "bind-ro", .operands = "pp", OP(OP_BIND_RO)},
    {.name = "bind-ro-try", .operands = "pp", OP(OP_BIND_RO_TRY)},
    {.name = "bind-rw", .operands = "pp", OP(OP_BIND_RW)},
    {.name = "bind-own", .operands = "pp", OP(OP_BIND_OWN)},
    {.name = "tmpfs", .operands = "pnnm", OP(OP_TMPFS)},
    {.name = "dir", .operands = "pm", OP(OP_DIR)},
    {.name = "file", .operands = "pmt", OP(OP_FILE)},
    {.name = "symlink", .operands = "tp", OP(OP_SYMLINK)},
    {.name = "dev", .operands = "p", OP(OP_DEV), .required = true},
    {.name = "device", .operands = "fnn", OP(OP_DEVICE)},
    {.name = "proc", .operands = "p", OP(OP_PROC)},
    {.name = "sys", .operands = "p", OP(OP_SYS)},
    {.name = "run-file", .operands = "ft", OP(OP_RUN_FILE)},
    {.name = "boot-id", .operands = "u", OP(OP_BOOT_ID)},
    {.name = "copy-in", .operands = "pp", OP(OP_COPY_IN)},
    {.name = "cgroup", .operands = "wp", .take = take_cgroup},
    {.name = "cgroup-set", .operands = "pt", .take = take_cgroup_set},
    {.name = "cgroups-kept", .operands = "w", .take = take_cgroups_kept},
    {.name = "memory-events",
     .operands = "wp",
     .take = take_counter,
     .field = offsetof(struct plan, memory)},
    {.name = "cpu-usage",
     .operands = "wp",
     .take = take_counter,
     .field = offsetof(struct plan, cpu)},
    {.name = "io-usage", .operands = "wp", .take = take_counter, .field = offsetof(struct plan, io)},
    {.name = "rlimit", .operands = "wnn", .take = take_rlimit},
    {.name = "allow", .operands = "w", .take = take_allow},
    {.name = "capability", .operands = "w", .take = take_capability},
    {.name = "no-init", .operands = "", .take = take_no_init},
    {.name = "stdin", .operands = "w", .take = take_stdin},
    {.name = "cwd", .operands = "p", TEXT(cwd), .required = true},
    {.name = "env", .operands = "v", .take = take_env},
    {.name = "arg", .operands = "t", .take = take_arg, .required = true},
};

bool number_of(const char *text, uint64_t *number) {
  uint64_t value = 0;
  if (*text == 0) return false;
  for (const char *c = text; *c != 0; c++) {
    if (*c < '0' || *c > '9') return false;
    value = value * 10 + (uint64_t)(*c - '0');
    if (value > 1ull << 53) return false;
  }
  *number = value;
  return true;
}

static bool consists_of(const char *text, const char *allowed, size_t longest) {
  size_t length = strlen(text);
  return length > 0 && length <= longest && strspn(text, allowed) == length;
}

#define LOWER_HEX "0123456789abcdef"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Absolute, no empty part, no `.` and no `..`, no slash at the end; `/` alone is one too.
static bool is_plain_path(const char *path) {
  if (path[0] != '/' || strlen(path) > 4000) return false;
  if (path[1] == 0) return true;
  for (const char *part = path; *part == '/';) {
    part++;
    size_t length = strcspn(part, "/");
    if (length == 0 || (length == 1 && part[0] == '.') ||
        (length == 2 && part[0] == '.' && part[1] == '.')) {
      return false;
    }
    part += length;
  }
  return true;
}

static bool parse_mode(const char *text, uint64_t *mode) {
  if (!consists_of(text, "01234567", 4)) return false;
  *mode = strtoul(text, NULL, 8);
  return *mode <= 01777; // no set-uid, no set-gid
}

// Checks one operand by its letter; a sentence when it is not as it must be.
static const char *check(char letter, struct operand *operand) {
  const char *text = operand->text;
  switch (letter) {
  case 'i':
    return consists_of(text, LOWER_HEX "-", ID_ROOM - 1) ? NULL : "not an id";
  case 'p':
    return is_plain_path(text) ? NULL : "not a plain absolute path";
  case 'n':
    return number_of(text, &operand->number) ? NULL : "not a decimal number within its bounds";
  case 'm':
    return parse_mode(text, &operand->number) ? NULL : "not an octal mode up to 1777";
  case 'k':
    return consists_of(text, LETTERS "0123456789-_.:/@+", KEY_ROOM - 1) ? NULL : "not a key";
  case 'f':
    return consists_of(text, LETTERS "0123456789-_.", 64) && text[0] != '.' ? NULL
                                                                            : "not a file name";
  case 'h':
    return consists_of(text, LETTERS "0123456789-.", 63) ? NULL : "not a host name";
  case 'u':
    return strlen(text) == 36 && consists_of(text, LOWER_HEX "-", 36) ? NULL : "not a UUID";
  case 'v':
    return text[0] != '=' && strchr(text, '=') != NULL ? NULL : "not NAME=VALUE";
  default:
    return NULL;
  }
}

// Plans are nearly in the order of the table: the search begins behind what was found last.
static const struct option *find_option(const char *name, const struct option *last) {
  unsigned begin = last == NULL ? 0 : (unsigned)(last - options);
  for (unsigned i = 0; i < LENGTH(options); i++) {
    const struct option *option = &options[(begin + i) % LENGTH(options)];
    if (strcmp(option->name, name) == 0) return option;
  }
  return NULL;
}

static bool refuse(char *problem, const char *option, const char *why) {
  snprintf(problem, PROBLEM_ROOM, "%.100s: %s", option, why);
  return false;
}

bool plan_read(struct plan *plan, char *text, size_t length, char problem[PROBLEM_ROOM]) {
  *plan = (struct plan){.log_segment_bytes = 8 << 20};
  in_root = root_done = false;
  if (length == 0 || text[length - 1] != 0) return refuse(problem, "plan", "not NUL-terminated");

  // At most every second string is an argument or a variable.
  size_t strings = 0;
  for (size_t i = 0; i < length; i++) strings += text[i] == 0;
  size_t room = strings / 2 + 1;
  plan->pointers_bytes = 2 * room * sizeof(char *);
  plan->pointers = mmap(NULL, plan->pointers_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (plan->pointers == MAP_FAILED) {
    plan->pointers = NULL;
    return refuse(problem, "plan", "no memory");
  }
  plan->env = plan->pointers;
  plan->argv = plan->pointers + room;

  bool given[LENGTH(options)] = {false};
  char *end = text + length;
  const struct option *option = NULL;
  for (char *at = text; at < end;) {
    const char *name = at;
    at += strlen(at) + 1;
    option = find_option(name, option);
    if (option == NULL) return refuse(problem, name, "an unknown option");
    struct operand operands[4];
    for (unsigned i = 0; option->operands[i] != 0; i++) {
      if (at >= end) return refuse(problem, name, "an operand is missing");
      operands[i] = (struct operand){.text = at};
      at += strlen(at) + 1;
      const char *why = check(option->operands[i], &operands[i]);
      if (why != NULL) return refuse(problem, name, why);
    }
    const char *why = option->take(plan, option, operands);
    if (why != NULL) return refuse(problem, name, why);
    given[option - options] = true;
  }
  for (unsigned i = 0; i < LENGTH(options); i++) {
    if (options[i].required && !given[i]) return refuse(problem, options[i].name, "missing");
  }
  return true;
}

const char *op_name(const struct op *op) {
  for (unsigned i = 0; i < LENGTH(options); i++) {
    if (options[i].take == take_op && options[i].op == op->kind) return options[i].name;
  }
  return "operation";
}

bool plan_is_of_job(const struct op *op) {
  return op->kind == OP_RUN_FILE || op->kind == OP_BOOT_ID || op->kind == OP_SYS;
}

unsigned plan_first_of_job(const struct plan *plan) {
  unsigned first = plan->root_op_count;
  while (first < plan->op_count && !plan_is_of_job(&plan->ops[first])) first++;
  return first;
}

void plan_forget(struct plan *plan) {
  if (plan->pointers != NULL) munmap(plan->pointers, plan->pointers_bytes);
  plan->pointers = plan->env = plan->argv = NULL;
}
