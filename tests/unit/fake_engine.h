/* fake_engine.h -- an engine without a model, for tests.
 *
 * Tokens are bytes and an end.  What comes next is a hash of the whole row, so an answer that saw one token of another
 * row is another answer: fake_answer() says what it must be.  It keeps count of its memory as a real engine does, and
 * everything that it should not have been asked is counted in `wrong`.  With `controls` it has tokens that are none of
 * the letters they are written with. */
#ifndef PERILUNE_TESTS_FAKE_ENGINE_H
#define PERILUNE_TESTS_FAKE_ENGINE_H

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "include/perilune.h"
#include "include/perilune_engine.h"

#define FAKE_END   256
#define FAKE_VOCAB 262
#define FAKE_ROWS  128
#define FAKE_ROW   4096

struct perilune_engine_model {
    struct perilune_engine_facts facts;
    int32_t  row[FAKE_ROWS][FAKE_ROW];
    uint32_t cell[FAKE_ROWS][FAKE_ROW], len[FAKE_ROWS];
    uint32_t *free_cells, free_len;
    uint16_t *shares;
    float    logits[512][FAKE_VOCAB];
    bool     wanted[512];
    size_t   stepped;
};

/* Of the one model of a test. */
static struct {
    uint32_t     cells, rows, width; /* width above 0: it makes vectors */
    bool         ranks;              /* with a width: it ranks pairs */
    atomic_uint  loads, wrong, steps, computed, copies;
    unsigned     fail_at;            /* the step that fails; 0: none */
    unsigned     short_from, short_to; /* steps for which there is memory for `fits` tokens only */
    unsigned     fits;
    unsigned     none_at;            /* the step whose numbers are none */
    bool         never_ends, controls, adds_bos;
    bool         user_defined; /* its controls are tokens everywhere, and have a text everywhere */
    const char  *template;
    void       (*before)(unsigned step); /* each one; on the runner's thread */
    void       (*seen)(unsigned step, const struct perilune_engine_token *t);
} fake;

static const char *const fake_control[] = { "<|im_end|>", "<|im_start|>", "<s>", "</think>", "[TOOL_CALLS]", "<|end|>" };

static int32_t fake_next(const int32_t *tokens, uint32_t n) {
    uint64_t h = 1469598103934665603u;
    for (uint32_t i = 0; i < n; i++) h = (h ^ (uint32_t)tokens[i]) * 1099511628211u;
    h ^= h >> 29;
    return !fake.never_ends && h % 23 == 0 ? FAKE_END : 'a' + (int32_t)(h / 23 % 26);
}

static int fake_load(const struct perilune_engine_options *o, struct perilune_engine_model **out, char *why, size_t size) {
    (void)why;
    (void)size;
    struct perilune_engine_model *m = calloc(1, sizeof(*m));
    uint32_t each = o->context_each, cells = each ? each * o->sequences : fake.cells ? fake.cells : 4096;
    m->facts = (struct perilune_engine_facts){
        .kind = fake.ranks ? PERILUNE_ENGINE_RANK : fake.width ? PERILUNE_ENGINE_EMBED : PERILUNE_ENGINE_CHAT, .name = "fake", .bos = fake.controls ? "<s>" : "", .eos = "",
        .chat_template = fake.template,
        .vocab = FAKE_VOCAB, .cells = cells, .row = each ? each : cells < FAKE_ROW ? cells : FAKE_ROW, .apart = each != 0,
        .sequences = o->sequences < FAKE_ROWS ? o->sequences : FAKE_ROWS, .batch = o->batch < 512 ? o->batch : 512,
        .width = fake.width, .longest = fake.controls ? 16 : 1, .shares = true };
    m->free_cells = malloc(cells * sizeof(uint32_t));
    m->shares = calloc(cells, sizeof(uint16_t));
    for (uint32_t i = 0; i < cells; i++) m->free_cells[m->free_len++] = i;
    fake.loads++;
    *out = m;
    return 0;
}

