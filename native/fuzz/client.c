// What clients say to a keeper. Each input is a play of a few clients that connect, say anything in
// any pieces, read or do not, and leave, while the job reads its standard input or does not. Whatever
// they do, what they hear is whole frames, nothing is kept beyond the bounds, and nothing is left.

#include "../client.c"
#include "fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/un.h>

enum { PLAYERS = CLIENT_LIMIT + 2, STEPS = 200 };

struct keeper keeper;
static struct plan plan = {.id = "0123-4567", .proof = "proof"};

static int players[PLAYERS];
static int job; // read end of the pipe to the job
static uint64_t sent_bytes, fed_bytes;

void keeper_end_job(const char *cause, uint64_t grace_ms) {
  REQUIRE(strcmp(cause, "stop") == 0 && grace_ms <= 1ull << 53);
}

bool keeper_move_timeout(uint64_t ms) {
  REQUIRE(ms <= 1ull << 53);
  return ms % 2 == 0;
}

uint64_t keeper_timeout_ms(void) {
  return 0;
}

static void start(void) {
  static struct sockaddr_un address = {.sun_family = AF_UNIX};
  static socklen_t length;
  if (length == 0) {
    int name = snprintf(address.sun_path + 1, 64, "joblet-fuzz-%d", (int)getpid());
    length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)name);
    signal(SIGPIPE, SIG_IGN);
    keeper.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(bind(keeper.listener, (struct sockaddr *)&address, length) == 0);
    REQUIRE(listen(keeper.listener, CLIENT_LIMIT) == 0);
    client_start();
  }
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  // Small, so that input waits.
  fcntl(ends[1], F_SETPIPE_SZ, 4096);
  keeper.plan = &plan;
  keeper.phase = RUNNING;
  keeper.input = ends[1];
  keeper.log.position = 0;
  job = ends[0];
  sent_bytes = fed_bytes = 0;
  seen = input_closes = false;
  for (unsigned i = 0; i < PLAYERS; i++) players[i] = -1;
}

static void connect_player(int *player) {
  if (*player >= 0) return;
  struct sockaddr_un address;
  socklen_t length = sizeof address;
  REQUIRE(getsockname(keeper.listener, (struct sockaddr *)&address, &length) == 0);
  *player = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  REQUIRE(connect(*player, (struct sockaddr *)&address, length) == 0);
}

static void leave(int *player) {
  if (*player >= 0) close(*player);
  *player = -1;
}

static bool is_known(const char *verb) {
  static const char *const known[] = {
      "state", "bell", "stdin-taken", "stdin-gone", "deadline-set", "deadline-refused", "ended"};
  for (unsigned i = 0; i < LENGTH(known); i++) {
    if (strcmp(known[i], verb) == 0) return true;
  }
  return false;
}

// Reads everything that was said to a client: whole frames, as they are sent whole or not at all.
static void listen_to_keeper(int player) {
  if (player < 0) return;
  static char heard[1 << 16];
  ssize_t got;
  size_t length = 0;
  while (length < sizeof heard && (got = recv(player, heard + length, sizeof heard - length, 0)) > 0) {
    length += (size_t)got;
  }
  for (size_t at = 0; at < length;) {
    uint32_t bytes;
    REQUIRE(length - at > sizeof bytes);
    memcpy(&bytes, heard + at, sizeof bytes);
    at += sizeof bytes;
    REQUIRE(bytes > 0 && bytes <= FRAME_ROOM && bytes <= length - at);
    REQUIRE(heard[at + bytes - 1] == 0 && is_known(heard + at));
    at += bytes;
  }
}

static void say(int player, const uint8_t *bytes, size_t length) {
  if (player < 0) return;
  ssize_t sent = send(player, bytes, length, MSG_NOSIGNAL);
  if (sent > 0) sent_bytes += (uint64_t)sent;
}

static void read_input(size_t wanted) {
  if (job < 0) return;
  char bytes[256];
  ssize_t got = read(job, bytes, wanted < sizeof bytes ? wanted : sizeof bytes);
  if (got > 0) fed_bytes += (uint64_t)got;
  REQUIRE(fed_bytes <= sent_bytes);
}

static void require_bounds(void) {
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) {
    const struct client *client = &clients[i];
    if (client->fd < 0) {
      REQUIRE(client->input == NULL && client->body == NULL);
      continue;
    }
    REQUIRE(client->belled <= keeper.log.position);
    REQUIRE(client->have < sizeof client->length || client->length <= FRAME_LIMIT);
    REQUIRE(client->input == NULL || client->input_at <= client->input_end);
    REQUIRE(client->input == NULL || keeper.input >= 0);
  }
}

// One turn of the keeper's loop.
static void turn(void) {
  struct pollfd polled[CLIENT_LIMIT];
  client_poll(polled);
  poll(polled, CLIENT_LIMIT, 0);
  client_ring();
  if (input_waits()) input_feed();
  client_serve(polled);
  client_accept(NULL);
  require_bounds();
}

static void step(struct source *source) {
  uint8_t what = take_byte(source);
  int *player = &players[(what >> 3) % PLAYERS];
  size_t length;
  const uint8_t *bytes;
  switch (what & 7) {
  case 0:
    connect_player(player);
    break;
  case 1: // a frame that says its own length
    bytes = take_bytes(source, take_byte(source), &length);
    say(*player, (uint8_t *)&(uint32_t){(uint32_t)length}, sizeof(uint32_t));
    say(*player, bytes, length);
    break;
  case 2: // anything
    bytes = take_bytes(source, take_byte(source), &length);
    say(*player, bytes, length);
    break;
  case 3:
    leave(player);
    break;
  case 4:
    read_input(take_byte(source));
    break;
  case 5:
    keeper.log.position += take_byte(source);
    break;
  case 6:
    listen_to_keeper(*player);
    break;
  case 7:
    if (take_byte(source) % 16 != 0) break;
    if (job >= 0) close(job);
    job = -1;
    break;
  }
  turn();
}

static bool is_served(void) {
  for (unsigned i = 0; i < CLIENT_LIMIT; i++) {
    if (clients[i].fd >= 0) return true;
  }
  struct pollfd waiting = {.fd = keeper.listener, .events = POLLIN};
  return poll(&waiting, 1, 0) > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct source source = {data, size};
  start();
  for (unsigned i = 0; i < STEPS && source.size > 0; i++) step(&source);
  struct frame ended;
  frame_start(&ended, "ended");
  frame_text(&ended, plan.id);
  client_tell_all(&ended);
  for (unsigned i = 0; i < PLAYERS; i++) {
    listen_to_keeper(players[i]);
    leave(&players[i]);
  }
  // Each is let go once all that it said has been read.
  for (unsigned i = 0; i < STEPS && is_served(); i++) turn();
  REQUIRE(!is_served());
  REQUIRE(!input_waits());
  input_close();
  if (job >= 0) close(job);
  return 0;
}
