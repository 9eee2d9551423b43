/* file_source.c -- the content of a file, as a source.
 *
 *     HEAD --> READING --a piece a turn--> BYTES ... --> END
 *                 ^  | FLOW_FULL
 *          resume +--v FULL
 *
 * A piece is read on the loop: PIECE bytes, mostly from the kernel's cache, are less than a turn may take.  A file that
 * became shorter meanwhile ends as a failure, because its length was told. */
#include "gateway/file_source.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"

#define PIECE (64u << 10)

struct file_source {
    struct source   source;
    struct sink    *to;
    struct loop    *loop;
    struct deferred turn;
    int             fd;
    uint64_t        at, bytes;
    bool            in_event, over, full;
    char            piece[PIECE];
};

static void file_free(struct file_source *f) {
    deferred_cancel(&f->turn);
    close(f->fd);
    mem_free(f);
}

/* False: f is gone. */
static bool emit(struct file_source *f, const struct event *ev) {
    f->in_event = true;
    f->full = f->to->event(f->to, ev) == FLOW_FULL;
    f->in_event = false;
    bool over = f->over || ev->type == EVENT_END || ev->type == EVENT_ERROR;
    if (over) file_free(f);
    return !over;
}

static void cut(struct file_source *f) {
    struct failure failure;
    failure_init(&failure);
    failure_set(&failure, FAILURE_INTERNAL, "the file cannot be read");
    emit(f, &(struct event){ .type = EVENT_ERROR, .failure = &failure });
    failure_deinit(&failure);
}

static void read_piece(struct deferred *j) {
    struct file_source *f = container_of(j, struct file_source, turn);
    if (f->at == f->bytes) {
        emit(f, &(struct event){ .type = EVENT_END });
        return;
    }
    uint64_t left = f->bytes - f->at;
    ssize_t n = pread(f->fd, f->piece, left < PIECE ? (size_t)left : PIECE, (off_t)f->at);
    if (n < 0 && errno == EINTR) n = 0;
    else if (n <= 0) {
        cut(f);
        return;
    }
    f->at += (uint64_t)n;
    if (n > 0 && !emit(f, &(struct event){ .type = EVENT_BYTES, .raw = slice_of(f->piece, (size_t)n) })) return;
    if (!f->full) loop_next(f->loop, &f->turn, read_piece);
}

static void start(struct source *source, struct sink *to) {
    struct file_source *f = container_of(source, struct file_source, source);
    f->to = to;
    if (emit(f, &(struct event){ .type = EVENT_HEAD, .status = 200, .content_type = SLICE("application/octet-stream"),
                                 .has_length = true, .length = f->bytes }) && !f->full)
        loop_next(f->loop, &f->turn, read_piece);
}

static void resume(struct source *source) {
    struct file_source *f = container_of(source, struct file_source, source);
    f->full = false;
    if (!f->in_event && !deferred_is_waiting(&f->turn)) loop_next(f->loop, &f->turn, read_piece);
}

static void cancel(struct source *source) {
    struct file_source *f = container_of(source, struct file_source, source);
    f->over = true;
    if (!f->in_event) file_free(f);
}

static const char *describe(const struct source *source, char *buf, size_t size) {
    const struct file_source *f = container_of((struct source *)(uintptr_t)source, struct file_source, source);
    snprintf(buf, size, "a file, %llu of %llu bytes", (unsigned long long)f->at, (unsigned long long)f->bytes);
    return buf;
}

struct source *file_source_new(struct loop *loop, int fd, uint64_t bytes) {
    static const struct source_ops ops = { start, resume, cancel, NULL, describe, NULL, NULL };
    struct file_source *f = mem_zalloc(sizeof(*f));
    if (f == NULL) {
        close(fd);
        return NULL;
    }
    f->source.ops = &ops;
    f->loop = loop;
    f->fd = fd;
    f->bytes = bytes;
    return &f->source;
}
