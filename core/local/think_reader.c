/* think_reader.c -- what a model thinks, apart from what it says.
 *
 *     <think>\nThe user asks ... \n</think>\n\nBecause light is scattered.
 *               ^^^^^^^^^^^^^^^^                ^^^^^^^^^^^^^^^^^^^^^^^^^^^ text
 *               thought
 *
 *     START --opening mark--> INSIDE --closing mark--> BETWEEN --a character--> TEXT
 *       +--anything else------------------------------------------------------> TEXT
 *
 * Templates of some models end with the opening mark: then an answer begins INSIDE.  Only the beginning of an answer is
 * thought: marks in the text behind it are the model's words, it may be asked about them.
 *
 * White space at both ends of a thought, and in front of the text behind it, belongs to the marks.  What begins with
 * white space and is no thought keeps it.  An answer that ends INSIDE was all thought.
 *
 * Invariants: held back is the end of a thought that may begin the closing mark, with the white space before it; at
 * START, white space and the beginning of the opening mark.
 *
 * Thread: its owner's. */
#include "local/think_reader.h"

#include <string.h>

#include "include/perilune.h"

enum { START, BEGUN /* blanks of a thought */, INSIDE, BETWEEN, TEXT };

void think_reader_init(struct think_reader *r, struct think_marks marks, bool inside, const struct think_sink *sink) {
    *r = (struct think_reader){ .marks = marks, .sink = *sink,
                                .state = marks.close.len == 0 ? TEXT : inside ? BEGUN : START };
    buf_init(&r->held, 0);
}

void think_reader_deinit(struct think_reader *r) { buf_deinit(&r->held); }

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static size_t blanks_at_start(struct slice s) {
    size_t n = 0;
    while (n < s.len && is_blank(s.ptr[n])) n++;
    return n;
}

static size_t without_blanks_at_end(struct slice s, size_t n) {
    while (n > 0 && is_blank(s.ptr[n - 1])) n--;
    return n;
}

/* How many bytes at the end of s begin mark? */
static size_t begins(struct slice s, struct slice mark) {
    size_t n = s.len < mark.len - 1 ? s.len : mark.len - 1;
    while (n > 0 && memcmp(s.ptr + s.len - n, mark.ptr, n) != 0) n--;
    return n;
}

static int give_thought(struct think_reader *r, size_t n) {
    return n > 0 ? r->sink.on_thought(r->sink.ud, slice_of(buf_get(&r->held).ptr, n)) : 0;
}

static int give_text(struct think_reader *r) {
    struct slice s = buf_get(&r->held);
    int rc = s.len > 0 ? r->sink.on_text(r->sink.ud, s) : 0;
    buf_clear(&r->held);
    return rc;
}

static int to(struct think_reader *r, int state, bool *again) {
    r->state = state;
    *again = true;
    return 0;
}

static int at_start(struct think_reader *r, bool *again) {
    struct slice s = buf_get(&r->held), open = r->marks.open;
    size_t blanks = blanks_at_start(s), n = s.len - blanks;
    if (n < open.len && memcmp(s.ptr + blanks, open.ptr, n) == 0) return 0; /* more has to come */
    if (memcmp(s.ptr + blanks, open.ptr, n < open.len ? n : open.len) != 0) return to(r, TEXT, again);
    buf_consume(&r->held, blanks + open.len);
    return to(r, BEGUN, again);
}

static int skip_blanks(struct think_reader *r, int state, bool *again) {
    buf_consume(&r->held, blanks_at_start(buf_get(&r->held)));
    return buf_len(&r->held) > 0 ? to(r, state, again) : 0;
}

static int inside(struct think_reader *r, bool *again) {
    struct slice s = buf_get(&r->held), close = r->marks.close;
    const char *at = memmem(s.ptr, s.len, close.ptr, close.len);
    size_t n = at ? (size_t)(at - s.ptr) : s.len - begins(s, close);
    int rc = give_thought(r, without_blanks_at_end(s, n));
    buf_consume(&r->held, at ? n + close.len : without_blanks_at_end(s, n));
    return rc == 0 && at ? to(r, BETWEEN, again) : rc;
}

int think_reader_push(struct think_reader *r, struct slice piece) {
    int rc = 0;
    if (piece.len == 0) return 0;
    if (r->state == TEXT && buf_len(&r->held) == 0) return r->sink.on_text(r->sink.ud, piece);
    buf_slice(&r->held, piece);
    if (buf_failed(&r->held)) return PERILUNE_ERR_NOMEM;
    for (bool again = true; again && rc == 0;) {
        again = false;
        switch (r->state) {
        case START: rc = at_start(r, &again); break;
        case BEGUN: rc = skip_blanks(r, INSIDE, &again); break;
        case INSIDE: rc = inside(r, &again); break;
        case BETWEEN: rc = skip_blanks(r, TEXT, &again); break;
        default: rc = give_text(r);
        }
    }
    return rc;
}

int think_reader_finish(struct think_reader *r) {
    int rc = 0;
    if (r->state == INSIDE) rc = give_thought(r, without_blanks_at_end(buf_get(&r->held), buf_len(&r->held)));
    else if (r->state == START || r->state == TEXT) rc = give_text(r);
    buf_clear(&r->held);
    r->state = TEXT;
    return rc;
}
