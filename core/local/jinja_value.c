/* jinja_value.c -- what variables of a template hold, as Python has it.
 *
 *     {"role": "user", "parts": [1, 2]}
 *
 *     DICT -> entries  [ "role" | STR "user" ] [ "parts" | LIST ]
 *             index    (from nine entries on)              -> items [ INT 1 ][ INT 2 ]
 *
 * A value is 24 bytes and is copied; lists and dicts are shared, as in Python: what .append() does to one, all
 * see.  Everything lives in the run's arena until it ends, so nothing is counted or freed; jinja_alloc() counts
 * the bytes, and JINJA_MAX_DEPTH bounds how deep comparing goes, since a list may hold itself.
 *
 * Looking for what is not there gives UNDEF, as in Jinja: it prints as nothing, is false and empty, and fails
 * when it is used for more.
 *
 * Invariants: a STR is UTF-8; a dict's keys are STRs and INTs, each once; entries are in order of insertion.
 *
 * Thread: the run's. */
#include <string.h>

#include "include/perilune.h"
#include "local/jinja_int.h"

#define INDEX_FROM 9 /* entries: fewer are looked through */

const char *jinja_type_name(const struct jinja_value *v) {
    static const char *const names[] = { "undefined", "None", "bool", "int", "float", "int", "str", "list", "tuple",
        "dict",
                                         "namespace", "macro", "function", "method", "loop" };
    return names[v->type];
}

bool jinja_truth(const struct jinja_value *v) {
    switch (v->type) {
    case J_UNDEF:
    case J_NONE: return false;
    case J_BOOL: return v->b;
    case J_INT: return v->i != 0;
    case J_FLOAT: return v->f != 0;
    case J_STR: return v->s.len > 0;
    case J_LIST:
    case J_TUPLE: return v->list->len > 0;
    case J_DICT: return v->dict->len > 0;
    default: return true;
    }
}

int jinja_copy(struct jinja_run *r, struct slice s, struct slice *out) {
    char *p = jinja_alloc(r, s.len + 1);
    if (p == NULL) return jinja_out_of(r);
    if (s.len > 0) memcpy(p, s.ptr, s.len);
    *out = slice_of(p, s.len);
    return 0;
}

/* -- Lists and dicts ----------------------------------------------------------------- */

int jinja_new_list(struct jinja_run *r, enum jinja_type type, uint32_t cap, struct jinja_value *out) {
    struct jinja_list *l = jinja_alloc(r, sizeof(*l));
    if (l == NULL) return jinja_out_of(r);
    *l = (struct jinja_list){ .cap = cap };
    if (cap > 0 && (l->items = jinja_alloc(r, cap * sizeof(*l->items))) == NULL) return jinja_out_of(r);
    *out = (struct jinja_value){ .type = type, .list = l };
    return 0;
}

int jinja_push(struct jinja_run *r, struct jinja_list *l, struct jinja_value v) {
    if (l->len == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 8;
        struct jinja_value *items = jinja_alloc(r, cap * sizeof(*items));
        if (items == NULL) return jinja_out_of(r);
        if (l->len > 0) memcpy(items, l->items, l->len * sizeof(*items));
        l->items = items;
        l->cap = cap;
    }
    l->items[l->len++] = v;
    return 0;
}

int jinja_new_dict(struct jinja_run *r, enum jinja_type type, struct jinja_value *out) {
    struct jinja_dict *d = jinja_alloc(r, sizeof(*d));
    if (d == NULL) return jinja_out_of(r);
    *d = (struct jinja_dict){ 0 };
    *out = (struct jinja_value){ .type = type, .dict = d };
    return 0;
}

static uint64_t hash_key(const struct jinja_run *r, const struct jinja_value *key) {
    if (key->type == J_STR) return hash64(&r->key, key->s);
    int64_t i = j_to_int(key);
    return hash64(&r->key, slice_of((const char *)&i, sizeof(i)));
}

static bool same_key(const struct jinja_value *a, const struct jinja_value *b) {
    if (a->type == J_STR || b->type == J_STR) return a->type == b->type && slice_eq(a->s, b->s);
    return j_to_int(a) == j_to_int(b);
}

