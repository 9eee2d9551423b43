/* chunks.c -- cuts a long text where its structure allows, for models that read it piece by piece.
 *
 *     | # A  s s s | s s |table| # B  s s | code | s s | # C ...      atoms: units (sentences.h), in order
 *     |-------- chunk ---------|--------- chunk -------|----
 *                            |~|                     |~|             leads: said again in front of the next one
 *
 * In front of each atom a cut has a rank: at a heading it is best, then between blocks, then between sentences and
 * items; between the rows of a table or the lines of code it is bad, inside of a line worst.  Of the cuts that keep a
 * chunk within its size the best one is taken that leaves it half full; to keep a table or a program whole it may be
 * emptier, down to an eighth; a table that is longer than a chunk is cut between rows after all.  A heading is never
 * the end of a chunk if that can be helped.
 *
 * A unit that is larger than a chunk (code has no limit) is cut at its lines, a line at characters.
 *
 * The lead is made of whole sentences only: half a table or half a program in front of a chunk would say what is not
 * so. A chunk that begins with a heading has none: it is a new subject.
 *
 * Thread: any; no state.  A chunk takes an eighth of its size at least, and looks no further than its size, so each
 * atom is looked at a few times. */
#include "text/chunks.h"

#include <string.h>

#include "include/perilune.h"
#include "text/sentences.h"
#include "text/spans.h"

/* How good a cut in front of an atom is. */
enum rank { RANK_INSIDE, RANK_LINE, RANK_UNIT, RANK_BLOCK, RANK_HEADING };

#define GO_ON_EVERY 256 /* atoms */

struct atom {
    uint32_t start, size;
    uint8_t  rank;
    bool     heading, lead; /* is it a heading; may it be said again? */
};

struct chunks {
    struct slice                     text;
    const struct text_chunk_options *o;
    struct buf                       atoms;
    unsigned                         asked;
    bool                             stopped;
};

static size_t bytes_of(void *ud, struct slice piece) {
    (void)ud;
    return piece.len;
}

/* -- From units to atoms ------------------------------------------------------------------ */

static uint32_t measure(struct chunks *c, uint32_t start, uint32_t end) {
    struct slice piece = slice_of(c->text.ptr + start, end - start);
    size_t size = c->o->measure != NULL ? c->o->measure(c->o->ud, piece) : bytes_of(NULL, piece);
    if (++c->asked % GO_ON_EVERY == 0 && c->o->go_on != NULL && !c->o->go_on(c->o->ud)) c->stopped = true;
    return (uint32_t)(size > 0 ? size : 1);
}

static void add(struct chunks *c, struct atom a) { buf_put(&c->atoms, &a, sizeof(a)); }

/* A line that no chunk holds, at characters. */
static void add_characters(struct chunks *c, uint32_t start, uint32_t end, enum rank rank) {
    while (start < end) {
        uint32_t stop = end - start > c->o->size ? start + (uint32_t)c->o->size : end;
        while (stop < end && stop > start + 1 && ((unsigned char)c->text.ptr[stop] & 0xc0) == 0x80) stop--;
        if (stop < end && ((unsigned char)c->text.ptr[stop] & 0xc0) == 0x80) stop = end; /* not in valid UTF-8 */
        add(c, (struct atom){ .start = start, .size = measure(c, start, stop), .rank = (uint8_t)rank });
        start = stop;
        rank = RANK_INSIDE;
    }
}

static void add_lines(struct chunks *c, uint32_t start, uint32_t end, enum rank rank) {
    while (start < end) {
        const char *nl = memchr(c->text.ptr + start, '\n', end - start);
        uint32_t stop = nl != NULL ? (uint32_t)(nl + 1 - c->text.ptr) : end;
        uint32_t size = measure(c, start, stop);
        if (size > c->o->size) add_characters(c, start, stop, rank);
        else add(c, (struct atom){ .start = start, .size = size, .rank = (uint8_t)rank });
        start = stop;
        rank = RANK_LINE;
    }
}

static enum rank rank_of(const struct text_unit *u, const struct text_unit *before) {
    if (before == NULL) return RANK_HEADING;
    if (before->kind == TEXT_UNIT_HEADING || before->kind == TEXT_UNIT_LABEL) return RANK_LINE;
    if (u->kind == TEXT_UNIT_HEADING) return RANK_HEADING;
    if (u->kind == TEXT_UNIT_TABLE_ROW) return RANK_LINE;
    bool block = u->kind == TEXT_UNIT_TABLE_HEAD || u->kind == TEXT_UNIT_CODE || u->kind == TEXT_UNIT_LABEL;
    bool left = before->kind == TEXT_UNIT_CODE || before->kind == TEXT_UNIT_TABLE_ROW;
    return u->is_first || block || left ? RANK_BLOCK : RANK_UNIT;
}

