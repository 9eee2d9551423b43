/* merge.c -- a JSON value that comes in pieces.
 *
 *     {"content":"Hel","x":{"sig":"a"}}  +  {"content":"lo","x":{"n":1}}  =  {"content":"Hello","x":{"sig":"a","n":1}}
 *
 * What the chunks of a stream bring is put together by what it is, so that members which nobody here knows are
 * kept, too: strings grow, members of objects are merged, elements of arrays are added.  Numbers, true and false are
 * replaced.  A few strings are said once, and again with some in every chunk: they do not grow.  The data of audio
 * are base64, whose pieces cannot stand behind one another (base64_join.c).
 *
 * Elements with an index go on where that index began.  A part of a list of texts ({"type":"text",...}) goes on with
 * the part before it, when it is the first of its event; a string that follows a list of parts is such a
 * part.  All other elements are complete, and kept as the bytes that came.
 *
 * Everything is bounded: each item takes its size from what is left, and a list of items has at most ITEMS_MAX,
 * because it is searched from its start. */
#include "llm/merge.h"

#include "base/mem.h"
#include "include/perilune.h"

#define ITEMS_MAX 1024

void merged_deinit(struct merged *m) {
    for (unsigned i = 0; i < m->count; i++) {
        buf_deinit(&m->items[i].name);
        merged_deinit(&m->items[i].value);
    }
    mem_free(m->items);
    buf_deinit(&m->text);
    *m = (struct merged){ .type = MERGED_NONE };
}

/* -- Items ------------------------------------------------------------------------------- */

static void become(struct merged *m, enum merged_type type) {
    if (m->type == type) return;
    merged_deinit(m);
    m->type = type;
}

/* A new item at the end.  NULL: *rc says why. */
static struct merged_item *add_item(struct merged *m, const struct merging *from, int *rc) {
    *rc = m->count == ITEMS_MAX || *from->left < sizeof(*m->items) ? PERILUNE_ERR_LIMITED : 0;
    if (*rc == 0 && m->count == m->cap) {
        unsigned cap = m->cap ? 2 * m->cap : 2;
        struct merged_item *items = mem_realloc(m->items, cap * sizeof(*items));
        if (items == NULL) *rc = PERILUNE_ERR_NOMEM;
        else m->items = items;
        if (items != NULL) m->cap = cap;
    }
    if (*rc != 0) return NULL;
    *from->left -= sizeof(*m->items);
    struct merged_item *i = &m->items[m->count++];
    *i = (struct merged_item){ .index = MERGED_NO_INDEX };
    return i;
}

static struct merged_item *find_member(struct merged *m, struct slice name) {
    for (unsigned i = 0; i < m->count; i++)
        if (slice_eq(buf_get(&m->items[i].name), name)) return &m->items[i];
    return NULL;
}

static struct merged_item *find_index(struct merged *m, uint64_t index) {
    for (unsigned i = 0; i < m->count; i++)
        if (m->items[i].index == index) return &m->items[i];
    return NULL;
}

/* -- Strings and what is replaced ----------------------------------------------------------- */

static int set_json(struct merged *m, struct slice raw) {
    become(m, MERGED_JSON);
    buf_clear(&m->text);
    buf_slice(&m->text, raw);
    return buf_failed(&m->text) ? PERILUNE_ERR_NOMEM : 0;
}

static bool is_said_once(struct slice name) {
    static const char *const names[] = { "\"id\"", "\"type\"", "\"role\"", "\"name\"", "\"format\"", "\"object\"",
                                         "\"status\"", "\"mime_type\"" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_eq(name, slice_str(names[i]))) return true;
    return false;
}

static int grow(struct merged *m, const struct json_doc *d, uint32_t node) {
    become(m, MERGED_STRING);
    piece_decode(d, node, &m->half, &m->text);
    return buf_failed(&m->text) ? PERILUNE_ERR_NOMEM : 0;
}

static int grow_base64(struct merged *m, const struct json_doc *d, uint32_t node) {
    struct buf piece;
    buf_init(&piece, 0);
    become(m, MERGED_BASE64);
    piece_decode(d, node, &(struct piece_half){ .len = 0 }, &piece);
    base64_join_add(&m->join, buf_get(&piece), &m->text);
    bool failed = buf_failed(&piece) || buf_failed(&m->text);
    buf_deinit(&piece);
    return failed ? PERILUNE_ERR_NOMEM : 0;
}

static bool is_null(const struct merged *m) {
    return m->type == MERGED_NONE || (m->type == MERGED_JSON && slice_eq(buf_get(&m->text), SLICE("null")));
}

/* -- Lists ---------------------------------------------------------------------------------- */

/* Is it text that goes on over several events? */
static bool is_text_type(struct slice type) {
    return slice_starts(type, SLICE("\"text")) || slice_starts(type, SLICE("\"thinking")) ||
           slice_starts(type, SLICE("\"reasoning"));
}

