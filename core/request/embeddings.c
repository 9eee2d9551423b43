/* embeddings.c -- questions for vectors put together to one, and its answer taken apart.
 *
 *     {"model":"e","input":"red"}            part 0 --+     {"model":"e","input":["red","blue","green"]}
 *     {"model":"e","input":["blue","red"]}   part 1 --+-->         which:  0 | 1 0 | 2
 *     {"model":"e","input":["green"]}        part 2 --+                        |
 *                                                                              v
 *     {"object":"list","data":[{..."index":0,"embedding":[...]}], ...}  <--  the answer, cut
 *
 * Nothing is understood that need not be: the body is the first one with another input, the answers are the
 * upstream's with other members of data.  A vector goes on as the bytes that came, list or base64.
 *
 * An input that several ask for is asked for once; equal are those that are written the same.  What was paid is
 * divided by weight: the tokens of a part, spread over its inputs by their lengths, an input of several by their
 * number.  The shares are whole tokens and add up to what the upstream said: each part gets what is before it
 * rounded, and what is before the next.
 *
 * Inputs that the upstream refuses (an empty text) are not put together with others, whose call would fail. */
#include "request/embeddings.h"

#include <math.h>

#include "base/hash.h"
#include "base/mem.h"
#include "include/perilune.h"

struct embeddings_join {
    unsigned        parts, inputs;
    unsigned       *first;  /* parts + 1: where each begins in `which` */
    unsigned       *which;  /* of each input of a part, which of the body's it is */
    double         *until;  /* parts + 1: weights of all before it */
    unsigned       *users;  /* of each input of the body */
    uint32_t       *found;  /* in the answer, its member of data; JSON_NONE: missing */
    struct json_doc answer;
    uint32_t        data, usage;
};

/* -- What is asked -------------------------------------------------------------------------------- */

static bool is_ids(const struct json_doc *doc, uint32_t list) {
    uint32_t at = json_first(doc, list);
    if (at == JSON_NONE) return false;
    for (; at != JSON_NONE; at = json_next(doc, list, at))
        if (!json_is(doc, at, JSON_NUMBER)) return false;
    return true;
}

static bool is_text(const struct json_doc *doc, uint32_t node) {
    return json_is(doc, node, JSON_STRING) && json_raw(doc, node).len > 2;
}

/* Is there a member more of this name?  Then nobody knows which one counts. */
static bool is_twice(const struct json_doc *doc, struct slice name) {
    unsigned n = 0;
    for (uint32_t key = json_first(doc, 0); key != JSON_NONE; key = json_next(doc, 0, key + 1))
        n += json_str_eq(doc, key, name);
    return n > 1;
}

struct embeddings_form embeddings_form(const struct json_doc *doc) {
    struct embeddings_form none = { .inputs = 0 }, f = { .inputs = 1 };
    uint32_t input = json_get(doc, 0, SLICE("input"));
    if (input == JSON_NONE || is_twice(doc, SLICE("input"))) return none;
    if (json_is(doc, input, JSON_STRING)) return is_text(doc, input) ? f : none;
    uint32_t first = json_first(doc, input);
    if (first == JSON_NONE) return none;
    f.ids = !json_is(doc, first, JSON_STRING);
    if (json_is(doc, first, JSON_NUMBER)) return is_ids(doc, input) ? f : none;
    f.inputs = doc->nodes[input].count;
    if (f.inputs > EMBEDDINGS_INPUTS) return none;
    for (uint32_t at = first; at != JSON_NONE; at = json_next(doc, input, at)) {
        bool good = f.ids ? json_is(doc, at, JSON_ARRAY) && is_ids(doc, at) : is_text(doc, at);
        if (!good) return none;
    }
    return f;
}

static bool is_input(const struct json_doc *doc, uint32_t key) { return json_str_eq(doc, key, SLICE("input")); }

void embeddings_key(const struct json_doc *doc, struct embeddings_form form, struct buf *out) {
    buf_putc(out, form.ids ? 'i' : 't');
    json_write_canonical(doc, 0, is_input, out);
}

