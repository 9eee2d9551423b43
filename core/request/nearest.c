/* nearest.c -- an answer to another question that asks the same.
 *
 *     question --embed--> vector --index--> candidates, the nearest first
 *     each:   the entry is there, fresh, young enough
 *             guard      nothing that must not differ differs           (semantic/guard.c)
 *             score      the pair model's judgement                     (semantic/pair.c, steady.c)
 *             threshold  of the similarity, or of the score; of the entry, when something was told of it
 *     --> the one with the best score
 *
 * Candidates are few (LOOKED_AT): what the index thinks is far is far.  The nearest one that is refused is
 * remembered with the reason, for people who wonder (near_note(), GET /admin/cache/explain).
 *
 * What users tell of an answer (nearest_feedback) is kept with its entry's key: a pair of score and verdict each.
 * From these the entry gets a threshold of its own (semantic/learned.c). */
#include "request/nearest.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "include/perilune.h"
#include "semantic/guard.h"
#include "semantic/learned.h"
#include "semantic/normal.h"
#include "semantic/steady.h"

#define CANDIDATES 8
#define LOOKED_AT  4
#define REMEMBERED_MS (30ull * 24 * 3600 * 1000)

/* -- Vectors ----------------------------------------------------------------------------------- */

bool nearest_quantize(const float *v, size_t n, struct buf *out) {
    float most = 0;
    size_t dims = (n + 63) / 64 * 64;
    if (n == 0 || dims > CACHED_MAX_VECTOR) return false;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) return false;
        if (fabsf(v[i]) > most) most = fabsf(v[i]);
    }
    if (most == 0) return false;
    for (size_t i = 0; i < dims; i++) buf_putc(out, i < n ? (char)lrintf(v[i] / most * 127) : 0);
    return true;
}

/* Of length 1. */
static void unit_vector(struct slice vector, float *out) {
    float sum = 0;
    asked_numbers(vector, out);
    for (size_t i = 0; i < vector.len; i++) sum += out[i] * out[i];
    float by = sum > 0 ? 1 / sqrtf(sum) : 0;
    for (size_t i = 0; i < vector.len; i++) out[i] *= by;
}

/* A text, embedded, with the buffer that it stands in. */
struct side {
    struct buf           normal;
    struct embedded_text text;
};

static void side_init(struct side *s) {
    buf_init(&s->normal, 0);
    embedded_text_init(&s->text);
}

static void side_deinit(struct side *s) {
    embedded_text_deinit(&s->text);
    buf_deinit(&s->normal);
}

/* In place of what it held. */
static int side_read(struct side *s, struct embedder *e, uint64_t scope, struct slice text) {
    buf_clear(&s->normal);
    normal_write(text, &s->normal);
    if (buf_failed(&s->normal)) return PERILUNE_ERR_NOMEM;
    return embedder_embed(e, scope, buf_get(&s->normal), &s->text);
}

/* -- What was told of an entry --------------------------------------------------------------------- */

#define TOLD "near " /* in front of the key in hex */
#define TOLD_BYTES (sizeof(TOLD) + 32)

static struct slice told_key(struct hash128 key, char text[TOLD_BYTES]) {
    memcpy(text, TOLD, sizeof(TOLD) - 1);
    hash128_hex(key, text + sizeof(TOLD) - 1);
    return slice_of(text, TOLD_BYTES - 1);
}

static size_t told(struct stores *s, struct hash128 key, uint64_t now, struct learned_note *notes) {
    struct buf text;
    char name[TOLD_BYTES];
    buf_init(&text, 0);
    size_t count = 0;
    if (memo_get(s->memo, told_key(key, name), now, &text) == 0) {
        count = buf_len(&text) / sizeof(*notes);
        if (count > LEARNED_MAX) count = LEARNED_MAX;
        memcpy(notes, buf_get(&text).ptr, count * sizeof(*notes));
    }
    buf_deinit(&text);
    return count;
}

void nearest_feedback(struct stores *s, struct hash128 key, float score, bool ok, uint64_t now) {
    struct learned_note notes[LEARNED_MAX + 1];
    char name[TOLD_BYTES];
    size_t count = told(s, key, now, notes);
    notes[count++] = (struct learned_note){ score, ok };
    size_t from = count > LEARNED_MAX ? 1 : 0; /* the oldest goes */
    memo_set(s->memo, SLICE("near"), told_key(key, name),
             slice_of((const char *)(notes + from), (count - from) * sizeof(*notes)), now, REMEMBERED_MS);
}

