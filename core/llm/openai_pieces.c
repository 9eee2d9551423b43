/* openai_pieces.c -- the strings in an answer of OpenAI's dialect: where they are, and
 * how one is written.
 *
 *     { "id": .., "choices": [ { "index": 1, "delta": { "content": "..",          TEXT
 *                                                       "reasoning_content": "..", REASONING
 *                                                       "refusal": "..",           REFUSAL
 *                                                       "tool_calls": [ .. ] },    TOOL, ARGUMENTS
 *                                "logprobs": { .. },                               LOGPROBS
 *                                "finish_reason": "stop" } ], "usage": .. }        END
 *
 * A whole answer has `message` in place of `delta`.  The same is said in several places:
 *
 *     TEXT       content, a string or a list of parts ({"type":"text","text":".."}); audio.transcript;
 *                the choice's own `text`, of servers that answer as to /v1/completions
 *     REASONING  reasoning_content (DeepSeek, vLLM, SGLang), reasoning (OpenRouter, newer vLLM), thinking,
 *                reasoning_text; parts of content of the type thinking (Mistral), which hold a string or a list of
 *                parts; reasoning_details and thinking_blocks, lists of objects with text, thinking or summary
 *     ARGUMENTS  function.arguments and custom.input of each call, function_call.arguments.  Arguments that are no
 *                string (Ollama's object) are a piece, too: their JSON
 *
 * A member that should hold one of these and holds something else (content that is a number, tool_calls that are an
 * object, two `choices` of which clients see one) makes the list odd: who must see all of the text cannot.  What says
 * nothing (null, false, true, "", [], {}) does not count.
 *
 * A finish_reason ends a choice when it is a string that says something: Ollama, SGLang
 * and KoboldCpp send "" or "null" in each chunk. */
#include "llm/openai.h"

/* How a piece is written. */
enum form {
    FORM_MEMBER,      /* a member of the delta, by its name; TEXT: content */
    FORM_CALL,        /* tool_calls, function */
    FORM_CUSTOM,      /* tool_calls, custom */
    FORM_ONLY_CALL,   /* function_call */
    FORM_THINKING,    /* a part of content */
    FORM_DETAIL,      /* reasoning_details; part: 3 * index, and which of its members */
    FORM_BLOCK,       /* thinking_blocks; the same */
    FORM_TRANSCRIPT,  /* audio */
    FORM_CHOICE_TEXT  /* text, beside the delta */
};

/* Members of an object in reasoning_details that hold text. */
static const struct slice detail_names[] = { SLICE("text"), SLICE("summary"), SLICE("thinking") };
#define DETAIL_NAMES (sizeof(detail_names) / sizeof(*detail_names))

/* -- Reading ------------------------------------------------------------------------ */

struct reading {
    const struct json_doc *doc;
    struct piece_list     *list;
    bool                   whole; /* in a message, and not in a delta */
};

/* This value stands where a text does or should be, and is none that anybody knows. */
static void note_odd(const struct reading *r, uint32_t node) {
    const struct json_doc *d = r->doc;
    if (node == JSON_NONE || r->list->odd) return;
    enum json_type type = json_type(d, node);
    bool box = type == JSON_ARRAY || type == JSON_OBJECT;
    bool says = type == JSON_STRING ? !json_str_eq(d, node, SLICE("")) : type == JSON_NUMBER;
    if (box) says = d->nodes[node].count > 0;
    if (!says) return;
    r->list->odd = true;
    r->list->odd_at = d->nodes[node].start;
}

/* json_get(), of which the last counts; but all of them reach the client. */
static uint32_t get(const struct reading *r, uint32_t object, struct slice name) {
    uint32_t found = JSON_NONE;
    if (!json_is(r->doc, object, JSON_OBJECT)) return JSON_NONE;
    for (uint32_t key = json_first(r->doc, object); key != JSON_NONE;) {
        uint32_t value = json_next(r->doc, object, key);
        if (json_str_eq(r->doc, key, name)) {
            note_odd(r, found);
            found = value;
        }
        key = json_next(r->doc, object, value);
    }
    return found;
}

