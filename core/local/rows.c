/* rows.c -- rows of tokens in an engine's memory, and what they share.
 *
 *     row 0  busy  A | sys sys sys usr usr ans ans      cells  0 1 2 3 4 5 6
 *     row 1  idle  A | sys sys sys usr                  cells  0 1 2 7            shares of cells 0, 1, 2: 2
 *     row 2  busy  B | sys sys sys                      cells  8 9 10             another tenant: nothing is shared
 *
 * The engine keeps the numbers; this file keeps count.  Every position of a row takes a cell; a beginning that was
 * copied takes none.  So it is known before a step whether its tokens have room, and the engine is never asked for
 * more than there is.
 *
 * A row that nobody appends to any more is kept as it is, for who begins alike: the oldest goes when cells or rows are
 * needed.  Rows are compared token by token, so two of them share what is really the same.  Of rows of another tenant
 * nothing is seen, not even by how long something takes: a tenant is 128 bits of a SHA-256, compared whole.
 *
 * Keeping costs: every token of a step looks at the cells of all rows, and eight idle rows beside eight busy ones make
 * a step a sixth longer.  So when none of them was of use for a while (rows_thin), few are kept, enough to see when
 * they are again.
 *
 * Invariant: cells with shares above 0 and free cells are all cells; engine rows have the lengths that stand here. */
#include "local/rows.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

int rows_init(struct rows *r, const struct perilune_engine *engine, struct perilune_engine_model *model) {
    const struct perilune_engine_facts *f = engine->facts(model);
    *r = (struct rows){ .engine = engine, .model = model, .count = f->sequences, .cells = f->cells,
                       .apart = f->apart };
    r->row = mem_zalloc(r->count * sizeof(*r->row));
    r->free_cells = mem_alloc(r->cells * sizeof(*r->free_cells));
    r->shares = mem_zalloc(r->cells * sizeof(*r->shares));
    if (r->row == NULL || r->free_cells == NULL || r->shares == NULL) {
        rows_deinit(r);
        return PERILUNE_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < r->cells; i++) r->free_cells[r->free_len++] = r->cells - 1 - i;
    return 0;
}

void rows_deinit(struct rows *r) {
    for (uint32_t i = 0; r->row != NULL && i < r->count; i++) {
        mem_free(r->row[i].tokens);
        mem_free(r->row[i].cells);
    }
    mem_free(r->row);
    mem_free(r->free_cells);
    mem_free(r->shares);
    *r = (struct rows){ .engine = NULL };
}

/* -- Cells -------------------------------------------------------------------------------- */

static void drop_cell(struct rows *r, uint32_t cell) {
    if (--r->shares[cell] == 0) r->free_cells[r->free_len++] = cell;
}

static void check(struct rows *r, int rc) { r->broken |= rc != 0; }

static void empty(struct rows *r, uint32_t at) {
    struct row *row = &r->row[at];
    for (uint32_t i = 0; i < row->len; i++) drop_cell(r, row->cells[i]);
    row->len = 0;
    check(r, r->engine->seq_start(r->model, at));
}

static void cut(struct rows *r, uint32_t at, uint32_t n) {
    struct row *row = &r->row[at];
    for (uint32_t i = n; i < row->len; i++) drop_cell(r, row->cells[i]);
    row->len = n;
    check(r, r->engine->seq_cut(r->model, at, n));
}

uint32_t rows_to_be_had(const struct rows *r) {
    /* Shared by busy rows, a cell is counted once: by the first of them that has it. */
    uint32_t busy = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct row *a = &r->row[i];
        if (!a->busy) continue;
        uint32_t shared = 0;
        for (uint32_t j = 0; j < i; j++) {
            const struct row *b = &r->row[j];
            if (!b->busy) continue;
            uint32_t n = 0, most = a->len < b->len ? a->len : b->len;
            /* What two rows share is a beginning: half by half to where they part. */
            for (uint32_t step = most; step > 0; step = step > 1 ? (step + 1) / 2 : 0)
                while (n + step <= most && a->cells[n + step - 1] == b->cells[n + step - 1]) n += step;
            if (n > shared) shared = n;
        }
        busy += a->len - shared;
    }
    return r->cells - busy;
}

/* -- Who begins alike ------------------------------------------------------------------------ */

uint32_t rows_common(const int32_t *a, uint32_t a_len, const int32_t *b, uint32_t b_len) {
    uint32_t n = 0, most = a_len < b_len ? a_len : b_len;
    while (n < most && a[n] == b[n]) n++;
    return n;
}

static bool same_tenant(struct hash128 a, struct hash128 b) { return a.low == b.low && a.high == b.high; }

uint32_t rows_match(const struct rows *r, struct hash128 tenant, const int32_t *tokens, uint32_t n, uint32_t *len) {
    uint32_t best = ROW_NONE;
    *len = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct row *row = &r->row[i];
        if (row->len == 0 || !same_tenant(row->tenant, tenant)) continue;
        uint32_t common = rows_common(row->tokens, row->len, tokens, n);
        /* Of equals an idle one: it may be taken as it is. */
        if (common > *len || (common > 0 && common == *len && !row->busy && r->row[best].busy)) {
            best = i;
            *len = common;
        }
    }
    return best;
}

uint32_t rows_kept(const struct rows *r, struct hash128 tenant, const int32_t *tokens, uint32_t n) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct row *row = &r->row[i];
        if (row->busy || !same_tenant(row->tenant, tenant)) continue;
        uint32_t common = rows_common(row->tokens, row->len, tokens, n);
        if (common > most) most = common;
    }
    return most;
}

/* How many busy rows stand beside row i: where rows are apart, a gap between busy ones is one more pass over the
 * weights. */
