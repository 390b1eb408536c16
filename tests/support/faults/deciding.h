/* Which call this is, what happens to it, and the journal: what every function of preloaded.c asks. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The order of control.Kind, of control.Action, and the layout of control.Control. */
enum kind { OPEN, WRITE, SYNC, RENAME, UNLINK, TRUNCATE, LINK, MKDIR, CLOSE, ALLOCATE, COPY, READ };
enum action { NOTHING, KILL_BEFORE, KILL_AFTER, TEAR, FAIL, SHORTEN };
enum { PATHS = 512, TRACED = 4096, TRACED_PATH = 63 };

struct control {
    int64_t calls, met, first, span, action, error, kinds, clock_nanoseconds, recording;
    char below[PATHS], journal[PATHS];
    struct { char kind, path[TRACED_PATH]; } trace[TRACED];
};

/* One entry of the journal, followed by both paths and the bytes. */
struct entry {
    uint32_t operation, path, other, reserved;
    uint64_t node, offset, size;
};

static struct control *control;
static pthread_mutex_t in_order = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("FAULTS_CONTROL");
    int descriptor = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (descriptor < 0) return;
    void *mapped = mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped != MAP_FAILED) control = mapped;
    syscall(SYS_close, descriptor);
}

/* ---- which file, and what happens now ---- */

static const char *path_of(int descriptor, char *into) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, into, PATHS - 1);
    into[length < 0 ? 0 : length] = 0;
    return into;
}

static const char *path_at(int directory, const char *name, char *into) {
    if (name[0] == '/') {
        snprintf(into, PATHS, "%s", name);
        return into;
    }
    char base[PATHS];
    if (directory != AT_FDCWD) path_of(directory, base);
    else if (!getcwd(base, sizeof base)) base[0] = 0;
    if (snprintf(into, PATHS, "%s/%s", base, name) >= PATHS) into[0] = 0;
    return into;
}

static int is_below(const char *path) {
    size_t length = control ? strlen(control->below) : 0;
    return length && !strncmp(path, control->below, length) && (path[length] == '/' || !path[length]);
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

static enum action judge(enum kind kind, const char *path) {
    if (!is_below(path) || !(control->kinds >> kind & 1)) return NOTHING;
    int64_t number = __atomic_add_fetch(&control->calls, 1, __ATOMIC_SEQ_CST);
    if (number <= TRACED) {
        size_t length = strlen(path), cut = length < TRACED_PATH ? 0 : length - TRACED_PATH + 1;
        control->trace[number - 1].kind = 1 + kind;
        strcpy(control->trace[number - 1].path, path + cut);
    }
    if (number < control->first || number - control->first >= control->span) return NOTHING;
    __atomic_add_fetch(&control->met, 1, __ATOMIC_SEQ_CST);
    enum action action = control->action;
    if (action == KILL_BEFORE || (action == TEAR && kind != WRITE)) die();
    return action;
}

static long end(enum action action, long result) {
    if (action == KILL_AFTER) die();
    return result;
}

static long fail(void) {
    errno = control->error;
    return -1;
}

/* ---- the journal ---- */

static int recorded(const char *path) { return control && control->recording && is_below(path); }

static uint64_t node_of(int descriptor) {
    struct stat found;
    return fstat(descriptor, &found) ? 0 : found.st_ino;
}

static void append(struct entry entry, const char *path, const char *other, const void *bytes) {
    entry.path = strlen(path);
    entry.other = strlen(other);
    struct iovec parts[] = {{&entry, sizeof entry}, {(void *)path, entry.path}, {(void *)other, entry.other},
                            {(void *)bytes, bytes ? entry.size : 0}};
    int journal = syscall(SYS_openat, AT_FDCWD, control->journal, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (journal < 0 || syscall(SYS_writev, journal, parts, 4) < 0) abort();
    syscall(SYS_close, journal);
}

static void append_name(char operation, const char *path, const char *other) {
    struct stat found = {0};
    if (operation == 'm') stat(path, &found);
    append((struct entry){.operation = operation, .node = found.st_ino}, path, other, 0);
}

static void append_size(int descriptor, const char *path) {
    struct stat found;
    if (fstat(descriptor, &found)) abort();
    append((struct entry){.operation = 't', .node = found.st_ino, .size = found.st_size}, path, "", 0);
}

static void append_copied(int descriptor, const char *path, off_t offset, size_t size) {
    char link[32], *bytes = malloc(size);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int again = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    if (!bytes || syscall(SYS_pread64, again, bytes, size, offset) != (long)size) abort();
    syscall(SYS_close, again);
    append((struct entry){.operation = 'w', .node = node_of(descriptor), .offset = offset, .size = size}, path, "", bytes);
    free(bytes);
}
