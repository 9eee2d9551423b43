/* resident_step.c -- one step: a batch of tokens, and what comes behind them.
 *
 *     decoding   a . . .          the last token of every choice that speaks: one each
 *     prompts    bbbb cccccccc    parts of prompts, as many tokens as the step has time for
 *                   ^            the last token of a prompt brings the first one of its answer
 *
 * How long a step takes decides how long everybody waits for a token, so prompts are read in parts.  A step with a
 * prompt in it is made to take about settings.step_us: how long a token of a prompt takes is measured as it goes.  The
 * prompt that is nearest to its end goes first, since its client sees something soon; a quarter of the part is for the
 * choice that is in longest, so that a long prompt is read, too, while short ones come and come.
 *
 * A short prompt that arrives while a long one is read waits for the step under way, and is in the next one.
 *
 * Memory is made sure of before the engine is asked.  When idle rows are gone and it is still short, prompts shrink,
 * then the youngest choice is put back; one that is alone has filled the model's context, and ends there. */
#include <math.h>
#include <string.h>

#include "include/perilune.h"
#include "local/resident_int.h"

#define PART_LEAST 32  /* tokens of prompts in a step: fewer are not worth one */
#define PART_FIRST 128 /* while nothing has been measured */
#define PICKS      16  /* tokens that a grammar may refuse before it is asked about all */

#define EACH_ACTIVE(r, c)                                                                                        \
    (struct list *l_ = (r)->active.next, *n_; n_ = l_->next, (c) = container_of(l_, struct choice, link),       \
     l_ != &(r)->active; l_ = n_)

/* -- Who gets how many --------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Tokens of prompts that this step has time for. */
static uint32_t part_of(const struct resident *r, uint32_t decoding) {
    uint32_t most = resident_room(r), room = most > decoding ? most - decoding : 0;
    if (r->settings.step_us == 0) return room;
    double fits = r->token_us > 0 ? (double)r->settings.step_us / r->token_us : PART_FIRST;
    uint32_t part = fits < PART_LEAST ? PART_LEAST : fits > room ? room : (uint32_t)fits;
    return least(part, room);
}

/* The prompt with the fewest tokens left that gets none yet; NULL: all have theirs. */
static struct choice *nearest_end(struct resident *r) {
    struct choice *c, *best = NULL;
    for EACH_ACTIVE(r, c) {
        uint32_t rest = choice_rest(r, c);
        if (rest > 1 && c->quota < rest && (best == NULL || rest - c->quota < choice_rest(r, best) - best->quota))
            best = c;
    }
    return best;
}

static struct choice *oldest_prompt(struct resident *r) {
    struct choice *c;
    for EACH_ACTIVE(r, c)
        if (choice_rest(r, c) > 1) return c;
    return NULL;
}

/* Sets the quotas; returns their sum. */
static uint32_t share_out(struct resident *r) {
    struct choice *c;
    uint32_t sum = 0, most = resident_room(r);
    for EACH_ACTIVE(r, c) sum += c->quota = choice_rest(r, c) == 1 && sum < most;
    uint32_t left = part_of(r, sum);
    struct choice *old = oldest_prompt(r);
    if (old != NULL) old->quota = least(choice_rest(r, old), left / 4);
    for (left -= old ? old->quota : 0; left > 0 && (c = nearest_end(r)) != NULL;) {
        uint32_t more = least(choice_rest(r, c) - c->quota, left);
        c->quota += more;
        left -= more;
    }
    sum = 0;
    for EACH_ACTIVE(r, c) sum += c->quota;
    return sum;
}

/* -- Memory ------------------------------------------------------------------------------------ */

static struct choice *youngest(struct resident *r) {
    return container_of(r->active.prev, struct choice, link);
}

static void end(struct resident *r, struct choice *c, enum turn_end how);

