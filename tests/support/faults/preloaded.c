/* Faults for a process, preloaded before libc: the calls that change files below one directory are counted, and at a
 * chosen one the process is killed, or the call fails, or does half of its work. Also: clock steps, and a journal of
 * all that was written, from which a power cut is played (journal.py).
 *
 * FAULTS_CONTROL names a file that `control.py` makes and every process maps: it says what happens, and counts. Calls
 * go to the kernel directly, so that no other wrapper of libc is met twice. What does not pass through libc's exported
 * functions (raw system calls, pages of a mapping, libc's own stdio) is not seen. */
#include "deciding.h"

/* Where a write without an offset of its own goes. */
static off_t position(int descriptor) {
    struct stat found;
    if (fcntl(descriptor, F_GETFL) & O_APPEND) return fstat(descriptor, &found) ? 0 : found.st_size;
    return lseek(descriptor, 0, SEEK_CUR);
}

/* `expression` unless it is to fail; `journal` when it went well. In one order with all that is recorded. */
#define CARRIED_OUT(kind, path, expression, journal)                                                                   \
    ({                                                                                                                 \
        const char *where = path;                                                                                      \
        enum action action = judge(kind, where);                                                                       \
        long result = -1;                                                                                              \
        int recording = recorded(where);                                                                               \
        if (recording) pthread_mutex_lock(&in_order);                                                                  \
        if (action == FAIL) fail();                                                                                    \
        else result = (expression);                                                                                    \
        if (recording && result >= 0) { journal; }                                                                     \
        if (recording) pthread_mutex_unlock(&in_order);                                                                \
        end(action, result);                                                                                           \
    })

/* ---- files are opened and closed ---- */

static int opened(int directory, const char *name, int flags, mode_t mode) {
    char buffer[PATHS];
    const char *path = path_at(directory, name, buffer);
    if (!is_below(path)) return syscall(SYS_openat, directory, name, flags, mode);
    struct stat before;
    int there = !fstatat(directory, name, &before, 0);
    int changes = flags & (O_CREAT | O_TRUNC) || (flags & O_ACCMODE) != O_RDONLY;
    return CARRIED_OUT(changes ? OPEN : READ, path, syscall(SYS_openat, directory, name, flags, mode), {
        if (!there) append((struct entry){.operation = 'c', .node = node_of(result)}, path, "", 0);
        else if (flags & O_TRUNC) append_size(result, path);
    });
}

#define WITH_MODE(flags, last)                                                                                         \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list list;                                                                                                  \
        va_start(list, last);                                                                                          \
        mode = va_arg(list, int);                                                                                      \
        va_end(list);                                                                                                  \
    }

int open(const char *name, int flags, ...) {
    WITH_MODE(flags, flags)
    return opened(AT_FDCWD, name, flags, mode);
}

int openat(int directory, const char *name, int flags, ...) {
    WITH_MODE(flags, flags)
    return opened(directory, name, flags, mode);
}

