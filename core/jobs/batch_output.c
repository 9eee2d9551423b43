/* batch_output.c -- the file of a batch's answers, which is the record of what is done.
 *
 *     {"id":"batch_req_..","custom_id":"a",...}\n        whole lines: these custom_ids are not asked again
 *     {"id":"batch_req_..","custom_id":"b",...}\n
 *     {"id":"batch_req_..","cust                         what kill -9 or a power cut left: taken away,
 *                                                        and its line is asked again
 *
 * There is no other state, so none can disagree with it: a line is done when its record is here.  Records are appended
 * by one write() each, and one that was written in part (a full disk) is taken back at once.  What the process that was
 * killed had appended is in the kernel's hands; fdatasync() at intervals bounds what a power cut takes, which is then
 * asked again.
 *
 * The file belongs to one process at a time (flock).  A file with lines that are no records is somebody else's, and is
 * left as it is: nothing is cut off before the whole of it was read.
 *
 * Asking failures again means a file without them, written beside it and moved over it, so that there is no moment at
 * which what was paid for could be lost. */
#include "jobs/batch_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "jobs/batch_ids.h"
#include "jobs/batch_record.h"

#define CHUNK (256u << 10)

static int fail(struct batch_output *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int fail(struct batch_output *out, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out->err, sizeof(out->err), fmt, ap);
    va_end(ap);
    return PERILUNE_ERR_IO;
}

/* -- Opening ---------------------------------------------------------------------------------------- */

/* A new name in a folder is on the disk when the folder is. */
static void sync_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";
    if (slash != NULL) slice_copy(folder, sizeof(folder), slice_of(path, slash == path ? 1 : (size_t)(slash - path)));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd); /* some file systems cannot: then nobody can */
    close(fd);
}

int batch_output_open(struct batch_output *out, const char *path, uint64_t device, uint64_t inode) {
    struct stat st;
    *out = (struct batch_output){ .path = path, .fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666) };
    int rc = 0;
    if (out->fd < 0 || fstat(out->fd, &st) != 0) {
        rc = fail(out, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        rc = fail(out, "%s: not a regular file; answers are kept in one, so that a batch can go on where it stopped",
                  path);
    } else if (st.st_dev == device && st.st_ino == inode) {
        rc = fail(out, "%s: is the batch itself; give another name to --output", path);
    } else if (flock(out->fd, LOCK_EX | LOCK_NB) != 0) {
        rc = fail(out, "%s: %s", path, errno != EWOULDBLOCK ? strerror(errno)
                                       : "another process is writing it; wait for its end, or end it");
    }
    if (rc != 0) {
        batch_output_close(out);
        return rc;
    }
    if (st.st_size == 0) sync_folder(path);
    out->size = (uint64_t)st.st_size;
    return 0;
}

void batch_output_close(struct batch_output *out) {
    if (out->fd >= 0) close(out->fd);
    out->fd = -1;
}

/* -- Reading what is there ------------------------------------------------------------------------------ */

/* A walk over the lines, of which only the heads are kept. */
struct walk {
    struct batch_output *out;
    struct batch_ids    *ids;
    uint64_t             dropped;   /* failures that are asked again */
    uint64_t             strangers; /* records of lines that the input does not have */
    int                  keep;      /* a file for the good ones, or -1 */
    struct buf           id;
    uint64_t             begin;     /* of the line */
    uint64_t             line;      /* its number, from 1 */
    size_t               head_len;
    char                 head[BATCH_RECORD_HEAD];
};

