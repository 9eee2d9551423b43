/* local_say.c -- what a local model says, as the events of an answer.
 *
 *     TURN_TEXT ------> delta.content
 *     TURN_CALL ------> delta.tool_calls, finish_reason "tool_calls"
 *     TURN_THOUGHT ---> delta.reasoning_content
 *     TURN_TOKEN -----> logprobs of the next of these
 *
 * What is what has been told apart where the answer was made (local/voice.c).
 *
 * LOGPROBS of tokens stand in the event of the text that they are in.  Text is held back there, so tokens wait here for
 * what comes next.  Of calls and thoughts they are told, too.  Tokens of a stop string never get a text, and are not
 * told. */
#include "request/local_say.h"

#include <stdio.h>

#include "base/mem.h"
#include "include/perilune.h"

struct local_choice {
    unsigned   calls;
    struct buf tokens; /* elements of logprobs.content whose text has not come */
};

int local_say_init(struct local_say *s, enum call_form calls, unsigned choices) {
    s->choices = mem_zalloc(choices * sizeof(*s->choices));
    if (s->choices == NULL) return PERILUNE_ERR_NOMEM;
    s->calls = calls;
    s->count = choices;
    for (unsigned i = 0; i < choices; i++) buf_init(&s->choices[i].tokens, 0);
    return 0;
}

void local_say_deinit(struct local_say *s) {
    for (unsigned i = 0; i < s->count; i++) buf_deinit(&s->choices[i].tokens);
    mem_free(s->choices);
    s->choices = NULL;
    s->count = 0;
}

void local_say_role(struct local_say *s, unsigned choice) {
    openai_choice_role(s->out, s->answer, choice, s->calls != CALLS_NONE);
}

static void put_token(struct buf *to, const struct turn_event *ev) {
    struct openai_logprob one = { ev->text, (double)ev->value }, tops[SAMPLER_TOPS];
    for (unsigned i = 0; i < ev->top_count; i++)
        tops[i] = (struct openai_logprob){ ev->tops[i].text, (double)ev->tops[i].value };
    if (buf_len(to) > 0) buf_putc(to, ',');
    openai_put_logprob(to, &one, tops, ev->top_count);
}

/* Some templates want ids of nine letters and digits, all others take what they get. */
static void make_id(struct local_say *s, struct slice said, char id[64]) {
    char hex[33];
    rng_hex128(s->rng, hex);
    if (said.len > 0 && said.len < 64) slice_copy(id, 64, said);
    else if (s->calls == CALLS_MISTRAL) snprintf(id, 64, "%.9s", hex);
    else snprintf(id, 64, "call_%.24s", hex);
}

static void put_call(struct local_say *s, struct local_choice *c, const struct turn_event *ev) {
    char id[64];
    make_id(s, ev->tops[1].text, id);
    struct openai_call call = { c->calls++, slice_str(id), ev->tops[0].text, ev->text };
    openai_choice_call(s->out, s->answer, ev->choice, &call, buf_get(&c->tokens));
}

static void put_end(struct local_say *s, const struct local_choice *c, const struct turn_event *ev) {
    const char *reason = ev->end == TURN_LENGTH ? "length" : c->calls > 0 ? "tool_calls" : "stop";
    openai_choice_end(s->out, s->answer, ev->choice, reason);
}

int local_say_event(struct local_say *s, const struct turn_event *ev) {
    struct local_choice *c = &s->choices[ev->choice];
    struct slice tokens = buf_get(&c->tokens);
    switch (ev->type) {
    case TURN_TOKEN: put_token(&c->tokens, ev); break;
    case TURN_TEXT: openai_choice_text(s->out, s->answer, ev->choice, ev->text, tokens); break;
    case TURN_THOUGHT: openai_choice_thought(s->out, s->answer, ev->choice, ev->text, tokens); break;
    case TURN_CALL: put_call(s, c, ev); break;
    default: put_end(s, c, ev);
    }
    bool failed = buf_failed(s->out) || buf_failed(&c->tokens);
    if (ev->type != TURN_TOKEN && !failed) buf_clear(&c->tokens);
    return failed ? PERILUNE_ERR_NOMEM : 0;
}
