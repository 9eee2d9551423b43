/* pipe.c -- another answer, as a part of one that is composed.
 *
 *     part's response --deliver--> [ pipe ] --retold--> composed
 *          ^                          |  whole: collected, then told as a stream
 *          |                          |  lines: text is held until its line is whole
 *          +---- resume <-------------+------- the composed answer has room again
 *
 *     waits for the end of the turn --> flows --END, ERROR--> says so at the end of that turn, and is freed
 *        +----------------- pipe_cancel: at any time ------------------------^
 *
 * Events flow here without Lua.  A pipe begins and ends by deferred work: whoever made it is a coroutine that runs, and
 * whoever hears of the end is one, too.
 *
 * A part that fails is no failure of the answer: the policy is told, and has a rule for it.  What came of it stays. */
#include "request/composed_int.h"

#include "base/mem.h"
#include "llm/chunk.h"

#define LINE_MOST 65536 /* bytes of a line that are held; a longer one is told in pieces */
#define CALLS_MOST 1024 /* calls of tools of one part */

/* -- Life ----------------------------------------------------------------------------------- */

static void pipe_free(struct pipe *p) {
    deferred_cancel(&p->turn);
    list_remove(&p->link);
    if (p->c->speaker == p) p->c->speaker = NULL;
    buf_deinit(&p->label);
    buf_deinit(&p->line);
    buf_deinit(&p->whole);
    json_deinit(&p->doc);
    piece_list_deinit(&p->pieces);
    failure_deinit(&p->failure);
    mem_free(p->numbers);
    response_put(p->part);
    composed_put(p->c);
    mem_free(p);
}

/* Functions of finally are run, and the source stops, if it still goes. */
static void finish_part(struct pipe *p) {
    bool ok = p->ended && !failure_is_set(&p->failure);
    struct outcome o = { .ok = ok, .cache = response_cache_name(response_cache_of(p->part)) };
    slice_copy(o.code, sizeof(o.code), slice_str(ok ? "" : p->ended ? p->failure.code : "canceled"));
    response_usage(p->part, &o);
    response_finish(p->part, &o);
}

void pipe_cancel(struct pipe *p) {
    if (p->delivered) finish_part(p);
    pipe_free(p);
}

void pipes_end(struct composed *c) {
    for (struct list *l = c->pipes.next, *next; l != &c->pipes; l = next) {
        struct pipe *p = container_of(l, struct pipe, link);
        next = l->next;
        if (p->delivered && !p->ended) response_leave(p->part);
        p->ended = true;
        deferred_cancel(&p->turn);
    }
}

void pipes_resume(struct composed *c) {
    for (struct list *l = c->pipes.next; l != &c->pipes; l = l->next) {
        struct pipe *p = container_of(l, struct pipe, link);
        if (p->delivered && !p->ended) response_resume(p->part);
    }
}

/* -- The end ---------------------------------------------------------------------------------- */

/* What it used.  What a cache had was paid for before. */
static void add_usage(struct pipe *p) {
    struct usage u = response_said(p->part);
    if (u.known && response_cache_spares(response_cache_of(p->part))) {
        u.elsewhere.prompt = u.prompt;
        u.elsewhere.completion = u.completion;
        u.elsewhere.cached = u.cached;
    }
    p->result.usage = u;
    composed_usage(p->c, &u);
}

static void say_so(struct deferred *d) {
    struct pipe *p = container_of(d, struct pipe, turn);
    void (*over)(void *, const struct pipe_result *) = p->over;
    void *ud = p->ud;
    struct pipe_result result = p->result;
    struct failure f;
    failure_init(&f);
    if (failure_is_set(&p->failure)) {
        failure_copy(&f, &p->failure);
        result.failure = &f;
    }
    if (p->delivered) finish_part(p);
    pipe_free(p);
    over(ud, &result);
    failure_deinit(&f);
}

static void end(struct pipe *p) {
    if (p->ended) return;
    p->ended = true;
    loop_soon(p->c->opt.loop, &p->turn, say_so);
}

static void fail(struct pipe *p, const struct failure *f) {
    if (p->ended) return;
    failure_copy(&p->failure, f);
    add_usage(p);
    end(p);
}

static void fail_with(struct pipe *p, enum failure_kind kind, const char *message) {
    struct failure f;
    failure_init(&f);
    failure_set(&f, kind, "%s", message);
    fail(p, &f);
    failure_deinit(&f);
}

/* -- Telling again ------------------------------------------------------------------------------- */

