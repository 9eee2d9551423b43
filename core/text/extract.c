/* extract.c -- keeps the sentences that matter.
 *
 *     text -> segments -> units -> index -> scores -> what must stay -> the best -> text
 *
 * A text has one segment; of JSON, every long string is one.  Their contents stand one
 * after the other in one text, and all units are ranked together, so that the room goes to
 * the strings that answer the question.
 *
 * The score of a unit is its rank by words (BM25 with a question, TextRank without), some
 * of its neighbours' (an answer often stands behind the sentence that names its topic, or asks),
 * and a little for standing at either end.  Then units are taken:
 *
 *   1. what must stay (extract.h), however large
 *   2. the SURE best, however large
 *   3. in the order of MMR what fits the budget
 *
 * and each takes its company along: the item it hangs on, the sentence it refers to.  At last
 * lists that bear on the question become whole, as far as a fifth of the budget goes.
 *
 * What is dropped leaves its line ends behind, so that headings and items stay on lines of
 * their own; dropped code leaves a line that says so.
 *
 * Thread: any.  Memory: some twenty times the text, given back at the end.  Does not: cut
 * a unit, reword anything. */
#include "text/extract.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "text/json_minify.h"
#include "text/match.h"
#include "text/rank.h"
#include "text/scan.h"
#include "text/sentences.h"
#include "text/terms.h"

#define SURE 3             /* units with the best scores that are kept beyond the budget */
#define AFTER 0.5f         /* of the score of the unit in front: an explanation follows */
#define ANSWER 0.8f        /* ... of a question in front: it is answered behind it */
#define BEFORE 0.3f        /* of the score of the next one */
#define PASSAGE 0.15f      /* of the score of the paragraph */
#define POSITION 0.1f      /* of the score is position */
#define POSITION_ALONE 0.3f /* ... without a question */
#define LIST_ROOM 5        /* part of the budget that may go to the rest of lists, beyond it */
#define REPEAT_MIN 24      /* bytes of a unit that counts as said before */
#define LONG 65536     /* bytes of a text behind whose spans the clock is asked */

const struct text_extract_options text_extract_defaults = {
    .ratio = 0.5f, .floor = 0.25f, .keep_first = 2, .keep_last = 2, .lambda = 0.7f, .depth = 0.5f, .min_leaf = 160,
};

const char *const text_reason_names[TEXT_REASONS] = {
    "dropped", "repeated", "rank", "edge", "frame", "match", "code", "before", "all",
};

struct segment {
    uint32_t first, end; /* units */
};

struct work {
    struct slice                       text, question;
    const struct text_extract_options *options;
    struct buf                         units, spans, numbers, segments, decoded, leaves;
    struct text_index                  index;
    struct text_unit                  *unit;
    size_t                             n;
    float                             *scores;
    size_t                            *sizes;
    uint8_t                           *reasons, *marks, *matches; /* matches: a term in common with the question */
    void                              *memory;
    size_t                             total, kept_size;
    struct json_doc                    doc;
};

static struct slice piece(const struct work *w, size_t i) {
    return slice_of(w->text.ptr + w->unit[i].start, w->unit[i].end - w->unit[i].start);
}

static size_t size_of(const struct text_extract_options *o, struct slice s) {
    return o->size != NULL ? o->size(o->ud, s) : s.len;
}

static struct segment *segments_of(const struct work *w, size_t *n) {
    *n = w->segments.len / sizeof(struct segment);
    return (struct segment *)(void *)w->segments.data;
}

static struct slice without_space(struct slice s) {
    while (s.len > 0 && (unsigned char)s.ptr[s.len - 1] <= ' ') s.len--;
    while (s.len > 0 && (unsigned char)*s.ptr <= ' ') { s.ptr++; s.len--; }
    return s;
}

/* -- Units ------------------------------------------------------------------------------- */

/* 0, or PERILUNE_ERR_CANCELED. */
static int ask(const struct work *w) {
    return w->options->go_on == NULL || w->options->go_on(w->options->ud) ? 0 : PERILUNE_ERR_CANCELED;
}

/* The same in a loop over units or segments. */
static int ask_at(const struct work *w, size_t i) { return i % 256 == 255 ? ask(w) : 0; }

