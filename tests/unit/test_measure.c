/* test_measure.c -- a model tried out: with an engine whose numbers are known. */
#include "unit.h"

#include <math.h>
#include <stdio.h>

#include "include/perilune.h"
#include "local/measure.h"

#define VOCAB 4

struct perilune_engine_model {
    struct perilune_engine_facts facts;
    float    logits[VOCAB], odd; /* odd: the number that is told instead, if it is not 0 */
    uint32_t len;                /* of row 0 */
    unsigned steps, fail_at;     /* fail_at: the step that fails; 0: none */
};

static const struct perilune_engine_facts *facts(const struct perilune_engine_model *m) { return &m->facts; }

/* A token for each byte; fills nothing when the room does not do. */
static int64_t tokenize(const struct perilune_engine_model *m, const char *text, size_t len, unsigned flags,
                        int32_t *out, size_t room) {
    (void)m, (void)flags;
    for (size_t i = 0; len <= room && i < len; i++) out[i] = (unsigned char)text[i] % VOCAB;
    return (int64_t)len;
}

static size_t piece(const struct perilune_engine_model *m, int32_t token, unsigned flags, char *out, size_t room) {
    (void)m, (void)flags;
    return (size_t)snprintf(out, room, "<%d>", (int)token);
}

static int seq_start(struct perilune_engine_model *m, uint32_t seq) {
    m->len = 0;
    return seq == 0 ? 0 : PERILUNE_ERR_INVAL;
}

static int step(struct perilune_engine_model *m, const struct perilune_engine_token *tokens, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (tokens[i].at != m->len++ || tokens[i].at >= m->facts.row) return PERILUNE_ERR_INVAL;
    return ++m->steps == m->fail_at ? PERILUNE_ERR_ENGINE : 0;
}

static float *logits(struct perilune_engine_model *m, size_t i) {
    (void)i;
    for (int k = 0; k < VOCAB; k++) m->logits[k] = m->odd != 0 ? m->odd : 1;
    return m->logits;
}

static int embed(struct perilune_engine_model *m, const int32_t *tokens, const uint32_t *lens, size_t count,
                 float *out) {
    (void)tokens, (void)lens, (void)count;
    for (uint32_t i = 0; i < m->facts.width; i++) out[i] = m->odd;
    return 0;
}

static const struct perilune_engine engine = { .version = PERILUNE_ENGINE_VERSION, .name = "known", .facts = facts,
                                               .tokenize = tokenize, .piece = piece, .seq_start = seq_start,
                                               .step = step, .logits = logits, .embed = embed };

static struct perilune_engine_model model(enum perilune_engine_kind kind) {
    return (struct perilune_engine_model){ .facts = { .kind = kind, .vocab = VOCAB, .row = 300, .batch = 512,
                                                      .sequences = 1, .width = 3 } };
}

static char why[200];

TEST_NOFAULT(a_model_that_works) {
    struct perilune_engine_model m = model(PERILUNE_ENGINE_CHAT);
    struct measured got = { .tokens = 0 };
    CHECK_INT(measure_works(&engine, &m, &got, why, sizeof(why)), 0);
    CHECK_STR(got.piece, "<0>");
    CHECK_INT(measure_speed(&engine, &m, 10, &got, why, sizeof(why)), 0);
    CHECK(got.tokens_per_s > 0);
    CHECK_INT(measure_speed(&engine, &m, 300, &got, why, sizeof(why)), PERILUNE_ERR_INVAL);
}

/* Who knows nothing is as surprised as there are tokens. */
TEST_FAULT(perplexity) {
    struct perilune_engine_model m = model(PERILUNE_ENGINE_CHAT);
    struct measured got = { .tokens = 0 };
    char text[1000];
    memset(text, 'x', sizeof(text));
    int rc = measure_perplexity(&engine, &m, slice_of(text, sizeof(text)), 600, &got, why, sizeof(why));
    if (FAULTED(rc)) return;
    CHECK_INT(rc, 0);
    CHECK(fabs(got.perplexity - VOCAB) < 1e-6);
    CHECK_INT(got.tokens, 127 + 127 + 43); /* windows of 256, 256 and 88: the first half of each is only read */
    CHECK_INT(m.steps, 3);
    rc = measure_perplexity(&engine, &m, SLICE("short"), 600, &got, why, sizeof(why));
    if (FAULTED(rc)) return;
    CHECK_INT(rc, PERILUNE_ERR_INVAL);
    CHECK_STR(why, "the text is too short: 8 tokens at least");
    m.fail_at = 5;
    rc = measure_perplexity(&engine, &m, slice_of(text, sizeof(text)), 600, &got, why, sizeof(why));
    if (FAULTED(rc)) return;
    CHECK(rc < 0);
    CHECK_STR(why, "it fails while it reads the text");
}

TEST_NOFAULT(numbers_that_are_none) {
    struct perilune_engine_model m = model(PERILUNE_ENGINE_CHAT);
    struct measured got = { .tokens = 0 };
    m.odd = NAN;
    CHECK_INT(measure_works(&engine, &m, &got, why, sizeof(why)), PERILUNE_ERR_ENGINE);
    CHECK(strstr(why, "NaN or infinity") != NULL);
    m = model(PERILUNE_ENGINE_EMBED);
    CHECK_INT(measure_works(&engine, &m, &got, why, sizeof(why)), PERILUNE_ERR_ENGINE);
    CHECK_STR(why, "its vector of a short text is all zero");
    m.odd = INFINITY;
    CHECK_INT(measure_works(&engine, &m, &got, why, sizeof(why)), PERILUNE_ERR_ENGINE);
    m.odd = 0.5f;
    CHECK_INT(measure_works(&engine, &m, &got, why, sizeof(why)), 0);
    CHECK_INT(measure_speed(&engine, &m, 4, &got, why, sizeof(why)), PERILUNE_ERR_INVAL);
}
