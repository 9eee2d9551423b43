/* jinja_seq.c -- filters over lists.
 *
 *     messages | selectattr('role', 'equalto', 'user') | list | length
 *     tools | map(attribute='function.name') | join(', ')
 *     names | map('upper')      parts | reject('none')
 *
 * Where Jinja makes a generator these make a list at once: a chat template cannot tell, but for what it prints of
 * one, and no template prints a generator.
 *
 * Invariants: a filter never changes its input; sort is stable, and without case unless asked, as in Jinja.  A
 * test or filter that is named by a string is looked up when it runs, and one that does not exist fails then.
 *
 * Thread: the run's. */
#include "local/jinja_filter.h"

#include <string.h>

#include "include/perilune.h"

/* The number that s is, or -1. */
static int64_t index_of(struct slice s) {
    int64_t n = 0;
    if (s.len == 0 || s.len > 9) return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return -1;
        n = n * 10 + s.ptr[i] - '0';
    }
    return n;
}

/* a.b.0 of v. */
static int path_of(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *path,
                   struct jinja_value *out) {
    *out = *v;
    if (j_is_int(path)) return jinja_item(r, v, path, out);
    if (path->type != J_STR) return jinja_fail(r, PERILUNE_ERR_INVAL, "an attribute is a string or an integer");
    struct slice rest = path->s;
    for (int rc = 0;;) {
        const char *dot = rest.len ? memchr(rest.ptr, '.', rest.len) : NULL;
        struct jinja_value of = *out, key = j_str(slice_of(rest.ptr, dot ? (size_t)(dot - rest.ptr) : rest.len));
        int64_t index = index_of(key.s);
        if (index >= 0) key = j_int(index);
        rc = of.type == J_UNDEF && v->type != J_UNDEF ? 0 : jinja_item(r, &of, &key, out);
        if (rc != 0 || dot == NULL) return rc;
        rest = slice_of(dot + 1, rest.len - (size_t)(dot + 1 - rest.ptr));
    }
}

int jinja_f_join(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                 struct jinja_value *out) {
    const struct jinja_value *by = jinja_arg(a, 0, "d"), *attr = jinja_arg(a, 1, "attribute");
    struct slice with = SLICE("");
    struct jinja_list *l;
    struct buf b;
    int rc = jinja_iterate(r, in, &l);
    if (rc == 0 && by) rc = jinja_text(r, by, &with);
    if (rc != 0) return rc;
    jinja_buf(r, &b);
    for (uint32_t i = 0; i < l->len && rc == 0; i++) {
        struct jinja_value v = l->items[i];
        if (attr && attr->type != J_NONE) rc = path_of(r, &l->items[i], attr, &v);
        if (i > 0) buf_slice(&b, with);
        if (rc == 0) rc = jinja_charge_bytes(r, 64 + with.len);
        if (rc == 0) rc = jinja_print(r, &v, &b);
    }
    *out = J(J_STR);
    int took = jinja_take(r, &b, &out->s);
    return rc ? rc : took;
}

static int at_end(struct jinja_run *r, const struct jinja_value *in, bool last, struct jinja_value *out) {
    struct jinja_list *l;
    int rc = jinja_iterate(r, in, &l);
    if (rc == 0) *out = l->len ? l->items[last ? l->len - 1 : 0] : j_undef(SLICE("an element of an empty list"));
    return rc;
}

int jinja_f_first(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                  struct jinja_value *out) {
    (void)a;
    return at_end(r, in, false, out);
}

int jinja_f_last(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                 struct jinja_value *out) {
    (void)a;
    return at_end(r, in, true, out);
}

int jinja_f_list(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                 struct jinja_value *out) {
    struct jinja_list *l;
    (void)a;
    int rc = jinja_iterate(r, in, &l);
    if (rc == 0) rc = jinja_charge(r, l->len);
    if (rc == 0) rc = jinja_new_list(r, J_LIST, l->len, out);
    for (uint32_t i = 0; rc == 0 && i < l->len; i++) rc = jinja_push(r, out->list, l->items[i]);
    return rc;
}

int jinja_f_items(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                  struct jinja_value *out) {
    if (in->type == J_UNDEF) return jinja_new_list(r, J_LIST, 0, out);
    if (in->type != J_DICT) return jinja_fail(r, PERILUNE_ERR_INVAL, "items is for dicts, not %s", jinja_type_name(in));
    struct jinja_method m = { *in, jinja_method_find(SLICE("items")) };
    return jinja_method(r, &m, a, out);
}

int jinja_f_reverse(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                    struct jinja_value *out) {
    const struct jinja_value back[3] = { J(J_NONE), J(J_NONE), j_int(-1) };
    struct jinja_value list;
    if (in->type == J_STR) return jinja_slice(r, in, back, out);
    int rc = jinja_f_list(r, in, a, &list);
    return rc ? rc : jinja_slice(r, &list, back, out);
}

/* -- Order ----------------------------------------------------------------------------------- */

