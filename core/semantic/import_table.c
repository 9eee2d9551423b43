/* import_table.c -- from a static embedding model to a table of our tokens.
 *
 *     token of o200k_base, if a normal text may have it
 *         --import_tokenizer--> pieces of the model --import_model--> sum of their rows
 *         --import_components--> fewer numbers, if asked for
 *         --> 8 bits each and a scale: the file form of static_table.c
 *
 * A model adds up rows of its pieces, a table those of our tokens: if tokens are cut at the same places as the
 * text would be, both sums are the same but for rounding.  Words that we cut otherwise than the model does are where
 * they differ.  A token of which the model knows nothing gets no row, and adds nothing.
 *
 * Thread: any.  Takes four bytes for each number of the table, at most twice. */
#include "semantic/import_table.h"

#include "include/perilune.h"
#include "semantic/import_components.h"
#include "semantic/normal.h"
#include "semantic/static_table.h"
#include "tokens/vocab.h"

#define LANES   16
#define PADDING 512 /* rows that a matrix may have more than there are ids: it is filled up to a round number */

struct rows {
    struct buf ids;     /* uint32_t, ascending */
    struct buf numbers; /* float[dims] each */
    struct buf pieces, normal; /* scratch */
};

/* -- Tokens ---------------------------------------------------------------------------------------------- */

/* Is it in its normal form, but for a space in front? */
static bool is_normal(struct slice text, struct buf *scratch) {
    struct slice word = text.len > 0 && text.ptr[0] == ' ' ? slice_of(text.ptr + 1, text.len - 1) : text;
    if (utf8_valid_prefix(word) != word.len) return false;
    buf_clear(scratch);
    normal_write(word, scratch);
    return slice_eq(buf_get(scratch), word);
}

static bool is_zero(const float *v, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if (v[i] != 0) return false;
    return true;
}

static int add_row(const struct import_model *m, struct rows *r, uint32_t token) {
    size_t size = m->dims * sizeof(float);
    char *room = buf_reserve(&r->numbers, size);
    if (room == NULL) return PERILUNE_ERR_NOMEM;
    memset(room, 0, size);
    struct slice pieces = buf_get(&r->pieces);
    for (size_t i = 0; i < pieces.len; i += sizeof(uint32_t)) {
        uint32_t piece;
        memcpy(&piece, pieces.ptr + i, sizeof(piece));
        import_model_add(m, piece, (float *)(void *)room);
    }
    if (is_zero((const float *)(const void *)room, m->dims)) return 0;
    buf_advance(&r->numbers, size);
    buf_put(&r->ids, &token, sizeof(token));
    return buf_failed(&r->ids) ? PERILUNE_ERR_NOMEM : 0;
}

static int add_token(const struct import_model *m, struct import_tokenizer *t, struct rows *r, uint32_t token,
                     struct slice text, struct import_report *report, struct failure *f) {
    bool normal = is_normal(text, &r->normal);
    if (buf_failed(&r->normal)) return PERILUNE_ERR_NOMEM;
    if (!normal) return 0;
    report->tokens++;
    int rc = import_tokenizer_cut(t, text, &r->pieces, &report->unknown);
    if (rc == PERILUNE_ERR_LIMITED) {
        failure_set(f, FAILURE_INTERNAL, "the tokenizer's normalizer makes a short text longer than 4096 bytes");
        return PERILUNE_ERR_INVAL;
    }
    return rc == 0 ? add_row(m, r, token) : rc;
}

static int add_tokens(const struct import_model *m, struct import_tokenizer *t, struct rows *r,
                      struct import_report *report, struct failure *f) {
    struct vocab *v = vocab_builtin(SLICE("o200k_base"));
    int rc = v != NULL ? 0 : PERILUNE_ERR_NOMEM;
    uint32_t size = v != NULL ? vocab_size(v) : 0;
    for (uint32_t i = 0; rc == 0 && i < size; i++) {
        struct slice text;
        if (vocab_token(v, i, &text) && vocab_special(v, text) != i) rc = add_token(m, t, r, i, text, report, f);
    }
    vocab_put(v);
    return rc;
}

/* -- Both --------------------------------------------------------------------------------------------------- */

static int check_sizes(const struct import_model *m, const struct import_tokenizer *t, unsigned dims,
                       struct failure *f) {
    if (t->ids > m->tokens || m->tokens - t->ids >= PADDING) {
        failure_set(f, FAILURE_INTERNAL, "has rows for %llu pieces, and the tokenizer ids up to %llu: "
                    "take the tokenizer of the same model", (unsigned long long)m->tokens,
                    (unsigned long long)(t->ids - 1));
        return PERILUNE_ERR_INVAL;
    }
    if (dims == 0 && m->dims > STATIC_TABLE_MAX_DIMS) {
        failure_set(f, FAILURE_INTERNAL, "its rows have %u numbers, a table's at most %d: say --dims 256, or another "
                    "multiple of 16", m->dims, STATIC_TABLE_MAX_DIMS);
        return PERILUNE_ERR_INVAL;
    }
    if (dims > m->dims) {
        failure_set(f, FAILURE_INTERNAL, "its rows have %u numbers, --dims asks for %u: leave it out", m->dims, dims);
        return PERILUNE_ERR_INVAL;
    }
    return 0;
}

static int write_rows(const struct import_model *m, struct import_tokenizer *t, unsigned dims, struct rows *r,
                      struct buf *out, struct import_report *report, struct failure *f) {
    unsigned have = dims > 0 ? dims : m->dims;
    int rc = add_tokens(m, t, r, report, f);
    report->rows = (unsigned)(buf_len(&r->ids) / sizeof(uint32_t));
    report->dims = (have + LANES - 1) / LANES * LANES;
    if (rc == 0 && report->rows == 0) {
        failure_set(f, FAILURE_INTERNAL, "no token has a row: all rows are zero, or the tokenizer knows no piece of "
                    "lower-case texts");
        return PERILUNE_ERR_INVAL;
    }
    if (rc == 0 && have < m->dims)
        rc = import_components((float *)(void *)(r->numbers.data + r->numbers.mark), report->rows, m->dims, have);
    const uint32_t *ids = (const uint32_t *)(const void *)buf_get(&r->ids).ptr;
    const float *numbers = (const float *)(const void *)buf_get(&r->numbers).ptr;
    return rc == 0 ? static_table_write(ids, numbers, report->rows, have, report->dims, out) : rc;
}

int import_table_write(const struct import_model *m, struct import_tokenizer *t, unsigned dims, struct buf *out,
                       struct import_report *report, struct failure *f) {
    struct rows r;
    *report = (struct import_report){ .rows = 0 };
    int rc = check_sizes(m, t, dims, f);
    if (rc != 0) return rc;
    buf_init(&r.ids, 0);
    buf_init(&r.numbers, 0);
    buf_init(&r.pieces, 0);
    buf_init(&r.normal, 0);
    rc = write_rows(m, t, dims, &r, out, report, f);
    buf_deinit(&r.ids);
    buf_deinit(&r.numbers);
    buf_deinit(&r.pieces);
    buf_deinit(&r.normal);
    return rc;
}
