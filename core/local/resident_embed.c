/* resident_embed.c -- vectors of texts, those of several requests in one batch.
 *
 * Texts wait like choices of chats, in the same order, tenants take turns with theirs, and the first of them that fit a
 * batch together go: their number is the engine's, and so is the sum of their tokens.  What arrives while a batch is
 * computed is in the next one, so batches grow by themselves when there is more to do, and nobody waits for one to
 * fill. */
#include <math.h>

#include "local/resident_int.h"

/* Collects those that go, from the first on; returns how many. */
static size_t gather(struct resident *r, struct choice **of, uint32_t *lens) {
    size_t n = 0;
    uint32_t tokens = 0;
    struct choice *c;
    r->round++;
    while (n < r->facts->sequences && (c = resident_next(r)) != NULL) {
        if (tokens + c->len > (n > 0 ? resident_room(r) : r->facts->batch)) break; /* the first one in any case */
        flows_turn(&r->flows, c->flow);
        for (uint32_t i = 0; i < c->len; i++) r->plain[tokens++] = c->tokens[i];
        of[n] = c;
        lens[n++] = c->len;
    }
    return n;
}

static bool is_finite(const float *v, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (!isfinite(v[i])) return false;
    return true;
}

/* To length 1, as OpenAI's are. */
static void normalize(float *v, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)v[i] * v[i];
    float by = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (uint32_t i = 0; i < n; i++) v[i] *= by;
}

/* From 0 to 1, as other services say it: models with one number say it on an open scale. */
static float rank_of(const float *v, uint32_t width) { return width > 1 ? v[0] : 1 / (1 + expf(-v[0])); }

static void give(struct resident *r, struct choice *c, float *v) {
    uint32_t width = r->facts->width;
    if (!is_finite(v, width)) {
        struct turn_event ev = resident_failure(TURN_BROKEN, "the local model answered with numbers that are none");
        resident_fail(r, c->talk, &ev);
        return;
    }
    if (r->facts->kind == PERILUNE_ENGINE_EMBED) {
        normalize(v, width);
    } else {
        v[0] = rank_of(v, width);
        width = 1;
    }
    turn_write(c->talk->turn, &(struct turn_event){ .type = TURN_VECTOR, .choice = c->index,
                                                    .text = slice_of((const char *)v, width * sizeof(*v)) });
    resident_end_choice(r, c, false);
}

/* A talk that failed took its other texts along. */
static bool still_waits(const struct resident *r, const struct choice *c) {
    for (const struct list *l = r->waiting.next; l != &r->waiting; l = l->next)
        if (l == &c->link) return true;
    return false;
}

void resident_embed(struct resident *r) {
    enum { MOST = 256 };
    struct choice *of[MOST];
    uint32_t lens[MOST];
    size_t n = gather(r, of, lens);
    uint64_t began = resident_step_begins(r);
    int rc = n > 0 ? r->engine->embed(r->model, r->plain, lens, n, r->scores) : 0;
    resident_step_over(r);
    stats_add(&r->stats.steps, 1);
    stats_add(&r->stats.step_us, loop_hrtime_us() - began);
    if (rc == PERILUNE_ENGINE_CANCELED) return; /* the resident is about to stop */
    if (rc == PERILUNE_ENGINE_SHORT) {
        uint32_t tokens = 0;
        for (size_t i = 0; i < n; i++) tokens += lens[i];
        resident_fell_short(r, tokens, n == 1 ? of[0] : NULL);
        return;
    }
    if (rc != 0) {
        for (size_t i = 0; i < n; i++) of[i]->talk->begun = true; /* they may be why */
        resident_break(r);
        return;
    }
    resident_went_well(r);
    for (size_t i = 0; i < n; i++) {
        stats_add(&r->stats.stepped, lens[i]);
        if (still_waits(r, of[i])) give(r, of[i], r->scores + i * r->facts->width);
    }
}
