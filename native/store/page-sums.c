// A checksum in every page of the database: SQLite's own checks see a broken tree, not a changed
// value. This is loaded into the daemon's SQLite and stands between it and the file: the last eight
// bytes of a page, which SQLite leaves to us, are summed when a page is written and compared when it
// is read. What differs is a read error (SQLITE_IOERR_DATA), never a value.
//
// The write-ahead log has checksums of its own and is not touched.

#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT1

#include <stdint.h>
#include <string.h>

enum {
  PAGE_BYTES = 4096, // SQLite's default; nothing of ours sets another
  SUM_BYTES = 8,
  RESERVED_AT = 20, // where a database says how many bytes of a page SQLite leaves alone
};

// Behind the state of the file system below.
struct summed {
  sqlite3_io_methods methods; // those of the file, but for reading and writing
  const sqlite3_io_methods *below;
  int sums; // the database has room for them
};

static sqlite3_vfs *below;
static sqlite3_vfs with_sums;

static struct summed *summed(sqlite3_file *file) {
  return (struct summed *)((char *)file + (below->szOsFile + 7) / 8 * 8);
}

// FNV-1a over words; a page that stands in the place of another one differs too.
static uint64_t sum_of(const unsigned char *page, sqlite3_int64 offset) {
  uint64_t sum = 0xcbf29ce484222325u ^ (uint64_t)(offset / PAGE_BYTES);
  for (int at = 0; at < PAGE_BYTES - SUM_BYTES; at += 8) {
    uint64_t word;
    memcpy(&word, page + at, sizeof word);
    sum = (sum ^ word) * 0x100000001b3u;
  }
  return sum;
}

// The first page says whether the pages have sums.
static void look(struct summed *state, const unsigned char *bytes, int amount, sqlite3_int64 offset) {
  if (offset == 0 && amount > RESERVED_AT) state->sums = bytes[RESERVED_AT] == SUM_BYTES;
}

static int is_page(const struct summed *state, int amount, sqlite3_int64 offset) {
  return state->sums && amount == PAGE_BYTES && offset % PAGE_BYTES == 0;
}

static int read_summed(sqlite3_file *file, void *bytes, int amount, sqlite3_int64 offset) {
  struct summed *state = summed(file);
  int result = state->below->xRead(file, bytes, amount, offset);
  if (result != SQLITE_OK) return result;
  look(state, bytes, amount, offset);
  if (!is_page(state, amount, offset)) return SQLITE_OK;
  uint64_t sum = sum_of(bytes, offset);
  const unsigned char *kept = (const unsigned char *)bytes + PAGE_BYTES - SUM_BYTES;
  return memcmp(&sum, kept, sizeof sum) == 0 ? SQLITE_OK : SQLITE_IOERR_DATA;
}

static int write_summed(sqlite3_file *file, const void *bytes, int amount, sqlite3_int64 offset) {
  struct summed *state = summed(file);
  look(state, bytes, amount, offset);
  if (!is_page(state, amount, offset)) return state->below->xWrite(file, bytes, amount, offset);
  unsigned char page[PAGE_BYTES];
  memcpy(page, bytes, PAGE_BYTES);
  uint64_t sum = sum_of(page, offset);
  memcpy(page + PAGE_BYTES - SUM_BYTES, &sum, sizeof sum);
  return state->below->xWrite(file, page, amount, offset);
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
  (void)vfs;
  int result = below->xOpen(below, name, file, flags, out);
  if (result != SQLITE_OK || !(flags & SQLITE_OPEN_MAIN_DB)) return result;
  struct summed *state = summed(file);
  *state = (struct summed){.methods = *file->pMethods, .below = file->pMethods};
  state->methods.xRead = read_summed;
  state->methods.xWrite = write_summed;
  // No page may be seen but through a read.
  state->methods.iVersion = 2;
  // What is made from nothing has them from its first page on, which need not be written first.
  sqlite3_int64 size;
  state->sums = state->below->xFileSize(file, &size) == SQLITE_OK && size == 0;
  file->pMethods = &state->methods;
  return SQLITE_OK;
}

// Whoever makes a database, or vacuums one, leaves room for the sums.
static int leave_room(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
  (void)error, (void)api;
  int bytes = SUM_BYTES;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
  return SQLITE_OK;
}

// The name is what SQLite looks for in joblet-page-sums.so.
int sqlite3_jobletpagesums_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

int sqlite3_jobletpagesums_init(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
  SQLITE_EXTENSION_INIT2(api);
  (void)db, (void)error;
  if (below != NULL) return SQLITE_OK_LOAD_PERMANENTLY;
  below = sqlite3_vfs_find(NULL);
  if (below == NULL) return SQLITE_ERROR;
  with_sums = *below;
  with_sums.pNext = NULL;
  with_sums.zName = "joblet";
  with_sums.szOsFile = (below->szOsFile + 7) / 8 * 8 + (int)sizeof(struct summed);
  with_sums.xOpen = open_file;
  int result = sqlite3_vfs_register(&with_sums, 1);
  if (result == SQLITE_OK) result = sqlite3_auto_extension((void (*)(void))leave_room);
  return result == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : result;
}
