/* jinja_test.c -- `is`: what tests say of a value.
 *
 *     none "" [] {}                        is defined     `is undefined` only what was not found
 *     "a" [1] (1,) {"a": 1}, undefined     is iterable    and is sequence: Jinja asks for a length and []
 *     1 1.5 true                           is number      a bool is one, as in Python
 *
 * Invariants: a test never changes its value.  Its name is looked up when the template is read.
 *
 * Thread: the run's. */
#include <string.h>

#include "include/perilune.h"
#include "local/jinja_int.h"

enum test {
    T_DEFINED, T_UNDEFINED, T_NONE, T_STRING, T_MAPPING, T_ITERABLE, T_SEQUENCE, T_NUMBER, T_INTEGER, T_FLOAT,
        T_BOOLEAN,
    T_TRUE, T_FALSE, T_CALLABLE, T_ODD, T_EVEN, T_LOWER, T_UPPER, /* without an argument up to here */
    T_DIVISIBLE, T_EQ, T_NE, T_LT, T_LE, T_GT, T_GE, T_IN, T_SAME
};

static const struct { const char *name; enum test test; } tests[] = {
    { "defined", T_DEFINED },   { "undefined", T_UNDEFINED }, { "none", T_NONE },
    { "string", T_STRING },     { "mapping", T_MAPPING },     { "iterable", T_ITERABLE },
    { "sequence", T_SEQUENCE }, { "number", T_NUMBER },       { "integer", T_INTEGER },
    { "float", T_FLOAT },       { "boolean", T_BOOLEAN },     { "true", T_TRUE },
    { "false", T_FALSE },       { "callable", T_CALLABLE },   { "odd", T_ODD },
    { "even", T_EVEN },         { "lower", T_LOWER },         { "upper", T_UPPER },
    { "divisibleby", T_DIVISIBLE }, { "equalto", T_EQ },      { "eq", T_EQ },
    { "==", T_EQ },             { "ne", T_NE },               { "!=", T_NE },
    { "lt", T_LT },             { "lessthan", T_LT },         { "<", T_LT },
    { "le", T_LE },             { "<=", T_LE },               { "gt", T_GT },
    { "greaterthan", T_GT },    { ">", T_GT },                { "ge", T_GE },
    { ">=", T_GE },             { "in", T_IN },               { "sameas", T_SAME },
};

int jinja_test_find(struct slice name) {
    for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        if (slice_eq(name, slice_str(tests[i].name))) return (int)i;
    return -1;
}

static bool is_sequence(const struct jinja_value *v) {
    return v->type == J_STR || j_is_list(v) || v->type == J_DICT || v->type == J_UNDEF;
}

static int modulo(struct jinja_run *r, const struct jinja_value *v, const struct jinja_value *by, int64_t *out) {
    if (!j_is_int(v) || !j_is_int(by) || j_to_int(by) == 0)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "a test of divisibility is for integers, and not by 0");
    *out = j_to_int(by) == -1 ? 0 : j_to_int(v) % j_to_int(by);
    return 0;
}

static int case_of(struct jinja_run *r, const struct jinja_value *in, enum jinja_case how, bool *out) {
    struct slice s;
    struct jinja_value other, same;
    int rc = jinja_text(r, in, &s);
    if (rc == 0) rc = jinja_recase(r, s, how, &same);
    if (rc == 0) rc = jinja_recase(r, s, how == CASE_LOWER ? CASE_UPPER : CASE_LOWER, &other);
    *out = rc == 0 && slice_eq(same.s, s) && !slice_eq(other.s, s); /* as islower(): one letter at least */
    return rc;
}

static bool same_object(const struct jinja_value *a, const struct jinja_value *b) {
    if (a->type != b->type) return false;
    switch (a->type) {
    case J_NONE: return true;
    case J_BOOL: return a->b == b->b;
    case J_INT: return a->i == b->i;
    case J_FLOAT: return a->f == b->f;
    case J_UNDEF:
    case J_BIG:
    case J_STR: return slice_eq(a->s, b->s);
    default: return a->dict == b->dict;
    }
}

static int with_argument(struct jinja_run *r, enum test test, const struct jinja_value *in,
                         const struct jinja_value *arg,
                         bool *out) {
    int64_t rest = 0;
    int rc, order = 0;
    switch (test) {
    case T_DIVISIBLE:
        rc = modulo(r, in, arg, &rest);
        *out = rest == 0;
        return rc;
    case T_EQ: return jinja_equal(r, in, arg, out);
    case T_NE:
        rc = jinja_equal(r, in, arg, out);
        *out = !*out;
        return rc;
    case T_IN: return jinja_contains(r, arg, in, out);
    case T_SAME: return *out = same_object(in, arg), 0;
    default:
        rc = jinja_order(r, in, arg, &order);
        *out = test == T_LT ? order < 0 : test == T_LE ? order <= 0 : test == T_GT ? order > 0 : order >= 0;
        return rc;
    }
}

int jinja_test(struct jinja_run *r, int which, const struct jinja_value *in, const struct jinja_args *a, bool *out) {
    enum test test = tests[which].test;
    unsigned args = test >= T_DIVISIBLE;
    const struct jinja_value two = j_int(2);
    int64_t rest = 0;
    int rc = jinja_check_args(r, a, args, args, "", tests[which].name);
    *out = false;
    if (rc != 0) return rc;
    switch (test) {
    case T_DEFINED: *out = in->type != J_UNDEF; break;
    case T_UNDEFINED: *out = in->type == J_UNDEF; break;
    case T_NONE: *out = in->type == J_NONE; break;
    case T_STRING: *out = in->type == J_STR; break;
    case T_MAPPING: *out = in->type == J_DICT; break;
    case T_ITERABLE: *out = is_sequence(in) || in->type == J_LOOP; break;
    case T_SEQUENCE: *out = is_sequence(in); break;
    case T_NUMBER: *out = j_is_number(in) || in->type == J_BIG; break;
    case T_INTEGER: *out = in->type == J_INT || in->type == J_BIG; break;
    case T_FLOAT: *out = in->type == J_FLOAT; break;
    case T_BOOLEAN: *out = in->type == J_BOOL; break;
    case T_TRUE: *out = in->type == J_BOOL && in->b; break;
    case T_FALSE: *out = in->type == J_BOOL && !in->b; break;
    case T_CALLABLE: *out = in->type == J_MACRO || in->type == J_FUNC || in->type == J_METHOD; break;
    case T_ODD:
    case T_EVEN:
        rc = modulo(r, in, &two, &rest);
        *out = (rest != 0) == (test == T_ODD);
        break;
    case T_LOWER: return case_of(r, in, CASE_LOWER, out);
    case T_UPPER: return case_of(r, in, CASE_UPPER, out);
    default: return with_argument(r, test, in, &a->v[0], out);
    }
    return rc;
}