static unsigned number_of(struct retelling_calls *k, unsigned choice, unsigned index) {
    struct pipe *p = container_of(k, struct pipe, calls);
    for (unsigned i = 0; i < p->number_count; i++)
        if (p->numbers[i].choice == choice && p->numbers[i].index == index) return p->numbers[i].number;
    if (p->number_count >= CALLS_MOST ||
        !mem_grow((void **)&p->numbers, p->number_count, &p->number_cap, sizeof(*p->numbers)))
        return UINT32_MAX;
    unsigned number = p->c->choices[choice].calls++;
    p->numbers[p->number_count++] = (struct pipe_call){ choice, index, number };
    return number;
}

/* "[name] " in front of what this one says, when another one spoke before. */
static void say_label(struct pipe *p) {
    if (p->opt.by != PIPE_WHOLE || buf_len(&p->label) == 0 || p->c->speaker == p) return;
    p->c->speaker = p;
    composed_text(p->c, p->opt.only >= 0 ? p->opt.as : 0, PIECE_TEXT, buf_get(&p->label));
}

static void say_line(struct pipe *p, struct slice line, bool whole) {
    struct buf text;
    buf_init(&text, 0);
    if (p->c->speaker != p || whole) buf_slice(&text, buf_get(&p->label));
    buf_slice(&text, line);
    p->c->speaker = p;
    if (buf_failed(&text)) fail_with(p, FAILURE_NO_MEMORY, "out of memory");
    else composed_text(p->c, p->opt.as, PIECE_TEXT, buf_get(&text));
    buf_deinit(&text);
}

/* Lines that are whole by now; `rest`: what is left, too. */
static void say_lines(struct pipe *p, bool rest) {
    while (buf_len(&p->line) > 0) {
        struct slice all = buf_get(&p->line);
        const char *stop = memchr(all.ptr, '\n', all.len);
        size_t len = stop ? (size_t)(stop - all.ptr) + 1 : all.len;
        if (stop == NULL && !rest && all.len < LINE_MOST) return;
        if (stop == NULL) buf_putc(&p->line, '\n');
        all = buf_get(&p->line);
        if (buf_failed(&p->line)) return;
        len += stop == NULL;
        say_line(p, slice_of(all.ptr, len), true);
        buf_consume(&p->line, len);
    }
}

/* What an event says, and the part's own reason to end. */
static void look(struct pipe *p, const struct dialect *d) {
    p->speaks = false;
    d->pieces(&p->doc, &p->pieces);
    for (unsigned i = 0; i < p->pieces.len; i++) {
        const struct piece *one = &p->pieces.items[i];
        if (p->opt.only >= 0 && one->choice != (unsigned)p->opt.only) continue;
        p->speaks |= one->kind == PIECE_TOOL || (one->kind < PIECE_KINDS && !piece_is_empty(&p->doc, one->node));
        if (one->kind == PIECE_REFUSAL) p->result.refused = true;
        if (one->kind == PIECE_TOOL) p->result.called = true;
        if (one->kind == PIECE_TEXT && p->opt.by == PIPE_LINES) piece_decode(&p->doc, one->node, &p->half, &p->line);
    }
    if (p->pieces.failed || buf_failed(&p->line)) fail_with(p, FAILURE_NO_MEMORY, "out of memory");
}

/* An event of the part. */
static void retell(struct pipe *p, struct slice data) {
    struct composed *c = p->c;
    const struct composing *how = c->opt.dialect->composing;
    struct json_error err;
    int rc = json_parse(&p->doc, data, &err);
    if (rc != 0) {
        fail_with(p, rc == PERILUNE_ERR_NOMEM ? FAILURE_NO_MEMORY : FAILURE_MALFORMED,
                  rc == PERILUNE_ERR_NOMEM ? "out of memory" : "an event of the answer is no JSON");
        return;
    }
    look(p, c->opt.dialect);
    if (p->ended) return;
    for (unsigned i = 0; p->speaks && i < c->opt.choices; i++) composed_half(c, i);
    struct retold r = { .common = buf_get(&c->common), .choices = c->choices, .count = c->opt.choices,
                        .only = p->opt.only, .as = p->opt.as, .without_text = p->opt.by == PIPE_LINES,
                        .calls = &p->calls };
    unsigned first = p->opt.only >= 0 ? p->opt.as : 0;
    char before[COMPOSING_REASON];
    memcpy(before, c->choices[first].reason, sizeof(before));
    c->choices[first].reason[0] = '\0';
    if (p->speaks) say_label(p); /* uses the scratch, so it comes first */
    buf_clear(&c->scratch);
    bool said = how->retell(&c->scratch, &p->doc, &r);
    char *own = c->choices[first].reason;
    if (own[0] != '\0') memcpy(p->result.reason, own, COMPOSING_REASON);
    struct slice worse = how->worse(slice_str(before), slice_str(own));
    if (worse.ptr == before) memcpy(own, before, sizeof(before));
    p->result.said |= said;
    if (r.failed) fail_with(p, FAILURE_NO_MEMORY, "the answer calls too many tools");
    else if (said) composed_send(c);
    if (p->opt.by == PIPE_LINES) {
        p->result.said |= buf_len(&p->line) > 0;
        say_lines(p, false);
    }
}

