/* tool_calls.c -- which call of a tool a piece of an answer belongs to.
 *
 *     {"index":0,"id":"a","function":{"name":"f","arguments":"{"}}    begins the first
 *     {"index":0,"function":{"arguments":"}"}}                        goes on with it
 *     {"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}   begins the second, whatever its index
 *
 * OpenAI's index says it all.  Others give every parallel call the index 0, or none (Gemini), and tell
 * them apart by their ids.  So a call begins with an index that is new, or with an id that is new and a name:
 * old versions of vLLM make up an id for each piece of a call, but name the function once.  Where neither index nor
 * id is said, the call that was mentioned last goes on, unless it is another function.  Several calls in one list
 * without index and id are told apart by their place there.
 *
 * Ids and names are kept as 64-bit hashes.  Who makes two meet has mixed up calls of its own answer. */
#include "llm/tool_calls.h"

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"

#define NO_INDEX UINT64_MAX

struct tool_call_seen {
    unsigned choice, when; /* when: the clock at its last mention */
    uint64_t index;        /* or NO_INDEX */
    uint64_t id, name;     /* hashes; 0: not said */
};

void tool_calls_deinit(struct tool_calls *t) {
    mem_free(t->seen);
    *t = (struct tool_calls){ .seen = NULL };
}

/* 0: no string, or an empty one. */
static uint64_t hash_of(const struct json_doc *d, uint32_t n) {
    struct slice s = json_is(d, n, JSON_STRING) ? json_raw(d, n) : SLICE("");
    return s.len > 2 ? hash_fnv(s) | 1 : 0;
}

static uint64_t name_of(const struct json_doc *d, uint32_t call) {
    uint32_t fn = json_get(d, call, SLICE("function"));
    if (!json_is(d, fn, JSON_OBJECT)) fn = json_get(d, call, SLICE("custom"));
    return json_is(d, fn, JSON_OBJECT) ? hash_of(d, json_get(d, fn, SLICE("name"))) : 0;
}

static uint64_t index_of(const struct json_doc *d, uint32_t call) {
    uint32_t n = json_get(d, call, SLICE("index"));
    uint64_t v;
    return json_is(d, n, JSON_NUMBER) && json_u64(d, n, &v) == 0 ? v : NO_INDEX;
}

static bool is_at(const struct tool_call_seen *s, const struct tool_call_seen *like) {
    return s->choice == like->choice && (like->index == NO_INDEX || s->index == like->index);
}

/* The one with this id. */
static struct tool_call_seen *by_id(struct tool_calls *t, const struct tool_call_seen *like) {
    for (unsigned i = t->len; like->id != 0 && i > 0; i--) {
        struct tool_call_seen *s = &t->seen[i - 1];
        bool there = is_at(s, like) || (s->choice == like->choice && s->index == NO_INDEX);
        if (s->id == like->id && there) return s;
    }
    return NULL;
}

/* The one of this index, or of the choice, that was mentioned last. */
static struct tool_call_seen *latest(struct tool_calls *t, const struct tool_call_seen *like) {
    struct tool_call_seen *found = NULL;
    for (unsigned i = 0; i < t->len; i++) {
        struct tool_call_seen *s = &t->seen[i];
        if (is_at(s, like) && (found == NULL || s->when > found->when)) found = s;
    }
    return found;
}

/* Number `place` of the choice's. */
static struct tool_call_seen *by_place(struct tool_calls *t, unsigned choice, unsigned place) {
    for (unsigned i = 0; i < t->len; i++)
        if (t->seen[i].choice == choice && place-- == 0) return &t->seen[i];
    return NULL;
}

/* Can this mention go on with s? */
static bool goes_on(const struct tool_call_seen *s, const struct tool_call_seen *like) {
    bool other = like->name != 0 && s->name != 0 && like->name != s->name;
    bool renamed = like->id != 0 && s->id != 0 && like->id != s->id && like->name != 0;
    return !other && !renamed;
}

static int add(struct tool_calls *t, const struct tool_call_seen *like) {
    if (t->len == TOOL_CALLS_MAX) return PERILUNE_ERR_LIMITED;
    if (t->len == t->cap) {
        unsigned cap = t->cap ? 2 * t->cap : 4;
        struct tool_call_seen *more = mem_realloc(t->seen, cap * sizeof(*more));
        if (more == NULL) return PERILUNE_ERR_NOMEM;
        t->seen = more;
        t->cap = cap;
    }
    t->seen[t->len++] = *like;
    return 0;
}

int tool_calls_find(struct tool_calls *t, const struct json_doc *doc, const struct tool_call_at *at, unsigned *number) {
    struct tool_call_seen like = { .choice = at->choice, .when = ++t->clock, .index = index_of(doc, at->call),
                                   .id = hash_of(doc, json_get(doc, at->call, SLICE("id"))),
                                   .name = name_of(doc, at->call) };
    bool by_order = like.index == NO_INDEX && like.id == 0 && at->among > 1;
    struct tool_call_seen *s = by_id(t, &like);
    if (s == NULL) {
        s = by_order ? by_place(t, at->choice, at->place) : latest(t, &like);
        /* Two in one list are two, whatever they are called. */
        bool both = like.index == NO_INDEX && like.id != 0 && at->place > 0;
        if (s != NULL && (both || !goes_on(s, &like))) s = NULL;
    }
    int rc = s == NULL ? add(t, &like) : 0;
    if (rc != 0) return rc;
    if (s == NULL) s = &t->seen[t->len - 1];
    s->when = like.when;
    if (s->id == 0) s->id = like.id;
    if (s->name == 0) s->name = like.name;
    *number = (unsigned)(s - t->seen);
    return 0;
}
