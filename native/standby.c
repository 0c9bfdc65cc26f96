// How a keeper that stands by is given its job. It was forked before there was one, so that a launch
// does not wait for a fork: the plan comes as one message, with the descriptors that the launcher has
// ready for the job. Where the job is likely to be one like that before it, its sandbox is made by then
// as well, and process 1 waits in it for the same message.

#include "launch.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
  DESCRIPTORS = 3,          // those of an entry that are the launcher's
  PLAN_LIMIT = 64 << 10, // a socket takes this much at once; a bigger plan has its keeper forked
};

// What precedes the plan's text.
struct heading {
  uint32_t generation;
  bool has[DESCRIPTORS];
  bool in_sandbox;
};

// ---- sandboxes ---------------------------------------------------------------------------------

bool standby_is_plain(const struct plan *plan) {
  // Directories that are made for a job have its name.
  if (plan->cgroup_life == CGROUPS_OWN) return false;
  for (unsigned i = plan->root_op_count; i < plan->op_count; i++) {
    const struct op *op = &plan->ops[i];
    if (op->kind != OP_TMPFS && op->kind != OP_PROC && !plan_is_of_job(op)) return false;
  }
  // What comes behind the first that is of the job is placed when the job is known.
  for (unsigned i = plan_first_of_job(plan); i < plan->op_count; i++) {
    if (!plan_is_of_job(&plan->ops[i])) return false;
  }
  return true;
}

static bool same(const char *one, const char *other) {
  return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static bool same_op(const struct op *one, const struct op *other) {
  return one->kind == other->kind && same(one->target, other->target) && one->bytes == other->bytes &&
         one->inodes == other->inodes && one->mode == other->mode;
}

static bool same_counter(struct counter one, struct counter other) {
  return one.version == other.version && same(one.path, other.path);
}

static bool same_cgroups(const struct plan *made, const struct plan *plan) {
  if (made->cgroup_count != plan->cgroup_count) return false;
  if (made->cgroup_set_count != plan->cgroup_set_count) return false;
  for (unsigned i = 0; i < plan->cgroup_count; i++) {
    const struct cgroup *one = &made->cgroups[i], *other = &plan->cgroups[i];
    if (one->kind != other->kind || !same(one->path, other->path)) return false;
  }
  for (unsigned i = 0; i < plan->cgroup_set_count; i++) {
    const struct cgroup_set *one = &made->cgroup_sets[i], *other = &plan->cgroup_sets[i];
    if (one->cgroup - made->cgroups != other->cgroup - plan->cgroups ||
        !same(one->file, other->file) || !same(one->value, other->value)) {
      return false;
    }
  }
  return same_counter(made->memory, plan->memory) && same_counter(made->cpu, plan->cpu) &&
         same_counter(made->io, plan->io);
}

bool standby_fits(const struct plan *made, const struct plan *plan) {
  if (plan->cgroup_life != CGROUPS_KEPT_AS_IS || !standby_is_plain(plan)) return false;
  if (made->ids_first != plan->ids_first || !same(made->root_key, plan->root_key) ||
      !same(made->dev_target, plan->dev_target) || made->no_init != plan->no_init ||
      made->stdin_pipe != plan->stdin_pipe) {
    return false;
  }
  const unsigned count = plan->op_count - plan->root_op_count;
  if (made->op_count - made->root_op_count != count) return false;
  for (unsigned i = 0; i < count; i++) {
    if (!same_op(&made->ops[made->root_op_count + i], &plan->ops[plan->root_op_count + i])) return false;
  }
  return same_cgroups(made, plan);
}

size_t standby_text(const struct plan *plan, const char *text, size_t length) {
  const char *first = plan->argv[0];
  if (plan->env_count > 0 && plan->env[0] < first) first = plan->env[0];
  // `env` and `arg` have as many letters.
  size_t before = (size_t)(first - text) - sizeof "env";
  return before < length ? before : length;
}

// ---- jobs --------------------------------------------------------------------------------------

bool standby_hand_over(int socket, const struct entry *entry, const char *text, size_t length,
                       bool in_sandbox) {
  if (length > PLAN_LIMIT) return false;
  const int fds[DESCRIPTORS] = {entry->ids, entry->template, entry->net};
  struct heading heading = {.generation = entry->generation, .in_sandbox = in_sandbox};
  char control[CMSG_SPACE(sizeof fds)] __attribute__((aligned(8))) = {0};
  struct iovec body[] = {{&heading, sizeof heading}, {(void *)text, length}};
  struct msghdr message = {.msg_iov = body, .msg_iovlen = LENGTH(body), .msg_control = control};
  struct cmsghdr *header = (struct cmsghdr *)(void *)control;
  unsigned count = 0;
  for (unsigned i = 0; i < DESCRIPTORS; i++) {
    heading.has[i] = fds[i] >= 0;
    if (heading.has[i]) memcpy((int *)(void *)CMSG_DATA(header) + count++, &fds[i], sizeof *fds);
  }
  if (count > 0) {
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof *fds);
    message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

ssize_t standby_take(int socket, struct entry *entry, char *text, size_t room, bool *in_sandbox) {
  struct heading heading;
  int fds[DESCRIPTORS];
  char control[CMSG_SPACE(sizeof fds)] __attribute__((aligned(8)));
  struct iovec body[] = {{&heading, sizeof heading}, {text, room}};
  struct msghdr message = {.msg_iov = body, .msg_iovlen = LENGTH(body), .msg_control = control,
                           .msg_controllen = sizeof control};
  ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got < (ssize_t)sizeof heading) return -1;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header != NULL) memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
  int *const places[DESCRIPTORS] = {&entry->ids, &entry->template, &entry->net};
  unsigned count = 0;
  for (unsigned i = 0; i < DESCRIPTORS; i++) *places[i] = heading.has[i] ? fds[count++] : -1;
  entry->generation = heading.generation;
  if (in_sandbox != NULL) *in_sandbox = heading.in_sandbox;
  return got - (ssize_t)sizeof heading;
}