int open64(const char *, int, ...) __attribute__((alias("open")));
int openat64(int, const char *, int, ...) __attribute__((alias("openat")));
int __open_2(const char *name, int flags) { return opened(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return opened(AT_FDCWD, name, flags, 0); }

int close(int descriptor) {
    char buffer[PATHS];
    enum action action = control && control->kinds >> CLOSE & 1 ? judge(CLOSE, path_of(descriptor, buffer)) : NOTHING;
    long result = syscall(SYS_close, descriptor);
    return end(action, action == FAIL ? fail() : result);
}

/* ---- bytes ---- */

static size_t total(const struct iovec *parts, int count) {
    size_t size = 0;
    while (count--) size += parts++->iov_len;
    return size;
}

static char *gathered(const struct iovec *parts, int count) {
    char *bytes = malloc(total(parts, count) + 1), *at = bytes;
    if (!bytes) abort();
    for (; count--; parts++) at = mempcpy(at, parts->iov_base, parts->iov_len);
    return bytes;
}

/* offset < 0: where the file stands. */
static ssize_t put(int descriptor, const struct iovec *parts, int count, off_t offset) {
    char buffer[PATHS];
    const char *path = control ? path_of(descriptor, buffer) : "";
    int said = descriptor == STDOUT_FILENO && control && control->recording;
    if (!said && !is_below(path)) {
        if (offset < 0) return syscall(SYS_writev, descriptor, parts, count);
        return syscall(SYS_pwritev, descriptor, parts, count, offset, 0);
    }
    enum action action = judge(WRITE, path);
    if (action == FAIL) return fail();
    size_t size = total(parts, count);
    if (action == TEAR || action == SHORTEN) size = size > 1 ? size / 2 : size;
    char *bytes = gathered(parts, count);
    int recording = said || recorded(path);
    if (recording) pthread_mutex_lock(&in_order);
    off_t at = offset < 0 ? position(descriptor) : offset;
    ssize_t result = offset < 0 ? syscall(SYS_write, descriptor, bytes, size)
                                : syscall(SYS_pwrite64, descriptor, bytes, size, offset);
    if (recording && result > 0)
        append((struct entry){said ? 'a' : 'w', 0, 0, 0, node_of(descriptor), said ? 0 : at, result}, path, "", bytes);
    if (recording) pthread_mutex_unlock(&in_order);
    free(bytes);
    if (action == TEAR) die();
    return end(action, result);
}

#define ONE(bytes, size) &(struct iovec){(void *)bytes, size}, 1
ssize_t write(int descriptor, const void *bytes, size_t size) { return put(descriptor, ONE(bytes, size), -1); }
ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t at) { return put(descriptor, ONE(bytes, size), at); }
ssize_t pwrite64(int, const void *, size_t, off64_t) __attribute__((alias("pwrite")));
ssize_t writev(int descriptor, const struct iovec *parts, int count) { return put(descriptor, parts, count, -1); }
ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t at) { return put(descriptor, parts, count, at); }
ssize_t pwritev64(int, const struct iovec *, int, off64_t) __attribute__((alias("pwritev")));
ssize_t pwritev64v2(int descriptor, const struct iovec *parts, int count, off64_t at, int flags) {
    (void)flags;
    return put(descriptor, parts, count, at);
}

static size_t wanted(int descriptor, size_t size, int *failing) {
    char buffer[PATHS];
    enum action action = control && control->kinds >> READ & 1 ? judge(READ, path_of(descriptor, buffer)) : NOTHING;
    *failing = action == FAIL;
    return action == SHORTEN && size > 1 ? size / 2 : size;
}

ssize_t read(int descriptor, void *into, size_t size) {
    int failing;
    size = wanted(descriptor, size, &failing);
    return failing ? fail() : syscall(SYS_read, descriptor, into, size);
}

ssize_t pread(int descriptor, void *into, size_t size, off_t at) {
    int failing;
    size = wanted(descriptor, size, &failing);
    return failing ? fail() : syscall(SYS_pread64, descriptor, into, size, at);
}
ssize_t pread64(int, void *, size_t, off64_t) __attribute__((alias("pread")));

#define ON_FILE(descriptor) char buffer[PATHS]; const char *path = control ? path_of(descriptor, buffer) : ""

/* The kernel copies between two files: what came is read back for the journal. */
#define COPIED(out, to, size, expression)                                                                              \
    ON_FILE(out);                                                                                                      \
    off_t at = to ? *to : position(out);                                                                               \
    return CARRIED_OUT(COPY, path, ({ if (action == SHORTEN && size > 1) size /= 2; expression; }),                    \
                       if (result) append_copied(out, path, at, result))

