/* dups.c -- lines and blocks that were said before.
 *
 * The text is cut into lines, lines into blocks.  First blocks are looked at, so that a
 * block goes as a whole, then the lines of those that stayed:
 *
 *     block  A        line 1 2 3
 *     block  B        line 4 5
 *     block  A again  line 6 7 8     goes: its hash was there, and its bytes are the same
 *     block  C        line 9 2'      line 2' goes: equal to line 2 but for white space
 *
 * Equal ones are found by a table of hashes and compared before one goes.  Those that are
 * alike are found by MinHash: of the shingles of each (triples of words) the smallest
 * under each of HASHES hash functions; two texts agree in one of these with the
 * probability that is their likeness (Jaccard).  BANDS tables of ROWS hashes each give
 * candidates, which are then compared by their shingles, and by their facts: what must
 * not be lost (spans.h) has to be the same in both.
 *
 *     likeness 0.8, 8 bands of 2: found with 99.97 %
 *
 * A bucket is asked for TRIES items, so time is linear.
 *
 * Terms are found once, line by line; a line that was a block needs no second sketch; and
 * shingles are sorted when two are compared, which is seldom.
 *
 * Thread: any.  Memory: some fifteen times the text. */
#include "text/dups.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "text/scan.h"
#include "text/terms.h"

#define BANDS 8
#define ROWS 2
#define HASHES (BANDS * ROWS)
#define TRIES 6

const struct text_dedupe_options text_dedupe_defaults = { .min_bytes = 40 };

struct line {
    uint32_t start, end; /* end: behind the line end */
    uint32_t times;      /* it, and those that went for its sake */
    uint32_t terms;      /* where its terms begin */
    uint32_t sketch;     /* of the line as a block, its number + 1; 0: it was none */
    bool     frozen, gone;
};

/* A block or a line, as something that may go. */
struct item {
    uint32_t first, last; /* lines; last is behind */
};

struct dups {
    struct slice                      text;
    const struct text_dedupe_options *options;
    struct buf                        spans, lines, items;
    struct buf                        terms, triples; /* hashes of all terms; of each with the two before it */
    struct buf                        shingles;       /* of those that were compared */
    struct buf                        sketches;       /* of blocks of one line */
    struct line                      *line;
    size_t                            line_count;
};

/* -- Lines ------------------------------------------------------------------------------- */

static int cut_lines(struct dups *d) {
    const char *p = d->text.ptr, *end = p + d->text.len;
    while (p < end) {
        const char *q = memchr(p, '\n', (size_t)(end - p));
        q = q != NULL ? q + 1 : end;
        struct line l = { (uint32_t)(p - d->text.ptr), (uint32_t)(q - d->text.ptr), 1, 0, 0, false, false };
        buf_put(&d->lines, &l, sizeof(l));
        p = q;
    }
    d->line = (struct line *)(void *)d->lines.data;
    d->line_count = d->lines.len / sizeof(struct line);
    return buf_failed(&d->lines) ? PERILUNE_ERR_NOMEM : 0;
}

static bool freezes(const struct dups *d, const struct text_span *s) {
    const unsigned always = 1u << TEXT_FENCE | 1u << TEXT_INDENTED | 1u << TEXT_TABLE | 1u << TEXT_DIFF;
    const unsigned tall = 1u << TEXT_JSON | 1u << TEXT_MATH;
    if (always >> s->type & 1) return true;
    return (tall >> s->type & 1) && memchr(d->text.ptr + s->start, '\n', s->end - s->start) != NULL;
}

static void freeze_lines(struct dups *d) {
    size_t n, l = 0;
    const struct text_span *s = text_spans_of(&d->spans, &n);
    for (size_t i = 0; i < n; i++) {
        if (!freezes(d, &s[i])) continue;
        while (l < d->line_count && d->line[l].end <= s[i].start) l++;
        for (size_t k = l; k < d->line_count && d->line[k].start < s[i].end; k++) d->line[k].frozen = true;
    }
}

static bool is_empty(const struct dups *d, size_t l) {
    for (uint32_t i = d->line[l].start; i < d->line[l].end; i++)
        if ((unsigned char)d->text.ptr[i] > ' ') return false;
    return true;
}

/* -- Items --------------------------------------------------------------------------------- */

static struct slice item_text(const struct dups *d, const struct item *it) {
    uint32_t start = d->line[it->first].start, end = d->line[it->last - 1].end;
    const char *p = d->text.ptr;
    while (end > start && (unsigned char)p[end - 1] <= ' ') end--;
    while (start < end && (unsigned char)p[start] <= ' ') start++;
    return slice_of(p + start, end - start);
}