/* The same of a member that is to be of this type. */
static uint32_t get_as(const struct reading *r, uint32_t object, struct slice name, enum json_type type) {
    uint32_t found = get(r, object, name);
    if (found != JSON_NONE && !json_is(r->doc, found, type)) note_odd(r, found);
    return json_is(r->doc, found, type) ? found : JSON_NONE;
}

/* The `index` of an object in a list, or its place there; *said: which. */
static unsigned index_of(const struct json_doc *doc, uint32_t object, unsigned place, bool *said) {
    uint32_t n = json_get(doc, object, SLICE("index"));
    uint64_t v;
    *said = json_is(doc, n, JSON_NUMBER) && json_u64(doc, n, &v) == 0 && v < UINT32_MAX / 4;
    return *said ? (unsigned)v : place;
}

static void add_string(const struct reading *r, struct piece p, uint32_t name, uint32_t node) {
    if (!json_is(r->doc, node, JSON_STRING)) {
        note_odd(r, node);
        return;
    }
    p.node = node;
    p.name = name;
    piece_list_add(r->list, p);
}

/* A member's name stands before its value. */
static void add_member(const struct reading *r, struct piece p, uint32_t object, struct slice name) {
    uint32_t n = get(r, object, name);
    if (n != JSON_NONE) add_string(r, p, n - 1, n);
}

/* What a model thinks, among the parts of what it says:
 * {"type":"thinking","thinking":[{"type":"text","text":".."}]}. */
static void add_thinking(const struct reading *r, struct piece p, uint32_t part, struct slice name) {
    const struct json_doc *d = r->doc;
    uint32_t thought = get(r, part, name);
    p.kind = PIECE_REASONING;
    p.form = FORM_THINKING;
    if (thought == JSON_NONE) return;
    if (!json_is(d, thought, JSON_ARRAY)) {
        add_string(r, p, thought - 1, thought);
    } else {
        for (uint32_t n = json_first(d, thought); n != JSON_NONE; n = json_next(d, thought, n)) {
            if (json_is(d, n, JSON_OBJECT)) add_member(r, p, n, SLICE("text"));
            else add_string(r, p, thought - 1, n);
        }
    }
}

/* Parts of content are pieces of one text, whatever stands between them: clients join them, and a word may begin in
 * one and end in another, or in the next event. */
static void add_parts(const struct reading *r, struct piece p, uint32_t key, uint32_t list) {
    const struct json_doc *d = r->doc;
    for (uint32_t n = json_first(d, list); n != JSON_NONE; n = json_next(d, list, n)) {
        struct piece refusal = p;
        refusal.kind = PIECE_REFUSAL;
        if (!json_is(d, n, JSON_OBJECT)) {
            add_string(r, p, key, n);
            p.place += json_is(d, n, JSON_STRING);
            continue;
        }
        add_thinking(r, p, n, SLICE("thinking"));
        add_thinking(r, p, n, SLICE("reasoning"));
        add_member(r, refusal, n, SLICE("refusal"));
        add_member(r, p, n, SLICE("transcript"));
        add_member(r, p, n, SLICE("text"));
        p.place += json_is(d, json_get(d, n, SLICE("text")), JSON_STRING);
    }
}

/* reasoning_details, thinking_blocks.  A message has them as they are, one for each thing that was thought; a delta has
 * the next words, and where it numbers nothing it goes on with the same. */
static void add_details(const struct reading *r, struct piece p, uint32_t list, enum form form) {
    unsigned place = 0;
    p.kind = PIECE_REASONING;
    p.form = form;
    for (uint32_t n = json_first(r->doc, list); n != JSON_NONE; n = json_next(r->doc, list, n), place++) {
        if (!json_is(r->doc, n, JSON_OBJECT)) note_odd(r, n);
        if (!json_is(r->doc, n, JSON_OBJECT)) continue;
        unsigned index = index_of(r->doc, n, r->whole ? place : 0, &p.numbered);
        for (unsigned i = 0; i < DETAIL_NAMES; i++) {
            p.part = index * DETAIL_NAMES + i;
            add_member(r, p, n, detail_names[i]);
        }
    }
}