/* The units of text[start, end) as a segment. */
static int add_segment(struct work *w, size_t start, size_t end) {
    size_t n, spans, before = w->units.len / sizeof(struct text_unit);
    struct slice s = slice_of(w->text.ptr + start, end - start);
    buf_clear(&w->spans);
    int rc = text_spans(s, TEXT_ALL_TYPES, &w->spans);
    if (rc == 0) rc = s.len >= LONG ? ask(w) : ask_at(w, before);
    if (rc == 0) rc = text_sentences(s, &w->spans, &w->units);
    if (rc != 0) return rc;
    struct text_unit *unit = text_units_of(&w->units, &n);
    for (size_t i = before; i < n; i++) {
        unit[i].start += (uint32_t)start;
        unit[i].end += (uint32_t)start;
        if (unit[i].parent != TEXT_NO_PARENT) unit[i].parent += (uint32_t)before;
    }
    struct text_span *span = text_spans_of(&w->spans, &spans);
    for (size_t i = 0; i < spans; i++) {
        if (span[i].type != TEXT_NUMBER) continue;
        struct text_span number = { span[i].start + (uint32_t)start, span[i].end + (uint32_t)start, TEXT_NUMBER };
        buf_put(&w->numbers, &number, sizeof(number));
    }
    struct segment segment = { (uint32_t)before, (uint32_t)n };
    buf_put(&w->segments, &segment, sizeof(segment));
    return buf_failed(&w->numbers) || buf_failed(&w->segments) ? PERILUNE_ERR_NOMEM : 0;
}

static bool looks_like_json(struct slice s) {
    size_t i = 0;
    while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\n' || s.ptr[i] == '\r' || s.ptr[i] == '\t')) i++;
    return i < s.len && (s.ptr[i] == '{' || s.ptr[i] == '[');
}

static int add_leaves(struct work *w) {
    int rc = text_json_leaves(&w->doc, w->options->min_leaf, &w->decoded, &w->leaves);
    if (rc != 0) return rc;
    const struct text_leaf *leaf = (const struct text_leaf *)(const void *)w->leaves.data;
    size_t n = w->leaves.len / sizeof(*leaf);
    w->text = slice_of(w->decoded.data ? w->decoded.data : "", w->decoded.len);
    for (size_t i = 0; i < n && rc == 0; i++) rc = add_segment(w, leaf[i].start, leaf[i].end);
    return rc;
}

static int add_units(struct work *w, struct slice text, bool *is_json) {
    struct json_error err;
    w->text = text;
    if (text.len > TEXT_MAX) return PERILUNE_ERR_LIMITED;
    if (!w->options->as_text && looks_like_json(text)) {
        int rc = json_parse(&w->doc, text, &err);
        if (rc == PERILUNE_ERR_NOMEM) return rc;
        *is_json = rc == 0;
        if (*is_json) return add_leaves(w);
    }
    return add_segment(w, 0, text.len);
}

/* -- Scores --------------------------------------------------------------------------------- */

static int allocate(struct work *w) {
    w->unit = text_units_of(&w->units, &w->n);
    size_t one = sizeof(*w->sizes) + sizeof(*w->scores) + 3;
    w->memory = mem_zalloc(w->n * one);
    if (w->memory == NULL) return PERILUNE_ERR_NOMEM;
    w->sizes = w->memory;
    w->scores = (float *)(void *)(w->sizes + w->n);
    w->reasons = (uint8_t *)(w->scores + w->n);
    w->marks = w->reasons + w->n;
    w->matches = w->marks + w->n;
    return 0;
}

static bool is_prose(const struct text_unit *u) {
    return u->kind == TEXT_UNIT_SENTENCE || u->kind == TEXT_UNIT_ITEM || u->kind == TEXT_UNIT_TABLE_ROW;
}

/* Where the paragraph of unit i ends: at the next that begins one. */
static size_t paragraph_end(const struct work *w, size_t i) {
    do i++; while (i < w->n && !w->unit[i].is_first);
    return i;
}

/* Adds to each unit what its paragraph as a whole is worth: a passage on the topic says
 * "they" in most of its sentences.  Scores are 0 to 1 + PASSAGE behind it. */