static bool is_frozen(const struct dups *d, const struct item *it) {
    for (uint32_t l = it->first; l < it->last; l++)
        if (d->line[l].frozen) return true;
    return false;
}

static void add_item(struct dups *d, size_t first, size_t last) {
    struct item it = { (uint32_t)first, (uint32_t)last };
    if (item_text(d, &it).len >= d->options->min_bytes) buf_put(&d->items, &it, sizeof(it));
}

/* Blocks: lines without an empty one between them, or a frozen piece with all of its own. */
static void collect_blocks(struct dups *d) {
    d->items.len = 0;
    for (size_t l = 0; l < d->line_count;) {
        if (is_empty(d, l) && !d->line[l].frozen) {
            l++;
            continue;
        }
        size_t first = l;
        bool frozen = d->line[l].frozen;
        while (l < d->line_count && d->line[l].frozen == frozen && (frozen || !is_empty(d, l))) l++;
        add_item(d, first, l);
    }
}

static void collect_lines(struct dups *d) {
    d->items.len = 0;
    for (size_t l = 0; l < d->line_count; l++)
        if (!d->line[l].gone && !d->line[l].frozen) add_item(d, l, l + 1);
}

static void drop(struct dups *d, const struct item *it, const struct item *first) {
    for (uint32_t l = it->first; l < it->last; l++) d->line[l].gone = true;
    struct line *last = &d->line[first->last - 1];
    if (!last->frozen) last->times++; /* nothing is written into code */
}

/* -- Equal ones -------------------------------------------------------------------------------- */

static bool is_white(char c) { return (unsigned char)c <= ' '; }

#define PIECE 256

/* Appends s to the *n bytes at out, a run of white space as one space, until PIECE bytes or
 * up to seven more are there.  Returns what is left of s. */
static struct slice collapse(struct slice s, char *out, size_t *n) {
    const uint64_t spaces = UINT64_C(0x2020202020202020), ones = UINT64_C(0x0101010101010101);
    const char *p = s.ptr, *end = p + s.len;
    while (p < end && *n < PIECE) {
        if (end - p >= 8) {
            uint64_t x, controls, gaps;
            memcpy(&x, p, 8);
            controls = (x - spaces) & ~x & ones << 7;
            gaps = x ^ spaces;
            gaps = (gaps - ones) & ~gaps & ones << 7;
            /* Nothing to collapse: no control character, and no space behind a space. */
            if (controls == 0 && (gaps & gaps << 8) == 0 && p[7] != ' ') {
                memcpy(out + *n, p, 8);
                *n += 8;
                p += 8;
                continue;
            }
        }
        bool white = is_white(*p);
        out[(*n)++] = white ? ' ' : *p;
        p++;
        while (white && p < end && is_white(*p)) p++;
    }
    return slice_of(p, (size_t)(end - p));
}

/* A hash for which a run of white space is one space. */
static uint64_t hash_of(struct slice s) {
    char piece[PIECE + 8];
    uint64_t h = 0, x;
    for (size_t n = 0, have; s.len > 0 || n > 0; n = have) {
        s = collapse(s, piece, &n);
        size_t i = 0, most = n < PIECE ? n : PIECE; /* the same pieces, however they were put together */
        for (; most - i >= 8; i += 8) {
            memcpy(&x, piece + i, 8);
            h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
            h ^= h >> 29;
        }
        for (; i < most; i++) h = (h ^ (unsigned char)piece[i]) * UINT64_C(0x100000001b3);
        have = n - most;
        memcpy(piece, piece + most, have);
    }
    return text_mix(h);
}

static bool equal_but_space(struct slice a, struct slice b) {
    size_t i = 0, k = 0;
    while (i < a.len && k < b.len) {
        bool white = is_white(a.ptr[i]);
        if (white != is_white(b.ptr[k]) || (!white && a.ptr[i] != b.ptr[k])) return false;
        i++;
        k++;
        while (white && i < a.len && is_white(a.ptr[i])) i++;
        while (white && k < b.len && is_white(b.ptr[k])) k++;
    }
    return i == a.len && k == b.len;
}

static bool is_same(const struct dups *d, const struct item *a, const struct item *b) {
    struct slice s = item_text(d, a), t = item_text(d, b);
    bool frozen = is_frozen(d, a) || is_frozen(d, b);
    return frozen ? slice_eq(s, t) : equal_but_space(s, t);
}

