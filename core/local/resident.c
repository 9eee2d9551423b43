/* resident.c -- a model and the thread that runs it.
 *
 *     turns --mailbox--> [ waiting: by priority, deadline, arrival ] --a turn, a row, memory--> [ active ]
 *                                  ^                                                               |
 *                                  +--------------- memory is short: the youngest -----------------+
 *                                                                                                  v
 *     letters <-------------------- text, ends ---------------- one step: every active choice in one batch
 *
 * One thread owns the model, and nobody waits for it: whoever asks gets letters (turn.c).  Between two steps it opens
 * its mail, drops who has left, lets choices in, and steps again.  With nothing to do it sleeps.
 *
 * Of equal priority tenants take turns (flows.c), and in a tenant's turn the first of its choices goes.
 *
 * A choice is let in when a row is free and memory for its prompt and some of its answer is to be had.  Rows that
 * nobody uses any more are that memory: they are kept for who begins alike, until somebody needs their cells.  When
 * answers grow over what there is, the youngest choice is put back; it keeps what it has said and computes it again
 * later.  A choice whose beginning is being computed for another one waits for that: eight questions on one text read
 * it once.
 *
 * Invariants: an active choice has at least one token that is not computed; the last one brings the next.  Choices of
 * a talk end singly, the talk with the last of them.  Tokens of one tenant are never compared with those of another.
 *
 * When the engine fails, who is in the batch is told so, and it is made to recover (resident_recover.c).
 *
 * What it does not do: know what a request is.  Deadlines order the queue; who asked watches the clock, and leaves. */
#include "local/resident.h"

#include <stdio.h>
#include <string.h>

#include "include/perilune.h"
#include "local/resident_int.h"

#define LOOK_AHEAD 8   /* choices that are looked at when the first cannot be let in yet */
#define RESERVE    64  /* tokens of an answer for which memory must be there before it begins */
#define WORTH      64  /* tokens in common for which a choice waits until they are computed */
#define ROWS_MIN   8

/* -- Ends ------------------------------------------------------------------------------ */

struct turn_event resident_failure(enum turn_code code, const char *text) {
    return (struct turn_event){ .type = TURN_FAILED, .code = code, .text = slice_str(text) };
}

static void talk_free(struct resident *r, struct talk *k) {
    if (k->parked_ms != 0 && k->open == 0) r->parked -= turn_choices(&k->turn->ask);
    list_remove(&k->link);
    turn_post(k->turn);
    turn_put(k->turn);
    mem_free(k);
}

static void choice_free(struct resident *r, struct choice *c, bool keep_row) {
    if (c->row != ROW_NONE) {
        rows_give_back(&r->rows, c->row, keep_row);
        r->active_count--;
        c->flow->active--;
    } else if (!list_is_empty(&c->link)) {
        r->waiting_count--;
    }
    list_remove(&c->link);
    if (c->flow != NULL) flows_leave(&r->flows, c->flow);
    matcher_deinit(&c->matcher);
    voice_deinit(&c->voice);
    sampler_deinit(&c->sampler);
    mem_free(c->tokens);
    mem_free(c);
}

void resident_end_choice(struct resident *r, struct choice *c, bool keep_row) {
    struct talk *k = c->talk;
    choice_free(r, c, keep_row);
    if (--k->open > 0) return;
    stats_add(&r->stats.prompt, k->prompt);
    stats_add(&r->stats.cached, k->cached);
    turn_write(k->turn, &(struct turn_event){ .type = TURN_OVER, .prompt = k->prompt, .completion = k->said,
                                              .cached = k->cached });
    talk_free(r, k);
}

static void drop_choices(struct resident *r, struct list *of, const struct talk *k) {
    for (struct list *l = of->next, *next; l != of; l = next) {
        struct choice *c = container_of(l, struct choice, link);
        next = l->next;
        if (c->talk == k) choice_free(r, c, true);
    }
}

void resident_fail(struct resident *r, struct talk *k, const struct turn_event *ev) {
    drop_choices(r, &r->waiting, k);
    drop_choices(r, &r->active, k);
    turn_write(k->turn, ev);
    talk_free(r, k);
}

void resident_fail_all(struct resident *r, const struct turn_event *ev) {
    while (!list_is_empty(&r->talks)) resident_fail(r, container_of(r->talks.next, struct talk, link), ev);
}