/* -- Together ----------------------------------------------------------------------------------------- */

/* Inputs that are there already, by their text. */
struct known {
    struct hash_key key;
    uint32_t       *slots;  /* number of an input + 1; 0: free */
    struct slice   *texts;  /* of each input */
    size_t          mask;
    unsigned        count;
};

static unsigned known_add(struct known *k, struct slice text) {
    size_t at = hash64(&k->key, text) & k->mask;
    for (; k->slots[at] != 0; at = (at + 1) & k->mask)
        if (slice_eq(k->texts[k->slots[at] - 1], text)) return k->slots[at] - 1;
    k->texts[k->count] = text;
    k->slots[at] = ++k->count;
    return k->count - 1;
}

static bool known_init(struct known *k, unsigned most) {
    size_t size = 16;
    while (size < 2 * (size_t)most) size *= 2;
    *k = (struct known){ .mask = size - 1 };
    hash_key_random(&k->key);
    k->slots = mem_zalloc(size * sizeof(*k->slots));
    k->texts = mem_alloc((most + 1) * sizeof(*k->texts));
    return k->slots != NULL && k->texts != NULL;
}

static void known_deinit(struct known *k) {
    mem_free(k->slots);
    mem_free(k->texts);
}

static void add_inputs(struct embeddings_join *j, unsigned i, const struct json_doc *doc, struct known *k) {
    uint32_t input = json_get(doc, 0, SLICE("input"));
    unsigned n = j->first[i];
    bool one = json_is(doc, input, JSON_STRING) || json_is(doc, json_first(doc, input), JSON_NUMBER);
    if (one) {
        j->which[n++] = known_add(k, json_raw(doc, input));
    } else {
        for (uint32_t at = json_first(doc, input); at != JSON_NONE; at = json_next(doc, input, at))
            j->which[n++] = known_add(k, json_raw(doc, at));
    }
    j->first[i + 1] = n;
}

/* How much of what is paid for all is part i's. */
static double weight_of(const struct embeddings_join *j, unsigned i, uint64_t tokens, const struct known *k) {
    double all = 0, mine = 0;
    for (unsigned n = j->first[i]; n < j->first[i + 1]; n++) {
        double len = (double)k->texts[j->which[n]].len;
        all += len;
        mine += len / j->users[j->which[n]];
    }
    return tokens > 0 ? (double)tokens * (mine / all) : mine / 4; /* bytes of a token, about */
}

static void write_body(const struct json_doc *doc, const struct known *k, struct buf *out) {
    uint32_t input = json_get(doc, 0, SLICE("input"));
    const struct json_node *at = &doc->nodes[input];
    buf_put(out, doc->text.ptr, at->start);
    buf_putc(out, '[');
    for (unsigned i = 0; i < k->count; i++) {
        if (i > 0) buf_putc(out, ',');
        buf_slice(out, k->texts[i]);
    }
    buf_putc(out, ']');
    buf_put(out, doc->text.ptr + at->end, doc->text.len - at->end);
}

static void fill(struct embeddings_join *j, const struct embeddings_part *parts, struct known *k) {
    for (unsigned i = 0; i < j->parts; i++) add_inputs(j, i, parts[i].doc, k);
    j->inputs = k->count;
    for (unsigned n = 0; n < j->first[j->parts]; n++) j->users[j->which[n]]++;
    for (unsigned i = 0; i < j->parts; i++) j->until[i + 1] = j->until[i] + weight_of(j, i, parts[i].tokens, k);
}

