// Runs a program under the filter alone: no sandbox, whatever rights the caller has. With root's, a
// refusal that the program meets is the filter's and not the kernel's own.
//
//   under-filter ALLOW PROGRAM [ARGUMENT...]     ALLOW: sum of SECCOMP_ALLOW_*, see seccomp.h

#include "../../native/seccomp.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  // Without a terminal there is nothing that vhangup could hang up.
  setsid();
  seccomp_compile();
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      seccomp_install((unsigned)atoi(argv[1])) != 0) {
    perror("seccomp");
    return 1;
  }
  execv(argv[2], argv + 2);
  perror(argv[2]);
  return 1;
}