static void drop_who_left(struct resident *r) {
    for (struct list *l = r->talks.next, *next; l != &r->talks; l = next) {
        struct talk *k = container_of(l, struct talk, link);
        next = l->next;
        if (!turn_is_left(k->turn)) continue;
        stats_add(&r->stats.left, 1);
        resident_fail(r, k, &(struct turn_event){ .type = TURN_FAILED, .code = TURN_CLOSED }); /* for nobody */
    }
}

/* -- Who comes ------------------------------------------------------------------------------- */

/* Does a go before b? */
static bool is_before(const struct choice *a, const struct choice *b) {
    const struct turn_ask *x = &a->talk->turn->ask, *y = &b->talk->turn->ask;
    if (x->priority != y->priority) return x->priority > y->priority;
    uint64_t until_a = x->deadline_ms ? x->deadline_ms : UINT64_MAX;
    uint64_t until_b = y->deadline_ms ? y->deadline_ms : UINT64_MAX;
    if (until_a != until_b) return until_a < until_b;
    return a->arrival < b->arrival;
}

static void enqueue(struct resident *r, struct choice *c) {
    struct list *at = &r->waiting;
    while (at->prev != &r->waiting && is_before(c, container_of(at->prev, struct choice, link))) at = at->prev;
    list_append(at, &c->link); /* before `at` */
    r->waiting_count++;
}

void resident_put_back(struct resident *r, struct choice *c) {
    rows_give_back(&r->rows, c->row, false);
    c->row = ROW_NONE;
    list_remove(&c->link);
    r->active_count--;
    c->flow->active--;
    stats_add(&r->stats.preempted, 1);
    enqueue(r, c);
}

/* Appends the tokens of a text to *tokens, of which *room are there and n are used.  How many there are then, or an
 * error. */
static int64_t add_tokens(struct resident *r, struct slice text, unsigned flags, int32_t **tokens, size_t *room,
                          size_t n) {
    for (;;) {
        int64_t more = r->engine->tokenize(r->model, text.ptr, text.len, flags, *tokens + n, *room - n);
        if (more < 0) return more;
        if ((uint64_t)more <= *room - n) return (int64_t)n + more;
        size_t want = n + (size_t)more + *room / 4;
        int32_t *larger = mem_realloc(*tokens, want * sizeof(**tokens));
        if (larger == NULL) return PERILUNE_ERR_NOMEM;
        *tokens = larger;
        *room = want;
    }
}

/* The tokens of a question and a text that may answer it, into a block of the caller's. */
static int64_t pair_tokens_of(struct resident *r, struct slice question, struct slice text, uint32_t limit,
                              int32_t **out) {
    size_t len = question.len + text.len, room = len + 16;
    *out = NULL;
    if (len / r->facts->longest > limit) return (int64_t)(len / r->facts->longest); /* at least */
    for (;;) {
        int32_t *tokens = mem_alloc(room * sizeof(*tokens));
        if (tokens == NULL) return PERILUNE_ERR_NOMEM;
        int64_t n = r->engine->tokenize_pair(r->model, question.ptr, question.len, text.ptr, text.len, tokens, room);
        *out = tokens; /* the caller's in any case */
        if (n < 0 || (uint64_t)n <= room) return n;
        mem_free(tokens);
        *out = NULL;
        room = (size_t)n;
    }
}

/* The tokens of pieces of a text, into a block of the caller's.  The number of them, or an error. */
static int64_t tokens_of(struct resident *r, const struct slice *pieces, unsigned count, unsigned flags, uint32_t limit,
                         int32_t **out) {
    size_t bytes = 0;
    int64_t n = 0;
    for (unsigned i = 0; i < count; i++) bytes += pieces[i].len;
    *out = NULL;
    if (bytes / r->facts->longest > limit) return (int64_t)(bytes / r->facts->longest); /* at least */
    size_t room = bytes / 2 + 16;
    *out = mem_alloc(room * sizeof(**out));
    if (*out == NULL) return PERILUNE_ERR_NOMEM;
    for (unsigned i = 0; i < count && n >= 0; i++) n = add_tokens(r, pieces[i], flags, out, &room, (size_t)n);
    return n;
}

