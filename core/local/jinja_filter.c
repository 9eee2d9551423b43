/* jinja_filter.c -- filters that make one value of one: text, numbers, JSON.
 *
 *     {{ tool | tojson(indent=4) }}   {{ content | trim }}   {{ name | default('user') }}
 *
 * One table for all filters: name, how many arguments, their names, the function; those over lists are in
 * jinja_seq.c.  A filter's arguments are checked against the table before it runs.
 *
 * tojson is transformers', not Jinja's: json.dumps() with ensure_ascii off, nothing escaped for HTML, members in
 * their order.  safe does nothing: nothing is escaped, and what Python adds to a safe text is not escaped either.
 *
 * Invariants: a filter never changes its input.
 *
 * Thread: the run's. */
#include "local/jinja_filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "include/perilune.h"

static int f_trim(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                  struct jinja_value *out) {
    const struct jinja_value *set = jinja_arg(a, 0, "chars");
    struct slice s;
    if (set && set->type == J_NONE) set = NULL;
    if (set && set->type != J_STR) return jinja_fail(r, PERILUNE_ERR_INVAL, "trim: chars is a string");
    int rc = jinja_text(r, in, &s);
    if (rc != 0) return rc;
    *out = j_str(jinja_strip(s, set ? &set->s : NULL, true, true));
    return jinja_charge_bytes(r, s.len - out->s.len);
}

static int recase(struct jinja_run *r, const struct jinja_value *in, enum jinja_case how, struct jinja_value *out) {
    struct slice s;
    int rc = jinja_text(r, in, &s);
    return rc ? rc : jinja_recase(r, s, how, out);
}

#define RECASE(name, how)                                                                                  \
    static int name(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,         \
                    struct jinja_value *out) {                                                             \
        (void)a;                                                                                           \
        return recase(r, in, how, out);                                                                    \
    }
RECASE(f_lower, CASE_LOWER)
RECASE(f_upper, CASE_UPPER)
RECASE(f_title, CASE_TITLE)
RECASE(f_capitalize, CASE_CAPITAL)

static int f_replace(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                     struct jinja_value *out) {
    const struct jinja_value *old = jinja_arg(a, 0, "old"), *by = jinja_arg(a, 1, "new"), *most = jinja_arg(a, 2,
        "count");
    struct slice s, x, y;
    if (old == NULL || by == NULL) return jinja_fail(r, PERILUNE_ERR_INVAL, "replace needs an old and a new text");
    if (most && most->type == J_NONE) most = NULL;
    if (most && !j_is_int(most)) return jinja_fail(r, PERILUNE_ERR_INVAL, "replace: count is an integer");
    int rc = jinja_text(r, in, &s);
    if (rc == 0) rc = jinja_text(r, old, &x);
    if (rc == 0) rc = jinja_text(r, by, &y);
    return rc ? rc : jinja_replace(r, s, x, y, most ? j_to_int(most) : -1, out);
}

static int f_string(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                    struct jinja_value *out) {
    (void)a;
    *out = J(J_STR);
    return jinja_text(r, in, &out->s);
}

static int f_safe(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                  struct jinja_value *out) {
    return f_string(r, in, a, out);
}

#define INDENT_MAX 64 /* blanks */

/* A number of blanks, or the text itself. */
static int indent_of(struct jinja_run *r, const struct jinja_value *v, const char *whose, struct slice *out) {
    static const char blanks[INDENT_MAX + 1] = "                                                                ";
    if (v->type == J_STR) return *out = v->s, 0;
    if (!j_is_int(v) || j_to_int(v) > INDENT_MAX)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "%s: the indent is a text or a number up to %d", whose, INDENT_MAX);
    *out = slice_of(blanks, j_to_int(v) > 0 ? (size_t)j_to_int(v) : 0);
    return 0;
}

static int f_indent(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                    struct jinja_value *out) {
    const struct jinja_value *width = jinja_arg(a, 0, "width"), *first = jinja_arg(a, 1, "first"),
        *blank = jinja_arg(a, 2, "blank");
    const struct jinja_value four = j_int(4);
    struct slice by, s;
    int rc = indent_of(r, width ? width : &four, "indent", &by);
    if (rc == 0) rc = jinja_text(r, in, &s);
    return rc ? rc : jinja_indent(r, s, by, first && jinja_truth(first), blank && jinja_truth(blank), out);
}

