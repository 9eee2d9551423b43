/* jinja_method.c -- methods of Python's strings, lists and dicts, and the functions of transformers.
 *
 *     message.content.split('</think>')[-1].lstrip('\n')      str
 *     tool.parameters.items()   message.get('name', '')       dict
 *     ids.append(x)   ids.pop(0)                               list
 *     range(3) namespace(a=1) dict(a=1) raise_exception("...") strftime_now("%d %b %Y")
 *
 * An attribute that is a method's name is the method, as in Python: `d.items` of {"items": 1} is no 1, and
 * d['items'] is.
 *
 * Invariants: arguments are checked before anything is done.  append() and pop() change a value of this run only.
 * strftime_now() is in UTC and writes at most 256 bytes.
 *
 * Thread: the run's. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "include/perilune.h"
#include "local/jinja_int.h"

enum method {
    M_STRIP, M_LSTRIP, M_RSTRIP, M_STARTSWITH, M_ENDSWITH, M_SPLIT, M_RSPLIT, M_SPLITLINES, M_REPLACE, M_UPPER, M_LOWER,
    M_TITLE, M_CAPITALIZE, M_FIND, M_COUNT, M_JOIN, M_FORMAT, M_REMOVEPREFIX, M_REMOVESUFFIX, M_ISDIGIT, /* str */
    M_ITEMS, M_KEYS, M_VALUES, M_GET, M_UPDATE,                                                          /* dict */
    M_APPEND, M_POP, M_EXTEND                                                                            /* list */
};

static const struct { const char *name; unsigned char min, max; const char *names; } methods[] = {
    [M_STRIP] = { "strip", 0, 1, "" },
    [M_LSTRIP] = { "lstrip", 0, 1, "" },
    [M_RSTRIP] = { "rstrip", 0, 1, "" },
    [M_STARTSWITH] = { "startswith", 1, 1, "" },
    [M_ENDSWITH] = { "endswith", 1, 1, "" },
    [M_SPLIT] = { "split", 0, 2, "sep maxsplit" },
    [M_RSPLIT] = { "rsplit", 0, 2, "sep maxsplit" },
    [M_SPLITLINES] = { "splitlines", 0, 0, "" },
    [M_REPLACE] = { "replace", 2, 3, "" },
    [M_UPPER] = { "upper", 0, 0, "" },
    [M_LOWER] = { "lower", 0, 0, "" },
    [M_TITLE] = { "title", 0, 0, "" },
    [M_CAPITALIZE] = { "capitalize", 0, 0, "" },
    [M_FIND] = { "find", 1, 1, "" },
    [M_COUNT] = { "count", 1, 1, "" },
    [M_JOIN] = { "join", 1, 1, "" },
    [M_FORMAT] = { "format", 0, JINJA_MAX_ARGS, NULL },
    [M_REMOVEPREFIX] = { "removeprefix", 1, 1, "" },
    [M_REMOVESUFFIX] = { "removesuffix", 1, 1, "" },
    [M_ISDIGIT] = { "isdigit", 0, 0, "" },
    [M_ITEMS] = { "items", 0, 0, "" },
    [M_KEYS] = { "keys", 0, 0, "" },
    [M_VALUES] = { "values", 0, 0, "" },
    [M_GET] = { "get", 1, 2, "" },
    [M_UPDATE] = { "update", 1, 1, "" },
    [M_APPEND] = { "append", 1, 1, "" },
    [M_POP] = { "pop", 0, 1, "" },
    [M_EXTEND] = { "extend", 1, 1, "" },
};

int jinja_method_find(struct slice name) {
    if (slice_eq(name, SLICE("cycle"))) return JINJA_CYCLE; /* of a loop: jinja_eval.c calls it */
    for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (slice_eq(name, slice_str(methods[i].name))) return (int)i;
    return -1;
}

bool jinja_has_method(const struct jinja_value *v, int which) {
    if (v->type == J_STR) return which <= M_ISDIGIT;
    if (v->type == J_DICT) return which >= M_ITEMS && which <= M_UPDATE;
    return v->type == J_LIST && which >= M_APPEND && which <= M_EXTEND;
}