static struct choice *choice_new(struct talk *k, unsigned index, const int32_t *tokens, uint32_t n, uint32_t most) {
    struct choice *c = mem_zalloc(sizeof(*c));
    uint32_t cap = n + (most < 256 ? most : 256) + 1;
    if (c == NULL) return NULL;
    c->tokens = mem_alloc(cap * sizeof(*c->tokens));
    if (c->tokens == NULL) {
        mem_free(c);
        return NULL;
    }
    memcpy(c->tokens, tokens, n * sizeof(*tokens));
    const struct turn_ask *a = &k->turn->ask;
    c->talk = k;
    c->index = index;
    c->row = ROW_NONE;
    c->len = c->prompt = n;
    c->cap = cap;
    c->most = most;
    list_init(&c->link);
    sampler_init(&c->sampler, &a->sampling, index);
    resident_begin_voice(c);
    return c;
}

/* True: it is told why not, and k is gone. */
static bool refuse(struct resident *r, struct talk *k, enum turn_code code, const char *text) {
    struct turn_event ev = resident_failure(code, text);
    if (code == TURN_BUSY) stats_add(&r->stats.refused, 1);
    resident_fail(r, k, &ev);
    return true;
}

/* It would never fit, so "come again" would be a lie. */
static bool refuse_number(struct resident *r, struct talk *k, unsigned choices) {
    char text[160];
    snprintf(text, sizeof(text), "the request asks for %u answers at once (n), and this model's queue has room for %u "
             "(engine.waiting)", choices, r->settings.waiting);
    return refuse(r, k, TURN_BAD, text);
}

static bool refuse_length(struct resident *r, struct talk *k, int64_t n, bool counted, uint32_t limit) {
    struct turn_event ev = { .type = TURN_FAILED, .code = TURN_TOO_LONG, .prompt = (uint32_t)n, .at_least = !counted,
                             .limit = limit };
    resident_fail(r, k, &ev);
    return true;
}

/* False: k is gone. */
static bool add_choice(struct resident *r, struct talk *k, unsigned index, const int32_t *tokens, uint32_t n,
                       uint32_t most) {
    char why[300];
    struct choice *c = choice_new(k, index, tokens, n, most);
    if (c == NULL) return !refuse(r, k, TURN_MEMORY, "out of memory");
    c->flow = flows_join(&r->flows, k->turn->ask.tenant);
    if (c->flow == NULL) {
        choice_free(r, c, false);
        return !refuse(r, k, TURN_MEMORY, "out of memory");
    }
    c->arrival = ++r->arrivals;
    k->open++;
    enqueue(r, c);
    if (k->turn->ask.grammar == NULL) return true;
    int rc = grammars_get(&r->grammars, k->turn->ask.grammar, &c->matcher, why, sizeof(why));
    if (rc == 0) return true;
    return !refuse(r, k, rc == PERILUNE_ERR_NOMEM ? TURN_MEMORY : TURN_BAD, why);
}

/* How many tokens its text may have. */
static uint32_t limit_of(const struct resident *r, const struct turn_ask *a) {
    uint32_t row = r->facts->row < r->facts->cells ? r->facts->row : r->facts->cells;
    if (a->kind != TURN_CHAT) return row < r->facts->batch ? row : r->facts->batch;
    return row - 1; /* and one of the answer */
}

/* The engine was lost while it was asked about a text: nothing of k has begun, so it waits like those that come later.
 * True: k has no choices, and may be gone. */
static bool wait_for_engine(struct resident *r, struct talk *k) {
    unsigned choices = turn_choices(&k->turn->ask);
    drop_choices(r, &r->waiting, k);
    k->open = 0;
    k->prompt = 0;
    atomic_store(&r->lost, true); /* it may not have been seen yet */
    resident_park(r, k, choices);
    return true;
}