/* The last item, when it is a part of this type (JSON). */
static struct merged_item *last_part(struct merged *m, struct slice type) {
    struct merged_item *last = m->count > 0 ? &m->items[m->count - 1] : NULL;
    if (last == NULL || last->value.type != MERGED_OBJECT) return NULL;
    const struct merged *t = merged_get(&last->value, "type");
    struct slice plain = slice_of(type.ptr + 1, type.len - 2);
    return t != NULL && t->type == MERGED_STRING && slice_eq(buf_get(&t->text), plain) ? last : NULL;
}

/* Appends to the run of complete elements at the end. */
static int add_raw(struct merged *m, const struct merging *from, struct slice raw) {
    struct merged_item *last = m->count > 0 && m->items[m->count - 1].run ? &m->items[m->count - 1] : NULL;
    int rc = 0;
    bool first = last == NULL;
    if (first && (last = add_item(m, from, &rc)) == NULL) return rc;
    last->run = true;
    last->value.type = MERGED_JSON;
    if (!first) buf_putc(&last->value.text, ',');
    buf_slice(&last->value.text, raw);
    return buf_failed(&last->value.text) ? PERILUNE_ERR_NOMEM : 0;
}

int merge_element(struct merged *m, const struct merging *from, uint64_t index, uint32_t node) {
    int rc = 0;
    become(m, MERGED_ARRAY);
    struct merged_item *i = find_index(m, index);
    if (i == NULL && (i = add_item(m, from, &rc)) == NULL) return rc;
    i->index = index;
    return merge_value(&i->value, from, SLICE(""), node, MERGE_GROW);
}

static int add_element(struct merged *m, const struct merging *from, uint32_t node, bool first) {
    const struct json_doc *d = from->doc;
    if (!json_is(d, node, JSON_OBJECT)) return add_raw(m, from, json_raw(d, node));
    uint32_t index = json_get(d, node, SLICE("index")), type = json_get(d, node, SLICE("type"));
    uint64_t at;
    if (json_is(d, index, JSON_NUMBER) && json_u64(d, index, &at) == 0) return merge_element(m, from, at, node);
    if (!json_is(d, type, JSON_STRING) || !is_text_type(json_raw(d, type))) return add_raw(m, from, json_raw(d, node));
    int rc = 0;
    struct merged_item *i = first ? last_part(m, json_raw(d, type)) : NULL;
    if (i == NULL && (i = add_item(m, from, &rc)) == NULL) return rc;
    return merge_value(&i->value, from, SLICE(""), node, MERGE_GROW);
}

static int grow_list(struct merged *m, const struct merging *from, uint32_t list) {
    int rc = 0;
    bool first = true;
    become(m, MERGED_ARRAY);
    for (uint32_t n = json_first(from->doc, list); rc == 0 && n != JSON_NONE; n = json_next(from->doc, list, n)) {
        rc = add_element(m, from, n, first);
        first = false;
    }
    return rc;
}

/* The string at node becomes, or goes on with, the last part of a list of texts. */
static int grow_part(struct merged *m, const struct merging *from, uint32_t node) {
    static const char text[] = "{\"type\":\"text\",\"text\":\"\"}";
    struct json_doc part = { .nodes = NULL };
    int rc = 0;
    struct merged_item *i = last_part(m, SLICE("\"text\""));
    if (i == NULL && (i = add_item(m, from, &rc)) != NULL) {
        rc = json_parse(&part, slice_str(text), &(struct json_error){ 0 });
        if (rc == 0) rc = merge_value(&i->value, &(struct merging){ &part, from->left }, SLICE(""), 0, MERGE_GROW);
        json_deinit(&part);
    }
    struct merged_item *to = rc == 0 ? find_member(&i->value, SLICE("\"text\"")) : NULL;
    return to != NULL ? grow(&to->value, from->doc, node) : rc;
}

/* A string goes on as a list of parts: it becomes the first of them. */
static int become_list(struct merged *m, const struct merging *from) {
    if (m->type != MERGED_STRING) return 0;
    struct buf json;
    struct json_doc doc = { .nodes = NULL };
    struct merged list = { .type = MERGED_ARRAY };
    buf_init(&json, 0);
    merged_write(&json, m);
    int rc = buf_failed(&json) ? PERILUNE_ERR_NOMEM : json_parse(&doc, buf_get(&json), &(struct json_error){ 0 });
    if (rc == 0 && !piece_is_empty(&doc, 0)) rc = grow_part(&list, &(struct merging){ &doc, from->left }, 0);
    json_deinit(&doc);
    buf_deinit(&json);
    merged_deinit(m);
    *m = list;
    return rc;
}

/* -- Values ---------------------------------------------------------------------------------- */