const struct jinja_value *jinja_arg(const struct jinja_args *a, unsigned place, const char *name) {
    if (place < a->len) return &a->v[place];
    for (unsigned i = 0; i < a->named_len; i++)
        if (slice_eq(a->named[i].name, slice_str(name))) return &a->named[i].v;
    return NULL;
}

/* Is name one of the words of names? */
static bool has_word(const char *names, struct slice name) {
    for (const char *p = names; *p;) {
        size_t n = strcspn(p, " ");
        if (slice_eq(slice_of(p, n), name)) return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

int jinja_check_args(struct jinja_run *r, const struct jinja_args *a, unsigned min, unsigned max, const char *names,
                     const char *whose) {
    if (a->len + a->named_len < min || a->len > max)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "%s takes %u to %u arguments, not %u", whose, min, max, a->len);
    for (unsigned i = 0; i < a->named_len; i++)
        if (!has_word(names, a->named[i].name))
            return jinja_fail(r, PERILUNE_ERR_INVAL, "%s has no argument \"%.*s\"", whose,
                              a->named[i].name.len < 40 ? (int)a->named[i].name.len : 40, a->named[i].name.ptr);
    return 0;
}

/* -- Strings ------------------------------------------------------------------------------ */

static int want_text(struct jinja_run *r, const struct jinja_value *v, const char *whose) {
    if (v->type == J_STR) return 0;
    return jinja_fail(r, PERILUNE_ERR_INVAL, "%s needs a string, not %s", whose, jinja_type_name(v));
}

/* Does s begin (end) with v, or with one of the tuple v? */
static int has_end(struct jinja_run *r, struct slice s, const struct jinja_value *v, bool at_end, bool *out) {
    uint32_t len = v->type == J_TUPLE ? v->list->len : 1;
    *out = false;
    for (uint32_t i = 0; i < len && !*out; i++) {
        const struct jinja_value *one = v->type == J_TUPLE ? &v->list->items[i] : v;
        int rc = want_text(r, one, at_end ? "endswith()" : "startswith()");
        if (rc != 0) return rc;
        *out = at_end ? slice_ends(s, one->s) : slice_starts(s, one->s);
    }
    return 0;
}

static int lines_of(struct jinja_run *r, struct slice s, struct jinja_value *out) {
    int rc = jinja_charge_bytes(r, s.len);
    if (rc == 0) rc = jinja_new_list(r, J_LIST, 0, out);
    for (size_t at = 0; at < s.len && rc == 0;) {
        size_t n = at;
        while (n < s.len && s.ptr[n] != '\n' && s.ptr[n] != '\r') n++;
        rc = jinja_push(r, out->list, j_str(slice_of(s.ptr + at, n - at)));
        at = n + 1 + (n + 1 < s.len && s.ptr[n] == '\r' && s.ptr[n + 1] == '\n');
    }
    return rc;
}

static int find(struct jinja_run *r, struct slice s, struct slice what, bool count, struct jinja_value *out) {
    const char *at = s.ptr ? s.ptr : "", *end = at + s.len, *p;
    int64_t n = 0;
    int rc = jinja_charge_bytes(r, s.len);
    if (!count) {
        p = what.len ? memmem(at, s.len, what.ptr, what.len) : at;
        *out = j_int(p ? (int64_t)jinja_chars(slice_of(at, (size_t)(p - at))) : -1);
        return rc;
    }
    if (what.len == 0) return *out = j_int((int64_t)jinja_chars(s) + 1), rc;
    for (; (p = memmem(at, (size_t)(end - at), what.ptr, what.len)) != NULL; at = p + what.len) n++;
    *out = j_int(n);
    return rc;
}

static int join(struct jinja_run *r, struct slice by, const struct jinja_value *of, struct jinja_value *out) {
    struct jinja_list *l;
    struct buf b;
    int rc = jinja_iterate(r, of, &l);
    if (rc != 0) return rc;
    jinja_buf(r, &b);
    for (uint32_t i = 0; i < l->len && rc == 0; i++) {
        rc = want_text(r, &l->items[i], "join()");
        if (i > 0) buf_slice(&b, by);
        if (rc == 0) rc = jinja_print(r, &l->items[i], &b);
    }
    *out = J(J_STR);
    int took = jinja_take(r, &b, &out->s);
    return rc ? rc : took;
}

static int split(struct jinja_run *r, struct slice s, const struct jinja_args *a, bool from_end,
                 struct jinja_value *out) {
    const struct jinja_value *by = jinja_arg(a, 0, "sep"), *most = jinja_arg(a, 1, "maxsplit");
    if (by && by->type == J_NONE) by = NULL;
    int rc = by ? want_text(r, by, "split()") : 0;
    if (rc == 0 && most && !j_is_int(most)) rc = jinja_fail(r, PERILUNE_ERR_INVAL, "split(): maxsplit is an integer");
    return rc ? rc : jinja_split(r, s, by ? &by->s : NULL, most ? j_to_int(most) : -1, from_end, out);
}

static int replace(struct jinja_run *r, struct slice s, const struct jinja_args *a, struct jinja_value *out) {
    int rc = want_text(r, &a->v[0], "replace()");
    if (rc == 0) rc = want_text(r, &a->v[1], "replace()");
    if (rc == 0 && a->len > 2 && !j_is_int(&a->v[2])) rc = jinja_fail(r, PERILUNE_ERR_INVAL,
                                                                      "replace(): the count is an integer");
    return rc ? rc : jinja_replace(r, s, a->v[0].s, a->v[1].s, a->len > 2 ? j_to_int(&a->v[2]) : -1, out);
}

static int str_test(struct jinja_run *r, enum method which, struct slice s, const struct jinja_args *a,
                    struct jinja_value *out) {
    bool yes = s.len > 0;
    int rc = 0;
    if (which == M_ISDIGIT) {
        rc = jinja_charge_bytes(r, s.len);
        for (size_t i = 0; i < s.len; i++) yes &= s.ptr[i] >= '0' && s.ptr[i] <= '9';
    } else {
        rc = has_end(r, s, &a->v[0], which == M_ENDSWITH, &yes);
    }
    *out = j_bool(yes);
    return rc;
}

static int str_method(struct jinja_run *r, enum method which, struct slice s, const struct jinja_args *a,
                      struct jinja_value *out) {
    const struct jinja_value *arg = a->len > 0 ? &a->v[0] : NULL;
    int rc = 0;
    if (arg && arg->type == J_NONE && which <= M_RSTRIP) arg = NULL;
    if (arg && (which <= M_RSTRIP || which == M_FIND || which == M_COUNT || which == M_REMOVEPREFIX ||
                which == M_REMOVESUFFIX))
        rc = want_text(r, arg, methods[which].name);
    if (rc != 0) return rc;
    switch (which) {
    case M_STRIP:
    case M_LSTRIP:
    case M_RSTRIP:
        *out = j_str(jinja_strip(s, arg ? &arg->s : NULL, which != M_RSTRIP, which != M_LSTRIP));
        return jinja_charge_bytes(r, s.len - out->s.len);
    case M_STARTSWITH:
    case M_ENDSWITH:
    case M_ISDIGIT: return str_test(r, which, s, a, out);
    case M_SPLIT:
    case M_RSPLIT: return split(r, s, a, which == M_RSPLIT, out);
    case M_SPLITLINES: return lines_of(r, s, out);
    case M_REPLACE: return replace(r, s, a, out);
    case M_UPPER: return jinja_recase(r, s, CASE_UPPER, out);
    case M_LOWER: return jinja_recase(r, s, CASE_LOWER, out);
    case M_TITLE: return jinja_recase(r, s, CASE_TITLE, out);
    case M_CAPITALIZE: return jinja_recase(r, s, CASE_CAPITAL, out);
    case M_FIND:
    case M_COUNT: return find(r, s, arg->s, which == M_COUNT, out);
    case M_JOIN: return join(r, s, arg, out);
    case M_REMOVEPREFIX:
        *out = j_str(slice_starts(s, arg->s) ? slice_of(s.ptr + arg->s.len, s.len - arg->s.len) : s);
        return 0;
    case M_REMOVESUFFIX:
        *out = j_str(slice_of(s.ptr, slice_ends(s, arg->s) ? s.len - arg->s.len : s.len));
        return 0;
    default: return jinja_format(r, s, a, out);
    }
}

/* -- Dicts and lists ------------------------------------------------------------------------- */

static int dict_parts(struct jinja_run *r, enum method which, const struct jinja_dict *d, struct jinja_value *out) {
    int rc = jinja_charge(r, d->len);
    if (rc == 0) rc = jinja_new_list(r, J_LIST, d->len, out);
    for (uint32_t i = 0; i < d->len && rc == 0; i++) {
        const struct jinja_entry *e = &d->entries[i];
        struct jinja_value v = which == M_KEYS ? e->key : e->value;
        if (which == M_ITEMS) rc = jinja_new_list(r, J_TUPLE, 2, &v);
        if (which == M_ITEMS && rc == 0) rc = jinja_push(r, v.list, e->key);
        if (which == M_ITEMS && rc == 0) rc = jinja_push(r, v.list, e->value);
        if (rc == 0) rc = jinja_push(r, out->list, v);
    }
    return rc;
}

static int dict_method(struct jinja_run *r, enum method which, struct jinja_dict *d, const struct jinja_args *a,
                       struct jinja_value *out) {
    if (which == M_GET) {
        const struct jinja_entry *e = jinja_dict_get(r, d, &a->v[0]);
        *out = e ? e->value : a->len > 1 ? a->v[1] : J(J_NONE);
        return 0;
    }
    if (which != M_UPDATE) return dict_parts(r, which, d, out);
    *out = J(J_NONE);
    if (a->v[0].type != J_DICT) return jinja_fail(r, PERILUNE_ERR_INVAL, "update() needs a dict");
    int rc = jinja_charge(r, a->v[0].dict->len);
    for (uint32_t i = 0; rc == 0 && i < a->v[0].dict->len; i++)
        rc = jinja_dict_set(r, d, a->v[0].dict->entries[i].key, a->v[0].dict->entries[i].value);
    return rc;
}

static int list_pop(struct jinja_run *r, struct jinja_list *l, const struct jinja_args *a, struct jinja_value *out) {
    if (a->len > 0 && !j_is_int(&a->v[0])) return jinja_fail(r, PERILUNE_ERR_INVAL, "pop() needs an integer");
    int64_t i = a->len > 0 ? j_to_int(&a->v[0]) : -1;
    if (i < 0) i += l->len;
    if (i < 0 || i >= l->len) return jinja_fail(r, PERILUNE_ERR_INVAL, "pop(): the list is too short");
    *out = l->items[i];
    l->len--;
    memmove(&l->items[i], &l->items[i + 1], (l->len - (size_t)i) * sizeof(*l->items));
    return jinja_charge(r, (l->len - (size_t)i) / 8);
}

static int list_method(struct jinja_run *r, enum method which, struct jinja_list *l, const struct jinja_args *a,
                       struct jinja_value *out) {
    struct jinja_list *more;
    if (which == M_POP) return list_pop(r, l, a, out);
    *out = J(J_NONE);
    if (which == M_APPEND) return jinja_push(r, l, a->v[0]);
    int rc = jinja_iterate(r, &a->v[0], &more);
    for (uint32_t i = 0, len = rc ? 0 : more->len; rc == 0 && i < len; i++) {
        rc = jinja_charge(r, 1);
        if (rc == 0) rc = jinja_push(r, l, more->items[i]);
    }
    return rc;
}

int jinja_method(struct jinja_run *r, const struct jinja_method *m, const struct jinja_args *a,
                 struct jinja_value *out) {
    enum method which = (enum method)m->which;
    if (methods[which].names != NULL) {
        int rc = jinja_check_args(r, a, methods[which].min, methods[which].max, methods[which].names,
                                  methods[which].name);
        if (rc != 0) return rc;
    }
    if (m->self.type == J_STR) return str_method(r, which, m->self.s, a, out);
    if (m->self.type == J_DICT) return dict_method(r, which, m->self.dict, a, out);
    return list_method(r, which, m->self.list, a, out);
}

/* -- Functions ---------------------------------------------------------------------------------- */

static const char *const funcs[] = { "range", "namespace", "dict", "raise_exception", "strftime_now" };

int jinja_func_find(struct slice name) {
    for (int i = 0; i < (int)(sizeof(funcs) / sizeof(funcs[0])); i++)
        if (slice_eq(name, slice_str(funcs[i]))) return i;
    return -1;
}

static int range(struct jinja_run *r, const struct jinja_args *a, struct jinja_value *out) {
    int rc = jinja_check_args(r, a, 1, 3, "", "range()");
    int64_t b[3] = { 0, 0, 1 };
    for (unsigned i = 0; rc == 0 && i < a->len; i++) {
        if (!j_is_int(&a->v[i])) return jinja_fail(r, PERILUNE_ERR_INVAL, "range() needs integers, not %s",
                                                   jinja_type_name(&a->v[i]));
        b[a->len == 1 ? 1 : i] = j_to_int(&a->v[i]);
    }
    if (rc == 0 && b[2] == 0) rc = jinja_fail(r, PERILUNE_ERR_INVAL, "range(): a step of 0");
    if (rc == 0) rc = jinja_new_list(r, J_LIST, 0, out);
    for (int64_t i = b[0]; rc == 0 && (b[2] > 0 ? i < b[1] : i > b[1]);) {
        rc = jinja_charge(r, 1);
        if (rc == 0) rc = jinja_push(r, out->list, j_int(i));
        if (__builtin_add_overflow(i, b[2], &i)) break;
    }
    return rc;
}

/* namespace(a=1), dict(a=1), and of a dict. */
static int make_dict(struct jinja_run *r, enum jinja_type type, const struct jinja_args *a, struct jinja_value *out) {
    int rc = jinja_new_dict(r, type, out);
    if (a->len > 1 || (a->len == 1 && a->v[0].type != J_DICT))
        return jinja_fail(r, PERILUNE_ERR_INVAL, "%s takes a dict and arguments with names",
                          type == J_DICT ? "dict()" : "namespace()");
    const struct jinja_dict *from = a->len == 1 ? a->v[0].dict : NULL;
    if (rc == 0 && from) rc = jinja_charge(r, from->len);
    for (uint32_t i = 0; rc == 0 && from && i < from->len; i++)
        rc = jinja_dict_set(r, out->dict, from->entries[i].key, from->entries[i].value);
    for (unsigned i = 0; rc == 0 && i < a->named_len; i++)
        rc = jinja_dict_set(r, out->dict, j_str(a->named[i].name), a->named[i].v);
    return rc;
}

static int raise(struct jinja_run *r, const struct jinja_args *a) {
    struct slice s = SLICE("");
    int rc = a->len > 0 ? jinja_text(r, &a->v[0], &s) : 0;
    if (rc != 0) return rc;
    r->err->raised = true;
    return jinja_fail(r, PERILUNE_ERR_INVAL, "%.*s", s.len < 230 ? (int)s.len : 230, s.len ? s.ptr : "");
}

static int now(struct jinja_run *r, const struct jinja_args *a, struct jinja_value *out) {
    char format[128], text[256];
    struct tm tm;
    time_t seconds = (time_t)r->now;
    int rc = jinja_check_args(r, a, 1, 1, "", "strftime_now()");
    if (rc == 0) rc = want_text(r, &a->v[0], "strftime_now()");
    if (rc != 0) return rc;
    if (a->v[0].s.len >= sizeof(format) || gmtime_r(&seconds, &tm) == NULL)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "strftime_now(): too long a format");
    slice_copy(format, sizeof(format), a->v[0].s);
    size_t n = strftime(text, sizeof(text), format, &tm);
    *out = J(J_STR);
    return jinja_copy(r, slice_of(text, n), &out->s);
}

int jinja_func(struct jinja_run *r, int which, const struct jinja_args *a, struct jinja_value *out) {
    switch ((enum jinja_func)which) {
    case F_RANGE: return range(r, a, out);
    case F_NAMESPACE: return make_dict(r, J_SPACE, a, out);
    case F_DICT: return make_dict(r, J_DICT, a, out);
    case F_RAISE: return raise(r, a);
    default: return now(r, a, out);
    }
}