/* The choices of text i, or of a chat.  False: k is gone, or waits for the engine. */
static bool add_text(struct resident *r, struct talk *k, unsigned i) {
    const struct turn_ask *a = &k->turn->ask;
    uint32_t limit = limit_of(r, a);
    int32_t *tokens;
    unsigned pieces = a->kind == TURN_CHAT ? a->text_count : 1;
    int64_t n = a->kind == TURN_RANK ? pair_tokens_of(r, a->question, a->texts[i], limit, &tokens)
                                     : tokens_of(r, a->texts + i, pieces, a->flags, limit, &tokens);
    bool ok;
    if (n == PERILUNE_ERR_NOMEM) ok = !refuse(r, k, TURN_MEMORY, "out of memory");
    else if (n == PERILUNE_ERR_IO) ok = !wait_for_engine(r, k);
    else if (n < 0) ok = !refuse(r, k, TURN_BAD, "the text cannot be cut into tokens");
    else if (n > limit) ok = !refuse_length(r, k, n, tokens != NULL, limit);
    else if (n == 0) ok = !refuse(r, k, TURN_BAD, "the text is empty");
    else {
        uint32_t fits = limit + 1 - (uint32_t)n, most = a->most && a->most < fits ? a->most : fits;
        unsigned choices = a->kind == TURN_CHAT ? a->choices : 1;
        k->prompt += (uint32_t)n;
        ok = true;
        for (unsigned c = 0; ok && c < choices; c++) ok = add_choice(r, k, i + c, tokens, (uint32_t)n, most);
    }
    mem_free(tokens);
    return ok;
}

void resident_add_texts(struct resident *r, struct talk *k) {
    const struct turn_ask *a = &k->turn->ask;
    unsigned count = a->kind == TURN_CHAT ? 1 : a->text_count;
    for (unsigned i = 0; i < count && add_text(r, k, i); i++) continue;
}

/* NULL, or why the model cannot do what is asked. */
static const char *unfit(const struct resident *r, enum turn_kind kind) {
    static const char *const only[] = { /* ORDER perilune_engine_kind */
        "this model answers chats, and makes no embeddings and no ranks",
        "this model makes embeddings, and answers no chats and no /v1/rerank: that needs a reranker",
        "this model ranks texts (/v1/rerank), and makes no embeddings and answers no chats" };
    static const enum perilune_engine_kind needs[] = { /* ORDER turn_kind */
        PERILUNE_ENGINE_CHAT, PERILUNE_ENGINE_EMBED, PERILUNE_ENGINE_RANK };
    if (needs[kind] != r->facts->kind) return only[r->facts->kind];
    return kind == TURN_RANK && r->engine->tokenize_pair == NULL ? "this engine ranks no texts" : NULL;
}

static void ask_opened(struct letter *m, void *owner) {
    struct turn *t = container_of(m, struct turn, asks);
    struct resident *r = owner;
    const struct turn_ask *a = &t->ask;
    atomic_fetch_sub_explicit(&r->stats.unread, turn_choices(a), memory_order_relaxed);
    stats_add(&r->stats.turns, 1);
    bool is_left = turn_is_left(t);
    if (is_left) stats_add(&r->stats.left, 1);
    struct talk *k = is_left ? NULL : mem_zalloc(sizeof(*k));
    if (k == NULL) {
        struct turn_event ev = resident_failure(TURN_MEMORY, "out of memory");
        turn_write(t, &ev); /* for nobody, when it was left already */
        turn_post(t);
        turn_put(t);
        return;
    }
    k->turn = t;
    list_append(&r->talks, &k->link);
    const char *unfit_for = unfit(r, a->kind);
    unsigned choices = turn_choices(a);
    if (r->stopping) refuse(r, k, TURN_CLOSED, "the model is being unloaded");
    else if (unfit_for != NULL) refuse(r, k, TURN_BAD, unfit_for);
    else if (choices > r->settings.waiting && a->kind == TURN_CHAT) refuse_number(r, k, choices);
    else if (r->waiting_count + r->parked > 0 && r->waiting_count + r->parked + choices > r->settings.waiting)
        refuse(r, k, TURN_BUSY, "too many requests wait for this model");
    else if (r->broken) resident_park(r, k, choices);
    else resident_add_texts(r, k);
}

void resident_ask(struct resident *r, struct turn *t) {
    unsigned choices = turn_choices(&t->ask);
    atomic_fetch_add_explicit(&r->stats.unread, choices, memory_order_relaxed);
    if (mailbox_send(&r->mail, &t->asks, ask_opened)) return;
    atomic_fetch_sub_explicit(&r->stats.unread, choices, memory_order_relaxed);
    struct turn_event ev = resident_failure(TURN_CLOSED, "the model is being unloaded");
    turn_write(t, &ev);
    turn_post(t);
    turn_put(t);
}

