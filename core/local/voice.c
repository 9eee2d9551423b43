/* voice.c -- one answer of a model, as thoughts, text and calls.
 *
 *     pieces --think_reader--> --call_reader--> text --stops--> on_text
 *                   |                 +-------> calls --------> on_call
 *                   +---------> thoughts ---------------------> on_thought
 *
 * A model that speaks in channels has one reader in place of the first two: harmony_reader.
 *
 * STOPS are strings of the text that a client sees as text.  A "\n" or "}" in the arguments of a call, in a thought, or
 * in the marks around them is none: half a call would be left, and it would be nobody's.  So stops stand behind the
 * readers, and where an answer ends is known on the thread that makes its tokens.  Text over which calls stand is one
 * text: a stop may begin in front of a call and end behind it.
 *
 * Invariant: behind a stop nothing is told, of whatever kind.
 *
 * Thread: the model's. */
#include "local/voice.h"

#include <string.h>

#include "include/perilune.h"

static int tell(struct voice *v) {
    if (buf_failed(&v->told)) return PERILUNE_ERR_NOMEM;
    int rc = buf_len(&v->told) > 0 ? v->sink.on_text(v->sink.ud, buf_get(&v->told)) : 0;
    buf_clear(&v->told);
    return rc;
}

static int on_content(void *ud, struct slice text) {
    struct voice *v = ud;
    if (v->reading->only_calls || voice_is_stopped(v)) return 0; /* marks of a call that was cut: nobody's text */
    if (v->stops.stops == NULL) return v->sink.on_text(v->sink.ud, text);
    int rc = stops_push(&v->stops, text, &v->told);
    return rc == 0 ? tell(v) : rc;
}

static int on_thought(void *ud, struct slice text) {
    struct voice *v = ud;
    return voice_is_stopped(v) ? 0 : v->sink.on_thought(v->sink.ud, text);
}

static int on_call(void *ud, const struct call_said *call) {
    struct voice *v = ud;
    if (voice_is_stopped(v) || (v->reading->one_call && v->calls > 0)) return 0;
    v->calls++;
    return v->sink.on_call(v->sink.ud, call);
}

/* What is no thought: text and calls. */
static int on_rest(void *ud, struct slice text) {
    struct voice *v = ud;
    return v->reading->calls == CALLS_NONE ? on_content(ud, text) : call_reader_push(&v->caller, text);
}

/* A word and the NUL behind it. */
static struct slice eat_word(struct slice *s) {
    const char *nul = s->len > 0 ? memchr(s->ptr, '\0', s->len) : NULL;
    struct slice w = slice_of(s->ptr, nul ? (size_t)(nul - s->ptr) : s->len);
    *s = nul ? slice_of(nul + 1, s->len - w.len - 1) : SLICE("");
    return w;
}

static bool is_string(void *ud, struct slice function, struct slice argument) {
    const struct voice *v = ud;
    struct slice s = v->reading->strings;
    while (s.len > 0) {
        struct slice f = eat_word(&s), a = eat_word(&s);
        if (slice_eq(f, function) && slice_eq(a, argument)) return true;
    }
    return false;
}

/* -- Public ----------------------------------------------------------------------------------- */

void voice_init(struct voice *v, const struct voice_reading *reading, const struct stops *stops,
                const struct voice_sink *sink) {
    *v = (struct voice){ .reading = reading, .sink = *sink };
    buf_init(&v->told, 0);
    stops_init(&v->stops, stops);
    think_reader_init(&v->think, reading->marks, reading->inside, &(struct think_sink){ on_thought, on_rest, v });
    call_reader_init(&v->caller, reading->calls, &(struct call_sink){ on_content, on_call, is_string, v });
    harmony_reader_init(&v->harmony, reading->goes_on ? HARMONY_IN_TEXT : HARMONY_AT_HEAD,
                        reading->calls == CALLS_HARMONY, &(struct harmony_sink){ on_thought, on_content, on_call, v });
}

void voice_deinit(struct voice *v) {
    think_reader_deinit(&v->think);
    call_reader_deinit(&v->caller);
    harmony_reader_deinit(&v->harmony);
    stops_deinit(&v->stops);
    buf_deinit(&v->told);
}

int voice_push(struct voice *v, struct slice piece) {
    if (piece.len == 0) return 0;
    return v->reading->channels ? harmony_reader_push(&v->harmony, piece) : think_reader_push(&v->think, piece);
}

int voice_finish(struct voice *v, bool cut) {
    int rc = v->reading->channels ? harmony_reader_finish(&v->harmony) : think_reader_finish(&v->think);
    if (rc == 0) rc = call_reader_finish(&v->caller, cut);
    if (rc != 0 || v->stops.stops == NULL) return rc;
    rc = stops_finish(&v->stops, &v->told);
    return rc == 0 ? tell(v) : rc;
}