/* The arguments of a call are pieces whatever they are: what a function that takes secrets out does not see, would
 * go past it. */
static void add_arguments(const struct reading *r, struct piece p, uint32_t object, struct slice name) {
    uint32_t n = get(r, object, name);
    if (n == JSON_NONE || json_type(r->doc, n) == JSON_NULL) return;
    p.kind = PIECE_ARGUMENTS;
    p.node = n;
    p.name = n - 1;
    piece_list_add(r->list, p);
}

static void add_mention(const struct reading *r, struct piece p) {
    p.kind = PIECE_TOOL;
    piece_list_add(r->list, p);
}

static void add_calls(const struct reading *r, struct piece p, uint32_t list) {
    const struct json_doc *d = r->doc;
    unsigned place = 0;
    p.among = d->nodes[list].count;
    for (uint32_t n = json_first(d, list); n != JSON_NONE; n = json_next(d, list, n), place++) {
        if (!json_is(d, n, JSON_OBJECT)) note_odd(r, n);
        if (!json_is(d, n, JSON_OBJECT)) continue;
        p.call = n;
        p.plain = false;
        p.part = index_of(d, n, place, &p.numbered);
        add_mention(r, p);
        p.form = FORM_CALL;
        add_arguments(r, p, get_as(r, n, SLICE("function"), JSON_OBJECT), SLICE("arguments"));
        p.form = FORM_CUSTOM;
        p.plain = true;
        add_arguments(r, p, get_as(r, n, SLICE("custom"), JSON_OBJECT), SLICE("input"));
    }
}

static void add_only_call(const struct reading *r, struct piece p, uint32_t call) {
    p.part = PIECE_ONLY_CALL;
    p.form = FORM_ONLY_CALL;
    add_mention(r, p);
    add_arguments(r, p, call, SLICE("arguments"));
}

/* True: the member is one of those that are strings. */
static bool add_named(const struct reading *r, struct piece p, uint32_t key, uint32_t value) {
    static const struct { struct slice name; enum piece_kind kind; unsigned part; } strings[] = {
        { SLICE("content"), PIECE_TEXT, 0 }, { SLICE("reasoning_content"), PIECE_REASONING, 0 },
        { SLICE("reasoning"), PIECE_REASONING, 1 }, { SLICE("thinking"), PIECE_REASONING, 2 },
        { SLICE("reasoning_text"), PIECE_REASONING, 3 }, { SLICE("refusal"), PIECE_REFUSAL, 0 },
    };
    for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++) {
        if (!json_str_eq(r->doc, key, strings[i].name)) continue;
        p.kind = strings[i].kind;
        p.part = strings[i].part;
        if (i == 0 && json_is(r->doc, value, JSON_ARRAY)) add_parts(r, p, key, value);
        else add_string(r, p, key, value);
        return true;
    }
    return false;
}

static void add_delta_member(const struct reading *r, struct piece p, uint32_t key, uint32_t value) {
    static const struct { struct slice name; enum json_type type; } boxes[] = {
        { SLICE("tool_calls"), JSON_ARRAY }, { SLICE("reasoning_details"), JSON_ARRAY },
        { SLICE("thinking_blocks"), JSON_ARRAY }, { SLICE("function_call"), JSON_OBJECT },
        { SLICE("audio"), JSON_OBJECT },
    };
    size_t which = 0, count = sizeof(boxes) / sizeof(*boxes);
    if (add_named(r, p, key, value)) return;
    while (which < count && !json_str_eq(r->doc, key, boxes[which].name)) which++;
    if (which == count) return;
    if (!json_is(r->doc, value, boxes[which].type)) {
        note_odd(r, value);
        return;
    }
    switch (which) {
    case 0: add_calls(r, p, value); break;
    case 1: add_details(r, p, value, FORM_DETAIL); break;
    case 2: add_details(r, p, value, FORM_BLOCK); break;
    case 3: add_only_call(r, p, value); break;
    default:
        p.kind = PIECE_TEXT;
        p.form = FORM_TRANSCRIPT;
        add_member(r, p, value, SLICE("transcript"));
    }
}