void resident_ring(struct resident *r) { mailbox_ring(&r->mail); }

/* -- Who begins -------------------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Is a beginning of its tokens being computed for another choice?  What is computed of it so far does not count as
 * there: or, close to the end of it, all who wait would compute the rest, each for itself. */
static bool waits_for_another(const struct resident *r, const struct choice *c) {
    struct hash128 mine = c->talk->turn->ask.tenant;
    if (!r->facts->shares) return false;
    uint32_t have = rows_kept(&r->rows, mine, c->tokens, c->len - 1), comes = 0;
    for (struct list *l = r->active.next; l != &r->active; l = l->next) {
        const struct choice *a = container_of(l, struct choice, link);
        struct hash128 other = a->talk->turn->ask.tenant;
        if (other.low != mine.low || other.high != mine.high) continue;
        uint32_t common = rows_common(a->tokens, a->len, c->tokens, c->len - 1);
        uint32_t *which = r->rows.row[a->row].len < common ? &comes : &have;
        if (common > *which) *which = common;
    }
    return comes >= have + WORTH;
}

/* Is there memory for it, beside what those who are in have been promised? */
static bool has_memory(const struct resident *r, const struct choice *c) {
    uint64_t promised = 0;
    uint32_t shared;
    if (r->active_count == 0) return true;
    for (struct list *l = r->active.next; l != &r->active; l = l->next) {
        const struct choice *a = container_of(l, struct choice, link);
        promised += choice_rest(r, a) + least(choice_left(a), RESERVE);
    }
    uint32_t from = rows_match(&r->rows, c->talk->turn->ask.tenant, c->tokens, c->len - 1, &shared);
    /* What it shares with an idle row is among what is to be had, and is had no more once it is busy. */
    uint64_t need = c->len + least(choice_left(c), RESERVE);
    if (from != ROW_NONE && r->rows.row[from].busy) need -= shared;
    return promised + need <= rows_to_be_had(&r->rows);
}

/* False: nobody behind it can begin, either. */
static bool let_in(struct resident *r, struct choice *c) {
    uint32_t shared = 0;
    if (!has_memory(r, c)) return false;
    uint32_t row = rows_take(&r->rows, c->talk->turn->ask.tenant, c->tokens, c->len, &shared);
    if (row == ROW_NONE) return false;
    c->row = row;
    r->waiting_count--;
    r->active_count++;
    flows_turn(&r->flows, c->flow);
    c->flow->active++;
    list_remove(&c->link);
    list_append(&r->active, &c->link);
    if (!c->talk->first_placed) c->talk->cached = shared; /* of a prompt that several choices have: once */
    c->talk->first_placed = true;
    return true;
}

struct choice *resident_next(struct resident *r) {
    struct choice *best = NULL;
    for (struct list *l = r->waiting.next; l != &r->waiting; l = l->next) {
        struct choice *c = container_of(l, struct choice, link);
        if (c->round == r->round) continue;
        if (best != NULL && c->talk->turn->ask.priority != best->talk->turn->ask.priority) break;
        if (best == NULL || flow_is_before(c->flow, best->flow)) best = c;
    }
    if (best != NULL) best->round = r->round;
    return best;
}

static void admit(struct resident *r) {
    struct choice *c;
    r->round++;
    for (unsigned looked = 0; looked < LOOK_AHEAD && r->active_count < r->settings.active; looked++) {
        if ((c = resident_next(r)) == NULL) return;
        if (waits_for_another(r, c)) continue;
        if (!let_in(r, c)) return;
    }
}

/* -- The thread --------------------------------------------------------------------------------- */

static void note_state(struct resident *r) {
    atomic_store_explicit(&r->stats.active, r->active_count, memory_order_relaxed);
    atomic_store_explicit(&r->stats.waiting, r->waiting_count + r->parked, memory_order_relaxed);
    atomic_store_explicit(&r->stats.up, !r->broken, memory_order_relaxed);
    if (r->facts->kind == PERILUNE_ENGINE_CHAT)
        atomic_store_explicit(&r->stats.cells, r->facts->cells - rows_free_cells(&r->rows), memory_order_relaxed);
}

