/* sayings.c -- what an answer says, in the order in which it is said: for who reads along and knows no dialect.
 *
 *     event, or a whole answer --dialect--> pieces --> TEXT, REASONING, REFUSAL     at once
 *                                           calls  --> kept, until their choice ends --> CALL
 *                                           end    --> END, with its reason
 *
 * A stream tells a call of a tool in pieces, and of several at once.  Half a call is of no use to anybody, so it is
 * told when it is whole: its choice has ended, or the answer has.  Of an answer that breaks off before, it is not.
 *
 * A text may be cut in the middle of a character (pieces.c): its half waits for the other one.
 *
 * Servers say things twice in one event: what is thought as `reasoning` and in `reasoning_details`, the last piece
 * beside the whole message.  Who puts texts together wants them once: of each choice and kind, what is said first
 * counts, and what is written in another form, or is the same string again, is left out.
 *
 * Bounds: bytes of all calls, choices of an answer. */
#include "llm/sayings.h"

#include "base/mem.h"
#include "include/perilune.h"

#define CHOICES_MAX 1024
#define KEEP_BYTES  (64 * 1024) /* of memory that one large event left behind */

/* By kind of piece. */
struct saying_lane {
    struct piece_half half;
    uint64_t          event;      /* in which it was said last; */
    unsigned          form, place; /* there */
};

struct saying_choice {
    unsigned           choice;
    struct saying_lane lanes[PIECE_ARGUMENTS];
};

struct saying_call {
    unsigned          choice, number;
    bool              alone; /* it stands in no list */
    bool              told;
    struct piece_half half;
    struct buf        id, name, arguments;
};

void sayings_init(struct sayings *s, const struct dialect *d, size_t limit, struct sayings_scratch *scratch) {
    *s = (struct sayings){ .dialect = d, .left = limit, .scratch = scratch };
}

void sayings_scratch_deinit(struct sayings_scratch *s) {
    piece_list_deinit(&s->pieces);
    json_deinit(&s->doc);
    buf_deinit(&s->text);
}

static void call_deinit(struct saying_call *c) {
    buf_deinit(&c->id);
    buf_deinit(&c->name);
    buf_deinit(&c->arguments);
}

void sayings_deinit(struct sayings *s) {
    for (unsigned i = 0; i < s->call_count; i++) call_deinit(&s->calls[i]);
    mem_free(s->calls);
    mem_free(s->choices);
    tool_calls_deinit(&s->mentions);
    s->calls = NULL;
    s->choices = NULL;
    s->call_count = s->choice_count = 0;
}

/* -- Calls ------------------------------------------------------------------------------ */

static struct saying_call *find_call(struct sayings *s, unsigned choice, bool alone, unsigned number) {
    for (unsigned i = s->call_count; i > 0; i--) { /* the latest go on most often */
        struct saying_call *c = &s->calls[i - 1];
        if (c->alone == alone && (alone ? c->choice == choice : c->number == number)) return c;
    }
    return NULL;
}

static struct saying_call *add_call(struct sayings *s, unsigned choice, bool alone, unsigned number) {
    if (s->call_count >= 2 * TOOL_CALLS_MAX) s->error = PERILUNE_ERR_LIMITED;
    else if (!mem_grow((void **)&s->calls, s->call_count, &s->call_cap, sizeof(*s->calls)))
        s->error = PERILUNE_ERR_NOMEM;
    if (s->error != 0) return NULL;
    struct saying_call *c = &s->calls[s->call_count++];
    *c = (struct saying_call){ .choice = choice, .alone = alone, .number = number };
    buf_init(&c->id, 0);
    buf_init(&c->name, 0);
    buf_init(&c->arguments, 0);
    return c;
}

