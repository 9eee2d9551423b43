/* test_file_source.c -- the content of a file, to readers that leave at each of its events.
 *
 * Memory that was given back is filled with zeros here, kept, and looked at in the end: who writes into it is found
 * without a sanitizer, too. */
#include "gateway/file_source.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "sys/loop.h"
#include "unit.h"

#define KEPT 64

static struct {
    unsigned char *block;
    size_t         size;
} kept[KEPT];
static unsigned kept_count;

static void *allocate(void *ud, void *ptr, size_t old, size_t size) {
    (void)ud;
    if (size > 0) return realloc(ptr, size);
    memset(ptr, 0, old);
    if (kept_count == KEPT) free(ptr);
    else kept[kept_count].block = ptr, kept[kept_count++].size = old;
    return NULL;
}

static void check_kept(void) {
    for (unsigned i = 0; i < kept_count; i++) {
        for (size_t k = 0; k < kept[i].size; k++) CHECK_INT(kept[i].block[k], 0);
        free(kept[i].block);
    }
    kept_count = 0;
}

struct reader {
    struct sink    sink;
    struct source *from;
    int            leave_at, seen; /* at which event it leaves; -1: it does not */
    bool           full, ended;    /* full: it says so once for each piece */
    size_t         bytes;
};

static enum flow on_event(struct sink *s, const struct event *ev) {
    struct reader *r = container_of(s, struct reader, sink);
    CHECK(!r->ended);
    r->bytes += ev->type == EVENT_BYTES ? ev->raw.len : 0;
    r->ended = ev->type == EVENT_END || ev->type == EVENT_ERROR || r->seen == r->leave_at;
    if (r->seen++ == r->leave_at) source_cancel(r->from);
    return r->full ? FLOW_FULL : FLOW_MORE;
}

static int file_of(size_t bytes) {
    static const char text[1 << 16];
    char path[] = "/tmp/perilune-file-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    unlink(path);
    for (size_t n = bytes, piece; n > 0; n -= piece) {
        piece = n < sizeof(text) ? n : sizeof(text);
        CHECK_INT(write(fd, text, piece), (ssize_t)piece);
    }
    return fd;
}

static size_t read_all(size_t bytes, uint64_t said, int leave_at, bool full, int *events) {
    struct loop loop;
    struct reader r = { .sink = { on_event }, .leave_at = leave_at, .full = full };
    CHECK_INT(loop_init(&loop), 0);
    r.from = file_source_new(&loop, file_of(bytes), said);
    CHECK(r.from != NULL);
    source_start(r.from, &r.sink);
    for (int turn = 0; turn < 20 && !r.ended; turn++) {
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        if (full && !r.ended) source_resume(r.from);
    }
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    CHECK(r.ended);
    *events = r.seen;
    loop_deinit(&loop);
    return r.bytes;
}

static void leave_everywhere(size_t bytes, uint64_t said, bool full) {
    int events, some;
    mem_set_allocator(allocate, NULL);
    size_t got = read_all(bytes, said, -1, full, &events);
    CHECK_INT(got, bytes);
    for (int at = 0; at < events; at++) {
        NOTE("%zu bytes, leaving at event %d of %d", bytes, at, events);
        read_all(bytes, said, at, full, &some);
        CHECK_INT(some, at + 1);
    }
    mem_set_allocator(NULL, NULL);
    check_kept();
}

TEST_NOFAULT(readers_that_leave_at_each_event) {
    static const size_t sizes[] = { 0, 1, 65536, 65537, 200000 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        leave_everywhere(sizes[i], sizes[i], false);
        leave_everywhere(sizes[i], sizes[i], true);
    }
}

TEST_NOFAULT(a_file_that_became_shorter) { leave_everywhere(70000, 100000, false); }