/* -- JSON ------------------------------------------------------------------------------- */

static int separators(struct jinja_run *r, const struct jinja_value *v, struct jinja_json *how) {
    if (!j_is_list(v) || v->list->len != 2 || v->list->items[0].type != J_STR || v->list->items[1].type != J_STR)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "tojson: separators are two strings");
    how->item = v->list->items[0].s;
    how->colon = v->list->items[1].s;
    return 0;
}

static int f_tojson(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                    struct jinja_value *out) {
    const struct jinja_value *ascii = jinja_arg(a, 0, "ensure_ascii"), *indent = jinja_arg(a, 1, "indent"),
                             *sep = jinja_arg(a, 2, "separators"), *sort = jinja_arg(a, 3, "sort_keys");
    struct jinja_json how = { .ascii = ascii && jinja_truth(ascii), .sort = sort && jinja_truth(sort),
                              .item = SLICE(", "), .colon = SLICE(": ") };
    struct buf b;
    int rc = 0;
    if (indent && indent->type != J_NONE) {
        how.lines = true;
        how.item = SLICE(",");
        rc = indent_of(r, indent, "tojson", &how.indent);
    }
    if (rc == 0 && sep && sep->type != J_NONE) rc = separators(r, sep, &how);
    if (rc != 0) return rc;
    jinja_buf(r, &b);
    rc = jinja_to_json(r, in, &how, &b);
    *out = J(J_STR);
    int took = jinja_take(r, &b, &out->s);
    return rc ? rc : took;
}

static int f_from_json(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                       struct jinja_value *out) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error err;
    (void)a;
    if (in->type != J_STR) return jinja_fail(r, PERILUNE_ERR_INVAL, "from_json needs a string, not %s",
                                             jinja_type_name(in));
    int rc = jinja_charge_bytes(r, in->s.len);
    if (rc != 0) return rc;
    doc.max_nodes = (uint32_t)(r->memory / sizeof(struct json_node) < JSON_MAX_NODES
                               ? r->memory / sizeof(struct json_node) + 1 : 0);
    rc = json_parse(&doc, in->s, &err);
    if (rc == PERILUNE_ERR_INVAL) return jinja_fail(r, rc, "from_json: %s at byte %zu", err.message, err.offset);
    if (rc == 0) rc = jinja_from_json(r, &doc, 0, false, out);
    json_deinit(&doc);
    return rc;
}

/* -- Numbers and defaults ------------------------------------------------------------------ */

static int f_default(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                     struct jinja_value *out) {
    const struct jinja_value *v = jinja_arg(a, 0, "default_value"), *boolean = jinja_arg(a, 1, "boolean");
    (void)r;
    bool missing = in->type == J_UNDEF || (boolean && jinja_truth(boolean) && !jinja_truth(in));
    *out = !missing ? *in : v ? *v : j_str(SLICE(""));
    return 0;
}

/* The number that the text is, or false. */
static bool read_number(struct slice s, bool whole, struct jinja_value *out) {
    char text[64], *end;
    s = jinja_strip(s, NULL, true, true);
    if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, 'x', s.len) || memchr(s.ptr, 'n', s.len)) return false;
    slice_copy(text, sizeof(text), s);
    if (whole) *out = j_int(strtoll(text, &end, 10));
    else *out = j_float(strtod(text, &end));
    return *end == '\0';
}

static int f_int(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                 struct jinja_value *out) {
    const struct jinja_value *other = jinja_arg(a, 0, "default");
    struct jinja_value v = *in;
    (void)r;
    *out = other ? *other : j_int(0);
    if (in->type == J_STR && !read_number(in->s, true, &v) && !read_number(in->s, false, &v)) return 0;
    if (j_is_int(&v)) *out = j_int(j_to_int(&v));
    else if (v.type == J_FLOAT && v.f > -9e18 && v.f < 9e18) *out = j_int((int64_t)v.f);
    return 0;
}

static int f_float(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                   struct jinja_value *out) {
    const struct jinja_value *other = jinja_arg(a, 0, "default");
    (void)r;
    *out = other ? *other : j_float(0);
    if (in->type == J_STR) read_number(in->s, false, out);
    else if (j_is_number(in)) *out = j_float(j_to_float(in));
    return 0;
}