static void add_passages(struct work *w) {
    float most = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0, end; i < w->n; i = end) {
            float sum = 0;
            end = paragraph_end(w, i);
            for (size_t k = i; k < end; k++) sum += w->scores[k];
            if (pass == 0) most = sum > most ? sum : most;
            else for (size_t k = i; k < end && most > 0; k++) w->scores[k] += PASSAGE * sum / most;
        }
}

static bool asks_at_end(struct slice s) {
    s = without_space(s);
    return s.len > 2 && (s.ptr[s.len - 1] == '?' || memcmp(s.ptr + s.len - 3, "？", 3) == 0);
}

/* Adds what neighbours and position are worth; scores are 0 to 1 before and after. */
static void blend(struct work *w, struct segment s) {
    float share = w->question.len > 0 ? POSITION : POSITION_ALONE, before = 0;
    for (uint32_t i = s.first; i < s.end; i++) {
        bool asks = asks_at_end(piece(w, i));
        float own = w->scores[i], next = i + 1 < s.end ? BEFORE * w->scores[i + 1] : 0;
        float beside = before > next ? before : next;
        before = (asks ? ANSWER : AFTER) * (before > own ? before : own);
        float rank = own > beside ? own : beside;
        w->scores[i] = (1 - share) * rank + share * text_position(i - s.first, s.end - s.first, w->options->depth);
    }
}

static int score(struct work *w) {
    int rc = 0;
    text_index_expect(&w->index, w->text);
    for (size_t i = 0; i < w->n && rc == 0; i++) {
        text_index_add(&w->index, piece(w, i));
        rc = ask_at(w, i);
    }
    if (rc == 0) rc = text_index_check(&w->index);
    if (rc == 0) rc = ask(w);
    if (rc != 0) return rc;
    rc = w->question.len > 0 ? text_index_bm25(&w->index, w->question, TEXT_BM25, w->scores)
                             : text_index_central(&w->index, w->scores);
    if (rc != 0) return rc;
    float most = 0;
    for (size_t i = 0; i < w->n; i++) {
        w->matches[i] = w->scores[i] > 0;
        most = w->scores[i] > most ? w->scores[i] : most;
    }
    for (size_t i = 0; i < w->n && most > 0; i++) w->scores[i] /= most;
    if (w->question.len > 0) add_passages(w);
    size_t count;
    struct segment *s = segments_of(w, &count);
    for (size_t i = 0; i < count; i++) blend(w, s[i]);
    rc = ask(w);
    return rc == 0 && w->question.len > 0 ? text_match(w->text, &w->units, &w->numbers, w->question, w->marks) : rc;
}

/* -- What was said before --------------------------------------------------------------------- */

