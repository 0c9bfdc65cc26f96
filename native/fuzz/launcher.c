// The launcher as a whole, as far as it is told things: pieces of the daemon's stream, and notices of
// keepers with their descriptors. It forks nothing here. Whatever it is told, it keeps no descriptor
// that it does not know of, and answers in whole frames.

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static jmp_buf left;

// What it would write to the daemon's log.
static void unheard(const char *format, ...) {
  (void)format;
}

#define fork() (-1)
#define exit(code) longjmp(left, 1 + (code))
#define fprintf(stream, ...) unheard(__VA_ARGS__)
#include "../launcher.c"
#include "../pool.c"
#undef exit
#undef fprintf

#include "fuzz.h"

enum { STEPS = 100 };

static int daemon_end, keeper_end, nothing;

// ---- what it would start ------------------------------------------------------------------------

_Noreturn void keeper_run(struct plan *plan, struct entry *entry, int daemon) {
  (void)plan, (void)entry, (void)daemon;
  abort();
}
void keeper_prepare(void) {}
void setup_close_but(int *kept, unsigned count) {
  (void)kept, (void)count;
}
void main_rename(const char *name) {
  (void)name;
}
int net_start_filler(pid_t *pid) {
  *pid = 0;
  return -1;
}
void net_request(int filler) {
  (void)filler;
}
bool net_request_order(int filler, const struct order *order) {
  (void)filler, (void)order;
  return false;
}
bool net_receive(int filler, struct made *made) {
  (void)filler, (void)made;
  return false;
}
bool net_is_pristine(const struct netns *net) {
  (void)net;
  return false;
}
struct traffic net_traffic(const struct netns *net) {
  (void)net;
  return (struct traffic){0};
}
void net_close(struct netns *net) {
  *net = (struct netns){-1, -1};
}
int system_survey(void) {
  return 0;
}
void seccomp_compile(void) {}

// ---- the play -----------------------------------------------------------------------------------

static void start(void) {
  static bool started;
  if (!started) {
    int pair[2];
    nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    daemon_end = fcntl(pair[0], F_DUPFD_CLOEXEC, 100);
    int launchers_end = fcntl(pair[1], F_DUPFD_CLOEXEC, 100);
    close(pair[0]);
    close(pair[1]);
    REQUIRE(dup2(launchers_end, DAEMON_FD) == DAEMON_FD);
    close(launchers_end);
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, my.notices) == 0);
    keeper_end = my.notices[1];
    pool.filler = -1;
    started = true;
  }
  my.text_length = 0;
  my.generation = 0;
}

static int unused_descriptor(void) {
  int fd = dup(nothing);
  close(fd);
  return fd;
}

static void let_all_go(void) {
  for (unsigned i = 0; i < IDS_KEPT && my.ids[i].fd != 0; i++) let_go(&my.ids[i]);
  for (unsigned i = 0; i < TEMPLATES_KEPT && my.templates[i].fd != 0; i++) {
    let_go(&my.templates[i]);
  }
}

// What it answers is `failed` or `unattached`, in whole frames: nothing was forked.
static void hear_answers(void) {
  static char heard[1 << 18];
  ssize_t length = recv(daemon_end, heard, sizeof heard, MSG_DONTWAIT);
  for (ssize_t at = 0; at < length;) {
    uint32_t bytes;
    memcpy(&bytes, heard + at, sizeof bytes);
    at += (ssize_t)sizeof bytes;
    REQUIRE(bytes > sizeof "unattached" && bytes <= FRAME_ROOM && bytes <= length - at);
    REQUIRE(heard[at + bytes - 1] == 0);
    REQUIRE(memcmp(heard + at, "failed", sizeof "failed") == 0 ||
            memcmp(heard + at, "unattached", sizeof "unattached") == 0);
    at += bytes;
  }
}

static void say_order(const uint8_t *bytes, size_t length, bool framed) {
  if (framed) {
    REQUIRE(send(daemon_end, &(uint32_t){(uint32_t)length}, sizeof(uint32_t), 0) > 0);
  }
  if (length > 0) REQUIRE(send(daemon_end, bytes, length, 0) == (ssize_t)length);
  if (framed || length > 0) read_daemon();
  hear_answers();
}

// A notice of any length that says anything, with a descriptor.
static void say_notice(const uint8_t *bytes, size_t length) {
  struct notice notice = {.what = NOTICE_TEMPLATE, .ids_first = 65536};
  memcpy(&notice, bytes, length < sizeof notice ? length : sizeof notice);
  launcher_offer(keeper_end, &notice, nothing);
  take_notice();
}

static void require_bounds(void) {
  REQUIRE(my.text_length <= sizeof my.text);
  for (unsigned i = 0; i < TEMPLATES_KEPT; i++) {
    if (my.templates[i].fd != 0) REQUIRE(strlen(my.templates[i].key) < KEY_ROOM);
  }
}

static void play(struct source *source) {
  // The launcher ends where the daemon does not keep to the protocol.
  if (setjmp(left) != 0) return;
  for (volatile unsigned i = 0; i < STEPS && source->size > 0; i++) {
    uint8_t what = take_byte(source);
    size_t wanted = take_byte(source) + (size_t)(what >> 2) * 64;
    size_t length;
    const uint8_t *bytes = take_bytes(source, wanted, &length);
    if ((what & 3) == 0) say_notice(bytes, length);
    else say_order(bytes, length, (what & 3) != 1);
    require_bounds();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct source source = {data, size};
  start();
  int before = unused_descriptor();
  play(&source);
  let_all_go();
  REQUIRE(unused_descriptor() == before);
  return 0;
}
