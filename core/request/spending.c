/* spending.c -- answers that were paid for a request, whoever got them.
 *
 *     request --limit reserves--> [ spending ] <-- calls of it: 1 (a hedge that lost), 2 (the one that is delivered)
 *                                     ^  ^-------- calls of policies' own questions (upstream:ask)
 *                                     +----------- the first half of an answer that was gone on with elsewhere
 *
 * A client gets one answer, and upstreams want money for all that they began.  A call is noted when it ends or is
 * stopped: what its upstream said; else what came of it (response_estimate), and a prompt of unknown length.  A call
 * that failed before anything came, or never got a connection, costs nothing.  Nor does one out of a cache, or one that
 * another request pays.
 *
 * Calls are numbered, so that a limit that is asked once more for the same request (a retry in front of it) counts each
 * of them once: those behind it from its own beginning to its next one (reserved.c). */
#include "request/spending.h"

#include "base/mem.h"

struct spending *spending_new(void) {
    struct spending *s = mem_zalloc(sizeof(*s));
    if (s != NULL) s->refs = 1;
    return s;
}

struct spending *spending_ref(struct spending *s) {
    if (s != NULL) s->refs++;
    return s;
}

void spending_put(struct spending *s) {
    if (s == NULL || --s->refs > 0) return;
    mem_free(s->rows);
    mem_free(s);
}

static void add(struct spending_row *to, const struct spending_row *from) {
    to->prompts += from->prompts;
    to->usage.prompt += from->usage.prompt;
    to->usage.completion += from->usage.completion;
    to->usage.cached += from->usage.cached;
}

/* The oldest becomes a part of a later one: of its upstream, if there is one. */
static void fold(struct spending *s) {
    unsigned into = 1;
    for (unsigned i = s->count - 1; i > 0; i--)
        if (strcmp(s->rows[i].upstream, s->rows[0].upstream) == 0) into = i;
    add(&s->rows[into], &s->rows[0]);
    memmove(&s->rows[0], &s->rows[1], --s->count * sizeof(*s->rows));
}

void spending_note(struct spending *s, const struct spending_row *row) {
    if (s->count == SPENT_MOST) fold(s);
    if (mem_grow((void **)&s->rows, s->count, &s->cap, sizeof(*s->rows))) s->rows[s->count++] = *row;
}

static bool costs_nothing(const struct response *r, uint64_t came) {
    if (r->unsent || r->upstream[0] == '\0') return true;
    return response_cache_spares(response_cache_of(r)) || (r->failed && came == 0);
}

/* It has ended, or nobody wants it any more. */
static void over(struct response *r, void *ud) {
    struct spending *s = ud;
    struct spending_row row = { .serial = r->serial, .usage = response_said(r) };
    uint64_t came = response_estimate(r);
    slice_copy(row.upstream, sizeof(row.upstream), slice_str(r->upstream));
    if (!row.usage.known) row.usage = (struct usage){ .known = true };
    if (row.usage.prompt == 0) row.prompts = 1;
    if (row.usage.completion == 0) row.usage.completion = came;
    if (r->usage.known || !costs_nothing(r, came)) spending_note(s, &row);
    spending_put(s);
}

void spending_watch(struct spending *s, struct response *res) {
    if (s == NULL) return;
    res->serial = ++s->calls;
    res->spent = over;
    res->spent_ud = spending_ref(s);
}
