// Who listens to a keeper, and what they may say: frames over the job's socket, as
// docs/launch-plan.md has them. A client that does not keep to them, or does not read, is let go.

#include "launch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  SMALL_FRAME = 64, // everything but input is smaller
  FRAMES_AT_ONCE = 16,
  KNOCKS_AT_ONCE = 64,
};

struct client {
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

static struct client clients[CLIENT_LIMIT];
static uint64_t input_turns;
static bool input_closes; // once everything is written
static bool seen;

// ---- telling -----------------------------------------------------------------------------------

static void drop(struct client *client) {
  close(client->fd);
  if (client->body != client->small) free(client->body);
  free(client->input);
  *client = (struct client){.fd = -1};
}

static void tell(struct client *client, const struct frame *frame) {
  if (client->fd >= 0 && frame_send(client->fd, frame) != 0) drop(client);
}

static OWN_FRAME void tell_verb(struct client *client, const char *verb) {
  struct frame frame;
  frame_start(&frame, verb);
  tell(client, &frame);
}

static OWN_FRAME void tell_state(struct client *client) {
  static const char *const phases[] = {
      [STARTING] = "starting", [RUNNING] = "running", [ENDED] = "ended"};
  struct frame frame;
  frame_start(&frame, "state");
  frame_text(&frame, keeper.plan->id);
  frame_text(&frame, phases[keeper.phase]);
  frame_number(&frame, (uint64_t)getpid());
  frame_number(&frame, (uint64_t)keeper.pid);
  frame_number(&frame, keeper.started_ns);
  frame_text(&frame, keeper.plan->proof == NULL ? "" : keeper.plan->proof);
  frame_number(&frame, keeper_timeout_ms());
  tell(client, &frame);
}

static OWN_FRAME void ring(struct client *client) {
  if (!client->watching || client->belled >= keeper.log.position) return;
  client->watching = false;
  client->belled = keeper.log.position;
  struct frame frame;
  frame_start(&frame, "bell");
  frame_number(&frame, keeper.log.position);
  tell(client, &frame);
}

static bool accept_one(const struct frame *ended) {
  int fd = accept4(keeper.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return false;
  // An abstract socket has no mode that would keep others out.
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid()) {
    close(fd);
    return true;
  }
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) {
    struct client *client = &clients[i];
    if (client->fd >= 0) continue;
    *client = (struct client){.fd = fd, .body = client->small};
    tell_state(client);
    if (ended != NULL) tell(client, ended);
    return true;
  }
  close(fd); // there are enough
  return true;
}

// However many knock, and however fast, the job is looked after in between.
void client_accept(const struct frame *ended) {
  for (int each = 0; each < KNOCKS_AT_ONCE && accept_one(ended); each++) continue;
}

void client_tell_all(const struct frame *frame) {
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) tell(&clients[i], frame);
}

void client_tell_state(void) {
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) {
    if (clients[i].fd >= 0) tell_state(&clients[i]);
  }
}

bool client_has_seen(void) {
  return seen;
}

void client_ring(void) {
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) {
    if (clients[i].fd >= 0) ring(&clients[i]);
  }
}

// ---- standard input ----------------------------------------------------------------------------

void input_close(void) {
  if (keeper.input >= 0) close(keeper.input);
  keeper.input = -1;
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) {
    struct client *client = &clients[i];
    if (client->input == NULL) continue;
    free(client->input);
    client->input = NULL;
    tell_verb(client, "stdin-gone");
  }
}

// The client whose input came first, or NULL.
static struct client *next_input(void) {
  struct client *next = NULL;
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) {
    struct client *client = &clients[i];
    if (client->input == NULL) continue;
    if (next == NULL || client->input_turn < next->input_turn) next = client;
  }
  return next;
}

bool input_waits(void) {
  return next_input() != NULL;
}

void input_feed(void) {
  struct client *from;
  while (keeper.input >= 0 && (from = next_input()) != NULL) {
    size_t left = from->input_end - from->input_at;
    ssize_t written = left == 0 ? 0 : write(keeper.input, from->input + from->input_at, left);
    if (written < 0 && errno == EAGAIN) return;
    if (written < 0) {
      input_close();
      return;
    }
    from->input_at += (uint32_t)written;
    if (from->input_at < from->input_end) continue;
    free(from->input);
    from->input = NULL;
    tell_verb(from, "stdin-taken");
  }
  if (input_closes && next_input() == NULL) input_close();
}