static uint64_t hash_of(struct slice s) {
    uint64_t h = s.len, word;
    for (; s.len >= 8; s.ptr += 8, s.len -= 8) {
        memcpy(&word, s.ptr, 8);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return text_mix(h);
}

/* Marks units that say the same as one before, byte for byte. */
static int find_repeats(struct work *w) {
    size_t slots = 64;
    while (slots < w->n * 2) slots *= 2;
    uint32_t *table = mem_zalloc(slots * sizeof(*table)); /* unit + 1 */
    if (table == NULL) return PERILUNE_ERR_NOMEM;
    for (size_t i = 0; i < w->n; i++) {
        struct slice s = without_space(piece(w, i));
        if (!is_prose(&w->unit[i]) || s.len < REPEAT_MIN) continue;
        size_t at = hash_of(s) & (slots - 1);
        for (unsigned probe = 0; probe < 64; probe++, at = (at + 1) & (slots - 1)) {
            if (table[at] == 0) {
                table[at] = (uint32_t)i + 1;
                break;
            }
            if (!slice_eq(without_space(piece(w, table[at] - 1)), s)) continue;
            w->reasons[i] = TEXT_REPEATED;
            break;
        }
    }
    mem_free(table);
    return 0;
}

/* -- Taking -------------------------------------------------------------------------------------- */

static bool is_kept(const struct work *w, size_t i) { return w->reasons[i] > TEXT_REPEATED; }

static void keep_one(struct work *w, struct text_mmr *m, size_t i, unsigned reason) {
    w->reasons[i] = (uint8_t)reason;
    w->kept_size += w->sizes[i];
    text_mmr_take(m, (uint32_t)i);
}

/* Does the question have a term in common with anything? */
static bool any_matches(const struct work *w) { return w->n > 0 && memchr(w->matches, 1, w->n) != NULL; }

#define SAMPLE 1024 /* bytes that tell a text's script */

/* Letters of ASCII, and characters of scripts without spaces, in the middle of a text. */
static void count_scripts(struct slice s, size_t *letters, size_t *wide) {
    size_t from = s.len > SAMPLE ? (s.len - SAMPLE) / 2 : 0, end = s.len > SAMPLE ? from + SAMPLE : s.len;
    *letters = *wide = 0;
    for (size_t i = from; i < end; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        *letters += text_is_letter(s.ptr[i]);
        *wide += c >= 0xE3 && c <= 0xED;
    }
}

/* Can the question not tell which units answer it?  What a Chinese question has in common with an
 * English text is names, and these are not what it asks. */
static bool is_blind(const struct work *w) {
    if (w->question.len == 0 || w->n == 0) return false;
    if (!any_matches(w)) return true;
    size_t asked, asked_wide, letters, wide;
    count_scripts(w->question, &asked, &asked_wide);
    count_scripts(w->text, &letters, &wide);
    return asked_wide > asked ? wide * 8 < letters : asked_wide * 4 < asked && wide > letters;
}

/* Keeps unit i and its company. */
static void keep(struct work *w, struct text_mmr *m, size_t i, unsigned reason) {
    if (is_kept(w, i)) return;
    keep_one(w, m, i, reason);
    for (uint32_t p = w->unit[i].parent; p != TEXT_NO_PARENT && !is_kept(w, p); p = w->unit[p].parent)
        keep_one(w, m, p, TEXT_KEPT_FRAME);
    if (i == 0 || w->unit[i].is_first || is_kept(w, i - 1)) return;
    bool prose = w->unit[i].kind == TEXT_UNIT_SENTENCE && w->unit[i - 1].kind == TEXT_UNIT_SENTENCE;
    if (prose && text_is_dependent(piece(w, i))) keep_one(w, m, i - 1, TEXT_KEPT_BEFORE);
}

static void keep_edges(struct work *w, struct text_mmr *m) {
    unsigned first = w->options->keep_first, last = w->options->keep_last;
    for (size_t i = 0; i < w->n && first > 0; i++)
        if (is_prose(&w->unit[i])) {
            keep(w, m, i, TEXT_KEPT_EDGE);
            first--;
        }
    for (size_t i = w->n; i-- > 0 && last > 0;)
        if (is_prose(&w->unit[i])) {
            keep(w, m, i, TEXT_KEPT_EDGE);
            last--;
        }
}

static void keep_needed(struct work *w, struct text_mmr *m) {
    bool all_code = w->question.len == 0 || !any_matches(w);
    for (size_t i = 0; i < w->n; i++) {
        unsigned kind = w->unit[i].kind;
        bool frame = kind == TEXT_UNIT_HEADING || kind == TEXT_UNIT_TABLE_HEAD || kind == TEXT_UNIT_TAG;
        bool code = kind == TEXT_UNIT_CODE && (all_code || w->matches[i] || w->sizes[i] > w->total / 2);
        if (frame) keep(w, m, i, TEXT_KEPT_FRAME);
        else if (code) keep(w, m, i, TEXT_KEPT_CODE);
        else if (w->marks[i] && w->reasons[i] != TEXT_REPEATED) keep(w, m, i, TEXT_KEPT_MATCH);
    }
    size_t count;
    struct segment *s = segments_of(w, &count);
    if (w->leaves.len == 0) keep_edges(w, m);
    else for (size_t i = 0; i < count; i++) /* no string becomes empty */
        if (s[i].first < s[i].end) keep(w, m, s[i].first, TEXT_KEPT_EDGE);
}

/* Of the units that are not kept yet. */
static size_t smallest(const struct work *w) {
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < w->n; i++)
        if (!is_kept(w, i) && w->sizes[i] < least) least = w->sizes[i];
    return least;
}