/* What was said in a step to all who ask on one thread wakes it once. */
static void post_all(struct resident *r) {
    struct mailbox *owed[16];
    unsigned n = 0;
    for (struct list *l = r->talks.next; l != &r->talks; l = l->next) {
        struct mailbox *m = turn_put_news(container_of(l, struct talk, link)->turn);
        if (m == NULL) continue;
        if (n == 16) mailbox_pay(owed[--n]);
        owed[n++] = m;
    }
    while (n > 0) mailbox_pay(owed[--n]);
}

static void work(struct resident *r) {
    drop_who_left(r);
    if (atomic_exchange(&r->lost, false) && !r->broken) resident_break(r);
    if (r->broken) {
        resident_recover(r);
    } else if (r->facts->kind != PERILUNE_ENGINE_CHAT) {
        note_state(r); /* as it is if the next step never ends */
        if (r->waiting_count > 0) resident_embed(r);
    } else {
        admit(r);
        note_state(r);
        if (r->active_count > 0) resident_step(r);
    }
    post_all(r);
    note_state(r);
}

static void *resident_main(void *arg) {
    struct resident *r = arg;
    while (!r->stopping) {
        bool busy = atomic_load(&r->lost) || (!r->broken && r->active_count + r->waiting_count > 0);
        uv_run(&r->loop.uv, busy ? UV_RUN_NOWAIT : UV_RUN_ONCE);
        if (!r->stopping) work(r);
    }
    struct turn_event ev = resident_failure(TURN_CLOSED, "the model is being unloaded");
    mailbox_close(&r->mail); /* what is in it is refused */
    resident_fail_all(r, &ev);
    timer_stop(&r->loop, &r->again);
    loop_deinit(&r->loop);
    return NULL;
}

struct stop_letter {
    struct letter letter;
};

static void stop_opened(struct letter *m, void *owner) {
    (void)m;
    ((struct resident *)owner)->stopping = true;
}

/* -- Life -------------------------------------------------------------------------------------------- */

static void parts_free(struct resident *r) {
    if (r->rows.engine != NULL) rows_deinit(&r->rows);
    chat_style_free(r->style);
    grammars_clear(&r->grammars);
    flows_deinit(&r->flows);
    pieces_deinit(&r->pieces);
    if (r->model != NULL) r->engine->free(r->model);
    buf_deinit(&r->whole);
    mem_free(r->batch);
    mem_free(r->wanted);
    mem_free(r->plain);
    mem_free(r->scores);
    mem_free(r->room);
    mem_free(r->piece);
    mem_free(r);
}

/* What goes wrong in it is told with the file in front. */
static int style_new(struct resident *r, char *why, size_t why_size) {
    char what[400];
    if (r->facts->kind != PERILUNE_ENGINE_CHAT) return 0;
    const char *file = r->settings.template;
    int rc = chat_style_load(&r->style, r->engine, r->model, file, what, sizeof(what));
    if (rc != 0 && file != NULL) snprintf(why, why_size, "%s: %s", file, what);
    else if (rc != 0)
        snprintf(why, why_size, "%s: its chat template cannot be used: %s; name another one with engine.template",
                 r->settings.options.model, what);
    return rc == PERILUNE_ERR_INVAL ? PERILUNE_ERR_ENGINE : rc;
}

static size_t text_of(void *ud, int32_t token, char *out, size_t room) {
    (void)room; /* facts->longest */
    return resident_piece(ud, token, out).len;
}

static bool is_end(void *ud, int32_t token) {
    const struct resident *r = ud;
    return r->engine->is_end(r->model, token);
}

static int parts_new(struct resident *r) {
    const struct perilune_engine_facts *f = r->facts;
    size_t scores = f->kind == PERILUNE_ENGINE_CHAT ? f->vocab : (size_t)f->width * f->sequences;
    r->batch = mem_alloc(f->batch * sizeof(*r->batch));
    r->wanted = mem_alloc(f->batch * sizeof(*r->wanted));
    r->plain = mem_alloc(f->batch * sizeof(*r->plain));
    r->scores = mem_alloc(scores * sizeof(*r->scores));
    r->room = mem_alloc(f->vocab * sizeof(*r->room));
    r->piece = mem_alloc(f->longest);
    if (!r->batch || !r->wanted || !r->plain || !r->scores || !r->room || !r->piece) return PERILUNE_ERR_NOMEM;
    return f->kind == PERILUNE_ENGINE_CHAT ? rows_init(&r->rows, r->engine, r->model) : 0;
}