/* -- Candidates ------------------------------------------------------------------------------------- */

struct search {
    const struct nearest_ask *ask;
    struct nearest           *out;
    struct side               asked, other; /* the question, and the candidate that is looked at */
    float                     vector[CACHED_MAX_VECTOR];
    unsigned                  dims;
    float                     refused; /* the similarity of the nearest that was refused */
    float                     near[CANDIDATES]; /* the similarities that the index says of all candidates */
    unsigned                  near_count, which; /* of these, the one that is looked at */
};

static float usual_threshold(const struct nearest_rule *r) {
    return r->threshold >= 0 ? r->threshold : pair_threshold(r->model, r->max_false);
}

static float threshold_of(const struct search *s, struct hash128 key) {
    struct learned_note notes[LEARNED_MAX];
    float usual = usual_threshold(&s->ask->rule);
    size_t count = told(s->ask->stores, key, s->ask->now, notes);
    return count == 0 ? usual : learned_threshold(notes, count, s->ask->rule.max_false, usual);
}

/* Cut to fit, not inside a character. */
static void copy_text(char to[NEAR_TEXT], struct slice s) {
    if (s.len >= NEAR_TEXT) s.len = utf8_valid_prefix(slice_of(s.ptr, NEAR_TEXT - 1));
    slice_copy(to, NEAR_TEXT, s);
}

static void note_refusal(struct search *s, struct hash128 key, const struct cached *c, const char *why,
                         float similarity, float score, float threshold) {
    struct near_miss *m = &s->out->miss;
    s->refused = similarity;
    *m = (struct near_miss){ .when = s->ask->now, .key = key, .similarity = similarity, .score = score,
                             .threshold = threshold };
    snprintf(m->why, sizeof(m->why), "%s", why);
    slice_copy(m->cache, sizeof(m->cache), s->ask->cache);
    slice_copy(m->tenant, sizeof(m->tenant), s->ask->tenant);
    copy_text(m->asked, s->ask->asked.text);
    copy_text(m->near, c->asked.text);
}

/* What the model says of the candidate. */
static float score_of(const struct search *s, const struct cached *c, float similarity) {
    const struct nearest_ask *a = s->ask;
    float vector[CACHED_MAX_VECTOR];
    unsigned dims = a->own ? 0 : pair_model_dims(a->rule.model); /* without what fills the vector up */
    if (dims > s->dims) dims = 0;
    if (dims > 0) unit_vector(c->asked.vector, vector);
    float score = pair_score(a->rule.model, &s->asked.text, &s->other.text, dims > 0 ? s->vector : NULL,
                             dims > 0 ? vector : NULL, dims);
    if (a->rule.model != pair_model_builtin()) return score;
    return steady_score(score, similarity, steady_crowd(s->near, s->near_count, s->which),
                        s->asked.text.normal.len, s->other.text.normal.len);
}

/* Takes e when it is the best so far; false: it stays the caller's.  The model takes five times as long as the guard,
 * so it is asked where its score decides, or will be shown. */
static bool judge(struct search *s, struct cache_entry *e, const struct cached *c, float similarity) {
    const struct nearest_ask *a = s->ask;
    struct hash128 key = cache_entry_key(e);
    bool scores = a->rule.threshold < 0;
    enum guard differs = guard_compare(a->asked.text, c->asked.text, a->embedder);
    float score = scores && differs == GUARD_SAME ? score_of(s, c, similarity) : -1;
    float threshold = threshold_of(s, key), decides = scores ? score : similarity;
    const char *why = differs != GUARD_SAME ? guard_name(differs) : decides < threshold ? "score" : NULL;
    if (why != NULL && similarity > s->refused)
        note_refusal(s, key, c, why, similarity, score >= 0 ? score : score_of(s, c, similarity), threshold);
    if (why != NULL || (s->out->e != NULL && decides <= s->out->score)) return false;
    cache_entry_put(s->out->e);
    s->out->e = e;
    s->out->similarity = similarity;
    s->out->score = decides;
    return true;
}

