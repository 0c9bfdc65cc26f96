// Network namespaces that wait for jobs: a pool of those that lead nowhere, made ahead, and those that
// the daemon had attached to one of its networks. A process of its own, the filler, makes them. What
// became of an attached one the daemon is told from here.

#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  NET_LOW = 4,         // so few ready, and more are asked for
  NET_READY = 16,      // so many then
  NET_KEPT = 64,       // so many at most, with those that come back unused
  ATTACHED_KEPT = 512, // attached ones that no job has
};

// An attached one that no job has.
struct attached {
  struct netns net;
  char key[NET_KEY_ROOM];
};

// In whole pages of its own; see launcher_drop.
static struct pool {
  struct netns ready[NET_KEPT];
  unsigned ready_count;
  unsigned asked;
  struct attached attached[ATTACHED_KEPT];
  unsigned attached_count;
  int filler; // its socket, or -1; once it was started
  pid_t filler_pid;
} __attribute__((aligned(PAGE))) pool;

void pool_drop(void) {
  madvise(&pool, sizeof pool, MADV_DONTNEED);
}

int pool_filler(void) {
  return pool.filler;
}

bool pool_was_filled_by(pid_t pid) {
  return pid == pool.filler_pid;
}

// Most come back from their jobs unused: making more while there are some would only take time from
// the launches that need none.
static void fill(void) {
  if (pool.filler < 0 || pool.ready_count + pool.asked >= NET_LOW) return;
  for (; pool.ready_count + pool.asked < NET_READY; pool.asked++) net_request(pool.filler);
}

void pool_start(void) {
  pool.asked = 0;
  pool.filler = net_start_filler(&pool.filler_pid);
  // Without one, each job makes its own.
  if (pool.filler < 0) fprintf(stderr, "joblet-launch: netns filler: %s\n", errno_name(errno));
  fill();
}

void pool_keep(struct netns *net) {
  if (pool.ready_count < NET_KEPT) pool.ready[pool.ready_count++] = *net;
  else net_close(net);
}

// What became of an attached one. `text` and `error` may be NULL.
static OWN_FRAME void tell_net(const char *verb, const char *key, const char *text,
                               const char *error) {
  struct frame frame;
  frame_start(&frame, verb);
  frame_text(&frame, key);
  if (text != NULL) frame_text(&frame, text);
  if (error != NULL) frame_text(&frame, error);
  frame_send_patiently(DAEMON_FD, &frame);
}

static OWN_FRAME void tell_traffic(const char *key, struct traffic traffic) {
  struct frame frame;
  frame_start(&frame, "detached");
  frame_text(&frame, key);
  frame_text(&frame, "used");
  frame_pair_number(&frame, "rx-bytes", traffic.rx_bytes);
  frame_pair_number(&frame, "rx-packets", traffic.rx_packets);
  frame_pair_number(&frame, "tx-bytes", traffic.tx_bytes);
  frame_pair_number(&frame, "tx-packets", traffic.tx_packets);
  frame_send_patiently(DAEMON_FD, &frame);
}

static void keep_attached(struct netns *net, const char *key) {
  struct attached *place = &pool.attached[pool.attached_count++];
  place->net = *net;
  snprintf(place->key, sizeof place->key, "%s", key);
}

void pool_receive(void) {
  struct made made;
  if (!net_receive(pool.filler, &made)) {
    close(pool.filler);
    pool.filler = -1;
    // It died once it could not go on; it is started again when the pool has run dry. Whatever else
    // it was asked for will not come.
    tell_net("filler-gone", "", NULL, NULL);
    return;
  }
  if (made.key[0] == 0) {
    if (made.net.fd < 0) return;
    pool.asked--;
    pool_keep(&made.net);
  } else if (made.net.fd < 0) {
    tell_net("unattached", made.key, made.step, errno_name(made.error));
  } else if (pool.attached_count == ATTACHED_KEPT) {
    net_close(&made.net);
    tell_net("unattached", made.key, "netns", errno_name(ENFILE));
  } else {
    keep_attached(&made.net, made.key);
    tell_net("attached", made.key, NULL, NULL);
  }
}

struct netns pool_take_attached(const char *key) {
  for (unsigned i = 0; i < pool.attached_count; i++) {
    if (strcmp(pool.attached[i].key, key) != 0) continue;
    struct netns net = pool.attached[i].net;
    pool.attached[i] = pool.attached[--pool.attached_count];
    return net;
  }
  return (struct netns){-1, -1};
}

void pool_attach(const struct order *order) {
  if (pool.filler < 0) pool_start();
  bool asked = pool.filler >= 0 && strlen(order->text) < NET_KEY_ROOM &&
               net_request_order(pool.filler, order);
  if (!asked) tell_net("unattached", order->text, "filler", errno_name(EAGAIN));
}

void pool_forget_flows(const struct order *order) {
  // What cannot be asked for now is no harm; see attach.c.
  if (pool.filler >= 0) net_request_order(pool.filler, order);
}

void pool_detach(const char *key) {
  struct netns net = pool_take_attached(key);
  if (net.fd < 0) return; // a job has it, or had it
  net_close(&net);
  tell_net("detached", key, "used", NULL);
}

void pool_give_back(struct netns *net, const char *key, bool in_order) {
  bool unused = in_order && pool.attached_count < ATTACHED_KEPT && net_is_pristine(net);
  if (unused) {
    keep_attached(net, key);
    tell_net("detached", key, "unused", NULL);
    return;
  }
  tell_traffic(key, net_traffic(net));
  net_close(net);
}

struct netns pool_take(void) {
  if (pool.ready_count == 0 && pool.filler < 0) pool_start();
  struct netns net = {-1, -1};
  if (pool.ready_count > 0) net = pool.ready[--pool.ready_count];
  fill();
  return net;
}