static struct item *items_of(const struct dups *d, size_t *n) {
    *n = d->items.len / sizeof(struct item);
    return (struct item *)(void *)d->items.data;
}

/* Slots of a table for n items, at most half full. */
static size_t slots_for(size_t n) {
    size_t slots = 64;
    while (slots < n * 2) slots *= 2;
    return slots;
}

static int drop_equal(struct dups *d) {
    size_t n;
    struct item *items = items_of(d, &n);
    size_t mask = slots_for(n) - 1;
    uint64_t *table = mem_zalloc((mask + 1) * sizeof(*table)); /* half of the hash, item + 1 */
    if (table == NULL) return PERILUNE_ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        uint64_t hash = hash_of(item_text(d, &items[i])), key = hash >> 32 << 32;
        size_t at = hash & mask;
        for (unsigned probe = 0; probe < 64; probe++, at = (at + 1) & mask) {
            if (table[at] == 0) {
                table[at] = key | (i + 1);
                break;
            }
            struct item *first = &items[(uint32_t)table[at] - 1];
            if (table[at] >> 32 << 32 != key || !is_same(d, first, &items[i])) continue;
            drop(d, &items[i], first);
            break;
        }
    }
    mem_free(table);
    return 0;
}

/* -- Those that are alike -------------------------------------------------------------------------- */

struct sketch {
    uint32_t from, to;        /* terms */
    uint32_t shingles, count; /* in d->shingles, sorted, each once, when it was compared; else count is 0 */
    uint64_t facts;
    uint32_t least[HASHES];
};

struct collecting {
    struct text_sink sink;
    struct buf      *out;
};

static void add_terms(struct text_sink *sink) {
    buf_put(((struct collecting *)(void *)sink)->out, sink->hashes, sink->n * sizeof(*sink->hashes));
}

static uint64_t triple(uint64_t a, uint64_t b, uint64_t c) { return text_mix(a * 31 + text_mix(b * 17 + c)); }

static const uint64_t *hashes_of(const struct buf *b) { return (const uint64_t *)(const void *)b->data; }

/* The terms of all lines: no term goes over a line end. */
static int collect_terms(struct dups *d) {
    struct collecting c = { .out = &d->terms };
    text_sink_init(&c.sink, add_terms, false);
    for (size_t l = 0; l < d->line_count; l++) {
        d->line[l].terms = (uint32_t)(d->terms.len / sizeof(uint64_t));
        text_terms(slice_of(d->text.ptr + d->line[l].start, d->line[l].end - d->line[l].start), &c.sink);
    }
    size_t n = d->terms.len / sizeof(uint64_t);
    uint64_t *out = (uint64_t *)(void *)buf_reserve(&d->triples, d->terms.len + 1);
    if (buf_failed(&d->terms) || out == NULL) return PERILUNE_ERR_NOMEM;
    const uint64_t *t = hashes_of(&d->terms);
    for (size_t i = 2; i < n; i++) out[i] = triple(t[i - 2], t[i - 1], t[i]);
    buf_advance(&d->triples, d->terms.len);
    return 0;
}

static uint32_t terms_end(const struct dups *d, size_t last_line) {
    return last_line < d->line_count ? d->line[last_line].terms : (uint32_t)(d->terms.len / sizeof(uint64_t));
}

/* The shingle that ends with term i of those from `from` on. */
static uint64_t shingle(const struct dups *d, uint32_t from, uint32_t i) {
    const uint64_t *t = hashes_of(&d->terms);
    if (i >= from + 2) return hashes_of(&d->triples)[i];
    return triple(0, i > from ? t[i - 1] : 0, t[i]);
}

static void sketch_item(const struct dups *d, const struct item *it, struct sketch *k) {
    k->from = d->line[it->first].terms;
    k->to = terms_end(d, it->last);
    k->count = 0;
    const uint64_t *triples = hashes_of(&d->triples);
    uint32_t own = k->to - k->from < 2 ? k->to : k->from + 2; /* shingles that no other line's terms are in */
    for (unsigned h = 0; h < HASHES; h++) {
        uint64_t odd = text_mix(h + 1) | 1, least = UINT64_MAX;
        for (uint32_t i = k->from; i < own; i++) {
            uint64_t x = shingle(d, k->from, i) * odd;
            least = x < least ? x : least;
        }
        for (uint32_t i = own; i < k->to; i++) {
            uint64_t x = triples[i] * odd;
            least = x < least ? x : least;
        }
        k->least[h] = (uint32_t)(least >> 32);
    }
}