/* Prompts get less, until `over` tokens are taken off. */
static uint32_t shrink_prompts(struct resident *r, uint32_t over) {
    for (struct list *l = r->active.prev; l != &r->active && over > 0; l = l->prev) {
        struct choice *c = container_of(l, struct choice, link);
        uint32_t less = choice_rest(r, c) > 1 ? least(c->quota, over) : 0;
        c->quota -= less;
        over -= less;
    }
    return over;
}

/* Quotas for which there are cells; returns their sum, 0: nothing is left to compute. */
static uint32_t plan(struct resident *r) {
    if (r->active_count > 1) rows_thin(&r->rows); /* alone, nobody waits for the looking */
    while (r->active_count > 0) {
        uint32_t sum = share_out(r);
        if (rows_make_room(&r->rows, sum)) return sum;
        uint32_t have = rows_free_cells(&r->rows);
        if (have > 0 && shrink_prompts(r, sum - have) == 0) return have;
        if (r->active_count == 1) end(r, youngest(r), TURN_LENGTH);
        else resident_put_back(r, youngest(r));
    }
    return 0;
}

/* -- The batch ------------------------------------------------------------------------------------ */

static size_t fill(struct resident *r) {
    struct choice *c;
    size_t n = 0;
    for EACH_ACTIVE(r, c) {
        uint32_t at = r->rows.row[c->row].len;
        for (uint32_t i = 0; i < c->quota; i++, n++) {
            bool last = at + i + 1 == c->len;
            r->batch[n] = (struct perilune_engine_token){ c->tokens[at + i], c->row, at + i, last };
            r->wanted[n] = last ? c : NULL;
        }
    }
    return n;
}

/* Memory of ours for what the engine is going to keep.  Choices without are told so. */
static void reserve(struct resident *r) {
    struct choice *c;
    for EACH_ACTIVE(r, c) {
        if (rows_reserve(&r->rows, c->row, r->rows.row[c->row].len + c->quota)) continue;
        struct turn_event ev = resident_failure(TURN_MEMORY, "out of memory");
        resident_fail(r, c->talk, &ev);
        n_ = r->active.next; /* others of the same talk are gone, too: from the start again */
    }
}

static void note_computed(struct resident *r) {
    struct choice *c;
    for EACH_ACTIVE(r, c)
        if (c->quota > 0) rows_append(&r->rows, c->row, c->tokens + r->rows.row[c->row].len, c->quota);
}

/* -- What was said ---------------------------------------------------------------------------------- */

static int tell(struct choice *c, struct turn_event ev) {
    ev.choice = c->index;
    turn_write(c->talk->turn, &ev);
    return 0;
}

static int on_thought(void *ud, struct slice text) {
    return tell(ud, (struct turn_event){ .type = TURN_THOUGHT, .text = text });
}

static int on_text(void *ud, struct slice text) {
    return tell(ud, (struct turn_event){ .type = TURN_TEXT, .text = text });
}

static int on_call(void *ud, const struct call_said *call) {
    return tell(ud, (struct turn_event){ .type = TURN_CALL, .text = call->arguments, .top_count = 2,
                                         .tops = { { 0, call->name }, { 0, call->id } } });
}

void resident_begin_voice(struct choice *c) {
    const struct voice_sink sink = { on_thought, on_text, on_call, c };
    voice_init(&c->voice, &c->talk->turn->ask.reading, c->talk->turn->stops, &sink);
}

static void fail(struct resident *r, struct choice *c, enum turn_code code, const char *text) {
    struct turn_event ev = resident_failure(code, text);
    resident_fail(r, c->talk, &ev);
}

static void end(struct resident *r, struct choice *c, enum turn_end how) {
    buf_clear(&r->whole);
    utf8_hold_finish(&c->hold, &r->whole);
    int rc = voice_push(&c->voice, buf_get(&r->whole));
    if (rc == 0) rc = voice_finish(&c->voice, how == TURN_LENGTH);
    if (rc != 0 || buf_failed(&r->whole)) {
        fail(r, c, TURN_MEMORY, "out of memory");
        return;
    }
    tell(c, (struct turn_event){ .type = TURN_ENDED, .end = voice_is_stopped(&c->voice) ? TURN_STOP : how });
    resident_end_choice(r, c, true);
}