static void fake_free(struct perilune_engine_model *m) {
    if (m == NULL) return;
    free(m->free_cells);
    free(m->shares);
    free(m);
}

static const struct perilune_engine_facts *fake_facts(const struct perilune_engine_model *m) { return &m->facts; }

static int64_t fake_tokenize(const struct perilune_engine_model *m, const char *text, size_t len, unsigned flags,
                             int32_t *out, size_t room) {
    (void)m;
    size_t n = 0;
    if (fake.adds_bos && (flags & PERILUNE_ENGINE_BEGIN) && n++ < room) out[0] = FAKE_END + 2;
    for (size_t i = 0, skip; i < len; i += skip, n++) {
        int32_t token = (unsigned char)text[i];
        skip = 1;
        for (int c = 0; c < 6 && fake.controls && (fake.user_defined || (flags & PERILUNE_ENGINE_SPECIAL)) && skip == 1; c++) {
            size_t k = strlen(fake_control[c]);
            if (len - i >= k && memcmp(text + i, fake_control[c], k) == 0) token = FAKE_END + c, skip = k;
        }
        if (n < room) out[n] = token;
    }
    return (int64_t)n;
}

static int64_t fake_tokenize_pair(const struct perilune_engine_model *m, const char *question, size_t question_len,
                                  const char *text, size_t len, int32_t *out, size_t room) {
    fake_tokenize(m, question, question_len, 0, out, room);
    if (room > question_len) fake_tokenize(m, text, len, 0, out + question_len, room - question_len);
    return (int64_t)(question_len + len);
}

static size_t fake_piece(const struct perilune_engine_model *m, int32_t token, unsigned flags, char *out, size_t room) {
    (void)m;
    if (token >= FAKE_END && fake.controls && (fake.user_defined || (flags & PERILUNE_ENGINE_SPECIAL))) {
        size_t n = strlen(fake_control[token - FAKE_END]);
        memcpy(out, fake_control[token - FAKE_END], n < room ? n : room);
        return n;
    }
    if (token >= FAKE_END || room == 0) return 0;
    out[0] = (char)token;
    return 1;
}

static bool fake_is_end(const struct perilune_engine_model *m, int32_t token) {
    (void)m;
    return token == FAKE_END;
}

static int fake_seq_cut(struct perilune_engine_model *m, uint32_t seq, uint32_t n) {
    if (seq >= m->facts.sequences || n > m->len[seq]) { fake.wrong++; return PERILUNE_ERR_INVAL; }
    for (uint32_t i = n; i < m->len[seq]; i++)
        if (--m->shares[m->cell[seq][i]] == 0) m->free_cells[m->free_len++] = m->cell[seq][i];
    m->len[seq] = n;
    return 0;
}

static int fake_seq_start(struct perilune_engine_model *m, uint32_t seq) { return fake_seq_cut(m, seq, 0); }

static int fake_seq_copy(struct perilune_engine_model *m, uint32_t from, uint32_t to, uint32_t n) {
    if (from >= m->facts.sequences || to >= m->facts.sequences || from == to || n > m->len[from] || m->len[to] != 0)
        { fake.wrong++; return PERILUNE_ERR_INVAL; }
    for (uint32_t i = 0; i < n; i++) {
        m->row[to][i] = m->row[from][i];
        m->cell[to][i] = m->facts.apart ? m->free_cells[--m->free_len] : m->cell[from][i];
        m->shares[m->cell[to][i]]++;
    }
    m->len[to] = n;
    fake.copies++;
    return 0;
}

static void fake_say(struct perilune_engine_model *m, size_t i, uint32_t seq) {
    for (unsigned t = 0; t < FAKE_VOCAB; t++) m->logits[i][t] = fake.none_at == fake.steps ? NAN : -(float)t / 100;
    if (fake.none_at != fake.steps) m->logits[i][fake_next(m->row[seq], m->len[seq])] = 30;
}