/* The place in the index of the entry with this key, or of where it would go. */
static uint32_t probe(const struct jinja_dict *d, const struct jinja_value *key, uint64_t hash) {
    uint32_t mask = d->index_size - 1, at = (uint32_t)hash & mask;
    for (; d->index[at] != 0; at = (at + 1) & mask) {
        const struct jinja_entry *e = &d->entries[d->index[at] - 1];
        if (e->hash == hash && same_key(&e->key, key)) break;
    }
    return at;
}

struct jinja_entry *jinja_dict_get(const struct jinja_run *r, const struct jinja_dict *d,
                                   const struct jinja_value *key) {
    if (key->type != J_STR && !j_is_int(key)) return NULL;
    if (d->index != NULL) {
        uint32_t at = d->index[probe(d, key, hash_key(r, key))];
        return at ? &d->entries[at - 1] : NULL;
    }
    for (uint32_t i = 0; i < d->len; i++)
        if (same_key(&d->entries[i].key, key)) return &d->entries[i];
    return NULL;
}

/* Room for one more entry, and for its place in the index. */
static int dict_grow(struct jinja_run *r, struct jinja_dict *d) {
    uint32_t cap = d->cap ? d->cap * 2 : 4;
    struct jinja_entry *entries = jinja_alloc(r, cap * sizeof(*entries));
    if (entries == NULL) return jinja_out_of(r);
    uint32_t *index = NULL;
    if (cap >= INDEX_FROM) {
        index = jinja_alloc(r, cap * 2 * sizeof(*index));
        if (index == NULL) return jinja_out_of(r);
        memset(index, 0, cap * 2 * sizeof(*index));
    }
    if (d->len > 0) memcpy(entries, d->entries, d->len * sizeof(*entries));
    d->entries = entries;
    d->cap = cap;
    if (index == NULL) return 0;
    bool first = d->index == NULL;
    d->index = index;
    d->index_size = cap * 2;
    for (uint32_t i = 0; i < d->len; i++) {
        if (first) entries[i].hash = hash_key(r, &entries[i].key);
        index[probe(d, &entries[i].key, entries[i].hash)] = i + 1;
    }
    return 0;
}

int jinja_dict_set(struct jinja_run *r, struct jinja_dict *d, struct jinja_value key, struct jinja_value v) {
    if (key.type != J_STR && !j_is_int(&key))
        return jinja_fail(r, PERILUNE_ERR_INVAL, "a key of a dict is a string or an integer, not %s",
                          jinja_type_name(&key));
    struct jinja_entry *e = jinja_dict_get(r, d, &key);
    if (e != NULL) return e->value = v, 0;
    if (d->len == d->cap) {
        int rc = dict_grow(r, d);
        if (rc != 0) return rc;
    }
    e = &d->entries[d->len];
    *e = (struct jinja_entry){ .key = key, .value = v };
    if (d->index != NULL) {
        e->hash = hash_key(r, &key);
        uint32_t at = probe(d, &key, e->hash);
        d->index[at] = d->len + 1;
    }
    d->len++;
    return 0;
}

/* -- Comparing -------------------------------------------------------------------------- */

static int equal_lists(struct jinja_run *r, const struct jinja_list *a, const struct jinja_list *b, bool *out) {
    *out = a->len == b->len;
    for (uint32_t i = 0; i < a->len && *out; i++) {
        int rc = jinja_equal(r, &a->items[i], &b->items[i], out);
        if (rc != 0) return rc;
    }
    return 0;
}

static int equal_dicts(struct jinja_run *r, const struct jinja_dict *a, const struct jinja_dict *b, bool *out) {
    *out = a->len == b->len;
    for (uint32_t i = 0; i < a->len && *out; i++) {
        const struct jinja_entry *e = jinja_dict_get(r, b, &a->entries[i].key);
        *out = e != NULL;
        int rc = e ? jinja_equal(r, &a->entries[i].value, &e->value, out) : 0;
        if (rc != 0) return rc;
    }
    return 0;
}