/* What an element is sorted by: the attribute, in small letters unless case counts. */
static int sort_key(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *attr, bool exact,
                    struct jinja_value *out) {
    *out = *v;
    int rc = attr && attr->type != J_NONE ? path_of(r, v, attr, out) : 0;
    if (rc != 0 || exact || out->type != J_STR) return rc;
    return jinja_recase(r, out->s, CASE_LOWER, out);
}

/* Merge sort of items by keys; both move. */
static int merge_sort(struct jinja_run *r, struct jinja_value *items, struct jinja_value *keys, uint32_t n, bool down) {
    if (n < 2) return 0;
    uint32_t half = n / 2, i = 0, k = half, at = 0;
    int rc = merge_sort(r, items, keys, half, down);
    if (rc == 0) rc = merge_sort(r, items + half, keys + half, n - half, down);
    struct jinja_value *both = rc ? NULL : jinja_alloc(r, 2 * n * sizeof(*both));
    if (both == NULL) return rc ? rc : jinja_out_of(r);
    while (i < half || k < n) {
        int order = 0;
        rc = jinja_charge(r, 1);
        if (rc == 0 && i < half && k < n) rc = jinja_order(r, &keys[i], &keys[k], &order);
        if (rc != 0) return rc;
        bool left = k == n || (i < half && (down ? order >= 0 : order <= 0));
        uint32_t from = left ? i++ : k++;
        both[at] = items[from];
        both[n + at++] = keys[from];
    }
    memcpy(items, both, n * sizeof(*items));
    memcpy(keys, both + n, n * sizeof(*keys));
    return 0;
}

static int sorted(struct jinja_run *r, struct jinja_list *l, const struct jinja_value *attr, bool exact, bool down) {
    struct jinja_value *keys = jinja_alloc(r, (l->len + 1) * sizeof(*keys));
    int rc = keys ? 0 : jinja_out_of(r);
    for (uint32_t i = 0; i < l->len && rc == 0; i++) rc = sort_key(r, &l->items[i], attr, exact, &keys[i]);
    return rc ? rc : merge_sort(r, l->items, keys, l->len, down);
}

int jinja_f_sort(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                 struct jinja_value *out) {
    const struct jinja_value *down = jinja_arg(a, 0, "reverse"), *exact = jinja_arg(a, 1, "case_sensitive"),
                             *attr = jinja_arg(a, 2, "attribute");
    int rc = jinja_f_list(r, in, a, out);
    return rc ? rc : sorted(r, out->list, attr, exact && jinja_truth(exact), down && jinja_truth(down));
}

int jinja_f_dictsort(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                     struct jinja_value *out) {
    const struct jinja_value by = j_int(0);
    if (in->type != J_DICT) return jinja_fail(r, PERILUNE_ERR_INVAL, "dictsort is for dicts, not %s",
                                              jinja_type_name(in));
    int rc = jinja_f_items(r, in, a, out);
    return rc ? rc : sorted(r, out->list, &by, false, false);
}

static int extreme(struct jinja_run *r, const struct jinja_value *in, bool most, struct jinja_value *out) {
    struct jinja_list *l;
    struct jinja_value best, key;
    int rc = jinja_iterate(r, in, &l), order;
    *out = j_undef(SLICE("an element of an empty list"));
    for (uint32_t i = 0; i < (rc ? 0 : l->len) && rc == 0; i++) {
        rc = sort_key(r, &l->items[i], NULL, false, &key);
        order = i == 0 ? (most ? 1 : -1) : 0;
        if (rc == 0 && i > 0) rc = jinja_order(r, &key, &best, &order);
        if (rc == 0 && (most ? order > 0 : order < 0)) best = key, *out = l->items[i];
    }
    return rc;
}

int jinja_f_min(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                struct jinja_value *out) {
    (void)a;
    return extreme(r, in, false, out);
}

int jinja_f_max(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                struct jinja_value *out) {
    (void)a;
    return extreme(r, in, true, out);
}

int jinja_f_sum(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                struct jinja_value *out) {
    struct jinja_list *l;
    (void)a;
    *out = j_int(0);
    int rc = jinja_iterate(r, in, &l);
    for (uint32_t i = 0; rc == 0 && i < l->len; i++) {
        const struct jinja_value *v = &l->items[i];
        int64_t sum = 0;
        rc = jinja_charge(r, 1);
        if (rc != 0) break;
        if (!j_is_number(v)) return jinja_fail(r, PERILUNE_ERR_INVAL, "sum is for numbers, not %s", jinja_type_name(v));
        if (!j_is_int(v) || out->type == J_FLOAT) *out = j_float(j_to_float(out) + j_to_float(v));
        else if (__builtin_add_overflow(out->i, j_to_int(v), &sum)) return jinja_fail(r, PERILUNE_ERR_INVAL,
            "an integer of more than 64 bits");
        else out->i = sum;
    }
    return rc;
}