static int f_abs(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                 struct jinja_value *out) {
    (void)a;
    if (!j_is_number(in) || (j_is_int(in) && j_to_int(in) == INT64_MIN))
        return jinja_fail(r, PERILUNE_ERR_INVAL, "abs is for numbers, not %s", jinja_type_name(in));
    *out = in->type == J_FLOAT ? j_float(fabs(in->f)) : j_int(j_to_int(in) < 0 ? -j_to_int(in) : j_to_int(in));
    return 0;
}

static int f_round(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                   struct jinja_value *out) {
    const struct jinja_value *places = jinja_arg(a, 0, "precision");
    if (!j_is_number(in) || (places && (!j_is_int(places) || j_to_int(places) < 0 || j_to_int(places) > 15)))
        return jinja_fail(r, PERILUNE_ERR_INVAL, "round is for numbers, to 0 to 15 places");
    double scale = pow(10, places ? (double)j_to_int(places) : 0);
    *out = j_float(nearbyint(j_to_float(in) * scale) / scale);
    return 0;
}

static int f_length(struct jinja_run *r, const struct jinja_value *in, const struct jinja_args *a,
                    struct jinja_value *out) {
    (void)a;
    *out = j_int(0);
    return jinja_length(r, in, &out->i);
}

/* -- The table --------------------------------------------------------------------------------- */

static const struct {
    const char     *name;
    jinja_filter_fn run;
    unsigned char   min, max;
    const char     *names; /* of its arguments; NULL: it checks them itself */
} filters[] = {
    { "trim", f_trim, 0, 1, "chars" },
    { "lower", f_lower, 0, 0, "" },
    { "upper", f_upper, 0, 0, "" },
    { "title", f_title, 0, 0, "" },
    { "capitalize", f_capitalize, 0, 0, "" },
    { "replace", f_replace, 2, 3, "old new count" },
    { "string", f_string, 0, 0, "" },
    { "safe", f_safe, 0, 0, "" },
    { "indent", f_indent, 0, 3, "width first blank" },
    { "tojson", f_tojson, 0, 4, "ensure_ascii indent separators sort_keys" },
    { "from_json", f_from_json, 0, 0, "" },
    { "default", f_default, 0, 2, "default_value boolean" },
    { "d", f_default, 0, 2, "default_value boolean" },
    { "int", f_int, 0, 1, "default" },
    { "float", f_float, 0, 1, "default" },
    { "abs", f_abs, 0, 0, "" },
    { "round", f_round, 0, 1, "precision" },
    { "length", f_length, 0, 0, "" },
    { "count", f_length, 0, 0, "" },
    { "join", jinja_f_join, 0, 2, "d attribute" },
    { "first", jinja_f_first, 0, 0, "" },
    { "last", jinja_f_last, 0, 0, "" },
    { "list", jinja_f_list, 0, 0, "" },
    { "items", jinja_f_items, 0, 0, "" },
    { "dictsort", jinja_f_dictsort, 0, 0, "" },
    { "reverse", jinja_f_reverse, 0, 0, "" },
    { "sort", jinja_f_sort, 0, 3, "reverse case_sensitive attribute" },
    { "unique", jinja_f_unique, 0, 0, "" },
    { "min", jinja_f_min, 0, 0, "" },
    { "max", jinja_f_max, 0, 0, "" },
    { "sum", jinja_f_sum, 0, 0, "" },
    { "map", jinja_f_map, 0, 0, NULL },
    { "select", jinja_f_select, 0, 0, NULL },
    { "reject", jinja_f_reject, 0, 0, NULL },
    { "selectattr", jinja_f_selectattr, 0, 0, NULL },
    { "rejectattr", jinja_f_rejectattr, 0, 0, NULL },
};

int jinja_filter_find(struct slice name) {
    for (unsigned i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
        if (slice_eq(name, slice_str(filters[i].name))) return (int)i;
    return -1;
}

int jinja_filter(struct jinja_run *r, int which, const struct jinja_value *in, const struct jinja_args *a,
                 struct jinja_value *out) {
    int rc = jinja_enter(r);
    if (rc != 0) return rc;
    if (filters[which].names)
        rc = jinja_check_args(r, a, filters[which].min, filters[which].max, filters[which].names, filters[which].name);
    if (rc == 0) rc = filters[which].run(r, in, a, out);
    jinja_leave(r);
    return rc;
}