static struct saying_call *call_of(struct sayings *s, const struct dialect_call *m) {
    bool alone = m->call == JSON_NONE;
    unsigned number = 0;
    struct tool_call_at at = { m->choice, m->call, m->place, m->among };
    int rc = alone ? 0 : tool_calls_find(&s->mentions, &s->scratch->doc, &at, &number);
    if (rc != 0) s->error = rc;
    if (rc != 0) return NULL;
    struct saying_call *c = find_call(s, m->choice, alone, number);
    return c != NULL ? c : add_call(s, m->choice, alone, number);
}

/* What is said once, and by some again and again. */
static void set_once(struct buf *b, const struct json_doc *doc, uint32_t node) {
    if (buf_len(b) == 0 && json_is(doc, node, JSON_STRING)) json_decode_string(doc, node, b);
}

static void on_call(void *ud, const struct dialect_call *m) {
    struct sayings *s = ud;
    struct saying_call *c = s->error == 0 ? call_of(s, m) : NULL;
    if (c == NULL || c->told) return;
    size_t before = buf_len(&c->id) + buf_len(&c->name) + buf_len(&c->arguments);
    set_once(&c->id, &s->scratch->doc, m->id);
    set_once(&c->name, &s->scratch->doc, m->name);
    if (m->arguments != JSON_NONE && json_type(&s->scratch->doc, m->arguments) != JSON_NULL)
        piece_decode(&s->scratch->doc, m->arguments, &c->half, &c->arguments);
    size_t more = buf_len(&c->id) + buf_len(&c->name) + buf_len(&c->arguments) - before;
    if (buf_failed(&c->id) || buf_failed(&c->name) || buf_failed(&c->arguments)) s->error = PERILUNE_ERR_NOMEM;
    else if (more > s->left) s->error = PERILUNE_ERR_LIMITED;
    else s->left -= more;
}

static void tell_call(struct sayings *s, struct saying_call *c, saying_fn say, void *ud) {
    piece_decode_rest(&c->half, &c->arguments);
    c->told = true;
    if (buf_failed(&c->arguments)) s->error = PERILUNE_ERR_NOMEM;
    else
        say(ud, &(struct saying){ .kind = SAYING_CALL, .choice = c->choice, .text = buf_get(&c->arguments),
                                  .id = buf_get(&c->id), .name = buf_get(&c->name) });
    call_deinit(c);
}

/* -- Texts ------------------------------------------------------------------------------- */

static struct saying_choice *choice_of(struct sayings *s, unsigned choice) {
    for (unsigned i = 0; i < s->choice_count; i++)
        if (s->choices[i].choice == choice) return &s->choices[i];
    if (s->choice_count == CHOICES_MAX) s->error = PERILUNE_ERR_LIMITED;
    else if (!mem_grow((void **)&s->choices, s->choice_count, &s->choice_cap, sizeof(*s->choices)))
        s->error = PERILUNE_ERR_NOMEM;
    if (s->error != 0) return NULL;
    s->choices[s->choice_count] = (struct saying_choice){ .choice = choice };
    return &s->choices[s->choice_count++];
}

static void tell_text(struct sayings *s, unsigned choice, enum piece_kind kind, saying_fn say, void *ud) {
    static const enum saying_kind kinds[] = { [PIECE_TEXT] = SAYING_TEXT, [PIECE_REASONING] = SAYING_REASONING,
                                              [PIECE_REFUSAL] = SAYING_REFUSAL };
    if (buf_failed(&s->scratch->text)) s->error = PERILUNE_ERR_NOMEM;
    else if (buf_len(&s->scratch->text) > 0)
        say(ud, &(struct saying){ .kind = kinds[kind], .choice = choice, .text = buf_get(&s->scratch->text) });
    buf_shed(&s->scratch->text, KEEP_BYTES);
}

/* Is it what was said in this event already? */
static bool is_repeated(const struct sayings *s, const struct saying_lane *l, const struct piece *p) {
    if (l->event != s->events || p->kind == PIECE_REFUSAL) return false;
    if (l->form != p->form) return true;
    return p->form == 0 && (p->kind == PIECE_REASONING || p->place <= l->place);
}