int merge_member(struct merged *m, const struct merging *from, uint32_t key, uint32_t value, enum merge_how how) {
    struct slice name = json_raw(from->doc, key);
    int rc = 0;
    become(m, MERGED_OBJECT);
    struct merged_item *i = find_member(m, name);
    if (i == NULL) {
        if ((i = add_item(m, from, &rc)) == NULL) return rc;
        buf_slice(&i->name, name);
        if (buf_failed(&i->name)) return PERILUNE_ERR_NOMEM;
    }
    return merge_value(&i->value, from, name, value, how);
}

static int merge_object(struct merged *m, const struct merging *from, struct slice name, uint32_t node,
                        enum merge_how how) {
    bool audio = how == MERGE_GROW && slice_eq(name, SLICE("\"audio\""));
    int rc = 0;
    become(m, MERGED_OBJECT);
    for (uint32_t key = json_first(from->doc, node); rc == 0 && key != JSON_NONE;) {
        uint32_t value = json_next(from->doc, node, key);
        bool data = audio && json_str_eq(from->doc, key, SLICE("data"));
        rc = merge_member(m, from, key, value, data ? MERGE_BASE64 : how);
        key = json_next(from->doc, node, value);
    }
    return rc;
}

static int merge_string(struct merged *m, const struct merging *from, struct slice name, uint32_t node,
                        enum merge_how how) {
    bool empty = piece_is_empty(from->doc, node), null = is_null(m);
    if (empty && !null) return 0;
    if (how == MERGE_LAST) return set_json(m, json_raw(from->doc, node));
    if (how == MERGE_BASE64) return grow_base64(m, from->doc, node);
    if (m->type == MERGED_ARRAY) return grow_part(m, from, node);
    if (m->type == MERGED_STRING && is_said_once(name) && buf_len(&m->text) > 0) return 0;
    return grow(m, from->doc, node);
}

int merge_value(struct merged *m, const struct merging *from, struct slice name, uint32_t node, enum merge_how how) {
    switch (json_type(from->doc, node)) {
    case JSON_NULL: return m->type == MERGED_NONE ? set_json(m, SLICE("null")) : 0;
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_NUMBER: return set_json(m, json_raw(from->doc, node));
    case JSON_STRING: return merge_string(m, from, name, node, how);
    case JSON_OBJECT: return merge_object(m, from, name, node, how);
    case JSON_ARRAY: break;
    }
    if (how == MERGE_LAST) return set_json(m, json_raw(from->doc, node));
    int rc = become_list(m, from);
    return rc != 0 ? rc : grow_list(m, from, node);
}

/* -- Writing ---------------------------------------------------------------------------------- */

bool merged_is(const struct merged_item *member, const char *name) {
    struct slice s = buf_get(&member->name);
    return s.len == strlen(name) + 2 && memcmp(s.ptr + 1, name, s.len - 2) == 0;
}

const struct merged *merged_get(const struct merged *m, const char *name) {
    for (unsigned i = 0; m->type == MERGED_OBJECT && i < m->count; i++)
        if (merged_is(&m->items[i], name)) return &m->items[i].value;
    return NULL;
}

static void write_string(struct buf *out, const struct merged *m) {
    struct piece_half half = m->half;
    struct buf whole;
    if (half.len == 0) {
        json_write_string(out, buf_get(&m->text));
        return;
    }
    buf_init(&whole, 0);
    buf_slice(&whole, buf_get(&m->text));
    piece_decode_rest(&half, &whole);
    json_write_string(out, buf_get(&whole));
    if (buf_failed(&whole)) out->error = whole.error;
    buf_deinit(&whole);
}

static void write_base64(struct buf *out, const struct merged *m) {
    struct buf whole;
    buf_init(&whole, 0);
    buf_slice(&whole, buf_get(&m->text));
    base64_join_rest(&m->join, &whole);
    json_write_string(out, buf_get(&whole));
    if (buf_failed(&whole)) out->error = whole.error;
    buf_deinit(&whole);
}

static void write_items(struct buf *out, const struct merged *m) {
    bool object = m->type == MERGED_OBJECT;
    buf_putc(out, object ? '{' : '[');
    for (unsigned i = 0; i < m->count; i++) {
        if (i > 0) buf_putc(out, ',');
        if (object) buf_slice(out, buf_get(&m->items[i].name));
        if (object) buf_putc(out, ':');
        merged_write(out, &m->items[i].value);
    }
    buf_putc(out, object ? '}' : ']');
}

void merged_write(struct buf *out, const struct merged *m) {
    switch (m->type) {
    case MERGED_NONE: buf_puts(out, "null"); break;
    case MERGED_JSON: buf_slice(out, buf_get(&m->text)); break;
    case MERGED_STRING: write_string(out, m); break;
    case MERGED_BASE64: write_base64(out, m); break;
    case MERGED_OBJECT:
    case MERGED_ARRAY: write_items(out, m); break;
    }
}