int jinja_equal(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, bool *out) {
    *out = false;
    if (j_is_number(a) && j_is_number(b)) {
        *out = j_is_int(a) && j_is_int(b) ? j_to_int(a) == j_to_int(b) : j_to_float(a) == j_to_float(b);
        return 0;
    }
    if (a->type != b->type) return 0;
    int rc = jinja_enter(r);
    if (rc != 0) return rc;
    switch (a->type) {
    case J_UNDEF:
    case J_NONE: *out = true; break;
    case J_BIG:
    case J_STR:
        *out = slice_eq(a->s, b->s);
        rc = jinja_charge_bytes(r, *out ? a->s.len : 0);
        break;
    case J_LIST:
    case J_TUPLE: rc = equal_lists(r, a->list, b->list, out); break;
    case J_DICT: rc = equal_dicts(r, a->dict, b->dict, out); break;
    case J_FUNC: *out = a->i == b->i; break;
    default: *out = a->dict == b->dict; break; /* the same object */
    }
    jinja_leave(r);
    return rc;
}

int jinja_order(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b, int *out) {
    *out = 0;
    if (j_is_int(a) && j_is_int(b)) {
        int64_t x = j_to_int(a), y = j_to_int(b);
        *out = (x > y) - (x < y);
        return 0;
    }
    if (j_is_number(a) && j_is_number(b)) {
        double x = j_to_float(a), y = j_to_float(b);
        *out = (x > y) - (x < y);
        return 0;
    }
    if (a->type == J_STR && b->type == J_STR) {
        size_t n = a->s.len < b->s.len ? a->s.len : b->s.len;
        *out = n > 0 ? memcmp(a->s.ptr, b->s.ptr, n) : 0; /* UTF-8 sorts as code points do */
        if (*out == 0) *out = (a->s.len > b->s.len) - (a->s.len < b->s.len);
        return jinja_charge_bytes(r, n);
    }
    return jinja_fail(r, PERILUNE_ERR_INVAL, "%s and %s have no order", jinja_type_name(a), jinja_type_name(b));
}

int jinja_contains(struct jinja_run *r, const struct jinja_value *in, const struct jinja_value *what, bool *out) {
    *out = false;
    if (in->type == J_STR) {
        if (what->type != J_STR)
            return jinja_fail(r, PERILUNE_ERR_INVAL, "only a string can be in a string, not %s", jinja_type_name(what));
        *out = what->s.len == 0 || memmem(in->s.ptr, in->s.len, what->s.ptr, what->s.len) != NULL;
        return jinja_charge_bytes(r, in->s.len);
    }
    if (in->type == J_DICT) {
        *out = jinja_dict_get(r, in->dict, what) != NULL;
        return 0;
    }
    if (in->type == J_UNDEF) return 0;
    if (!j_is_list(in)) return jinja_fail(r, PERILUNE_ERR_INVAL, "nothing can be in %s", jinja_type_name(in));
    for (uint32_t i = 0; i < in->list->len && !*out; i++) {
        int rc = jinja_charge(r, 1);
        if (rc == 0) rc = jinja_equal(r, &in->list->items[i], what, out);
        if (rc != 0) return rc;
    }
    return 0;
}

/* -- Parts ---------------------------------------------------------------------------------- */

static int fail_undefined(struct jinja_run *r, const struct jinja_value *v) {
    return jinja_fail(r, PERILUNE_ERR_INVAL, "\"%.*s\" is undefined", v->s.len < 100 ? (int)v->s.len : 100, v->s.ptr);
}