// ---- what a client may say ---------------------------------------------------------------------

// Each is given the operand of its verb; false lets the client go.
static bool hear_stop(struct client *client, const char *operand) {
  (void)client;
  uint64_t grace_ms;
  if (!number_of(operand, &grace_ms)) return false;
  keeper_end_job("stop", grace_ms);
  return true;
}

static bool hear_deadline(struct client *client, const char *operand) {
  uint64_t ms;
  if (!number_of(operand, &ms)) return false;
  tell_verb(client, keeper_move_timeout(ms) ? "deadline-set" : "deadline-refused");
  return true;
}

static bool hear_stdin_close(struct client *client, const char *operand) {
  (void)client, (void)operand;
  input_closes = true;
  input_feed();
  return true;
}

static bool hear_watch(struct client *client, const char *operand) {
  (void)operand;
  client->watching = true;
  ring(client);
  return true;
}

static bool hear_seen(struct client *client, const char *operand) {
  (void)client, (void)operand;
  seen = true;
  return true;
}

static const struct {
  const char *verb;
  bool has_operand;
  bool (*hear)(struct client *client, const char *operand);
} verbs[] = {
    {"stop", true, hear_stop},
    {"deadline", true, hear_deadline},
    {"stdin-close", false, hear_stdin_close},
    {"watch", false, hear_watch},
    {"seen", false, hear_seen},
};

static const char stdin_verb[] = "stdin";

// Takes over a frame of input, whose bytes stand behind the verb.
static bool hear_stdin(struct client *client) {
  if (keeper.input < 0 || input_closes) {
    tell_verb(client, "stdin-gone");
    return true;
  }
  // The one before has not been answered yet: this client does not keep to the protocol.
  if (client->input != NULL) return false;
  if (client->body == client->small) {
    client->input = malloc(SMALL_FRAME);
    if (client->input == NULL) return false;
    memcpy(client->input, client->small, SMALL_FRAME);
  } else {
    client->input = client->body;
    client->body = client->small;
  }
  client->input_at = sizeof stdin_verb;
  client->input_end = client->length;
  client->input_turn = input_turns++;
  input_feed();
  return true;
}

static bool hear(struct client *client) {
  char *body = client->body;
  uint32_t length = client->length;
  if (length >= sizeof stdin_verb && memcmp(body, stdin_verb, sizeof stdin_verb) == 0) {
    return hear_stdin(client);
  }
  if (body[length - 1] != 0) return false;
  for (unsigned i = 0; i < LENGTH(verbs); i++) {
    if (strcmp(body, verbs[i].verb) != 0) continue;
    const char *operand = body + strlen(body) + 1;
    const char *end = body + length;
    const char *rest = operand;
    if (verbs[i].has_operand && operand < end) rest += strlen(operand) + 1;
    return (operand < end) == verbs[i].has_operand && rest == end && verbs[i].hear(client, operand);
  }
  return false;
}

// One frame, as far as it has come. False when there is no more to read for now.
static bool read_frame(struct client *client) {
  const uint32_t head = sizeof client->length;
  char *into = client->have < head ? (char *)&client->length + client->have
                                       : client->body + (client->have - head);
  size_t wanted = client->have < head ? head - client->have
                                          : client->length - (client->have - head);
  ssize_t got = recv(client->fd, into, wanted, 0);
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    drop(client);
    return false;
  }
  client->have += (uint32_t)got;
  if (client->have == head) {
    if (client->length == 0 || client->length > FRAME_LIMIT) {
      drop(client);
      return false;
    }
    if (client->length > SMALL_FRAME) client->body = malloc(client->length);
    if (client->body == NULL) {
      drop(client);
      return false;
    }
  }
  if (client->have < head || client->have - head < client->length) return true;
  bool sound = hear(client);
  if (client->fd < 0) return false;
  if (!sound) {
    drop(client);
    return false;
  }
  if (client->body != client->small) free(client->body);
  client->body = client->small;
  client->have = 0;
  return true;
}

void client_start(void) {
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) clients[i].fd = -1;
}

void client_poll(struct pollfd *polled) {
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) {
    polled[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
  }
}

void client_serve(const struct pollfd *polled) {
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) {
    if (clients[i].fd < 0 || clients[i].fd != polled[i].fd || polled[i].revents == 0) continue;
    for (int frame = 0; frame < FRAMES_AT_ONCE; frame++) {
      if (!read_frame(&clients[i])) break;
    }
  }
}