static void tell_piece(struct sayings *s, const struct piece *p, saying_fn say, void *ud) {
    struct saying_choice *c = choice_of(s, p->choice);
    struct saying_lane *l = c != NULL ? &c->lanes[p->kind] : NULL;
    if (l == NULL || piece_is_empty(&s->scratch->doc, p->node) || is_repeated(s, l, p)) return;
    l->event = s->events;
    l->form = p->form;
    l->place = p->place;
    piece_decode(&s->scratch->doc, p->node, &l->half, &s->scratch->text);
    tell_text(s, p->choice, p->kind, say, ud);
}

/* Nothing more comes of it: halves of characters, and its calls. */
static void tell_rest(struct sayings *s, unsigned choice, saying_fn say, void *ud) {
    for (unsigned i = 0; i < s->choice_count; i++) {
        struct saying_choice *c = &s->choices[i];
        for (int kind = 0; c->choice == choice && kind < PIECE_ARGUMENTS; kind++) {
            if (c->lanes[kind].half.len == 0) continue;
            piece_decode_rest(&c->lanes[kind].half, &s->scratch->text);
            tell_text(s, choice, (enum piece_kind)kind, say, ud);
        }
    }
    for (unsigned i = 0; i < s->call_count && s->error == 0; i++)
        if (s->calls[i].choice == choice && !s->calls[i].told) tell_call(s, &s->calls[i], say, ud);
}

static void tell_end(struct sayings *s, const struct piece *p, saying_fn say, void *ud) {
    tell_rest(s, p->choice, say, ud);
    piece_text(&s->scratch->doc, p->node, &s->scratch->text);
    if (buf_failed(&s->scratch->text)) s->error = PERILUNE_ERR_NOMEM;
    if (s->error == 0)
        say(ud, &(struct saying){ .kind = SAYING_END, .choice = p->choice, .text = buf_get(&s->scratch->text) });
    buf_clear(&s->scratch->text);
}

/* -- For who reads ------------------------------------------------------------------------ */

int sayings_read(struct sayings *s, struct slice data, saying_fn say, void *ud) {
    const struct dialect *d = s->dialect;
    struct sayings_scratch *scratch = s->scratch;
    if (s->error != 0) return s->error;
    if (d == NULL || d->pieces == NULL || data.len == 0 || dialect_is_end(d, data)) return PERILUNE_ERR_INVAL;
    int rc = json_parse(&scratch->doc, data, &(struct json_error){ 0 });
    if (rc != 0 && rc != PERILUNE_ERR_NOMEM) return PERILUNE_ERR_INVAL;
    if (rc != 0) return s->error = rc;
    s->events++;
    d->pieces(&scratch->doc, &scratch->pieces);
    if (scratch->pieces.failed) return s->error = PERILUNE_ERR_NOMEM;
    bool calls = false;
    for (unsigned i = 0; i < scratch->pieces.len; i++) calls |= scratch->pieces.items[i].kind == PIECE_TOOL;
    if (calls && d->calls != NULL) d->calls(&scratch->doc, on_call, s);
    for (unsigned i = 0; i < scratch->pieces.len && s->error == 0; i++) {
        const struct piece *p = &scratch->pieces.items[i];
        if (p->kind < PIECE_ARGUMENTS) tell_piece(s, p, say, ud);
        else if (p->kind == PIECE_END) tell_end(s, p, say, ud);
    }
    if (scratch->doc.cap > KEEP_BYTES / sizeof(struct json_node)) json_deinit(&scratch->doc);
    if (scratch->pieces.cap > KEEP_BYTES / sizeof(struct piece)) piece_list_deinit(&scratch->pieces);
    return s->error;
}

int sayings_finish(struct sayings *s, saying_fn say, void *ud) {
    for (unsigned i = 0; i < s->choice_count && s->error == 0; i++) tell_rest(s, s->choices[i].choice, say, ud);
    for (unsigned i = 0; i < s->call_count && s->error == 0; i++)
        if (!s->calls[i].told) tell_call(s, &s->calls[i], say, ud);
    return s->error;
}
