/* reading.c -- the body of a question, from its bytes to what is asked.
 *
 *     bytes --coding--> text --JSON--> nodes --dialect--> a body; without a dialect the text is kept, too
 *
 *     small:  all of it at once, by who asks
 *     large:  WAITING --a thread takes it--> READING --> back on the loop: done()
 *                |                              |
 *                +-- leave: never begun         +-- leave: read to its end, for nobody
 *
 * Fifty megabytes take tens of milliseconds, and more when they come packed: in a turn of the loop all others would
 * wait for that.  So one that is large, or gets large when its coding is taken off, is read by a thread of libuv's
 * pool.  A question is nobody else's meanwhile: it has its bytes, and what it makes of them is counted for all threads
 * (blobs, memory).  Looking up names holds half of the pool at most (libuv), so a resolver that hangs keeps nobody
 * waiting; a disk that hangs may, for as long as requests may take.
 *
 * A small one is never handed over, which would cost it more than reading does.  Of a small one that is packed nobody
 * knows: it is unpacked as far as a small one goes, and what that was not enough for begins anew in a thread.
 *
 * What it does not do: bound how many are read at once.  Their bytes are here already. */
#include "gateway/reading.h"

#include <stdint.h>

#include "base/mem.h"

struct reading {
    uv_work_t       work;
    struct question q;
    void          (*done)(void *ud, struct question *q); /* NULL: nobody waits */
    void           *ud;
};

void question_init(struct question *q, struct buf *bytes, const struct dialect *d) {
    q->bytes = *bytes;
    *bytes = (struct buf){ .data = NULL };
    q->coding = CODING_NONE;
    q->limit = SIZE_MAX;
    q->dialect = d;
    q->body = NULL;
    q->raw = NULL;
    q->decoded = false;
    failure_init(&q->failure);
}

void question_deinit(struct question *q) {
    buf_deinit(&q->bytes);
    failure_deinit(&q->failure);
    body_put(q->body);
    blob_put(q->raw);
}

/* -- Reading: any thread ------------------------------------------------------------------------- */

static void refuse(struct question *q, int status, const char *why) {
    enum failure_kind kind = status == 413   ? FAILURE_TOO_LARGE
                             : status == 503 ? FAILURE_NO_MEMORY
                                             : FAILURE_INVALID_REQUEST;
    failure_set(&q->failure, kind, "%s", why);
    q->failure.status = status;
}

static void keep_as_it_is(struct question *q) {
    struct failure ignored;
    if (buf_len(&q->bytes) == 0) return;
    failure_init(&ignored);
    q->raw = blob_take(&q->bytes);
    if (q->raw == NULL) failure_set(&q->failure, FAILURE_NO_MEMORY, "out of memory");
    /* JSON can say which model; what is none goes on as it is. */
    else if (body_from(&q->body, q->raw, NULL, &ignored) == 0) blob_ref(q->raw);
    failure_deinit(&ignored);
}

/* False: it gets larger than the limit, which is not its own, and nothing has changed. */
static bool read_within(struct question *q, size_t limit) {
    const char *why;
    int status = coding_take_off(q->coding, &q->bytes, limit, &why);
    if (status == 413 && limit < q->limit) return false;
    q->decoded = status == 0 && q->coding != CODING_NONE;
    if (q->dialect == NULL) keep_as_it_is(q); /* also what could not be decoded */
    else if (status != 0) refuse(q, status, why);
    else body_new(&q->body, &q->bytes, q->dialect, &q->failure);
    return true;
}

/* -- In a thread ----------------------------------------------------------------------------------- */

static void do_work(uv_work_t *work) {
    struct question *q = &container_of(work, struct reading, work)->q;
    read_within(q, q->limit);
}

static void on_work(uv_work_t *work, int status) {
    struct reading *r = container_of(work, struct reading, work);
    (void)status; /* it is only taken back when nobody waits */
    if (r->done != NULL) r->done(r->ud, &r->q);
    question_deinit(&r->q);
    mem_free(r);
}

struct reading *reading_begin(struct loop *l, struct question *q, void (*done)(void *ud, struct question *q),
                              void *ud) {
    size_t small = q->limit < READING_LARGE ? q->limit : READING_LARGE;
    if (buf_len(&q->bytes) <= READING_LARGE && read_within(q, small)) return NULL;
    struct reading *r = mem_alloc(sizeof(*r));
    if (r != NULL) *r = (struct reading){ .q = *q, .done = done, .ud = ud };
    if (r == NULL || uv_queue_work(&l->uv, &r->work, do_work, on_work) != 0) {
        mem_free(r);
        read_within(q, q->limit); /* late for the others is better than not at all */
        return NULL;
    }
    question_init(q, &(struct buf){ .data = NULL }, NULL);
    return r;
}

void reading_leave(struct reading *r) {
    if (r == NULL) return;
    r->done = NULL;
    uv_cancel((uv_req_t *)&r->work); /* refused when it is being read: then it ends by itself */
}