static bool copy(int from, int to, uint64_t at, uint64_t len) {
    char chunk[16384];
    while (len > 0) {
        ssize_t n = pread(from, chunk, len < sizeof(chunk) ? (size_t)len : sizeof(chunk), (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        for (ssize_t done = 0, k; done < n; done += k)
            if ((k = write(to, chunk + done, (size_t)(n - done))) < 0) {
                if (errno != EINTR) return false;
                k = 0;
            }
        at += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return true;
}

/* The line ends before `end`. */
static int take_record(struct walk *w, uint64_t end) {
    int status;
    w->line++;
    buf_clear(&w->id);
    if (!batch_record_read(slice_of(w->head, w->head_len), &w->id, &status)) {
        if (buf_failed(&w->id)) return fail(w->out, "out of memory");
        return fail(w->out, "%s:%llu: no record of a batch, so the file is left as it is; give another one to --output",
                    w->out->path, (unsigned long long)w->line);
    }
    bool good = batch_status_is_good(status);
    struct batch_id *row = batch_ids_find(w->ids, buf_get(&w->id));
    if (!good && w->keep >= 0) {
        w->dropped++;
        return 0;
    }
    if (row == NULL) w->strangers++;
    else if (!row->done && good) w->out->good++;
    else if (!row->done) w->out->failed++;
    if (row != NULL) row->done = true;
    if (w->keep >= 0 && !copy(w->out->fd, w->keep, w->begin, end - w->begin))
        return fail(w->out, "%s.new: %s", w->out->path, strerror(errno));
    return 0;
}

static void add_to_head(struct walk *w, const char *p, size_t n) {
    size_t room = sizeof(w->head) - w->head_len, k = n < room ? n : room;
    memcpy(w->head + w->head_len, p, k);
    w->head_len += k;
}

static int walk_chunk(struct walk *w, const char *p, size_t n, uint64_t at) {
    while (n > 0) {
        const char *end = memchr(p, '\n', n);
        size_t k = end != NULL ? (size_t)(end - p) : n;
        add_to_head(w, p, k);
        if (end == NULL) return 0;
        int rc = take_record(w, at + k + 1);
        if (rc != 0) return rc;
        p += k + 1;
        n -= k + 1;
        at += k + 1;
        w->begin = at;
        w->head_len = 0;
    }
    return 0;
}

static int walk_file(struct walk *w) {
    char *chunk = mem_alloc(CHUNK);
    if (chunk == NULL) return fail(w->out, "out of memory");
    int rc = 0;
    uint64_t at = 0;
    for (ssize_t n; rc == 0; at += (uint64_t)n) {
        n = pread(w->out->fd, chunk, CHUNK, (off_t)at);
        if (n == 0) break;
        if (n < 0 && errno == EINTR) n = 0;
        else if (n < 0) rc = fail(w->out, "%s: %s", w->out->path, strerror(errno));
        else rc = walk_chunk(w, chunk, (size_t)n, at);
    }
    mem_free(chunk);
    return rc;
}

/* What stands behind the last line end.  A power cut may leave zeros where bytes were to be. */
static int repair(struct walk *w) {
    struct batch_output *out = w->out;
    if (w->begin == out->size) return 0;
    struct slice rest = slice_of(w->head, w->head_len);
    bool zeros = true;
    for (size_t i = 0; i < rest.len; i++) zeros &= rest.ptr[i] == '\0';
    if (!zeros && !batch_record_is_torn(rest))
        return fail(out, "%s:%llu: no record of a batch, so the file is left as it is; give another one to --output",
                    out->path, (unsigned long long)w->line + 1);
    if (ftruncate(out->fd, (off_t)w->begin) != 0) return fail(out, "%s: %s", out->path, strerror(errno));
    out->size = w->begin;
    return 0;
}

/* Somebody else's answers are not to be mixed with these. */
static int check_strangers(const struct walk *w) {
    if (w->strangers == 0 || w->out->good + w->out->failed + w->dropped > 0) return 0;
    return fail(w->out, "%s: has %llu records, and none of a line of this batch; give another file to --output",
                w->out->path, (unsigned long long)w->strangers);
}

/* The good records are in PATH.new: it takes the place. */
static int replace(struct batch_output *out, int fd, const char *beside) {
    struct stat st;
    if (fstat(out->fd, &st) != 0 || fchmod(fd, st.st_mode & 07777) != 0 || fsync(fd) != 0 || fstat(fd, &st) != 0 ||
        flock(fd, LOCK_EX | LOCK_NB) != 0 || rename(beside, out->path) != 0)
        return fail(out, "%s: %s", beside, strerror(errno));
    sync_folder(out->path);
    close(out->fd);
    out->fd = fd;
    out->size = (uint64_t)st.st_size;
    return 0;
}

int batch_output_load(struct batch_output *out, struct batch_ids *ids, bool again) {
    char beside[4200];
    struct walk w = { .out = out, .ids = ids, .keep = -1 };
    int rc = 0;
    snprintf(beside, sizeof(beside), "%s.new", out->path);
    if (again && (w.keep = open(beside, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666)) < 0)
        return fail(out, "%s: %s", beside, strerror(errno));
    buf_init(&w.id, 0);
    out->good = out->failed = 0;
    rc = walk_file(&w);
    if (rc == 0) rc = check_strangers(&w);
    if (rc == 0) rc = repair(&w);
    if (rc == 0 && w.keep >= 0) rc = replace(out, w.keep, beside);
    if (rc != 0 && w.keep >= 0) {
        unlink(beside);
        close(w.keep);
    }
    buf_deinit(&w.id);
    return rc;
}

/* -- Writing --------------------------------------------------------------------------------------------- */

int batch_output_append(struct batch_output *out, struct slice lines) {
    ssize_t n;
    do n = write(out->fd, lines.ptr, lines.len);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)lines.len) {
        out->size += lines.len;
        out->unsynced += lines.len;
        return 0;
    }
    int why = n < 0 ? errno : ENOSPC;
    if (n > 0 && ftruncate(out->fd, (off_t)out->size) != 0) why = errno; /* the next run takes it away */
    return fail(out, "%s: %s; what is there is whole: make room and run the same again to go on", out->path,
                strerror(why));
}

int batch_output_sync(struct batch_output *out, uint64_t now_ms) {
    out->synced_ms = now_ms;
    if (out->fd < 0 || out->unsynced == 0) return 0;
    if (fdatasync(out->fd) != 0) return fail(out, "%s: %s", out->path, strerror(errno));
    out->unsynced = 0;
    return 0;
}
