/* played.c -- a call that nobody makes: the transport of simulations.
 *
 *     call --start--> (the turn ends) --> player: what comes, and when --timers--> call_on_status, _field, _body, _end
 *
 * It stands where http1.c and transfer.c stand, so everything above it is what runs in a gateway: deadlines, statuses
 * and their errors, readers, breakers, pools, retries, scouts.  The player is asked in deferred work, because whoever
 * began the call may be inside of Lua, and so may the player.
 *
 * The clock is the loop's, virtual where simulations run.  A body that is paused waits for resume(); what is due
 * meanwhile comes then, as it would wait in a socket. */
#include "upstream/played.h"

#include "base/mem.h"
#include "flow/headers.h"
#include "upstream/call_int.h"

struct played {
    struct call         *call;
    struct played_answer answer;
    struct deferred      soon;
    struct timer         timer;
    uint64_t             began_ms;
    unsigned             next; /* piece */
    bool                 headed, held;
};

/* -- Answers --------------------------------------------------------------------------- */

int played_answer_room(struct played_answer *a, unsigned count) {
    a->ends = mem_zalloc((count + 1) * sizeof(*a->ends));
    a->at_ms = mem_zalloc((count + 1) * sizeof(*a->at_ms));
    if (a->ends == NULL || a->at_ms == NULL) return PERILUNE_ERR_NOMEM;
    a->count = count;
    return 0;
}

void played_answer_deinit(struct played_answer *a) {
    buf_deinit(&a->fields);
    buf_deinit(&a->bytes);
    mem_free(a->ends);
    mem_free(a->at_ms);
    a->ends = NULL;
    a->at_ms = NULL;
}

/* -- Life -------------------------------------------------------------------------------- */

static void stop(struct call *c) {
    struct played *p = c->played;
    if (p == NULL) return;
    c->played = NULL;
    deferred_cancel(&p->soon);
    timer_stop(call_loop(c), &p->timer);
    played_answer_deinit(&p->answer);
    mem_free(p);
}

static void end(struct call *c, enum failure_kind kind) {
    stop(c);
    bool connected = kind != FAILURE_CONNECT && kind != FAILURE_DNS && kind != FAILURE_TLS;
    call_on_end(c, &(struct call_end){ .kind = kind, .why = "it was played so", .unsent = !connected });
}

/* -- Playing ------------------------------------------------------------------------------- */

/* False: the call is over. */
static bool tell_head(struct call *c) {
    struct played *p = c->played;
    struct slice all = buf_get(&p->answer.fields), name, value;
    p->headed = true;
    call_on_status(c, p->answer.status);
    while (headers_next(&all, &name, &value)) call_on_field(c, name, value);
    call_on_head_end(c);
    return !call_is_over(c);
}

/* The next piece.  False: the call is over. */
static bool tell_piece(struct call *c) {
    struct played *p = c->played;
    size_t from = p->next == 0 ? 0 : p->answer.ends[p->next - 1];
    struct slice piece = slice_of(buf_get(&p->answer.bytes).ptr + from, p->answer.ends[p->next] - from);
    p->next++;
    enum flow flow = call_on_body(c, piece);
    if (call_is_over(c)) return false;
    p->held = flow == FLOW_FULL;
    return true;
}

static void due(struct timer *t);

/* Everything whose time has come; then a timer for the next. */
static void play(struct call *c) {
    struct played *p = c->played;
    const struct played_answer *a = &p->answer;
    uint64_t now = loop_now(call_loop(c)) - p->began_ms;
    bool heads = a->status != 0;
    while (!p->held && p->next < a->count && a->at_ms[p->next] <= now) {
        if (!p->headed && !tell_head(c)) return;
        if (!tell_piece(c)) return;
    }
    if (p->held) return;
    bool last = p->next == a->count;
    if (last && a->end_ms <= now) {
        if (heads && !p->headed && !tell_head(c)) return;
        end(c, a->fails);
        return;
    }
    uint64_t at = last ? a->end_ms : a->at_ms[p->next];
    if (timer_start(call_loop(c), &p->timer, at - now, due) != 0) end(c, FAILURE_NO_MEMORY);
}

static void due(struct timer *t) { play(container_of(t, struct played, timer)->call); }

/* -- Asking ----------------------------------------------------------------------------------- */

static void ask(struct deferred *d) {
    struct played *p = container_of(d, struct played, soon);
    struct call *c = p->call;
    const struct player *player = c->pool->client->player;
    struct played_question q = { .upstream = c->pool->target->name, .method = c->method, .path = c->path,
                                 .request_id = headers_find(c->fields, SLICE("x-request-id")),
                                 .body = c->body != NULL ? blob_get(c->body) : SLICE(""), .stream = c->stream };
    int rc = player->ask(player->ud, &q, &p->answer);
    p->began_ms = loop_now(call_loop(c));
    if (rc != 0 || buf_failed(&p->answer.fields) || buf_failed(&p->answer.bytes)) end(c, FAILURE_NO_MEMORY);
    else play(c);
}

static int start(struct call *c) {
    struct played *p = mem_zalloc(sizeof(*p));
    if (p == NULL || call_join_body(c) != 0) {
        mem_free(p);
        return PERILUNE_ERR_NOMEM;
    }
    p->call = c;
    c->played = p;
    buf_init(&p->answer.fields, 0);
    buf_init(&p->answer.bytes, 0);
    loop_soon(call_loop(c), &p->soon, ask);
    return 0;
}

static void resume(struct call *c) {
    if (c->played == NULL || !c->played->held) return;
    c->played->held = false;
    play(c);
}

const struct call_ops played_ops = { start, stop, resume };