static int loop_attr(struct jinja_run *r, struct jinja_loop *l, struct slice name, struct jinja_value *out) {
    int64_t at = l->at, len = l->items->len;
    const struct { const char *name; struct jinja_value v; } attrs[] = {
        { "index", j_int(at + 1) },       { "index0", j_int(at) },
        { "revindex", j_int(len - at) },  { "revindex0", j_int(len - at - 1) },
        { "first", j_bool(at == 0) },     { "last", j_bool(at + 1 == len) },
        { "length", j_int(len) },         { "depth", j_int(l->depth) },
        { "depth0", j_int(l->depth - 1) },
        { "previtem", at > 0 ? l->items->items[at - 1] : j_undef(SLICE("loop.previtem")) },
        { "nextitem", at + 1 < len ? l->items->items[at + 1] : j_undef(SLICE("loop.nextitem")) },
    };
    for (unsigned i = 0; i < sizeof(attrs) / sizeof(attrs[0]); i++)
        if (slice_eq(name, slice_str(attrs[i].name))) return *out = attrs[i].v, 0;
    return jinja_fail(r, PERILUNE_ERR_INVAL, "loop.%.*s is not supported", SLICE_ARG(name));
}

int jinja_attr(struct jinja_run *r, const struct jinja_value *of, struct slice name, struct jinja_value *out) {
    struct jinja_value key = j_str(name);
    if (of->type == J_UNDEF) return fail_undefined(r, of);
    if (of->type == J_LOOP && !slice_eq(name, SLICE("cycle"))) return loop_attr(r, of->loop, name, out);
    int which = jinja_method_find(name);
    if (which >= 0 && jinja_has_method(of, which)) {
        struct jinja_method *m = jinja_alloc(r, sizeof(*m));
        if (m == NULL) return jinja_out_of(r);
        *m = (struct jinja_method){ *of, which };
        *out = (struct jinja_value){ .type = J_METHOD, .method = m };
        return 0;
    }
    const struct jinja_entry *e = of->type == J_DICT || of->type == J_SPACE ? jinja_dict_get(r, of->dict, &key) : NULL;
    *out = e ? e->value : j_undef(name);
    return 0;
}

int jinja_item(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value *key,
               struct jinja_value *out) {
    if (of->type == J_UNDEF) return fail_undefined(r, of);
    *out = j_undef(key->type == J_STR ? key->s : SLICE("an element"));
    if (of->type == J_DICT) {
        const struct jinja_entry *e = jinja_dict_get(r, of->dict, key);
        if (e) return *out = e->value, 0;
        /* Behind the items, attributes: d['items'] is the method when there is no such key. */
        return key->type == J_STR ? jinja_attr(r, of, key->s, out) : 0;
    }
    if (key->type == J_STR) return jinja_attr(r, of, key->s, out);
    if (!j_is_int(key)) return 0;
    int64_t i = j_to_int(key);
    if (j_is_list(of)) {
        if (i < 0) i += of->list->len;
        if (i >= 0 && i < of->list->len) *out = of->list->items[i];
    } else if (of->type == J_STR) {
        size_t len = jinja_chars(of->s);
        int rc = jinja_charge_bytes(r, of->s.len);
        if (rc != 0) return rc;
        if (i < 0) i += (int64_t)len;
        if (i < 0 || (uint64_t)i >= len) return 0;
        size_t from = jinja_char_at(of->s, (size_t)i);
        struct slice rest = slice_of(of->s.ptr + from, of->s.len - from);
        *out = j_str(slice_of(rest.ptr, jinja_char_at(rest, 1)));
    }
    return 0;
}

/* Python's: what a[from:to:step] takes of len elements. */
static int slice_bounds(struct jinja_run *r, const struct jinja_value b[3], int64_t len, int64_t *from, int64_t *to,
                        int64_t *step) {
    for (unsigned i = 0; i < 3; i++)
        if (b[i].type != J_NONE && !j_is_int(&b[i]))
            return jinja_fail(r, PERILUNE_ERR_INVAL, "a slice's bounds are integers, not %s", jinja_type_name(&b[i]));
    *step = b[2].type == J_NONE ? 1 : j_to_int(&b[2]);
    if (*step == 0) return jinja_fail(r, PERILUNE_ERR_INVAL, "a slice's step cannot be 0");
    if (*step > len + 1) *step = len + 1;
    if (*step < -len - 1) *step = -len - 1;
    int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? len - 1 : len;
    int64_t *const bound[2] = { from, to };
    for (unsigned i = 0; i < 2; i++) {
        if (b[i].type == J_NONE) {
            *bound[i] = (i == 0) == (*step > 0) ? low : high;
            continue;
        }
        int64_t v = j_to_int(&b[i]);
        if (v < 0) v = v < -len ? low : v + len;
        *bound[i] = v < low ? low : v > high ? high : v;
    }
    return 0;
}

