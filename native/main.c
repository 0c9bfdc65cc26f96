// joblet-launch: see launch.h for its parts.

#include "launch.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

// Where the command line lies, which lists of processes show.
static char *command_line;
static size_t command_line_length;

void main_rename(const char *name) {
  prctl(PR_SET_NAME, name);
  size_t length = strnlen(name, command_line_length - 1);
  memset(command_line, 0, command_line_length);
  memcpy(command_line, name, length);
}

int main(int argc, char **argv) {
  if ((argc == 3 || argc == 4) && strcmp(argv[1], "launcher") == 0) {
    const char *last = argv[argc - 1];
    command_line = argv[0];
    command_line_length = (size_t)(last + strlen(last) + 1 - argv[0]);
    return launcher_run(argv[2], argv[3]);
  }
  if (argc > 2 && strcmp(argv[1], "probe") == 0) return probe_run((unsigned)argc - 2, argv + 2);
  if (argc == 2 && strcmp(argv[1], "inspect") == 0) return inspect_run();
  if (argc == 9 && strcmp(argv[1], "files") == 0) return files_run(argv + 2);
  if (argc == 3 && strcmp(argv[1], "flows") == 0) return flows_run(argv[2]);
  if (argc == 4 && strcmp(argv[1], "exchange") == 0) return exchange_run(argv[2], argv[3]);
  if (argc == 6 && strcmp(argv[1], "quota") == 0) return quota_run(argv + 2);
  fprintf(stderr, "joblet-launch %s\n"
                  "usage: joblet-launch launcher LOCK-FILE [DIRECTORY]\n"
                  "Started by the daemon, as root, with one end of a stream socket on descriptor 3.\n"
                  "`joblet doctor` runs its `probe` on the host and its `inspect` in a job; `exchange` is how\n"
                  "a runtime takes the place of another, `files` reaches the files of a job, `flows` tells of its\n"
                  "connections, and `quota` gives a directory a hard size.\n",
          JOBLET_VERSION);
  return 2;
}