/* The thread's loop and mailbox, and the thread. */
static int begin(struct resident *r) {
    int rc = loop_init(&r->loop);
    if (rc != 0) return rc;
    rc = resident_prepare(r);
    if (rc == 0) rc = mailbox_open(&r->mail, &r->loop, r);
    if (rc == 0 && (rc = thread_start(&r->thread, "model", resident_main, r)) == 0) return 0;
    if (r->mail.loop != NULL) {
        mailbox_close(&r->mail);
        mailbox_deinit(&r->mail);
    }
    loop_deinit(&r->loop);
    return rc;
}

static void say_for_engine(void *ud, const char *sentence) { resident_say(ud, PERILUNE_LOG_WARN, "%s", sentence); }

int resident_new(struct resident **out, const struct resident_settings *s, char *why, size_t why_size) {
    *out = NULL;
    struct resident *r = mem_zalloc(sizeof(*r));
    snprintf(why, why_size, "out of memory");
    if (r == NULL) return PERILUNE_ERR_NOMEM;
    r->settings = *s;
    r->engine = s->engine;
    if (r->settings.active > CHOICES_ACTIVE) r->settings.active = CHOICES_ACTIVE;
    list_init(&r->talks);
    list_init(&r->waiting);
    list_init(&r->active);
    buf_init(&r->whole, 0);
    struct perilune_engine_options o = s->options;
    o.sequences = r->settings.active * 2 < ROWS_MIN ? ROWS_MIN : r->settings.active * 2; /* half of them idle */
    if (o.context_each != 0) o.sequences = r->settings.active; /* each takes its memory, idle or not */
    o.batch = s->batch;
    o.say = say_for_engine;
    o.lost = resident_on_lost;
    o.ud = r;
    bool known = r->engine->version == PERILUNE_ENGINE_VERSION;
    if (!known)
        snprintf(why, why_size, "the engine '%s' has version %u of the interface, this perilune has %u: build both "
                 "from one release", r->engine->name, (unsigned)r->engine->version, PERILUNE_ENGINE_VERSION);
    int rc = known ? r->engine->load(&o, &r->model, why, why_size) : PERILUNE_ERR_ENGINE;
    if (rc == 0) {
        r->facts = r->engine->facts(r->model);
        rc = parts_new(r);
    }
    atomic_store(&r->stats.up, 1);
    if (rc == 0) rc = style_new(r, why, why_size);
    if (rc == 0 && r->facts->kind == PERILUNE_ENGINE_CHAT)
        rc = pieces_init(&r->pieces, r->facts->vocab, r->facts->longest, text_of, is_end, r);
    if (rc == 0) rc = begin(r);
    if (rc != 0) {
        parts_free(r);
        return rc;
    }
    atomic_store(&r->begun, true);
    if (atomic_load(&r->lost)) resident_ring(r); /* it was lost before anybody could be rung */
    *out = r;
    return 0;
}

void resident_free(struct resident *r) {
    if (r == NULL) return;
    struct stop_letter stop;
    memset(&stop, 0, sizeof(stop));
    list_init(&stop.letter.link);
    r->engine->cancel(r->model);
    mailbox_send(&r->mail, &stop.letter, stop_opened);
    pthread_join(r->thread, NULL);
    if (r->rows.engine != NULL) rows_deinit(&r->rows);
    r->engine->free(r->model); /* it says no more that it is lost, so nobody rings */
    r->model = NULL;
    mailbox_deinit(&r->mail);
    parts_free(r);
}

const struct perilune_engine *resident_engine(const struct resident *r) { return r->engine; }
const struct perilune_engine_model *resident_model(const struct resident *r) { return r->model; }
const struct perilune_engine_facts *resident_facts(const struct resident *r) { return r->facts; }
const struct chat_style *resident_style(const struct resident *r) { return r->style; }
const struct resident_stats *resident_stats(const struct resident *r) { return &r->stats; }
