/* captures.c -- lines that policies keep in files.
 *
 *     workers --captures_put--> [ queue of the file's log thread ] --> write(line "\n") --> PATH
 *                 |                                                                     full: PATH -> PATH.1 -> ...
 *                 +-- no room, full, broken: the line is refused, never waited for
 *
 * A disk may be slow or full, which is no concern of who serves requests: each file has a thread that empties a bounded
 * queue (sys/log_thread.c).  Only whole lines are in a file: a write that fails half way is taken back by cutting
 * the file, and what a crash left half at its end is cut when the file is opened.
 *
 * What is queued counts as written for the limit, so that a file never grows beyond it.  Rotating is renaming:
 * whoever reads PATH.1 has it to itself.  With keep = 0 a full file stays as it is, until somebody moves it away:
 * then a new one is begun.
 *
 * Files are few and named by the configuration; they stay open until the process ends.  A path that is given again,
 * by another worker or after a reload, is the same file.
 *
 * Thread: any for captures_put; the rest is the file's thread. */
#include "store/captures.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "sys/log_thread.h"

#define PATH_BYTES 1024
#define CLOSE_MS   1000
#define LOOK       64 /* of as many lines that a full file refuses one looks whether it is still there */
#define PROBLEM    200

struct file {
    char               path[PATH_BYTES];
    struct log         log;     /* only its push() is used */
    struct log_thread *thread;
    int                fd;      /* the thread's; -1: not open */
    atomic_uint_least64_t size; /* of the file; the thread's to write */
    atomic_uint_least64_t queued, max_bytes; /* queued: bytes on their way to the thread */
    atomic_uint        keep, refused; /* refused: lines, since it was full */
    atomic_bool        broken;  /* the last line could not be written */
    pthread_mutex_t    lock;    /* of problem, and of who pushes */
    char               problem[PROBLEM];
};

struct captures {
    pthread_mutex_t lock;
    unsigned        count;
    struct file    *files[CAPTURES_FILES];
};

const char *captures_result_name(enum captures_result r) {
    static const char *const names[] = { "taken", "full", "late", "long", "failed" };
    return names[r];
}

/* -- Writing: the file's thread --------------------------------------------------------------- */

static void say(struct file *f, const char *what) {
    char text[PROBLEM];
    if (what != NULL) snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
    else text[0] = '\0';
    pthread_mutex_lock(&f->lock);
    snprintf(f->problem, sizeof(f->problem), "%s", text);
    pthread_mutex_unlock(&f->lock);
    atomic_store(&f->broken, what != NULL);
}

/* Where the last whole line ends; -1: it cannot be read. */
static off_t whole_lines(int fd, off_t size) {
    char chunk[4096];
    while (size > 0) {
        size_t n = size < (off_t)sizeof(chunk) ? (size_t)size : sizeof(chunk);
        if (pread(fd, chunk, n, size - (off_t)n) != (ssize_t)n) return -1;
        for (size_t i = n; i > 0; i--)
            if (chunk[i - 1] == '\n') return size - (off_t)(n - i);
        size -= (off_t)n;
    }
    return 0;
}