static int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Makes the sorted shingles of a sketch, which few need.  false: no memory. */
static bool sort_shingles(struct dups *d, struct sketch *k) {
    if (k->count > 0) return true;
    size_t n = k->to - k->from;
    uint64_t *at = (uint64_t *)(void *)buf_reserve(&d->shingles, n * sizeof(*at));
    if (at == NULL) return false;
    for (size_t i = 0; i < n; i++) at[i] = shingle(d, k->from, k->from + (uint32_t)i);
    qsort(at, n, sizeof(*at), compare_u64);
    for (size_t i = 0; i < n; i++)
        if (k->count == 0 || at[i] != at[k->count - 1]) at[k->count++] = at[i];
    k->shingles = (uint32_t)(d->shingles.len / sizeof(*at));
    buf_advance(&d->shingles, k->count * sizeof(*at));
    return true;
}

/* What must be the same in two that are alike, of the text [start, end).  *at: the first
 * span to look at, which only grows. */
static uint64_t facts_of(const struct dups *d, uint32_t start, uint32_t end, size_t *at) {
    unsigned mask = TEXT_ALL_TYPES & ~(1u << TEXT_TAG);
    if (d->options->any_numbers) mask &= ~(1u << TEXT_NUMBER | 1u << TEXT_ID);
    size_t n;
    const struct text_span *s = text_spans_of(&d->spans, &n);
    uint64_t h = 0;
    while (*at < n && s[*at].start < start) ++*at;
    for (; *at < n && s[*at].start < end; ++*at) {
        if (!(mask >> s[*at].type & 1)) continue;
        h = text_mix(h + s[*at].type);
        h = text_mix(h ^ hash_of(slice_of(d->text.ptr + s[*at].start, s[*at].end - s[*at].start)));
    }
    return h;
}

static bool is_alike(struct dups *d, struct sketch *a, struct sketch *b) {
    if (a->facts != b->facts || !sort_shingles(d, a) || !sort_shingles(d, b)) return false;
    const uint64_t *s = hashes_of(&d->shingles) + a->shingles;
    const uint64_t *t = hashes_of(&d->shingles) + b->shingles;
    size_t i = 0, k = 0, both = 0, less = a->count < b->count ? a->count : b->count;
    if ((float)less < d->options->likeness * (float)(a->count + b->count - less)) return false;
    while (i < a->count && k < b->count) {
        both += s[i] == t[k];
        bool step = s[i] <= t[k];
        k += t[k] <= s[i];
        i += step;
    }
    size_t all = a->count + b->count - both;
    return all > 0 && (float)both >= d->options->likeness * (float)all;
}

/* The slot of the table of a band for item i: free, or of an item that it is like; NULL:
 * TRIES others are in the way. */
static uint32_t *find_slot(struct dups *d, struct sketch *sketches, size_t i, uint32_t *table, size_t mask,
                           unsigned band) {
    const uint32_t *rows = &sketches[i].least[band * ROWS];
    size_t at = text_mix((uint64_t)rows[0] << 32 | rows[1]) & mask;
    for (unsigned probe = 0; probe < TRIES; probe++, at = (at + 1) & mask)
        if (table[at] == 0 || is_alike(d, &sketches[table[at] - 1], &sketches[i])) return &table[at];
    return NULL;
}

/* An item before i that it is like and that stays; SIZE_MAX: none, and i is in the tables. */
static size_t find_alike(struct dups *d, struct sketch *sketches, size_t i, uint32_t *tables, size_t mask) {
    uint32_t *free_slots[BANDS];
    for (unsigned band = 0; band < BANDS; band++) {
        uint32_t *slot = find_slot(d, sketches, i, tables + band * (mask + 1), mask, band);
        if (slot != NULL && *slot != 0) return *slot - 1;
        free_slots[band] = slot;
    }
    for (unsigned band = 0; band < BANDS; band++)
        if (free_slots[band] != NULL) *free_slots[band] = (uint32_t)i + 1;
    return SIZE_MAX;
}

/* 0, or PERILUNE_ERR_CANCELED. */
static int ask(const struct dups *d) {
    return d->options->go_on == NULL || d->options->go_on(d->options->ud) ? 0 : PERILUNE_ERR_CANCELED;
}

/* The sketch of an item; that of a line which was a block is known. */
static void make_sketch(struct dups *d, const struct item *it, struct sketch *k, size_t *span) {
    struct line *line = &d->line[it->first];
    bool one = it->last == it->first + 1;
    if (one && line->sketch > 0) {
        *k = ((const struct sketch *)(const void *)d->sketches.data)[line->sketch - 1];
        return;
    }
    k->facts = facts_of(d, line->start, d->line[it->last - 1].end, span);
    sketch_item(d, it, k);
    if (!one) return;
    buf_put(&d->sketches, k, sizeof(*k));
    if (!buf_failed(&d->sketches)) line->sketch = (uint32_t)(d->sketches.len / sizeof(*k));
}