int jinja_f_unique(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                   struct jinja_value *out) {
    struct jinja_list *l;
    struct jinja_value seen, key;
    (void)a;
    int rc = jinja_iterate(r, in, &l);
    if (rc == 0) rc = jinja_new_dict(r, J_DICT, &seen);
    if (rc == 0) rc = jinja_new_list(r, J_LIST, 0, out);
    for (uint32_t i = 0; rc == 0 && i < l->len; i++) {
        rc = jinja_charge(r, 1);
        if (rc == 0) rc = sort_key(r, &l->items[i], NULL, false, &key);
        if (rc != 0 || jinja_dict_get(r, seen.dict, &key) != NULL) continue;
        rc = jinja_dict_set(r, seen.dict, key, J(J_NONE));
        if (rc == 0) rc = jinja_push(r, out->list, l->items[i]);
    }
    return rc;
}

/* -- map, select, reject ----------------------------------------------------------------------- */

/* The arguments behind the first n. */
static void rest_of(const struct jinja_args *a, unsigned n, struct jinja_args *out) {
    out->len = a->len > n ? a->len - n : 0;
    out->named_len = a->named_len;
    for (unsigned i = 0; i < out->len; i++) out->v[i] = a->v[n + i];
    for (unsigned i = 0; i < out->named_len; i++) out->named[i] = a->named[i];
}

/* Jinja asks first whether there is anything: none is an empty list here. */
static int iterate_any(struct jinja_run *r, const struct jinja_value *in, struct jinja_list **out) {
    const struct jinja_value nothing = j_undef(SLICE(""));
    return jinja_iterate(r, jinja_truth(in) ? in : &nothing, out);
}

static int map_attribute(struct jinja_run *r, struct jinja_list *l, const struct jinja_args *a, struct jinja_list *to) {
    const struct jinja_value *attr = jinja_arg(a, JINJA_MAX_ARGS, "attribute"), *other = jinja_arg(a, JINJA_MAX_ARGS,
        "default");
    int rc = jinja_check_args(r, a, 1, 0, "attribute default", "map");
    if (rc == 0 && attr == NULL) rc = jinja_fail(r, PERILUNE_ERR_INVAL, "map needs a filter or attribute=");
    for (uint32_t i = 0; i < l->len && rc == 0; i++) {
        struct jinja_value v;
        rc = jinja_charge(r, 1);
        if (rc == 0) rc = path_of(r, &l->items[i], attr, &v);
        if (rc == 0 && v.type == J_UNDEF && other) v = *other;
        if (rc == 0) rc = jinja_push(r, to, v);
    }
    return rc;
}

int jinja_f_map(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                struct jinja_value *out) {
    struct jinja_list *l;
    struct jinja_args rest;
    int rc = iterate_any(r, in, &l);
    if (rc == 0) rc = jinja_new_list(r, J_LIST, l->len, out);
    if (rc != 0) return rc;
    struct jinja_list *to = out->list;
    if (a->len == 0) return map_attribute(r, l, a, to);
    int which = a->v[0].type == J_STR ? jinja_filter_find(a->v[0].s) : -1;
    if (which < 0) return jinja_fail(r, PERILUNE_ERR_INVAL, "map: there is no such filter");
    rest_of(a, 1, &rest);
    for (uint32_t i = 0; i < l->len && rc == 0; i++) {
        struct jinja_value v;
        rc = jinja_filter(r, which, &l->items[i], &rest, &v);
        if (rc == 0) rc = jinja_push(r, to, v);
    }
    return rc;
}

/* want: what the test is to say.  attr: the first argument is the attribute that is tested. */
static int choose(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a, bool attr, bool want,
                  struct jinja_value *out) {
    struct jinja_list *l;
    struct jinja_args rest;
    const struct jinja_value *test = a->len > attr ? &a->v[attr] : NULL;
    int which = test == NULL ? 0 : test->type == J_STR ? jinja_test_find(test->s) : -1;
    int rc = iterate_any(r, in, &l);
    if (rc == 0 && attr && a->len == 0) rc = jinja_fail(r, PERILUNE_ERR_INVAL,
                                                        "selectattr and rejectattr need an attribute");
    if (rc == 0 && which < 0) rc = jinja_fail(r, PERILUNE_ERR_INVAL, "select and reject: there is no such test");
    if (rc == 0) rc = jinja_new_list(r, J_LIST, 0, out);
    if (rc != 0) return rc;
    struct jinja_list *to = out->list;
    rest_of(a, attr + 1, &rest);
    for (uint32_t i = 0; i < l->len && rc == 0; i++) {
        struct jinja_value v = l->items[i];
        rc = jinja_enter(r);
        if (rc != 0) break;
        if (attr) rc = path_of(r, &l->items[i], &a->v[0], &v);
        bool yes = jinja_truth(&v);
        if (rc == 0 && test) rc = jinja_test(r, which, &v, &rest, &yes);
        if (rc == 0 && yes == want) rc = jinja_push(r, to, l->items[i]);
        jinja_leave(r);
    }
    return rc;
}

int jinja_f_select(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                   struct jinja_value *out) {
    return choose(r, in, a, false, true, out);
}

int jinja_f_reject(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                   struct jinja_value *out) {
    return choose(r, in, a, false, false, out);
}

int jinja_f_selectattr(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                       struct jinja_value *out) {
    return choose(r, in, a, true, true, out);
}

int jinja_f_rejectattr(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                       struct jinja_value *out) {
    return choose(r, in, a, true, false, out);
}