/* Members of one object have no order, and servers write the end of what was thought behind the
 * beginning of what is said. */
static unsigned rank_of(const struct piece *p) {
    return p->kind == PIECE_REASONING ? 0 : p->kind == PIECE_ARGUMENTS || p->kind == PIECE_TOOL ? 2 : 1;
}

static void sort_from(struct piece_list *l, unsigned from) {
    for (unsigned i = from + 1; i < l->len; i++) {
        struct piece p = l->items[i];
        unsigned at = i;
        for (; at > from && rank_of(&l->items[at - 1]) > rank_of(&p); at--) l->items[at] = l->items[at - 1];
        l->items[at] = p;
    }
}

bool openai_is_finished(const struct json_doc *doc, uint32_t choice) {
    uint32_t n = json_get(doc, choice, SLICE("finish_reason"));
    return json_is(doc, n, JSON_STRING) && !json_str_eq(doc, n, SLICE("")) && !json_str_eq(doc, n, SLICE("null"));
}

/* vLLM tells the tokens without their probabilities, too, when it is asked to. */
static void add_logprobs(const struct reading *r, struct piece p, uint32_t choice) {
    static const struct slice names[] = { SLICE("logprobs"), SLICE("token_ids") };
    p.kind = PIECE_LOGPROBS;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        p.node = get(r, choice, names[i]);
        if (p.node != JSON_NONE) piece_list_add(r->list, p);
    }
}

static void add_message(const struct reading *r, struct piece p, uint32_t message) {
    if (message == JSON_NONE) return;
    for (uint32_t key = json_first(r->doc, message); key != JSON_NONE;) {
        uint32_t value = json_next(r->doc, message, key);
        add_delta_member(r, p, key, value);
        key = json_next(r->doc, message, value);
    }
}

static void add_choice(struct reading *r, uint32_t choice, unsigned place) {
    struct piece p = { .node = JSON_NONE, .name = JSON_NONE, .call = JSON_NONE };
    unsigned from = r->list->len;
    bool said;
    p.choice = index_of(r->doc, choice, place, &said);
    if (!said) note_odd(r, json_get(r->doc, choice, SLICE("index"))); /* -1: whose text would be held back? */
    /* Some send both, the whole beside the last piece of it. */
    r->whole = false;
    add_message(r, p, get_as(r, choice, SLICE("delta"), JSON_OBJECT));
    r->whole = true;
    add_message(r, p, get_as(r, choice, SLICE("message"), JSON_OBJECT));
    p.form = FORM_CHOICE_TEXT;
    p.kind = PIECE_TEXT;
    add_member(r, p, choice, SLICE("text"));
    sort_from(r->list, from);
    p.form = FORM_MEMBER;
    add_logprobs(r, p, choice);
    p.kind = PIECE_END;
    p.node = json_get(r->doc, choice, SLICE("finish_reason"));
    if (openai_is_finished(r->doc, choice)) piece_list_add(r->list, p);
}

void openai_pieces(const struct json_doc *doc, struct piece_list *l) {
    l->len = 0;
    l->failed = l->odd = false;
    struct reading r = { .doc = doc, .list = l };
    unsigned place = 0;
    if (!json_is(doc, 0, JSON_OBJECT)) note_odd(&r, 0);
    uint32_t choices = get_as(&r, 0, SLICE("choices"), JSON_ARRAY);
    if (choices == JSON_NONE) return;
    for (uint32_t n = json_first(doc, choices); n != JSON_NONE; n = json_next(doc, choices, n), place++) {
        if (json_is(doc, n, JSON_OBJECT)) add_choice(&r, n, place);
        else note_odd(&r, n);
    }
}

