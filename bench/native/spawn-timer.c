// Runs one command again and again and says how long each run took, so that what a peer costs is
// measured by a small process and not by one with a big heap, whose forks are slow.
//
//   spawn-timer each COMMAND...          one run for each byte on standard input; answers with a line
//                                        of three numbers: spawned at, first number that the command
//                                        printed (0 if none), ended at, all in nanoseconds
//   spawn-timer for SECONDS COMMAND...   runs until the time is up; answers with the number of runs
//
// A command that fails ends the measurement: its exit status is the answer's.

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct run {
  long long spawned_ns, printed_ns, ended_ns;
};

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "spawn-timer: %s: %s\n", what, strerror(errno));
  exit(1);
}

static struct run run_once(char **command) {
  int out[2];
  if (pipe(out) != 0) fail("pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addclose(&actions, out[0]);
  posix_spawn_file_actions_addclose(&actions, out[1]);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0);

  struct run run = {.spawned_ns = now_ns()};
  pid_t child;
  errno = posix_spawnp(&child, command[0], &actions, NULL, command, environ);
  if (errno != 0) fail(command[0]);
  close(out[1]);
  char text[64] = {0};
  size_t length = 0;
  for (ssize_t n; (n = read(out[0], text + length, sizeof text - 1 - length)) > 0;) {
    length += (size_t)n;
  }
  close(out[0]);
  int status;
  if (waitpid(child, &status, 0) != child) fail("waitpid");
  run.ended_ns = now_ns();
  run.printed_ns = strtoll(text, NULL, 10);
  posix_spawn_file_actions_destroy(&actions);
  if (status != 0) {
    fprintf(stderr, "spawn-timer: %s: wait status %d\n", command[0], status);
    exit(1);
  }
  return run;
}

int main(int argc, char **argv) {
  if (argc >= 3 && strcmp(argv[1], "each") == 0) {
    for (char byte; read(0, &byte, 1) == 1;) {
      struct run run = run_once(argv + 2);
      printf("%lld %lld %lld\n", run.spawned_ns, run.printed_ns, run.ended_ns);
      fflush(stdout);
    }
    return 0;
  }
  if (argc >= 4 && strcmp(argv[1], "for") == 0) {
    long long until_ns = now_ns() + atoll(argv[2]) * 1000000000LL;
    long runs = 0;
    for (; now_ns() < until_ns; runs++) run_once(argv + 3);
    printf("%ld\n", runs);
    return 0;
  }
  fprintf(stderr, "usage: spawn-timer each COMMAND... | for SECONDS COMMAND...\n");
  return 2;
}