static int cut_atoms(struct chunks *c) {
    struct buf spans, units;
    size_t n = 0;
    buf_init(&spans, 0);
    buf_init(&units, 0);
    int rc = text_spans(c->text, TEXT_ALL_TYPES, &spans);
    if (rc == 0) rc = text_sentences(c->text, &spans, &units);
    const struct text_unit *u = text_units_of(&units, &n);
    for (size_t i = 0; rc == 0 && !c->stopped && i < n; i++) {
        enum rank rank = rank_of(&u[i], i > 0 ? &u[i - 1] : NULL);
        uint32_t size = measure(c, u[i].start, u[i].end);
        bool lead = u[i].kind == TEXT_UNIT_SENTENCE || u[i].kind == TEXT_UNIT_ITEM;
        if (size > c->o->size) add_lines(c, u[i].start, u[i].end, rank);
        else add(c, (struct atom){ u[i].start, size, (uint8_t)rank, u[i].kind == TEXT_UNIT_HEADING, lead });
    }
    buf_deinit(&spans);
    buf_deinit(&units);
    if (rc == 0 && c->stopped) rc = PERILUNE_ERR_CANCELED;
    return rc == 0 && buf_failed(&c->atoms) ? PERILUNE_ERR_NOMEM : rc;
}

/* -- From atoms to chunks ------------------------------------------------------------------- */

/* The best cut among those of at least this rank behind `least`, the latest of equals; 0: there is none.  used: what
 * the lead takes.  first is the chunk's, *last the first that it cannot hold. */
static size_t best_cut(const struct atom *a, size_t first, size_t last, size_t least, enum rank at_least) {
    size_t best = 0, sum = 0;
    for (size_t i = first; i < last; i++) {
        sum += a[i].size;
        if (sum < least || a[i + 1].rank < at_least) continue;
        if (best == 0 || a[i + 1].rank >= a[best].rank) best = i + 1;
    }
    return best;
}

/* Behind which atom the chunk ends that begins with `first`, when its lead takes `used`. */
static size_t cut(const struct chunks *c, const struct atom *a, size_t n, size_t first, size_t used) {
    size_t last = first, sum = used, room = c->o->size - used, k;
    while (last < n && (last == first || sum + a[last].size <= c->o->size)) sum += a[last++].size;
    if (last == n) return n;
    k = best_cut(a, first, last, room / 2, RANK_UNIT);
    if (k == 0) k = best_cut(a, first, last, room / 8, RANK_BLOCK);
    if (k == 0) k = best_cut(a, first, last, room / 8, RANK_UNIT);
    if (k == 0) k = best_cut(a, first, last, room / 2, RANK_LINE);
    return k != 0 ? k : last;
}

/* Where the lead of a chunk begins that begins with `first`, and what it takes. */
static size_t lead_of(const struct chunks *c, const struct atom *a, size_t first, size_t *used) {
    size_t i = first;
    *used = 0;
    if (a[first].heading) return i;
    while (i > 0 && a[i - 1].lead && *used + a[i - 1].size <= c->o->overlap) *used += a[--i].size;
    /* A chunk must get on by more than its lead. */
    if (*used + a[first].size > c->o->size) {
        *used = 0;
        return first;
    }
    return i;
}

static int pack(struct chunks *c, struct buf *chunks) {
    size_t n = buf_len(&c->atoms) / sizeof(struct atom), at = 0, heading = SIZE_MAX, before = chunks->len;
    const struct atom *a = (const struct atom *)(const void *)buf_get(&c->atoms).ptr;
    for (size_t first = 0, used; first < n; first = at) {
        size_t lead = first == 0 ? 0 : lead_of(c, a, first, &used);
        if (first == 0) used = 0;
        at = cut(c, a, n, first, used);
        struct text_chunk k = { .lead = a[lead].start, .start = a[first].start,
                                .end = at < n ? a[at].start : (uint32_t)c->text.len };
        if (heading != SIZE_MAX && !a[first].heading) {
            k.heading = a[heading].start;
            k.heading_end = a[heading + 1].start; /* there is one: first is behind it */
        }
        buf_put(chunks, &k, sizeof(k));
        for (size_t i = first; i < at; i++)
            if (a[i].heading) heading = i;
    }
    if (!buf_failed(chunks)) return 0;
    chunks->len = before;
    return chunks->error == PERILUNE_ERR_LIMITED ? PERILUNE_ERR_LIMITED : PERILUNE_ERR_NOMEM;
}

int text_chunks(struct slice text, const struct text_chunk_options *options, struct buf *chunks) {
    bool good = options->size >= 16 && options->size <= TEXT_MAX && options->overlap * 2 < options->size;
    if (!good) return PERILUNE_ERR_INVAL;
    struct chunks c = { .text = text, .o = options };
    buf_init(&c.atoms, 0);
    int rc = cut_atoms(&c);
    if (rc == 0) rc = pack(&c, chunks);
    buf_deinit(&c.atoms);
    return rc;
}