/* -- Writing ------------------------------------------------------------------------- */

void openai_write_common(struct buf *out, const struct json_doc *doc) {
    for (uint32_t key = json_first(doc, 0); key != JSON_NONE;) {
        uint32_t value = json_next(doc, 0, key);
        enum json_type type = json_type(doc, value);
        bool simple = type != JSON_ARRAY && type != JSON_OBJECT; /* what is said once: choices, usage, error */
        if (simple && !json_str_eq(doc, key, SLICE("usage"))) {
            buf_slice(out, json_raw(doc, key));
            buf_putc(out, ':');
            buf_slice(out, json_raw(doc, value));
            buf_putc(out, ',');
        }
        key = json_next(doc, 0, value);
    }
}

static void put_index(struct buf *out, bool said, unsigned index) {
    if (!said) return;
    buf_puts(out, "\"index\":");
    buf_u64(out, index);
    buf_putc(out, ',');
}

/* {"index":0,"type":"reasoning.text","text":".."} */
static void put_detail(struct buf *out, const struct piece *p, struct slice text) {
    struct slice name = detail_names[p->part % DETAIL_NAMES];
    buf_puts(out, p->form == FORM_DETAIL ? "\"reasoning_details\":[{" : "\"thinking_blocks\":[{");
    put_index(out, p->numbered, p->part / DETAIL_NAMES);
    buf_puts(out, p->form == FORM_DETAIL ? "\"type\":\"reasoning." : "\"type\":\"");
    buf_slice(out, p->form == FORM_DETAIL ? name : SLICE("thinking"));
    buf_puts(out, "\",\"");
    buf_slice(out, name);
    buf_puts(out, "\":");
    json_write_string(out, text);
    buf_puts(out, "}]");
}

static void put_call(struct buf *out, const struct piece *p, struct slice text) {
    buf_puts(out, "\"tool_calls\":[{");
    put_index(out, p->numbered, p->part);
    buf_puts(out, p->form == FORM_CUSTOM ? "\"custom\":{\"input\":" : "\"function\":{\"arguments\":");
    json_write_string(out, text);
    buf_puts(out, "}}]");
}

/* `before`, the string, `behind` */
static void put_between(struct buf *out, const char *before, struct slice text, const char *behind) {
    buf_puts(out, before);
    json_write_string(out, text);
    buf_puts(out, behind);
}

static void put_delta(struct buf *out, const struct piece *p, struct slice name, struct slice text) {
    switch ((enum form)p->form) {
    case FORM_CALL:
    case FORM_CUSTOM: put_call(out, p, text); break;
    case FORM_ONLY_CALL: put_between(out, "\"function_call\":{\"arguments\":", text, "}"); break;
    case FORM_DETAIL:
    case FORM_BLOCK: put_detail(out, p, text); break;
    case FORM_TRANSCRIPT: put_between(out, "\"audio\":{\"transcript\":", text, "}"); break;
    case FORM_THINKING:
        buf_puts(out, "\"content\":[{\"type\":\"thinking\",\"thinking\":[");
        put_between(out, "{\"type\":\"text\",\"text\":", text, "}]}]");
        break;
    case FORM_CHOICE_TEXT: break;
    case FORM_MEMBER:
        json_write_string(out, p->kind == PIECE_TEXT ? SLICE("content") : name);
        put_between(out, ":", text, "");
        break;
    }
}

void openai_write_piece(struct buf *out, struct slice common, const struct piece *p, struct slice name,
                        struct slice text) {
    buf_putc(out, '{');
    buf_slice(out, common);
    buf_puts(out, "\"choices\":[{\"index\":");
    buf_u64(out, p->choice);
    if (p->form == FORM_CHOICE_TEXT) {
        put_between(out, ",\"text\":", text, ",\"finish_reason\":null}]}");
        return;
    }
    buf_puts(out, ",\"delta\":{");
    put_delta(out, p, name, text);
    buf_puts(out, "},\"finish_reason\":null}]}");
}