static int drop_alike(struct dups *d) {
    size_t n, span = 0;
    struct item *items = items_of(d, &n);
    size_t mask = slots_for(n) - 1;
    uint32_t *tables = mem_zalloc((mask + 1) * BANDS * sizeof(*tables));
    struct sketch *sketches = mem_alloc((n + 1) * sizeof(*sketches));
    int rc = tables == NULL || sketches == NULL ? PERILUNE_ERR_NOMEM : 0;
    d->shingles.len = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct item *it = &items[i];
        if (d->line[it->first].gone || is_frozen(d, it)) continue;
        make_sketch(d, it, &sketches[i], &span);
        if (sketches[i].from == sketches[i].to) continue;
        size_t like = find_alike(d, sketches, i, tables, mask);
        if (buf_failed(&d->shingles) || buf_failed(&d->sketches)) rc = PERILUNE_ERR_NOMEM;
        else if (like != SIZE_MAX) drop(d, it, &items[like]);
        if (rc == 0 && i % 256 == 255) rc = ask(d);
    }
    mem_free(tables);
    mem_free(sketches);
    return rc;
}

/* -- Writing --------------------------------------------------------------------------------------- */

static void write_line(const struct dups *d, const struct line *l, struct buf *out) {
    uint32_t end = l->end;
    bool line_end = end > l->start && d->text.ptr[end - 1] == '\n';
    if (!d->options->mark || l->times < 2) {
        buf_put(out, d->text.ptr + l->start, end - l->start);
        return;
    }
    end -= line_end;
    buf_put(out, d->text.ptr + l->start, end - l->start);
    buf_printf(out, " [x%u]%s", l->times, line_end ? "\n" : "");
}

/* An empty line behind something that went goes, too, when one is in front of it. */
static void write_text(const struct dups *d, struct buf *out, struct text_dedupe_result *result) {
    bool cut = false, empty = true;
    for (size_t i = 0; i < d->line_count; i++) {
        const struct line *l = &d->line[i];
        bool blank = is_empty(d, i) && !l->frozen;
        if (l->gone || (blank && cut && empty)) {
            result->lines += l->gone;
            result->bytes += l->end - l->start;
            cut = true;
            continue;
        }
        write_line(d, l, out);
        empty = blank;
        cut = false;
    }
}

/* -- Public ----------------------------------------------------------------------------------------- */

static int dedupe(struct dups *d) {
    int rc = text_spans(d->text, TEXT_ALL_TYPES, &d->spans);
    if (rc == 0) rc = ask(d);
    if (rc == 0) rc = cut_lines(d);
    if (rc != 0) return rc;
    freeze_lines(d);
    rc = ask(d);
    if (rc == 0 && d->options->likeness > 0) rc = collect_terms(d);
    for (int pass = 0; pass < 2 && rc == 0; pass++) {
        if (pass == 0) collect_blocks(d);
        else collect_lines(d);
        if (buf_failed(&d->items)) return PERILUNE_ERR_NOMEM;
        rc = ask(d);
        if (rc == 0) rc = drop_equal(d);
        if (rc == 0 && d->options->likeness > 0) rc = drop_alike(d);
    }
    return rc;
}

int text_dedupe(struct slice text, const struct text_dedupe_options *options, struct buf *out,
                struct text_dedupe_result *result) {
    struct dups d = { .text = text, .options = options != NULL ? options : &text_dedupe_defaults };
    *result = (struct text_dedupe_result){ 0 };
    if (!(d.options->likeness >= 0 && d.options->likeness <= 1)) return PERILUNE_ERR_INVAL;
    if (buf_failed(out)) return out->error;
    size_t before = out->len;
    int rc = dedupe(&d);
    if (rc == 0) write_text(&d, out, result);
    if (rc == 0 && buf_failed(out)) rc = PERILUNE_ERR_NOMEM;
    buf_deinit(&d.spans);
    buf_deinit(&d.lines);
    buf_deinit(&d.items);
    buf_deinit(&d.terms);
    buf_deinit(&d.triples);
    buf_deinit(&d.shingles);
    buf_deinit(&d.sketches);
    if (rc != 0) {
        out->len = before;
        *result = (struct text_dedupe_result){ 0 };
    }
    return rc;
}