struct embeddings_join *embeddings_join(const struct embeddings_part *parts, unsigned count, struct buf *out) {
    unsigned most = 0;
    struct known k = { .slots = NULL };
    for (unsigned i = 0; i < count; i++) most += embeddings_form(parts[i].doc).inputs;
    struct embeddings_join *j = mem_zalloc(sizeof(*j));
    if (j == NULL) return NULL;
    j->parts = count;
    j->first = mem_zalloc((count + 1) * sizeof(*j->first));
    j->until = mem_zalloc((count + 1) * sizeof(*j->until));
    j->which = mem_zalloc((most + 1) * sizeof(*j->which));
    j->users = mem_zalloc((most + 1) * sizeof(*j->users));
    j->found = mem_zalloc((most + 1) * sizeof(*j->found));
    bool ok = j->first && j->until && j->which && j->users && j->found && known_init(&k, most);
    if (ok) {
        fill(j, parts, &k);
        write_body(parts[0].doc, &k, out);
    }
    known_deinit(&k);
    if (ok && !buf_failed(out)) return j;
    embeddings_join_free(j);
    return NULL;
}

void embeddings_join_free(struct embeddings_join *j) {
    if (j == NULL) return;
    json_deinit(&j->answer);
    mem_free(j->first);
    mem_free(j->until);
    mem_free(j->which);
    mem_free(j->users);
    mem_free(j->found);
    mem_free(j);
}

unsigned embeddings_parts(const struct embeddings_join *j) { return j->parts; }

/* -- Apart -------------------------------------------------------------------------------------------- */

/* Which input a member of data is about.  One that does not say it is the one in its place, where the list has as many
 * as there are inputs: in a list that is shorter or longer it could be another client's. */
static bool index_of(const struct json_doc *doc, bool complete, uint32_t member, unsigned place, uint64_t *out) {
    *out = place;
    if (!json_is(doc, member, JSON_OBJECT)) return false;
    uint32_t index = json_get(doc, member, SLICE("index"));
    if (json_is(doc, index, JSON_NUMBER)) return json_u64(doc, index, out) == 0;
    return complete;
}

static bool has_vector(const struct json_doc *doc, uint32_t member) {
    uint32_t v = json_get(doc, member, SLICE("embedding"));
    return (json_is(doc, v, JSON_ARRAY) && doc->nodes[v].count > 0) ||
           (json_is(doc, v, JSON_STRING) && json_raw(doc, v).len > 2);
}

int embeddings_read(struct embeddings_join *j, struct slice answer) {
    struct json_error err;
    struct json_doc *doc = &j->answer;
    uint64_t index;
    unsigned place = 0;
    for (unsigned i = 0; i < j->inputs; i++) j->found[i] = JSON_NONE;
    int rc = json_parse(doc, answer, &err);
    if (rc != 0) return rc;
    j->data = json_is(doc, 0, JSON_OBJECT) ? json_get(doc, 0, SLICE("data")) : JSON_NONE;
    if (!json_is(doc, j->data, JSON_ARRAY)) return PERILUNE_ERR_INVAL;
    j->usage = json_get(doc, 0, SLICE("usage"));
    bool complete = doc->nodes[j->data].count == j->inputs;
    for (uint32_t at = json_first(doc, j->data); at != JSON_NONE; at = json_next(doc, j->data, at), place++)
        if (index_of(doc, complete, at, place, &index) && index < j->inputs && has_vector(doc, at))
            j->found[index] = at;
    return 0;
}

/* The share of part i in n tokens: what is below its end less what is below its beginning. */
static uint64_t share(const struct embeddings_join *j, unsigned i, uint64_t n) {
    double all = j->until[j->parts];
    if (!(all > 0)) return 0;
    double from = floor((double)n * (j->until[i] / all) + 0.5), to = floor((double)n * (j->until[i + 1] / all) + 0.5);
    return to > from ? (uint64_t)(to - from) : 0;
}

/* All members of an object but one, which is written by the caller. */
static void copy_members(const struct json_doc *doc, uint32_t object, struct slice except, struct slice except2,
                         bool *any, struct buf *out) {
    for (uint32_t key = json_first(doc, object); key != JSON_NONE; key = json_next(doc, object, key + 1)) {
        if (json_str_eq(doc, key, except) || json_str_eq(doc, key, except2)) continue;
        if (*any) buf_putc(out, ',');
        *any = true;
        buf_slice(out, json_raw(doc, key));
        buf_putc(out, ':');
        buf_slice(out, json_raw(doc, key + 1));
    }
}