static int keep_best(struct work *w, struct text_mmr *m, size_t budget) {
    unsigned sure = w->question.len > 0 ? SURE : 0;
    size_t least = smallest(w);
    uint32_t i;
    for (size_t turn = 0; (i = text_mmr_best(m)) != TEXT_NONE; turn++) {
        size_t room = budget > w->kept_size ? budget - w->kept_size : 0;
        if (sure == 0 && room < least) break; /* what is left does not fit, all of it */
        bool fits = w->kept_size + w->sizes[i] <= budget || (sure > 0 && w->matches[i]);
        if (!fits || w->reasons[i] == TEXT_REPEATED) text_mmr_drop(m, i);
        else keep(w, m, i, TEXT_KEPT_RANK);
        sure -= sure > 0;
        int rc = ask_at(w, turn);
        if (rc != 0) return rc;
    }
    return 0;
}

/* Where the list of unit i ends; i + 1: it has none. */
static size_t list_end(const struct work *w, size_t i) {
    size_t k = i + 1;
    while (k < w->n && w->unit[k].parent != TEXT_NO_PARENT && w->unit[k].parent >= i) k++;
    return k;
}

/* Lists of which the sentence in front was kept become whole, those first that it announces in
 * words of the question, within some room: "not in the following cases:" in front of one case of
 * three, or of what stands behind the list, says something else.  Below a heading stand many lists,
 * so there the heading itself must bear on the question. */
static void complete_lists(struct work *w, struct text_mmr *m, size_t room) {
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0, end; i < w->n; i = end) {
            unsigned kind = w->unit[i].kind;
            bool leads = is_kept(w, i) && (kind == TEXT_UNIT_SENTENCE || kind == TEXT_UNIT_HEADING);
            end = leads ? list_end(w, i) : i + 1;
            bool bears = w->matches[i] != 0; /* on the question */
            if (end == i + 1 || bears != (pass == 0)) continue;
            size_t missing = 0;
            for (size_t k = i + 1; k < end; k++) {
                bears = bears || (w->matches[k] != 0 && kind == TEXT_UNIT_SENTENCE);
                if (!is_kept(w, k)) missing += w->sizes[k];
            }
            if (!bears || missing > room) continue;
            room -= missing;
            for (size_t k = i + 1; k < end; k++)
                if (!is_kept(w, k)) keep_one(w, m, k, TEXT_KEPT_FRAME);
        }
}

/* What the units may have of `before`, of which `frame` is not theirs to give. */
static size_t budget_of(const struct work *w, size_t before) {
    const struct text_extract_options *o = w->options;
    float ratio = o->ratio > o->floor ? o->ratio : o->floor;
    size_t goal = (size_t)((float)before * ratio), frame = before > w->total ? before - w->total : 0;
    if (goal < o->min_size) goal = o->min_size;
    size_t least = (size_t)((float)w->total * o->floor);
    return goal > frame + least ? goal - frame : least;
}

static int choose(struct work *w, size_t before, bool *blind) {
    size_t budget = budget_of(w, before);
    if (before <= w->options->min_size || budget >= w->total) {
        memset(w->reasons, TEXT_KEPT_ALL, w->n);
        w->kept_size = w->total;
        return 0;
    }
    struct text_mmr m;
    int rc = score(w);
    if (rc == 0) rc = find_repeats(w);
    if (rc == 0) rc = ask(w);
    if (rc == 0) rc = text_mmr_init(&m, &w->index, w->scores, w->options->lambda);
    if (rc != 0) return rc;
    *blind = is_blind(w);
    keep_needed(w, &m);
    rc = keep_best(w, &m, budget);
    if (w->question.len > 0) complete_lists(w, &m, budget / LIST_ROOM);
    text_mmr_deinit(&m);
    return rc;
}

/* -- Writing ------------------------------------------------------------------------------------------ */

static size_t line_ends_behind(struct slice s) {
    size_t n = 0;
    while (s.len > 0 && (unsigned char)s.ptr[s.len - 1] <= ' ') n += s.ptr[--s.len] == '\n';
    return n;
}

/* A line in the place of code. */
static void write_marker(struct slice code, struct buf *out) {
    size_t lines = 1, space = line_ends_behind(code);
    struct slice s = without_space(code);
    for (size_t i = 0; i < s.len; i++) lines += s.ptr[i] == '\n';
    buf_printf(out, "[... %zu line%s omitted ...]", lines, lines == 1 ? "" : "s");
    while (space-- > 0) buf_putc(out, '\n');
}