static bool keep_token(struct choice *c, int32_t token) {
    if (c->len == c->cap) {
        uint32_t cap = c->cap * 2;
        int32_t *more = mem_realloc(c->tokens, cap * sizeof(*more));
        if (more == NULL) return false;
        c->tokens = more;
        c->cap = cap;
    }
    c->tokens[c->len++] = token;
    return sampler_note(&c->sampler, token);
}

/* 1: the grammar allows it, 0: it does not; or an error. */
static int may_say(struct resident *r, struct choice *c, int32_t token) {
    if (r->engine->is_end(r->model, token)) return matcher_may_end(&c->matcher);
    return matcher_allows(&c->matcher, resident_piece(r, token, r->piece));
}

/* The next token that the grammar allows; below 0: there is none.  *rc: an error of the grammar.  Looking at all tokens
 * takes longer than looking at one, and one of the likeliest mostly suits. */
static int32_t pick_allowed(struct resident *r, struct choice *c, float *logits, int32_t token, int *rc) {
    for (unsigned tries = 0; token >= 0; tries++) {
        int may = may_say(r, c, token);
        if (may != 0) {
            *rc = may < 0 ? may : 0;
            break;
        }
        logits[token] = -INFINITY;
        if (tries == PICKS) *rc = matcher_mask(&c->matcher, &r->pieces, logits);
        if (*rc != 0) break;
        token = sampler_pick(&c->sampler, logits, r->facts->vocab, r->room);
    }
    if (*rc == 0 && token >= 0 && !r->engine->is_end(r->model, token))
        *rc = matcher_accept(&c->matcher, resident_piece(r, token, r->piece));
    return token;
}

/* The next token; below 0: the model's numbers are none. */
static int32_t pick(struct resident *r, struct choice *c, float *logits, int *rc) {
    sampler_adjust(&c->sampler, logits, r->facts->vocab);
    int32_t token = sampler_pick(&c->sampler, logits, r->facts->vocab, r->room);
    return c->matcher.grammar == NULL || token < 0 ? token : pick_allowed(r, c, logits, token, rc);
}

/* What the model said of this token and its rivals; r->scores has its numbers. */
static void tell_token(struct resident *r, struct choice *c, int32_t token) {
    struct sampler_candidate tops[SAMPLER_TOPS];
    const struct turn_ask *a = &c->talk->turn->ask;
    float sum = sampler_log_sum(r->scores, r->facts->vocab);
    struct turn_event ev = { .type = TURN_TOKEN, .choice = c->index, .value = r->scores[token] - sum };
    struct buf texts; /* each must stay where it is: room for all of them first */
    buf_init(&texts, 0);
    size_t each = r->facts->longest;
    char *room = buf_reserve(&texts, each * (SAMPLER_TOPS + 1));
    if (room != NULL) {
        ev.text = resident_piece(r, token, room);
        ev.top_count = sampler_tops(r->scores, r->facts->vocab, a->tops, tops);
        for (unsigned i = 0; i < ev.top_count; i++)
            ev.tops[i] = (struct turn_top){ tops[i].weight - sum,
                                            resident_piece(r, tops[i].token, room + each * (i + 1)) };
        turn_write(c->talk->turn, &ev);
    }
    buf_deinit(&texts);
}

/* Text of a token.  True: a stop came. */
static bool say(struct resident *r, struct choice *c, int32_t token, bool *lost) {
    buf_clear(&r->whole);
    utf8_hold_push(&c->hold, resident_piece(r, token, r->piece), &r->whole);
    *lost = voice_push(&c->voice, buf_get(&r->whole)) != 0 || buf_failed(&r->whole);
    return voice_is_stopped(&c->voice);
}