static void write_data(const struct embeddings_join *j, unsigned i, struct buf *out) {
    buf_puts(out, "\"data\":[");
    for (unsigned n = j->first[i]; n < j->first[i + 1]; n++) {
        bool any = true;
        if (n > j->first[i]) buf_putc(out, ',');
        buf_puts(out, "{\"index\":");
        buf_u64(out, n - j->first[i]);
        copy_members(&j->answer, j->found[j->which[n]], SLICE("index"), SLICE("index"), &any, out);
        buf_putc(out, '}');
    }
    buf_putc(out, ']');
}

/* A number of the answer's usage, this part's share of it; false: it does not say. */
static bool count_of(const struct embeddings_join *j, unsigned i, struct slice name, uint64_t *out) {
    if (!json_is(&j->answer, j->usage, JSON_OBJECT)) return false;
    uint32_t node = json_get(&j->answer, j->usage, name);
    uint64_t all;
    if (!json_is(&j->answer, node, JSON_NUMBER) || json_u64(&j->answer, node, &all) != 0) return false;
    *out = share(j, i, all);
    return true;
}

bool embeddings_write(const struct embeddings_join *j, unsigned i, struct buf *out, struct usage *usage) {
    uint64_t prompt = 0, total = 0;
    bool any = false;
    *usage = (struct usage){ .known = false };
    for (unsigned n = j->first[i]; n < j->first[i + 1]; n++)
        if (j->found[j->which[n]] == JSON_NONE) return false;
    buf_putc(out, '{');
    copy_members(&j->answer, 0, SLICE("data"), SLICE("usage"), &any, out);
    if (any) buf_putc(out, ',');
    write_data(j, i, out);
    bool has_prompt = count_of(j, i, SLICE("prompt_tokens"), &prompt);
    bool has_total = count_of(j, i, SLICE("total_tokens"), &total);
    if (has_prompt || has_total) {
        *usage = (struct usage){ .known = true, .prompt = has_prompt ? prompt : total };
        buf_puts(out, ",\"usage\":{\"prompt_tokens\":");
        buf_u64(out, usage->prompt);
        buf_puts(out, ",\"total_tokens\":");
        buf_u64(out, has_total ? total : prompt);
        buf_putc(out, '}');
    }
    buf_putc(out, '}');
    return true;
}

/* -- As numbers ------------------------------------------------------------------------------------------- */

static unsigned read_vector(const struct json_doc *doc, uint32_t list, float *out, unsigned most) {
    if (!json_is(doc, list, JSON_ARRAY)) return 0;
    unsigned n = doc->nodes[list].count;
    float largest = 0;
    if (n > most) return 0;
    uint32_t at = json_first(doc, list);
    for (unsigned i = 0; i < n; i++, at = json_next(doc, list, at)) {
        if (!json_is(doc, at, JSON_NUMBER)) return 0;
        out[i] = (float)json_number(doc, at);
        if (!isfinite(out[i])) return 0;
        if (fabsf(out[i]) > largest) largest = fabsf(out[i]);
    }
    return largest > 0 ? n : 0; /* without a direction it is near to nothing, and must not be remembered */
}

unsigned embeddings_vector(const struct json_doc *answer, unsigned i, unsigned of, float *out, unsigned most) {
    uint32_t data = json_is(answer, 0, JSON_OBJECT) ? json_get(answer, 0, SLICE("data")) : JSON_NONE;
    unsigned place = 0;
    uint64_t index;
    if (!json_is(answer, data, JSON_ARRAY)) return 0;
    bool complete = answer->nodes[data].count == of;
    for (uint32_t at = json_first(answer, data); at != JSON_NONE; at = json_next(answer, data, at), place++)
        if (index_of(answer, complete, at, place, &index) && index == i)
            return read_vector(answer, json_get(answer, at, SLICE("embedding")), out, most);
    return 0;
}