/* It came in one piece: told as the stream that it is not. */
static void retell_whole(struct pipe *p) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    struct buf frames;
    buf_init(&frames, 0);
    bool good = json_parse(&doc, buf_get(&p->whole), &err) == 0 &&
                p->c->opt.dialect->write_whole(&frames, &doc, false) && !buf_failed(&frames);
    struct slice left = buf_get(&frames);
    while (good && left.len > 0 && !p->ended) {
        const char *stop = memmem(left.ptr, left.len, "\n\n", 2);
        size_t len = (size_t)(stop - left.ptr);
        retell(p, slice_of(left.ptr + 6, len - 6)); /* behind "data: " */
        left = slice_of(stop + 2, left.len - len - 2);
    }
    if (!good) fail_with(p, FAILURE_MALFORMED, "the part is no answer to a chat");
    json_deinit(&doc);
    buf_deinit(&frames);
}

static void complete(struct pipe *p) {
    if (buf_len(&p->whole) > 0) retell_whole(p);
    if (p->ended) return;
    if (p->opt.by == PIPE_LINES) {
        piece_decode_rest(&p->half, &p->line);
        say_lines(p, true);
    }
    add_usage(p);
    end(p);
}

static void collect(struct pipe *p, struct slice bytes) {
    buf_slice(&p->whole, bytes);
    if (!buf_failed(&p->whole)) return;
    bool much = p->whole.error == PERILUNE_ERR_LIMITED;
    response_leave(p->part);
    fail_with(p, much ? FAILURE_ANSWER_TOO_LARGE : FAILURE_NO_MEMORY, much ? "the part is too large" : "out of memory");
}

/* -- The part ------------------------------------------------------------------------------------------ */

static enum flow on_event(struct sink *k, const struct event *ev) {
    struct pipe *p = container_of(k, struct pipe, sink);
    const struct dialect *d = p->c->opt.dialect;
    if (p->ended) return FLOW_MORE;
    switch (ev->type) {
    case EVENT_HEAD: break;
    case EVENT_FRAME:
        if (ev->data.len > 0 && !dialect_is_end(d, ev->data)) retell(p, ev->data);
        break;
    case EVENT_BYTES: collect(p, ev->raw); break;
    case EVENT_END: complete(p); break;
    case EVENT_ERROR: fail(p, ev->failure); break;
    }
    return composed_is_full(p->c) ? FLOW_FULL : FLOW_MORE;
}

static void begin(struct deferred *d) {
    struct pipe *p = container_of(d, struct pipe, turn);
    if (response_is_taken(p->part)) {
        fail_with(p, FAILURE_POLICY, "a policy piped an answer that was sent or piped before");
        return;
    }
    p->delivered = true;
    if (p->c->upstream[0] == '\0') slice_copy(p->c->upstream, sizeof(p->c->upstream), slice_str(p->part->upstream));
    response_deliver(p->part, &p->sink);
}

struct pipe *pipe_new(struct composed *c, struct response *r, const struct pipe_options *opt,
                      void (*over)(void *ud, const struct pipe_result *result), void *ud) {
    struct pipe *p = mem_zalloc(sizeof(*p));
    if (p == NULL) return NULL;
    *p = (struct pipe){ .sink = { on_event }, .calls = { number_of }, .c = composed_ref(c), .part = response_ref(r),
                        .opt = *opt, .over = over, .ud = ud };
    list_append(&c->pipes, &p->link);
    failure_init(&p->failure);
    buf_init(&p->label, 0);
    buf_init(&p->line, 0);
    buf_init(&p->whole, r->limit);
    buf_slice(&p->label, opt->label);
    if (buf_failed(&p->label)) {
        pipe_free(p);
        return NULL;
    }
    loop_soon(c->opt.loop, &p->turn, begin);
    return p;
}
