// Messages of connection tracking and of refused packets, what the daemon says in lines, and answers to
// what the kernel was asked. Whatever they are, what is said are whole lines about addresses of jobs,
// and lines are the same however they were cut.

#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static void heard(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int input = -1; // what is read in the place of standard input

// It asks the kernel for nothing here.
#define open_kernel(...) (-1)
#define socket(...) open_kernel(__VA_ARGS__)
#define printf(...) heard(__VA_ARGS__)
#undef STDIN_FILENO
#define STDIN_FILENO input
#include "../flows.c"
#undef printf
#undef socket

static void require_flow(const char *line) {
  char kind[8], way[8], job[INET6_ADDRSTRLEN], other[INET6_ADDRSTRLEN];
  unsigned id, protocol, port;
  unsigned long long out, in;
  int end = 0;
  REQUIRE(sscanf(line, "%7s %u %7s %u %45s %45s %u %llu %llu\n%n", kind, &id, way, &protocol, job, other,
                 &port, &out, &in, &end) == 9);
  REQUIRE((size_t)end == strlen(line));
  REQUIRE(strcmp(way, "out") == 0 || strcmp(way, "in") == 0);
  REQUIRE(protocol <= UINT8_MAX && port <= UINT16_MAX);
  int family = strchr(job, ':') == NULL ? AF_INET : AF_INET6;
  unsigned char address[sizeof(struct in6_addr)];
  REQUIRE(inet_pton(family, job, address) == 1 && is_ours(family, address));
  REQUIRE(inet_pton(family, other, address) == 1);
}

static void heard(const char *format, ...) {
  char line[512];
  va_list values;
  va_start(values, format);
  int length = vsnprintf(line, sizeof line, format, values);
  va_end(values);
  REQUIRE(length > 0 && (size_t)length < sizeof line && line[length - 1] == '\n');
  if (strcmp(line, "done\n") != 0 && strcmp(line, "lost\n") != 0) require_flow(line);
}

static void read_ranges(const char *text) {
  char *line = copy_of((const uint8_t *)text, strlen(text) + 1);
  obey(line);
  free(line);
}

// ---- messages ----------------------------------------------------------------------------------

static void take(struct source *source) {
  read_ranges("ranges 10.0.0.0/8 fd00::/8");
  REQUIRE(range_count == 2);
  char *text = copy_of(source->data, source->size);
  (void)take_messages(text, source->size, "new");
  free(text);
}

// ---- lines -------------------------------------------------------------------------------------

static uint32_t digest_of_ranges(void) {
  uint32_t digest = range_count;
  REQUIRE(range_count <= RANGE_LIMIT);
  for (unsigned i = 0; i < range_count; i++) {
    REQUIRE(ranges[i].bits <= 8 * length_of(ranges[i].family));
    digest = digest * 31 + ranges[i].bits;
    for (size_t at = 0; at < length_of(ranges[i].family); at++) digest = digest * 31 + ranges[i].bytes[at];
  }
  return digest;
}

static void say_piece(const uint8_t *bytes, size_t length) {
  static int writer;
  if (input < 0) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    input = ends[0], writer = ends[1];
  }
  if (length == 0) return;
  REQUIRE(write(writer, bytes, length) == (ssize_t)length);
  REQUIRE(read_lines());
}

static void obey_lines(struct source *source) {
  size_t cut = 4 * (size_t)take_byte(source);
  if (cut > source->size) cut = source->size;
  range_count = 0;
  say_piece(source->data, source->size);
  say_piece((const uint8_t *)"\n", 1);
  uint32_t whole = digest_of_ranges();
  range_count = 0;
  say_piece(source->data, cut);
  say_piece(source->data + cut, source->size - cut);
  say_piece((const uint8_t *)"\n", 1);
  REQUIRE(digest_of_ranges() == whole);
}

// ---- answers -----------------------------------------------------------------------------------

static void hear_answer(struct source *source) {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
  struct netlink_message message;
  const struct nfgenmsg about = {0};
  netlink_begin(&message, 0, 0, &about, sizeof about);
  // An end of the stream is an answer of nothing.
  if (source->size > 0) REQUIRE(send(ends[1], source->data, source->size, 0) == (ssize_t)source->size);
  else REQUIRE(shutdown(ends[1], SHUT_WR) == 0);
  errno = 0;
  int result = netlink_ask(ends[0], &message);
  REQUIRE(result == 0 ? errno == 0 : result == -1 && errno != 0);
  if (result == 0) REQUIRE(source->size >= NLMSG_LENGTH(sizeof(struct nlmsgerr)));
  close(ends[0]);
  close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static void (*const readers[])(struct source *) = {take, obey_lines, hear_answer};
  struct source source = {data, size};
  readers[take_byte(&source) % LENGTH(readers)](&source);
  return 0;
}