/* step: of the first call, which is 1. */
static bool fake_is_short(unsigned step, size_t tokens) {
    return step >= fake.short_from && step < fake.short_to && tokens > fake.fits;
}

static int fake_step(struct perilune_engine_model *m, const struct perilune_engine_token *t, size_t n) {
    unsigned step = ++fake.steps;
    if (fake.before != NULL) fake.before(step);
    if (fake.fail_at == step) return PERILUNE_ERR_ENGINE;
    if (fake_is_short(step, n)) return PERILUNE_ENGINE_SHORT;
    if (n == 0 || n > m->facts.batch) { fake.wrong++; return PERILUNE_ERR_INVAL; }
    if (n > m->free_len) { /* who steps must know */
        fake.wrong++;
        return PERILUNE_ENGINE_FULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (t[i].seq >= m->facts.sequences || t[i].at != m->len[t[i].seq] || t[i].at >= m->facts.row || t[i].token < 0 ||
            t[i].token >= FAKE_VOCAB) { fake.wrong++; return PERILUNE_ERR_INVAL; }
        uint32_t s = t[i].seq, cell = m->free_cells[--m->free_len];
        m->shares[cell] = 1;
        m->cell[s][m->len[s]] = cell;
        m->row[s][m->len[s]++] = t[i].token;
        m->wanted[i] = t[i].wanted;
        if (t[i].wanted) fake_say(m, i, s);
        if (fake.seen != NULL) fake.seen(step, &t[i]);
    }
    fake.computed += (unsigned)n;
    m->stepped = n;
    return 0;
}

static float *fake_logits(struct perilune_engine_model *m, size_t i) {
    return i < m->stepped && m->wanted[i] ? m->logits[i] : NULL;
}

/* A vector says how long its text is, and how many texts came together. */
static int fake_embed(struct perilune_engine_model *m, const int32_t *tokens, const uint32_t *lens, size_t count,
                      float *out) {
    unsigned step = ++fake.steps;
    (void)tokens;
    if (fake.before != NULL) fake.before(step);
    if (fake.fail_at == step) return PERILUNE_ERR_ENGINE;
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += lens[i];
    if (fake_is_short(step, sum)) return PERILUNE_ENGINE_SHORT;
    for (size_t i = 0; i < count; i++)
        for (uint32_t d = 0; d < m->facts.width; d++)
            out[i * m->facts.width + d] = fake.none_at == step ? NAN : d == 0 ? (float)lens[i] : d == 1 ? (float)count : 0;
    /* A rank is above 0 when a pair ends with its first byte. */
    for (size_t i = 0, at = 0; fake.ranks && i < count; at += lens[i++])
        out[i * m->facts.width] = tokens[at] == tokens[at + lens[i] - 1] ? 4 : -4;
    return 0;
}

static void fake_cancel(struct perilune_engine_model *m) { (void)m; }

static const struct perilune_engine fake_engine = {
    .version = PERILUNE_ENGINE_VERSION, .name = "fake", .load = fake_load, .free = fake_free, .facts = fake_facts,
    .tokenize = fake_tokenize, .piece = fake_piece, .is_end = fake_is_end, .seq_start = fake_seq_start,
    .seq_copy = fake_seq_copy, .seq_cut = fake_seq_cut, .step = fake_step, .logits = fake_logits, .embed = fake_embed,
    .cancel = fake_cancel, .tokenize_pair = fake_tokenize_pair,
};

/* What a solo run says to a prompt, of `most` tokens at most; returns its length. */
static inline size_t fake_answer(const char *prompt, size_t len, size_t most, char *out) {
    int32_t row[FAKE_ROW];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) row[i] = (unsigned char)prompt[i];
    for (; n < most; n++) {
        int32_t t = fake_next(row, (uint32_t)(len + n));
        if (t == FAKE_END) break;
        out[n] = (char)t;
        row[len + n] = t;
    }
    out[n] = '\0';
    return n;
}

#endif
