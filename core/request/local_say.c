/* local_say.c -- what a local model says, as the events of an answer.
 *
 *     text --think_reader--> text --call_reader--> text ------> delta.content
 *                   |                     +------> calls -----> delta.tool_calls, finish_reason "tool_calls"
 *                   +------> thoughts -------------------------> delta.reasoning_content
 *
 * Each choice has readers of its own; one of a model that neither thinks nor has tools goes past them.  A model that
 * speaks in channels has one reader in place of both: harmony_reader.
 *
 * LOGPROBS of tokens stand in the event of the text that they are in.  Readers hold text back, so tokens wait twice:
 * in `coming` until their text has come, in `told` until an event of theirs is written.  Of calls and thoughts they are
 * told, too.  Tokens of a stop string never get a text, and are not told. */
#include "request/local_say.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "local/call_reader.h"
#include "local/harmony_reader.h"

struct local_voice {
    struct local_say   *say;
    unsigned            choice, calls;
    struct think_reader think;
    struct call_reader  reader;
    struct harmony_reader harmony;
    struct buf          coming, told;
};

/* -- Events ----------------------------------------------------------------------------------- */

static int written(struct local_voice *v) {
    bool failed = buf_failed(v->say->out) || buf_failed(&v->told);
    buf_clear(&v->told);
    return failed ? PERILUNE_ERR_NOMEM : 0;
}

static int on_content(void *ud, struct slice text) {
    struct local_voice *v = ud;
    if (v->say->reading.only_calls) return 0; /* marks of a call that max_tokens or a stop cut: nobody's text */
    openai_choice_text(v->say->out, v->say->answer, v->choice, text, buf_get(&v->told));
    return written(v);
}

static int on_thought(void *ud, struct slice text) {
    struct local_voice *v = ud;
    openai_choice_thought(v->say->out, v->say->answer, v->choice, text, buf_get(&v->told));
    return written(v);
}

/* Some templates want ids of nine letters and digits, all others take what they get. */
static void make_id(struct local_voice *v, struct slice said, char id[64]) {
    char hex[33];
    rng_hex128(v->say->rng, hex);
    if (said.len > 0 && said.len < 64) slice_copy(id, 64, said);
    else if (v->say->reading.calls == CALLS_MISTRAL) snprintf(id, 64, "%.9s", hex);
    else snprintf(id, 64, "call_%.24s", hex);
}

static int on_call(void *ud, const struct call_said *call) {
    struct local_voice *v = ud;
    char id[64];
    if (v->say->reading.one_call && v->calls > 0) return 0;
    make_id(v, call->id, id);
    struct openai_call c = { v->calls++, slice_str(id), call->name, call->arguments };
    openai_choice_call(v->say->out, v->say->answer, v->choice, &c, buf_get(&v->told));
    return written(v);
}

/* Blanks between calls, or beside them, are no content. */
static int on_text(void *ud, struct slice text) {
    struct local_voice *v = ud;
    return v->say->reading.calls == CALLS_NONE ? on_content(ud, text) : call_reader_push(&v->reader, text);
}

/* A word and the NUL behind it. */
static struct slice eat_word(struct slice *s) {
    const char *nul = s->len > 0 ? memchr(s->ptr, '\0', s->len) : NULL;
    struct slice w = slice_of(s->ptr, nul ? (size_t)(nul - s->ptr) : s->len);
    *s = nul ? slice_of(nul + 1, s->len - w.len - 1) : SLICE("");
    return w;
}

static bool is_string(void *ud, struct slice function, struct slice argument) {
    const struct local_voice *v = ud;
    struct slice s = v->say->reading.strings;
    while (s.len > 0) {
        struct slice f = eat_word(&s), a = eat_word(&s);
        if (slice_eq(f, function) && slice_eq(a, argument)) return true;
    }
    return false;
}

/* -- Public ------------------------------------------------------------------------------------- */

int local_say_init(struct local_say *s, const struct local_reading *reading, unsigned choices) {
    struct local_voice *voices = mem_zalloc(choices * sizeof(*voices));
    if (voices == NULL) return PERILUNE_ERR_NOMEM;
    s->reading = *reading;
    buf_init(&s->strings, 0);
    buf_slice(&s->strings, reading->strings);
    s->reading.strings = buf_get(&s->strings);
    if (buf_failed(&s->strings)) {
        buf_deinit(&s->strings);
        mem_free(voices);
        return PERILUNE_ERR_NOMEM;
    }
    s->voices = voices;
    s->count = choices;
    for (unsigned i = 0; i < choices; i++) {
        struct local_voice *v = &voices[i];
        v->say = s;
        v->choice = i;
        buf_init(&v->coming, 0);
        buf_init(&v->told, 0);
        think_reader_init(&v->think, reading->marks, reading->inside,
                          &(struct think_sink){ on_thought, on_text, v });
        call_reader_init(&v->reader, reading->calls, &(struct call_sink){ on_content, on_call, is_string, v });
        harmony_reader_init(&v->harmony, reading->goes_on ? HARMONY_IN_TEXT : HARMONY_AT_HEAD,
                            reading->calls == CALLS_HARMONY,
                            &(struct harmony_sink){ on_thought, on_content, on_call, v });
    }
    return 0;
}

void local_say_deinit(struct local_say *s) {
    for (unsigned i = 0; i < s->count; i++) {
        buf_deinit(&s->voices[i].coming);
        buf_deinit(&s->voices[i].told);
        think_reader_deinit(&s->voices[i].think);
        call_reader_deinit(&s->voices[i].reader);
        harmony_reader_deinit(&s->voices[i].harmony);
    }
    if (s->voices != NULL) buf_deinit(&s->strings);
    mem_free(s->voices);
    s->voices = NULL;
    s->count = 0;
}

void local_say_role(struct local_say *s, unsigned choice) {
    openai_choice_role(s->out, s->answer, choice, s->reading.calls != CALLS_NONE);
}

struct buf *local_say_token(struct local_say *s, unsigned choice) {
    struct buf *to = &s->voices[choice].coming;
    if (buf_len(to) > 0) buf_putc(to, ',');
    return to;
}

int local_say_text(struct local_say *s, unsigned choice, struct slice text) {
    struct local_voice *v = &s->voices[choice];
    if (buf_len(&v->coming) > 0) {
        if (buf_len(&v->told) > 0) buf_putc(&v->told, ',');
        buf_slice(&v->told, buf_get(&v->coming));
        if (buf_failed(&v->coming)) return PERILUNE_ERR_NOMEM;
        buf_clear(&v->coming);
    }
    return s->reading.channels ? harmony_reader_push(&v->harmony, text) : think_reader_push(&v->think, text);
}

int local_say_end(struct local_say *s, unsigned choice, const char *reason) {
    struct local_voice *v = &s->voices[choice];
    int rc = s->reading.channels ? harmony_reader_finish(&v->harmony) : think_reader_finish(&v->think);
    if (rc == 0) rc = call_reader_finish(&v->reader, strcmp(reason, "length") == 0);
    if (rc != 0) return rc;
    if (v->calls > 0 && strcmp(reason, "stop") == 0) reason = "tool_calls";
    openai_choice_end(s->out, s->answer, choice, reason);
    return written(v);
}