ssize_t sendfile(int out, int in, off_t *from, size_t size) {
    off_t *to = 0;
    COPIED(out, to, size, syscall(SYS_sendfile, out, in, from, size));
}
ssize_t sendfile64(int, int, off64_t *, size_t) __attribute__((alias("sendfile")));
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    COPIED(out, to, size, syscall(SYS_copy_file_range, in, from, out, to, size, flags));
}

/* ---- durability and sizes ---- */

#define SYNCED(call)                                                                                                   \
    ON_FILE(descriptor);                                                                                               \
    return CARRIED_OUT(SYNC, path, syscall(call, descriptor),                                                          \
                       append((struct entry){.operation = 's', .node = node_of(descriptor)}, path, "", 0))
int fsync(int descriptor) { SYNCED(SYS_fsync); }
int fdatasync(int descriptor) { SYNCED(SYS_fdatasync); }

int ftruncate(int descriptor, off_t size) {
    ON_FILE(descriptor);
    return CARRIED_OUT(TRUNCATE, path, syscall(SYS_ftruncate, descriptor, size), append_size(descriptor, path));
}
int ftruncate64(int, off64_t) __attribute__((alias("ftruncate")));

int fallocate(int descriptor, int mode, off_t from, off_t size) {
    ON_FILE(descriptor);
    return CARRIED_OUT(ALLOCATE, path, syscall(SYS_fallocate, descriptor, mode, from, size), append_size(descriptor, path));
}
int fallocate64(int, int, off64_t, off64_t) __attribute__((alias("fallocate")));
int posix_fallocate(int descriptor, off_t from, off_t size) { return fallocate(descriptor, 0, from, size) ? errno : 0; }
int posix_fallocate64(int, off64_t, off64_t) __attribute__((alias("posix_fallocate")));

/* ---- names ---- */

static int moved(int from, const char *old, int to, const char *name, unsigned flags) {
    char buffer[PATHS], other[PATHS];
    path_at(from, old, other);
    return CARRIED_OUT(RENAME, path_at(to, name, buffer), syscall(SYS_renameat2, from, old, to, name, flags),
                       append_name('r', buffer, other));
}
int rename(const char *old, const char *name) { return moved(AT_FDCWD, old, AT_FDCWD, name, 0); }
int renameat(int from, const char *old, int to, const char *name) { return moved(from, old, to, name, 0); }
int renameat2(int from, const char *old, int to, const char *name, unsigned flags) { return moved(from, old, to, name, flags); }

int unlinkat(int directory, const char *name, int flags) {
    char buffer[PATHS];
    return CARRIED_OUT(UNLINK, path_at(directory, name, buffer), syscall(SYS_unlinkat, directory, name, flags),
                       append_name(flags & AT_REMOVEDIR ? 'd' : 'u', where, ""));
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int linkat(int from, const char *old, int to, const char *name, int flags) {
    char buffer[PATHS], other[PATHS];
    path_at(from, old, other);
    return CARRIED_OUT(LINK, path_at(to, name, buffer), syscall(SYS_linkat, from, old, to, name, flags),
                       append_name('l', buffer, other));
}
int link(const char *old, const char *name) { return linkat(AT_FDCWD, old, AT_FDCWD, name, 0); }

int mkdirat(int directory, const char *name, mode_t mode) {
    char buffer[PATHS];
    return CARRIED_OUT(MKDIR, path_at(directory, name, buffer), syscall(SYS_mkdirat, directory, name, mode),
                       append_name('m', where, ""));
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* ---- the clock of the wall ---- */

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (!result && control && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t nanoseconds = now->tv_nsec + __atomic_load_n(&control->clock_nanoseconds, __ATOMIC_RELAXED) % 1000000000;
        now->tv_sec += control->clock_nanoseconds / 1000000000 + (nanoseconds >= 1000000000) - (nanoseconds < 0);
        now->tv_nsec = (nanoseconds + 1000000000) % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    *now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *into) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (into) *into = exact.tv_sec;
    return exact.tv_sec;
}