/* Is it an answer that may be given now? */
static bool is_given(const struct search *s, const struct cache_entry *e, struct cached *c) {
    const struct asked *a = &s->ask->asked;
    if (!cached_read(e, c) || (s->ask->values ? c->kind != CACHED_VALUE : c->kind > CACHED_WHOLE)) return false;
    return c->asked.text.len > 0 &&
           c->asked.part.low == a->part.low && c->asked.part.high == a->part.high &&
           slice_eq(c->asked.embedder, a->embedder) && c->asked.vector.len == s->dims &&
           slice_eq(c->cache, s->ask->cache) && slice_eq(c->tenant, s->ask->tenant) &&
           cache_is_fresh(e, s->ask->now) && cache_age(e, s->ask->now) <= s->ask->max_age_ms;
}

/* PERILUNE_ERR_NOMEM, or 0; *far: this one is too far, and so is the rest. */
static int look_at(struct search *s, const struct index_hit *hit, bool *far) {
    const struct nearest_ask *a = s->ask;
    struct cached c;
    struct cache_entry *e = cache_peek(a->stores->cache, hit->key, a->now);
    if (e == NULL) near_remove(a->stores->near, asked_part(a->asked.part, a->asked.embedder), hit->key, s->dims);
    if (e == NULL || !is_given(s, e, &c)) {
        cache_entry_put(e);
        return 0;
    }
    int rc = side_read(&s->other, a->embedder, asked_scope(a->cache, a->tenant), c.asked.text);
    float similarity = rc != 0 ? 0 : a->own ? embedder_similarity(a->embedder, &s->asked.text, &s->other.text)
                                            : hit->score;
    *far = rc == 0 && similarity < NEAREST_FAR;
    if (rc != 0 || *far || !judge(s, e, &c, similarity)) cache_entry_put(e);
    return rc;
}

static int look_at_all(struct search *s) {
    const struct nearest_ask *a = s->ask;
    struct index_hit hits[CANDIDATES];
    bool far = false;
    struct hash128 part = asked_part(a->asked.part, a->asked.embedder);
    unsigned count = near_search(a->stores->near, part, s->vector, s->dims, hits, CANDIDATES);
    int rc = 0;
    for (s->near_count = 0; s->near_count < count; s->near_count++) s->near[s->near_count] = hits[s->near_count].score;
    for (s->which = 0; rc == 0 && !far && s->which < count && s->which < LOOKED_AT; s->which++)
        rc = look_at(s, &hits[s->which], &far);
    return rc;
}

/* What was found, and what was refused, is told to who counts. */
static void tell(const struct nearest_ask *a, const struct nearest *out) {
    if (out->e != NULL) near_tell(a->stores->near, true);
    else if (out->miss.why[0] != '\0') {
        const char *labels[TALLY_LABELS] = { out->miss.cache, out->miss.why, NULL };
        near_tell(a->stores->near, false);
        tally_add(a->stores->tally, TALLY_NEAR_REFUSED, labels, 1);
        near_note(a->stores->near, &out->miss);
    }
}

int nearest_find(const struct nearest_ask *a, struct buf *vector, struct nearest *out) {
    struct search s = { .ask = a, .out = out };
    int rc = 0;
    *out = (struct nearest){ .e = NULL };
    side_init(&s.asked);
    side_init(&s.other);
    if (a->own || !a->only) rc = side_read(&s.asked, a->embedder, asked_scope(a->cache, a->tenant), a->asked.text);
    if (rc == 0 && a->own) nearest_quantize(s.asked.text.vector, embedder_dims(a->embedder), vector);
    if (buf_failed(vector)) rc = PERILUNE_ERR_NOMEM;
    s.dims = (unsigned)buf_len(vector);
    if (rc == 0 && !a->only && s.dims > 0 && s.dims <= CACHED_MAX_VECTOR) {
        unit_vector(buf_get(vector), s.vector);
        rc = look_at_all(&s);
    }
    side_deinit(&s.asked);
    side_deinit(&s.other);
    if (rc == 0) {
        tell(a, out);
        return 0;
    }
    cache_entry_put(out->e);
    out->e = NULL;
    return rc;
}