static bool open_file(struct file *f) {
    struct stat st;
    f->fd = open(f->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    off_t end = f->fd >= 0 && fstat(f->fd, &st) == 0 ? whole_lines(f->fd, st.st_size) : -1;
    if (end >= 0 && (end == st.st_size || ftruncate(f->fd, end) == 0)) {
        atomic_store(&f->size, (uint64_t)end);
        return true;
    }
    say(f, "cannot be opened");
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
    return false;
}

static void close_file(struct file *f) {
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

/* Somebody moved it away or removed it: what is written would be lost with it. */
static bool is_gone(const struct file *f) {
    struct stat mine, there;
    return fstat(f->fd, &mine) != 0 || stat(f->path, &there) != 0 || mine.st_ino != there.st_ino ||
           mine.st_dev != there.st_dev;
}

static bool rotate(struct file *f, unsigned keep) {
    char from[PATH_BYTES + 16], to[PATH_BYTES + 16];
    close_file(f);
    for (unsigned i = keep; i > 0; i--) {
        snprintf(to, sizeof(to), "%s.%u", f->path, i);
        if (i > 1) snprintf(from, sizeof(from), "%s.%u", f->path, i - 1);
        else snprintf(from, sizeof(from), "%s", f->path);
        if (rename(from, to) != 0 && errno != ENOENT) {
            say(f, "cannot be rotated");
            return false;
        }
    }
    return open_file(f);
}

static bool write_whole(struct file *f, perilune_str line) {
    size_t done = 0;
    while (done < line.len) {
        ssize_t n = write(f->fd, line.ptr + done, line.len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
    if (done == line.len) return true;
    say(f, "cannot be written");
    if (ftruncate(f->fd, (off_t)f->size) != 0) close_file(f); /* opened again, it is cut there */
    return false;
}

static void take_line(struct file *f, perilune_str line) {
    unsigned keep = atomic_load(&f->keep);
    uint64_t most = atomic_load(&f->max_bytes);
    if (f->fd >= 0 && is_gone(f)) close_file(f);
    bool open = f->fd >= 0 || open_file(f);
    if (open && f->size > 0 && f->size + line.len > most && keep > 0) open = rotate(f, keep);
    if (!open || f->size + line.len > most || !write_whole(f, line)) return;
    atomic_fetch_add(&f->size, line.len); /* before it leaves the queue: for a moment it counts twice, not never */
    if (atomic_load(&f->broken)) say(f, NULL);
}

static void write_line(void *ud, int level, perilune_str line) {
    struct file *f = ud;
    if (level != PERILUNE_LOG_INFO) return; /* what the queue says of itself */
    take_line(f, line);
    atomic_fetch_sub(&f->queued, line.len);
}

/* -- Files ------------------------------------------------------------------------------------- */

static void file_free(struct file *f) {
    log_thread_close(f->thread, CLOSE_MS);
    close_file(f);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

static struct file *file_new(const char *path) {
    struct file *f = mem_zalloc(sizeof(*f));
    struct stat st;
    if (f == NULL) return NULL;
    snprintf(f->path, sizeof(f->path), "%s", path);
    f->fd = -1;
    f->log.level = PERILUNE_LOG_INFO;
    if (stat(path, &st) == 0) atomic_store(&f->size, (uint64_t)st.st_size);
    if (pthread_mutex_init(&f->lock, NULL) != 0) {
        mem_free(f);
        return NULL;
    }
    if (log_thread_open(&f->thread, &f->log, &(struct log_reader){ write_line, NULL, f }) == 0) return f;
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
    return NULL;
}

static struct file *find(struct captures *c, const char *path, bool make) {
    struct file *f = NULL;
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; f == NULL && i < c->count; i++)
        if (strcmp(c->files[i]->path, path) == 0) f = c->files[i];
    if (f == NULL && make && c->count < CAPTURES_FILES && (f = file_new(path)) != NULL) c->files[c->count++] = f;
    pthread_mutex_unlock(&c->lock);
    return f;
}

struct captures *captures_new(void) {
    struct captures *c = mem_zalloc(sizeof(*c));
    if (c == NULL) return NULL;
    if (pthread_mutex_init(&c->lock, NULL) == 0) return c;
    mem_free(c);
    return NULL;
}

void captures_free(struct captures *c) {
    if (c == NULL) return;
    for (unsigned i = 0; i < c->count; i++) file_free(c->files[i]);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

/* -- Any thread ----------------------------------------------------------------------------------- */

/* A full file of which none is kept looks at its path now and then: somebody may have moved it. */
static bool is_full(struct file *f, const struct captures_file *s, size_t len) {
    if (s->keep > 0 && len <= s->max_bytes) return false;
    if (atomic_load(&f->size) + atomic_load(&f->queued) + len <= s->max_bytes) return false;
    if (len > s->max_bytes || atomic_fetch_add(&f->refused, 1) % LOOK != 0) return true;
    struct stat st;
    uint64_t there = stat(s->path, &st) == 0 ? (uint64_t)st.st_size : 0;
    if (there + atomic_load(&f->queued) + len > s->max_bytes) return true;
    atomic_store(&f->refused, 0);
    return false; /* its thread opens a new one, and knows how large it is */
}

enum captures_result captures_put(struct captures *c, const struct captures_file *s, struct slice line) {
    if (line.len >= CAPTURES_LINE) return CAPTURES_LONG;
    if (strlen(s->path) >= PATH_BYTES) return CAPTURES_FAILED;
    struct file *f = find(c, s->path, true);
    if (f == NULL) return CAPTURES_FAILED;
    atomic_store(&f->max_bytes, s->max_bytes);
    atomic_store(&f->keep, s->keep < CAPTURES_KEEP ? s->keep : CAPTURES_KEEP);
    if (is_full(f, s, line.len + 1)) return CAPTURES_FULL;
    char *whole = mem_alloc(line.len + 1);
    if (whole == NULL) return CAPTURES_FAILED;
    memcpy(whole, line.ptr, line.len);
    whole[line.len] = '\n';
    bool broken = atomic_load(&f->broken);
    pthread_mutex_lock(&f->lock); /* one at a time: whose line was dropped is to be known */
    atomic_fetch_add(&f->queued, line.len + 1);
    uint64_t lost = log_thread_dropped(f->thread);
    f->log.write(f->log.ud, PERILUNE_LOG_INFO, (perilune_str){ whole, line.len + 1 });
    bool late = log_thread_dropped(f->thread) != lost;
    if (late) atomic_fetch_sub(&f->queued, line.len + 1);
    pthread_mutex_unlock(&f->lock);
    mem_free(whole);
    if (late) return CAPTURES_LATE;
    return broken ? CAPTURES_FAILED : CAPTURES_TAKEN;
}

void captures_problem(struct captures *c, const char *path, char *out, size_t size) {
    struct file *f = find(c, path, false);
    snprintf(out, size, "%s", f == NULL ? "there are too many files, or no memory" : "");
    if (f == NULL) return;
    pthread_mutex_lock(&f->lock);
    snprintf(out, size, "%s", f->problem);
    pthread_mutex_unlock(&f->lock);
}