static void write_segment(const struct work *w, struct segment s, struct buf *out) {
    size_t owed = 0, start = out->len; /* line ends of what was dropped */
    for (size_t i = s.first; i < s.end; i++) {
        struct slice p = piece(w, i);
        bool kept = is_kept(w, i), code = w->unit[i].kind == TEXT_UNIT_CODE;
        if (!kept && !code) {
            size_t n = line_ends_behind(p);
            owed = n > owed ? n : owed;
            continue;
        }
        size_t have = out->len > start ? line_ends_behind(slice_of(out->data + start, out->len - start)) : owed;
        for (; have < owed && have < 2; have++) buf_putc(out, '\n');
        owed = 0;
        if (kept) buf_slice(out, p);
        else write_marker(p, out);
    }
}

static bool write_leaf(void *ud, size_t i, struct buf *string) {
    const struct work *w = ud;
    size_t count;
    struct segment s = segments_of(w, &count)[i];
    bool all = true;
    for (size_t k = s.first; k < s.end; k++) all &= is_kept(w, k);
    if (!all) write_segment(w, s, string);
    return !all;
}

static void write_pieces(const struct work *w, struct buf *pieces) {
    for (size_t i = 0; pieces != NULL && i < w->n; i++) {
        struct text_piece p = { w->unit[i].start, w->unit[i].end, w->unit[i].kind, w->reasons[i], w->scores[i] };
        buf_put(pieces, &p, sizeof(p));
    }
}

/* -- Public ---------------------------------------------------------------------------------------------- */

static bool is_valid(const struct text_extract_options *o) {
    return o->ratio >= 0 && o->ratio <= 1 && o->floor >= 0 && o->floor <= 1 && o->lambda >= 0 && o->lambda <= 1 &&
           o->depth >= 0 && o->depth <= 1;
}

static int extract(struct work *w, struct slice text, struct buf *out, struct buf *pieces,
                   struct text_extract_result *result) {
    int rc = add_units(w, text, &result->is_json);
    if (rc == 0 && text_error_offset(w->question) != w->question.len) rc = PERILUNE_ERR_INVAL;
    if (rc == 0) rc = allocate(w);
    if (rc != 0) return rc;
    for (size_t i = 0; i < w->n; i++) {
        w->total += w->sizes[i] = size_of(w->options, piece(w, i));
        if ((rc = ask_at(w, i)) != 0) return rc;
    }
    result->before = result->is_json ? size_of(w->options, text) : w->total;
    rc = choose(w, result->before, &result->is_blind);
    if (rc != 0) return rc;
    size_t start = out->len;
    if (result->is_json) rc = text_json_write(&w->doc, &w->leaves, write_leaf, w, out);
    else if (w->n > 0) write_segment(w, (struct segment){ 0, (uint32_t)w->n }, out);
    if (rc != 0 || buf_failed(out)) return PERILUNE_ERR_NOMEM;
    result->after = result->is_json ? size_of(w->options, slice_of(out->data + start, out->len - start)) : w->kept_size;
    result->units = w->n;
    for (size_t i = 0; i < w->n; i++) result->kept += is_kept(w, i);
    write_pieces(w, pieces);
    return pieces != NULL && buf_failed(pieces) ? PERILUNE_ERR_NOMEM : 0;
}

int text_extract(struct slice text, struct slice question, const struct text_extract_options *options,
                 struct buf *out, struct buf *pieces, struct text_extract_result *result) {
    *result = (struct text_extract_result){ 0 };
    if (options == NULL) options = &text_extract_defaults;
    if (!is_valid(options)) return PERILUNE_ERR_INVAL;
    struct work w = { .question = question, .options = options };
    if (options->go_on != NULL) w.units.limit = TEXT_UNITS_MOST;
    size_t out_len = out->len, pieces_len = pieces != NULL ? pieces->len : 0;
    int rc = extract(&w, text, out, pieces, result);
    text_index_deinit(&w.index);
    json_deinit(&w.doc);
    buf_deinit(&w.units);
    buf_deinit(&w.spans);
    buf_deinit(&w.numbers);
    buf_deinit(&w.segments);
    buf_deinit(&w.decoded);
    buf_deinit(&w.leaves);
    mem_free(w.memory);
    if (rc != 0) {
        out->len = out_len;
        if (pieces != NULL) pieces->len = pieces_len;
        *result = (struct text_extract_result){ 0 };
    }
    return rc;
}
