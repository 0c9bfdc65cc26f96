// Texts of the kernel that the launcher and the keeper read: devices of a network namespace, counters
// of a cgroup.

#include "../launch.h"
#include "fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

void main_rename(const char *name) {
  (void)name;
}

static void put(int file, const uint8_t *bytes, size_t length) {
  REQUIRE(ftruncate(file, 0) == 0);
  REQUIRE(pwrite(file, bytes, length, 0) == (ssize_t)length);
}

// A namespace that counts as unused shows loopback, and no digit but zeros behind the names of devices.
static void read_devices(const uint8_t *bytes, size_t length) {
  static int file = -1;
  if (file < 0) file = memfd_create("dev", MFD_CLOEXEC);
  put(file, bytes, length);
  if (!net_is_pristine(&(struct netns){.fd = -1, .devices = file})) return;
  char text[2048] = {0};
  memcpy(text, bytes, length < sizeof text - 1 ? length : sizeof text - 1);
  const char *line = strchr(strchr(text, '\n') + 1, '\n') + 1;
  REQUIRE(strstr(line, "lo:") != NULL);
  for (; *line != 0; line = strchr(line, '\n') + 1) {
    const char *numbers = strchr(line, ':') + 1;
    REQUIRE(numbers[strcspn(numbers, "123456789\n")] == '\n');
  }
}

static const char *const counters[] = {
    "memory.oom_control", "memory.memsw.max_usage_in_bytes", "memory.max_usage_in_bytes",
    "memory.events",      "memory.peak",                     "cpuacct.usage",
    "cpu.stat",
};

static char directory[] = "/dev/shm/joblet-fuzz-XXXXXX";

static void remove_counters(void) {
  for (unsigned i = 0; i < LENGTH(counters); i++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, counters[i]);
    unlink(path);
  }
  rmdir(directory);
}

static void read_counters(struct source *source) {
  static int files[LENGTH(counters)];
  if (files[0] == 0) {
    REQUIRE(mkdtemp(directory) != NULL);
    atexit(remove_counters);
    int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < LENGTH(counters); i++) {
      files[i] = openat(at, counters[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
      REQUIRE(files[i] >= 0);
    }
    close(at);
  }
  size_t length;
  for (unsigned i = 0; i < LENGTH(counters); i++) {
    const uint8_t *bytes = take_bytes(source, 4 * (size_t)take_byte(source), &length);
    put(files[i], bytes, length);
  }
  for (int version = 0; version <= 2; version++) {
    const struct counter counter = {.version = version, .path = directory};
    struct usage usage = cgroup_usage(&(struct plan){.memory = counter, .cpu = counter});
    if (version == 0) REQUIRE(usage.oom_kills + usage.memory_peak_bytes + usage.cpu_usec == 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct source source = {data, size};
  if (take_byte(&source) & 1) read_counters(&source);
  else read_devices(source.data, source.size);
  return 0;
}