static int slice_text(struct jinja_run *r, struct slice s, int64_t from, int64_t to, int64_t step,
                      struct jinja_value *out) {
    if (step == 1) {
        size_t a = jinja_char_at(s, (size_t)from), b = to > from ? jinja_char_at(s, (size_t)to) : a;
        return *out = j_str(slice_of(s.ptr + a, b - a)), 0;
    }
    struct buf b;
    jinja_buf(r, &b);
    int rc = 0;
    for (int64_t i = from; rc == 0 && (step > 0 ? i < to : i > to); i += step) {
        size_t at = jinja_char_at(s, (size_t)i);
        rc = jinja_charge_bytes(r, at + 64); /* walked again for each: only templates that turn text round do this */
        struct slice rest = slice_of(s.ptr + at, s.len - at);
        buf_put(&b, rest.ptr, jinja_char_at(rest, 1));
    }
    struct slice text;
    int took = jinja_take(r, &b, &text);
    *out = j_str(text);
    return rc ? rc : took;
}

int jinja_slice(struct jinja_run *r, const struct jinja_value *of, const struct jinja_value bounds[3],
                struct jinja_value *out) {
    int64_t from, to, step, len;
    if (of->type == J_UNDEF) return fail_undefined(r, of);
    *out = j_undef(SLICE("a slice"));
    if (of->type != J_STR && !j_is_list(of)) return 0;
    int rc = jinja_length(r, of, &len);
    if (rc == 0) rc = slice_bounds(r, bounds, len, &from, &to, &step);
    if (rc != 0) return rc;
    if (of->type == J_STR) return slice_text(r, of->s, from, to, step, out);
    const struct jinja_list *l = of->list;
    rc = jinja_new_list(r, of->type, 0, out);
    for (int64_t i = from; rc == 0 && (step > 0 ? i < to : i > to); i += step) {
        rc = jinja_charge(r, 1);
        if (rc == 0) rc = jinja_push(r, out->list, l->items[i]);
    }
    return rc;
}

/* The characters of a text, one string each. */
static int characters(struct jinja_run *r, struct slice s, struct jinja_list *to) {
    for (size_t at = 0; at < s.len;) {
        struct slice rest = slice_of(s.ptr + at, s.len - at);
        size_t n = jinja_char_at(rest, 1);
        int rc = jinja_charge(r, 1);
        if (rc == 0) rc = jinja_push(r, to, j_str(slice_of(rest.ptr, n)));
        if (rc != 0) return rc;
        at += n;
    }
    return 0;
}

int jinja_iterate(struct jinja_run *r, const struct jinja_value *of, struct jinja_list **out) {
    if (j_is_list(of)) return *out = of->list, 0;
    struct jinja_value list = { .list = NULL };
    if (of->type != J_UNDEF && of->type != J_STR && of->type != J_DICT)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "%s cannot be walked over", jinja_type_name(of));
    int rc = jinja_new_list(r, J_LIST, 0, &list);
    if (rc != 0) return rc;
    *out = list.list;
    if (of->type == J_STR) return characters(r, of->s, list.list);
    for (uint32_t i = 0; of->type == J_DICT && rc == 0 && i < of->dict->len; i++) {
        rc = jinja_charge(r, 1);
        if (rc == 0) rc = jinja_push(r, list.list, of->dict->entries[i].key);
    }
    return rc;
}

int jinja_length(struct jinja_run *r, const struct jinja_value *of, int64_t *out) {
    *out = 0;
    if (of->type == J_UNDEF) return 0;
    if (j_is_list(of)) return *out = of->list->len, 0;
    if (of->type == J_DICT) return *out = of->dict->len, 0;
    if (of->type != J_STR) return jinja_fail(r, PERILUNE_ERR_INVAL, "%s has no length", jinja_type_name(of));
    *out = (int64_t)jinja_chars(of->s);
    return jinja_charge_bytes(r, of->s.len);
}