static unsigned neighbours(const struct rows *r, uint32_t i) {
    if (!r->apart) return 0;
    return (i > 0 && r->row[i - 1].busy) + (unsigned)(i + 1 < r->count && r->row[i + 1].busy);
}

/* An empty row, or the idle one that was used longest ago, but for `except` if there is another; of rows that are apart
 * one beside busy ones. */
static uint32_t victim(const struct rows *r, uint32_t except) {
    uint32_t best = ROW_NONE;
    uint64_t best_used = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct row *row = &r->row[i];
        uint64_t used = row->len > 0 ? row->used : 0;
        if (row->busy || i == except) continue;
        unsigned more = neighbours(r, i), most = best != ROW_NONE ? neighbours(r, best) : 0;
        if (best != ROW_NONE && (more < most || (more == most && used >= best_used))) continue;
        best = i;
        best_used = used;
    }
    return best;
}

bool rows_reserve(struct rows *r, uint32_t at, uint32_t len) {
    struct row *row = &r->row[at];
    if (len <= row->cap) return true;
    uint32_t cap = row->cap ? row->cap : 256;
    while (cap < len) cap *= 2;
    int32_t *tokens = mem_realloc(row->tokens, cap * sizeof(*tokens));
    if (tokens != NULL) row->tokens = tokens;
    uint32_t *cells = tokens ? mem_realloc(row->cells, cap * sizeof(*cells)) : NULL;
    if (cells == NULL) return false;
    row->cells = cells;
    row->cap = cap;
    return true;
}

static void copy(struct rows *r, uint32_t from, uint32_t to, uint32_t n) {
    const struct row *a = &r->row[from];
    struct row *b = &r->row[to];
    memcpy(b->tokens, a->tokens, n * sizeof(*b->tokens));
    memcpy(b->cells, a->cells, n * sizeof(*b->cells));
    for (uint32_t i = 0; i < n; i++) r->shares[b->cells[i]]++;
    b->len = n;
    check(r, r->engine->seq_copy(r->model, from, to, n));
}

/* Was keeping row `from` worth it, of which `common` tokens are taken?  Not for what a busy row has as well. */
static bool was_of_use(const struct rows *r, uint32_t from, struct hash128 tenant, const int32_t *tokens, uint32_t n,
                       uint32_t common) {
    enum { WORTH = 32 };
    if (from == ROW_NONE || r->row[from].busy || common < WORTH) return false;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct row *row = &r->row[i];
        if (!row->busy || !same_tenant(row->tenant, tenant)) continue;
        if (rows_common(row->tokens, row->len, tokens, n) + WORTH > common) return false;
    }
    return true;
}

/* An idle row that is a beginning of what is asked, or nearly, is gone on with; of another the beginning is copied,
 * so that what is behind it stays for the next. */
uint32_t rows_take(struct rows *r, struct hash128 tenant, const int32_t *tokens, uint32_t n, uint32_t *shared) {
    enum { NEARLY = 32 }; /* tokens that may be lost */
    bool shares = r->engine->facts(r->model)->shares;
    uint32_t common = 0, from = ROW_NONE, at;
    if (shares && n > 0) from = rows_match(r, tenant, tokens, n - 1, &common); /* the last one must be computed */
    r->useless = was_of_use(r, from, tenant, tokens, n, common) ? 0 : r->useless + 1;
    bool go_on = from != ROW_NONE && !r->row[from].busy && r->row[from].len - common <= NEARLY;
    at = go_on ? from : victim(r, from);
    if (at == ROW_NONE && from != ROW_NONE && !r->row[from].busy) at = from;
    if (at == ROW_NONE) return ROW_NONE;
    if (at == from) {
        cut(r, at, common);
    } else {
        empty(r, at);
        if (from != ROW_NONE && rows_reserve(r, at, common)) copy(r, from, at, common);
        else common = 0;
    }
    r->row[at].tenant = tenant;
    r->row[at].busy = true;
    *shared = common;
    return at;
}

/* The idle row goes that was used longest ago.  False: there is none. */
static bool drop_oldest(struct rows *r) {
    uint32_t oldest = ROW_NONE;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct row *row = &r->row[i];
        if (row->busy || row->len == 0) continue;
        if (oldest == ROW_NONE || row->used < r->row[oldest].used) oldest = i;
    }
    if (oldest != ROW_NONE) empty(r, oldest);
    return oldest != ROW_NONE;
}

bool rows_make_room(struct rows *r, uint32_t more) {
    while (r->free_len < more)
        if (!drop_oldest(r)) return false;
    return true;
}

void rows_thin(struct rows *r) {
    enum { SHARE = 4 }; /* of the cells of busy rows, idle ones have a quarter at most */
    if (r->apart || r->useless <= r->count) return;
    for (;;) {
        uint32_t to_be_had = rows_to_be_had(r), idle = to_be_had - r->free_len;
        if (idle <= (r->cells - to_be_had) / SHARE || !drop_oldest(r)) return;
    }
}

bool rows_append(struct rows *r, uint32_t at, const int32_t *tokens, uint32_t n) {
    struct row *row = &r->row[at];
    if (!rows_reserve(r, at, row->len + n) || r->free_len < n) return false;
    memcpy(row->tokens + row->len, tokens, n * sizeof(*tokens));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t cell = r->free_cells[--r->free_len];
        r->shares[cell] = 1;
        row->cells[row->len++] = cell;
    }
    return true;
}

void rows_give_back(struct rows *r, uint32_t at, bool keep) {
    struct row *row = &r->row[at];
    row->busy = false;
    row->used = ++r->clock;
    if (!keep || !r->engine->facts(r->model)->shares) empty(r, at);
}

void rows_clear(struct rows *r) {
    for (uint32_t i = 0; i < r->count; i++) empty(r, i);
}
