// What is put into a job and fetched from it. Each input is a path and a stream of frames, in a tree of a
// job that has set links, pipes and files in the way. Whatever they are, nothing outside of the tree is
// changed or told, no bound is passed, the answer is whole frames, and what was put is there.

#include <dirent.h>
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

static jmp_buf left;

// Folders that it is within when it ends: its process takes them along.
static DIR *lists[256];
static unsigned lists_open;

static DIR *begin_list(int dir) {
  return lists[lists_open++] = fdopendir(dir);
}

static int end_list(DIR *list) {
  lists_open--;
  return closedir(list);
}

#define _exit(code) longjmp(left, 1 + (code))
#define fdopendir(dir) begin_list(dir)
#define closedir(list) end_list(list)
#include "../files.c"
#undef _exit
#undef fdopendir
#undef closedir

#include "fuzz.h"

#include <ftw.h>
#include <sys/mman.h>

enum { ANSWER_ROOM = 4 << 20, FILES_MOST = 16, BYTES_MOST = 4096, STREAM_ROOM = 1 << 18 };

// Another one each time, so that no input holds it.
static char secret[24];

static char directory[] = "/dev/shm/joblet-fuzz-XXXXXX";
static int outside, stream, answer, first_free;
static char heard[ANSWER_ROOM];
static uint64_t heard_files, heard_bytes;

// ---- the tree of the job -----------------------------------------------------------------------

static int remove_one(const char *path, const struct stat *found, int what, struct FTW *at) {
  (void)found, (void)what;
  return at->level == 0 ? 0 : remove(path);
}

static void empty(const char *name) {
  char path[64];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_text(const char *path, const char *text) {
  int file = openat(outside, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  REQUIRE(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
  close(file);
}

static void clear_up(void) {
  empty("");
  rmdir(directory);
}

static void start(void) {
  if (outside > 0) return;
  REQUIRE(mkdtemp(directory) != NULL);
  atexit(clear_up);
  outside = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  stream = memfd_create("stream", MFD_CLOEXEC);
  answer = memfd_create("answer", MFD_CLOEXEC);
  REQUIRE(dup2(stream, STDIN_FILENO) == STDIN_FILENO);
  REQUIRE(dup2(answer, STDOUT_FILENO) == STDOUT_FILENO);
  REQUIRE(mkdirat(outside, "job", 0700) == 0);
  first_free = dup(stream);
  close(first_free);
}

static void grow_tree(void) {
  static uint64_t turn;
  turn += 0x9e3779b97f4a7c15;
  snprintf(secret, sizeof secret, "host%016llx", (unsigned long long)turn);
  empty("job");
  put_text("secret", secret);
  REQUIRE(mkdirat(outside, "job/in", 0700) == 0);
  put_text("job/in/file", "text");
  static const char *const links[][2] = {
      {"..", "job/up"},          {"/secret", "job/root"}, {"../../secret", "job/in/out"},
      {"../in", "job/in/round"}, {"loop", "job/loop"},    {"/proc/self/root", "job/magic"},
  };
  for (unsigned i = 0; i < LENGTH(links); i++) {
    REQUIRE(symlinkat(links[i][0], outside, links[i][1]) == 0);
  }
  REQUIRE(mkfifoat(outside, "job/pipe", 0600) == 0);
}

// ---- one call ----------------------------------------------------------------------------------

// The answer is whole frames, of which the last is the end, and tells of nothing that is outside.
static bool require_answer(void) {
  ssize_t length = pread(answer, heard, sizeof heard, 0);
  REQUIRE(length >= 0 && memmem(heard, (size_t)length, secret, strlen(secret)) == NULL);
  heard_files = heard_bytes = 0;
  char kind = 0;
  for (ssize_t at = 0; at < length;) {
    REQUIRE(kind != 'Z' && kind != 'X' && length - at >= 5);
    uint32_t bytes;
    memcpy(&bytes, heard + at, sizeof bytes);
    kind = heard[at + 4];
    at += 5;
    REQUIRE(bytes <= length - at && memchr("EDHSZX", kind, 6) != NULL);
    if (kind == 'D') heard_bytes += bytes;
    else REQUIRE(bytes > 0 && heard[at + bytes - 1] == 0);
    if (kind == 'E') heard_files++;
    at += bytes;
  }
  REQUIRE(kind == 'Z' || kind == 'X');
  return kind == 'Z';
}

// True when it came to a good end.
static bool call(const char *verb, char *path, uint64_t most_files, uint64_t most_bytes) {
  char root[64];
  snprintf(root, sizeof root, "%s/job", directory);
  int base = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(base >= 0 && ftruncate(answer, 0) == 0 && lseek(answer, 0, SEEK_SET) == 0);
  files_left = most_files;
  bytes_left = most_bytes;
  most_memory = UINT64_MAX;
  files_done = bytes_done = 0;
  if (setjmp(left) == 0) {
    if (*verb == 'w') write_files(base, path);
    else read_files(base, path, *verb == 'r');
  }
  while (lists_open > 0) end_list(lists[lists_open - 1]);
  syscall(SYS_close_range, first_free, ~0u, 0);
  return require_answer();
}

static void require_outside(void) {
  char found[64] = "";
  int file = openat(outside, "secret", O_RDONLY | O_CLOEXEC);
  REQUIRE(file >= 0 && read(file, found, sizeof found) == (ssize_t)strlen(secret));
  REQUIRE(strcmp(found, secret) == 0);
  close(file);
  struct stat around;
  REQUIRE(fstat(outside, &around) == 0 && around.st_nlink == 3);
}

// ---- what is put -------------------------------------------------------------------------------

// Frames that say their own length, and now and then bytes that are none.
static void write_stream(struct source *source) {
  static uint8_t bytes[STREAM_ROOM];
  size_t length = 0;
  while (source->size > 0) {
    uint8_t what = take_byte(source);
    size_t wanted = take_byte(source), taken;
    const uint8_t *body = take_bytes(source, wanted, &taken);
    if (length + 5 + taken > sizeof bytes) break;
    if ((what & 7) != 7) {
      memcpy(bytes + length, &(uint32_t){(uint32_t)taken}, sizeof(uint32_t));
      bytes[length + 4] = (uint8_t)"EEEDDZX"[what & 7];
      length += 5;
    }
    memcpy(bytes + length, body, taken);
    length += taken;
  }
  REQUIRE(ftruncate(stream, 0) == 0);
  REQUIRE(pwrite(stream, bytes, length, 0) == (ssize_t)length);
  REQUIRE(lseek(stream, 0, SEEK_SET) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct source source = {data, size};
  start();
  grow_tree();
  size_t length;
  const uint8_t *asked = take_bytes(&source, take_byte(&source), &length);
  char path[256] = "", again[256] = "";
  memcpy(path, asked, length);
  memcpy(again, asked, length);
  write_stream(&source);
  bool written = call("write", path, FILES_MOST, BYTES_MOST);
  REQUIRE(files_done <= FILES_MOST && bytes_done <= BYTES_MOST);
  uint64_t put_files = files_done, put_bytes = bytes_done;
  require_outside();

  call("list", again, FILES_MOST, BYTES_MOST);
  REQUIRE(heard_files <= FILES_MOST && heard_bytes == 0);
  require_outside();
  // The tree holds no more than it had and what was put.
  char whole[] = "/";
  REQUIRE(call("read", whole, UINT64_MAX, UINT64_MAX));
  REQUIRE(heard_bytes == bytes_done && heard_bytes <= put_bytes + strlen("text"));
  REQUIRE(!written || put_files > 0 || heard_bytes == strlen("text"));
  require_outside();
  return 0;
}
