/* Makes writes below a folder fail, in a process that preloads this library.

   FAULTS_BELOW is the folder; FAULTS_SWITCH a file that says how, while it exists: ENOSPC or EIO
   fails every write and every new file, SHORT writes a part only, as the system may at any time,
   and HALF the first part of a write before ENOSPC, as a disk does that fills up. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum fault { NONE, FAIL, SHORT, HALF };

static enum fault current(int *error) {
  const char *path = getenv("FAULTS_SWITCH");
  char word[16] = {0};
  long file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return NONE;
  if (read((int)file, word, sizeof word - 1) < 0) word[0] = 0;
  close((int)file);
  *error = strncmp(word, "EIO", 3) ? ENOSPC : EIO;
  if (!strncmp(word, "SHORT", 5)) return SHORT;
  if (!strncmp(word, "HALF", 4)) return HALF;
  return word[0] ? FAIL : NONE;
}

static int below(const char *path) {
  const char *folder = getenv("FAULTS_BELOW");
  return folder && !strncmp(path, folder, strlen(folder));
}

static int concerns(int file) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return below(path);
}

/* How much of a write may pass; -1 if it fails with errno. */
static ssize_t passes(int file, size_t count) {
  int saved = errno, error = 0;
  enum fault fault = concerns(file) ? current(&error) : NONE;
  errno = saved;
  if (fault == FAIL || (fault == HALF && count < 2)) {
    errno = error;
    return -1;
  }
  return fault == NONE || count < 2 ? (ssize_t)count : (ssize_t)(count / 2);
}

/* Looked up once, at the start: dlsym in the midst of another library's loading may wait for ever. */
#define FUNCTIONS(X) X(write) X(pwrite) X(pwrite64) X(writev) X(open) X(open64) X(mkdir)
#define DECLARE(name) static __typeof__(&name) real_##name;
FUNCTIONS(DECLARE)

__attribute__((constructor)) static void look_up(void) {
#define LOOK_UP(name) real_##name = (__typeof__(&name))dlsym(RTLD_NEXT, #name);
  FUNCTIONS(LOOK_UP)
}

#define REAL(name) (real_##name ? real_##name : (__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *data, size_t count) {
  ssize_t part = passes(file, count);
  return part < 0 ? -1 : REAL(write)(file, data, (size_t)part);
}

ssize_t pwrite(int file, const void *data, size_t count, off_t where) {
  ssize_t part = passes(file, count);
  return part < 0 ? -1 : REAL(pwrite)(file, data, (size_t)part, where);
}

ssize_t pwrite64(int file, const void *data, size_t count, off64_t where) {
  ssize_t part = passes(file, count);
  return part < 0 ? -1 : REAL(pwrite64)(file, data, (size_t)part, where);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  ssize_t part = count > 0 ? passes(file, parts[0].iov_len) : 0;
  if (part < 0) return -1;
  if (count > 0 && (size_t)part < parts[0].iov_len)
    return REAL(write)(file, parts[0].iov_base, (size_t)part);
  return REAL(writev)(file, parts, count);
}

static int refused(const char *path, int flags) {
  int saved = errno, error = 0;
  if (!(flags & O_CREAT) || !below(path)) return 0;
  enum fault fault = current(&error);
  errno = fault == FAIL ? error : saved;
  return fault == FAIL;
}

#define OPEN(name)                                                        \
  int name(const char *path, int flags, ...) {                            \
    va_list rest;                                                         \
    va_start(rest, flags);                                                \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                         \
    return refused(path, flags) ? -1 : REAL(name)(path, flags, mode);     \
  }
OPEN(open)
OPEN(open64)

int mkdir(const char *path, mode_t mode) {
  return refused(path, O_CREAT) ? -1 : REAL(mkdir)(path, mode);
}