/* c may be gone afterwards. */
static void speak(struct resident *r, struct choice *c, float *logits) {
    struct talk *k = c->talk;
    if (k->turn->ask.logprobs && logits != NULL) memcpy(r->scores, logits, r->facts->vocab * sizeof(*logits));
    int rc = 0;
    int32_t token = logits != NULL ? pick(r, c, logits, &rc) : -1;
    if (rc != 0) {
        fail(r, c, rc == PERILUNE_ERR_NOMEM ? TURN_MEMORY : TURN_BAD, rc == PERILUNE_ERR_NOMEM ? "out of memory"
                                                                                             : GRAMMAR_TOO_DEAR);
        return;
    }
    if (token < 0 && logits != NULL && c->matcher.grammar != NULL) {
        fail(r, c, TURN_BAD, "no token may follow: what the form of the answer (response_format, tools) and logit_bias "
                             "allow has nothing in common");
        return;
    }
    if (token < 0) {
        fail(r, c, TURN_BROKEN, "the local model answered with numbers that are none");
        return;
    }
    if (!keep_token(c, token)) {
        fail(r, c, TURN_MEMORY, "out of memory");
        return;
    }
    if (!k->begun) turn_write(k->turn, &(struct turn_event){ .type = TURN_BEGUN });
    k->begun = true;
    k->said++;
    stats_add(&r->stats.said, 1);
    if (r->engine->is_end(r->model, token)) {
        end(r, c, TURN_STOP);
        return;
    }
    if (k->turn->ask.logprobs) tell_token(r, c, token);
    bool lost, stop = say(r, c, token, &lost);
    if (lost) fail(r, c, TURN_MEMORY, "out of memory");
    else if (stop) end(r, c, TURN_STOP);
    else if (choice_left(c) == 0) end(r, c, TURN_LENGTH);
}

/* -- The step -------------------------------------------------------------------------------------------- */

static void note_time(struct resident *r, size_t n, uint64_t us) {
    stats_add(&r->stats.steps, 1);
    stats_add(&r->stats.stepped, n);
    stats_add(&r->stats.step_us, us);
    if (n < PART_LEAST) return; /* decoding: another cost */
    double each = (double)us / (double)n;
    r->token_us = r->token_us > 0 ? 0.7 * r->token_us + 0.3 * each : each;
}

/* The engine says that memory is short although we counted it: everything goes but the oldest choice. */
static void make_way(struct resident *r) {
    if (r->active_count == 1) end(r, youngest(r), TURN_LENGTH);
    while (r->active_count > 1) resident_put_back(r, youngest(r));
    for (uint32_t all = r->facts->cells; all > 0 && !rows_make_room(&r->rows, all); all /= 2) continue;
}

/* A choice that failed takes others of its talk along: they are nobody's in the batch. */
static bool is_active(const struct resident *r, const struct choice *c) {
    for (const struct list *l = r->active.next; l != &r->active; l = l->next)
        if (l == &c->link) return true;
    return false;
}

/* The one that has the one token of the step. */
static struct choice *whose(struct resident *r) {
    struct choice *c;
    for EACH_ACTIVE(r, c)
        if (c->quota > 0) return c;
    return NULL;
}

void resident_step(struct resident *r) {
    if (plan(r) == 0) return;
    reserve(r);
    size_t n = fill(r);
    if (n == 0) return;
    uint64_t began = resident_step_begins(r);
    int rc = r->engine->step(r->model, r->batch, n);
    resident_step_over(r);
    if (rc == PERILUNE_ENGINE_FULL) {
        make_way(r);
        return;
    }
    if (rc == PERILUNE_ENGINE_SHORT && !r->rows.broken) {
        resident_fell_short(r, (uint32_t)n, n == 1 ? whose(r) : NULL);
        return;
    }
    if (rc != 0 || r->rows.broken) {
        if (rc != PERILUNE_ENGINE_CANCELED || r->rows.broken) resident_break(r);
        else rows_clear(&r->rows);
        return;
    }
    resident_went_well(r);
    note_time(r, n, loop_hrtime_us() - began);
    note_computed(r);
    for (size_t i = 0; i < n; i++)
        if (r->wanted[i] != NULL && is_active(r, r->wanted[i])) speak(r, r->wanted[i], r->engine->logits(r->model, i));
}
