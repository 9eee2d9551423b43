/* openai_calls.c -- the calls of tools in an answer of OpenAI's dialect: who is called, and with what.
 *
 *     "tool_calls": [ { "index": 0, "id": "call_1", "type": "function",
 *                       "function": { "name": "rm", "arguments": "{\"path\"" } },
 *                     { "index": 1, "id": "call_2", "type": "custom", "custom": { "name": "sh", "input": ".." } } ]
 *     "function_call": { "name": "rm", "arguments": ".." }         of older servers: one, without a list
 *
 * A whole answer says each call once.  In a stream the first event of a call has its id and name, those
 * behind it have the number and the next piece of the arguments.  What is said of a call in
 * an event is one struct dialect_call; strings that are not there are JSON_NONE.
 *
 * (openai_pieces.c finds the arguments as pieces of text, for map.) */
#include "llm/openai.h"

static uint32_t member(const struct json_doc *d, uint32_t object, struct slice name) {
    return json_is(d, object, JSON_OBJECT) ? json_get(d, object, name) : JSON_NONE;
}

static unsigned number(const struct json_doc *d, uint32_t object, unsigned otherwise) {
    uint32_t n = member(d, object, SLICE("index"));
    uint64_t v;
    return json_is(d, n, JSON_NUMBER) && json_u64(d, n, &v) == 0 && v < UINT32_MAX ? (unsigned)v : otherwise;
}

/* The names of a call's members differ with its type. */
static void read_call(const struct json_doc *d, uint32_t what, struct slice arguments, struct dialect_call *c) {
    c->name = member(d, what, SLICE("name"));
    c->arguments = member(d, what, arguments);
}

struct walk {
    const struct json_doc *doc;
    void                 (*each)(void *ud, const struct dialect_call *c);
    void                  *ud;
};

static void walk_list(const struct walk *w, unsigned choice, uint32_t list) {
    const struct json_doc *d = w->doc;
    unsigned place = 0;
    for (uint32_t n = json_first(d, list); n != JSON_NONE; n = json_next(d, list, n), place++) {
        if (!json_is(d, n, JSON_OBJECT)) continue;
        struct dialect_call c = { .choice = choice, .index = number(d, n, place), .place = place,
                                  .among = d->nodes[list].count, .call = n, .id = member(d, n, SLICE("id")) };
        uint32_t custom = member(d, n, SLICE("custom"));
        if (json_is(d, custom, JSON_OBJECT)) read_call(d, custom, SLICE("input"), &c);
        else read_call(d, member(d, n, SLICE("function")), SLICE("arguments"), &c);
        w->each(w->ud, &c);
    }
}

static void walk_choice(const struct walk *w, uint32_t choice, unsigned place) {
    const struct json_doc *d = w->doc;
    uint32_t message = member(d, choice, SLICE("delta"));
    if (!json_is(d, message, JSON_OBJECT)) message = member(d, choice, SLICE("message"));
    unsigned number_of_choice = number(d, choice, place);
    uint32_t list = member(d, message, SLICE("tool_calls")), only = member(d, message, SLICE("function_call"));
    if (json_is(d, list, JSON_ARRAY)) walk_list(w, number_of_choice, list);
    if (!json_is(d, only, JSON_OBJECT)) return;
    struct dialect_call c = { .choice = number_of_choice, .among = 1, .call = JSON_NONE, .id = JSON_NONE };
    read_call(d, only, SLICE("arguments"), &c);
    w->each(w->ud, &c);
}

void openai_calls(const struct json_doc *doc, void (*each)(void *ud, const struct dialect_call *c), void *ud) {
    const struct walk w = { doc, each, ud };
    uint32_t choices = member(doc, 0, SLICE("choices"));
    if (!json_is(doc, choices, JSON_ARRAY)) return;
    unsigned place = 0;
    for (uint32_t n = json_first(doc, choices); n != JSON_NONE; n = json_next(doc, choices, n), place++)
        walk_choice(&w, n, place);
}
