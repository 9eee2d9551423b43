/* jinja_eval.c -- expressions of a template, evaluated.
 *
 *     eval(BINARY +)
 *       eval(NAME a) -> scope, its parents, then functions     a: 1
 *       eval(CONST)                                            2
 *       add                                                    3
 *
 * The tree is walked; each node costs a step.  Names are looked for in the scopes from the innermost on, then
 * among the functions of transformers (range, namespace, dict, raise_exception, strftime_now).
 *
 * Types are Python's: 1 + "a" fails, "a" ~ 1 does not, True + 1 is 2, 7 // -2 is -4, integers that leave 64 bits
 * fail.
 *
 * Invariants: what eval gives is complete or the run has failed and said why, with the line of the innermost
 * node that failed; depth is bounded by jinja_enter().
 *
 * Thread: the run's. */
#include <math.h>
#include <string.h>

#include "include/perilune.h"
#include "local/jinja_int.h"

static int eval_name(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    for (const struct jinja_scope *s = r->scope; s; s = s->parent)
        for (const struct jinja_binding *b = s->first; b; b = b->next)
            if (slice_eq(b->name, n->name)) return *out = b->value, 0;
    int which = jinja_func_find(n->name);
    *out = which >= 0 ? (struct jinja_value){ .type = J_FUNC, .i = which } : j_undef(n->name);
    return 0;
}

/* -- Arithmetic ------------------------------------------------------------------------ */

static int fail_types(struct jinja_run *r, const char *op, const struct jinja_value *a, const struct jinja_value *b) {
    const struct jinja_value *u = a->type == J_UNDEF ? a : b;
    if (u->type == J_UNDEF)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "%s: \"%.*s\" is undefined", op,
                          u->s.len < 100 ? (int)u->s.len : 100, u->s.ptr);
    return jinja_fail(r, PERILUNE_ERR_INVAL, "%s is not for %s and %s", op, jinja_type_name(a), jinja_type_name(b));
}

static int join_texts(struct jinja_run *r, struct slice a, struct slice b, struct jinja_value *out) {
    if (a.len == 0 || b.len == 0) return *out = j_str(a.len ? a : b), 0;
    char *p = jinja_alloc(r, a.len + b.len);
    if (p == NULL) return jinja_out_of(r);
    memcpy(p, a.ptr, a.len);
    memcpy(p + a.len, b.ptr, b.len);
    *out = j_str(slice_of(p, a.len + b.len));
    return jinja_charge_bytes(r, a.len + b.len);
}

static int join_lists(struct jinja_run *r, const struct jinja_value *a, const struct jinja_value *b,
                      struct jinja_value *out) {
    int rc = jinja_charge(r, a->list->len + b->list->len);
    if (rc == 0) rc = jinja_new_list(r, a->type, a->list->len + b->list->len, out);
    for (uint32_t i = 0; rc == 0 && i < a->list->len; i++) rc = jinja_push(r, out->list, a->list->items[i]);
    for (uint32_t i = 0; rc == 0 && i < b->list->len; i++) rc = jinja_push(r, out->list, b->list->items[i]);
    return rc;
}

static int times(struct jinja_run *r, const struct jinja_value *what, int64_t n, struct jinja_value *out) {
    int rc = 0;
    if (n < 0) n = 0;
    if (what->type == J_STR) {
        size_t len = what->s.len;
        if (len > 0 && (uint64_t)n > r->memory / len) n = (int64_t)(r->memory / len) + 1; /* fails in jinja_alloc() */
        rc = jinja_charge_bytes(r, len * (size_t)n);
        char *p = rc ? NULL : jinja_alloc(r, len * (size_t)n + 1);
        if (p == NULL) return rc ? rc : jinja_out_of(r);
        for (int64_t i = 0; i < n && len > 0; i++) memcpy(p + (size_t)i * len, what->s.ptr, len);
        return *out = j_str(slice_of(p, len * (size_t)n)), 0;
    }
    rc = jinja_new_list(r, what->type, 0, out);
    for (int64_t i = 0; rc == 0 && i < n && what->list->len > 0; i++)
        for (uint32_t k = 0; rc == 0 && k < what->list->len; k++) {
            rc = jinja_charge(r, 1);
            if (rc == 0) rc = jinja_push(r, out->list, what->list->items[k]);
        }
    return rc;
}

static int int_op(struct jinja_run *r, int op, int64_t a, int64_t b, struct jinja_value *out) {
    int64_t v = 0;
    bool over = false;
    switch (op) {
    case OP_ADD: over = __builtin_add_overflow(a, b, &v); break;
    case OP_SUB: over = __builtin_sub_overflow(a, b, &v); break;
    case OP_MUL: over = __builtin_mul_overflow(a, b, &v); break;
    case OP_POW:
        if (b < 0) return *out = j_float(pow((double)a, (double)b)), 0;
        for (v = 1; b > 0 && !over; b--) {
            over = __builtin_mul_overflow(v, a, &v);
            if (v == 0 || v == 1 || (v == -1 && b % 2 == 1)) break; /* of 0, 1 and -1 */
        }
        break;
    default: /* // and %: rounded down */
        if (b == 0) return jinja_fail(r, PERILUNE_ERR_INVAL, "a division by zero");
        if (b == -1) {
            over = op == OP_FLOOR && __builtin_sub_overflow((int64_t)0, a, &v);
            break;
        }
        v = op == OP_FLOOR ? a / b - (a % b != 0 && (a % b < 0) != (b < 0)) : a % b + (a % b != 0 &&
            (a % b < 0) != (b < 0) ? b : 0);
    }
    if (over) return jinja_fail(r, PERILUNE_ERR_INVAL, "an integer of more than 64 bits");
    return *out = j_int(v), 0;
}

static int float_op(struct jinja_run *r, int op, double a, double b, struct jinja_value *out) {
    if ((op == OP_DIV || op == OP_FLOOR || op == OP_MOD) && b == 0)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "a division by zero");
    double v = op == OP_ADD ? a + b : op == OP_SUB ? a - b : op == OP_MUL ? a * b : op == OP_DIV ? a / b
             : op == OP_POW ? pow(a, b) : op == OP_FLOOR ? floor(a / b) : a - b * floor(a / b);
    return *out = j_float(v), 0;
}

static int arithmetic(struct jinja_run *r, int op, const struct jinja_value *a, const struct jinja_value *b,
                      struct jinja_value *out) {
    static const char *const signs[] = { "+", "-", "*", "/", "//", "%", "**" };
    bool text = a->type == J_STR || j_is_list(a);
    if (j_is_number(a) && j_is_number(b)) {
        if (op == OP_DIV || !j_is_int(a) || !j_is_int(b)) return float_op(r, op, j_to_float(a), j_to_float(b), out);
        return int_op(r, op, j_to_int(a), j_to_int(b), out);
    }
    if (op == OP_MOD && a->type == J_STR) return jinja_percent(r, a->s, b, out);
    if (op == OP_ADD && a->type == b->type && a->type == J_STR) return join_texts(r, a->s, b->s, out);
    if (op == OP_ADD && a->type == b->type && text) return join_lists(r, a, b, out);
    if (op == OP_MUL && text && j_is_int(b)) return times(r, a, j_to_int(b), out);
    if (op == OP_MUL && j_is_int(a) && (b->type == J_STR || j_is_list(b))) return times(r, b, j_to_int(a), out);
    return fail_types(r, signs[op], a, b);
}

static int eval_binary(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value a, b;
    int rc = jinja_eval(r, n->a, &a);
    if (rc == 0) rc = jinja_eval(r, n->b, &b);
    if (rc != 0) return rc;
    if (n->op != OP_CONCAT) return arithmetic(r, n->op, &a, &b, out);
    struct slice x, y;
    rc = jinja_text(r, &a, &x);
    if (rc == 0) rc = jinja_text(r, &b, &y);
    return rc ? rc : join_texts(r, x, y, out);
}

static int eval_sign(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value v;
    int rc = jinja_eval(r, n->a, &v);
    if (rc != 0) return rc;
    if (!j_is_number(&v)) return jinja_fail(r, PERILUNE_ERR_INVAL, "a sign in front of %s", jinja_type_name(&v));
    if (v.type == J_FLOAT) return *out = j_float(n->kind == N_NEG ? -v.f : v.f), 0;
    return int_op(r, n->kind == N_NEG ? OP_SUB : OP_ADD, 0, j_to_int(&v), out);
}

/* -- Comparing -------------------------------------------------------------------------- */

static int compare(struct jinja_run *r, int op, const struct jinja_value *a, const struct jinja_value *b, bool *out) {
    int order, rc;
    switch (op) {
    case OP_EQ: return jinja_equal(r, a, b, out);
    case OP_NE:
        rc = jinja_equal(r, a, b, out);
        *out = !*out;
        return rc;
    case OP_IN: return jinja_contains(r, b, a, out);
    case OP_NOT_IN:
        rc = jinja_contains(r, b, a, out);
        *out = !*out;
        return rc;
    default:
        rc = jinja_order(r, a, b, &order);
        *out = op == OP_LT ? order < 0 : op == OP_LE ? order <= 0 : op == OP_GT ? order > 0 : order >= 0;
        return rc;
    }
}

static int eval_compare(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value a, b;
    bool holds = true;
    int rc = jinja_eval(r, n->a, &a);
    for (const struct jinja_node *link = n->list; link && rc == 0 && holds; link = link->next) {
        rc = jinja_eval(r, link->a, &b);
        if (rc == 0) rc = compare(r, link->op, &a, &b, &holds);
        a = b;
    }
    *out = j_bool(holds);
    return rc;
}

/* -- Literals, parts, calls -------------------------------------------------------------- */

static int eval_list(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    int rc = jinja_new_list(r, n->kind == N_LIST ? J_LIST : J_TUPLE, 0, out);
    for (const struct jinja_node *i = n->list; i && rc == 0; i = i->next) {
        struct jinja_value v;
        rc = jinja_eval(r, i, &v);
        if (rc == 0) rc = jinja_push(r, out->list, v);
    }
    return rc;
}

static int eval_dict(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    int rc = jinja_new_dict(r, J_DICT, out);
    for (const struct jinja_node *i = n->list; i && rc == 0; i = i->next) {
        struct jinja_value k, v;
        rc = jinja_eval(r, i->a, &k);
        if (rc == 0) rc = jinja_eval(r, i->b, &v);
        if (rc == 0) rc = jinja_dict_set(r, out->dict, k, v);
    }
    return rc;
}

static int eval_slice(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    const struct jinja_node *parts[3] = { n->b, n->c, n->other };
    struct jinja_value of, bounds[3] = { J(J_NONE), J(J_NONE), J(J_NONE) };
    int rc = jinja_eval(r, n->a, &of);
    for (unsigned i = 0; i < 3 && rc == 0; i++)
        if (parts[i]) rc = jinja_eval(r, parts[i], &bounds[i]);
    if (rc != 0) return rc;
    r->line = n->line;
    return jinja_slice(r, &of, bounds, out);
}

static int eval_args(struct jinja_run *r, const struct jinja_node *list, struct jinja_args *a) {
    int rc = 0;
    a->len = a->named_len = 0;
    for (const struct jinja_node *i = list; i && rc == 0; i = i->next) {
        if (i->kind == N_KWARG) {
            a->named[a->named_len].name = i->name;
            rc = jinja_eval(r, i->a, &a->named[a->named_len++].v);
        } else {
            rc = jinja_eval(r, i, &a->v[a->len++]);
        }
    }
    return rc;
}

static int loop_cycle(struct jinja_run *r, const struct jinja_loop *l, const struct jinja_args *a,
                      struct jinja_value *out) {
    if (a->len == 0) return jinja_fail(r, PERILUNE_ERR_INVAL, "loop.cycle() without values");
    return *out = a->v[l->at % a->len], 0;
}

static int eval_call(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_args args;
    struct jinja_value f;
    bool cycle = n->a->kind == N_ATTR && slice_eq(n->a->name, SLICE("cycle"));
    int rc = jinja_eval(r, cycle ? n->a->a : n->a, &f);
    if (rc == 0) rc = eval_args(r, n->list, &args);
    if (rc != 0) return rc;
    r->line = n->line;
    if (cycle && f.type == J_LOOP) return loop_cycle(r, f.loop, &args, out);
    switch (f.type) {
    case J_FUNC: return jinja_func(r, (int)f.i, &args, out);
    case J_METHOD: return jinja_method(r, f.method, &args, out);
    case J_MACRO: return jinja_call_macro(r, f.macro, &args, out);
    case J_UNDEF:
        return jinja_fail(r, PERILUNE_ERR_INVAL, "there is no function or method \"%.*s\" here",
                          f.s.len < 100 ? (int)f.s.len : 100, f.s.ptr);
    default: return jinja_fail(r, PERILUNE_ERR_INVAL, "a %s is no function", jinja_type_name(&f));
    }
}

static int eval_filter(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_args args;
    struct jinja_value in;
    int rc = jinja_eval(r, n->a, &in);
    if (rc == 0) rc = eval_args(r, n->list, &args);
    r->line = n->line;
    return rc ? rc : jinja_filter(r, n->op, &in, &args, out);
}

static int eval_test(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_args args;
    struct jinja_value in;
    bool yes = false;
    int rc = jinja_eval(r, n->a, &in);
    if (rc == 0) rc = eval_args(r, n->list, &args);
    r->line = n->line;
    if (rc == 0) rc = jinja_test(r, n->op, &in, &args, &yes);
    *out = j_bool(yes != n->flag);
    return rc;
}

/* What decides which of its parts is evaluated. */
static int eval_choice(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    int rc = jinja_eval(r, n->kind == N_COND ? n->b : n->a, out);
    if (rc != 0) return rc;
    bool yes = jinja_truth(out);
    switch (n->kind) {
    case N_NOT: *out = j_bool(!yes); return 0;
    case N_AND: return yes ? jinja_eval(r, n->b, out) : 0;
    case N_OR: return yes ? 0 : jinja_eval(r, n->b, out);
    default: break;
    }
    if (yes) return jinja_eval(r, n->a, out);
    if (n->c) return jinja_eval(r, n->c, out);
    *out = j_undef(SLICE("the value of an if without else"));
    return 0;
}

static int eval_part(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    struct jinja_value a, b;
    int rc = jinja_eval(r, n->a, &a);
    if (rc == 0 && n->kind == N_ITEM) rc = jinja_eval(r, n->b, &b);
    r->line = n->line;
    if (rc != 0) return rc;
    return n->kind == N_ITEM ? jinja_item(r, &a, &b, out) : jinja_attr(r, &a, n->name, out);
}

static int eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    switch (n->kind) {
    case N_CONST: *out = n->value; return 0;
    case N_HELD: *out = r->held; return 0;
    case N_NAME: return eval_name(r, n, out);
    case N_LIST:
    case N_TUPLE: return eval_list(r, n, out);
    case N_DICT: return eval_dict(r, n, out);
    case N_ATTR:
    case N_ITEM: return eval_part(r, n, out);
    case N_SLICE: return eval_slice(r, n, out);
    case N_CALL: return eval_call(r, n, out);
    case N_FILTER: return eval_filter(r, n, out);
    case N_TEST: return eval_test(r, n, out);
    case N_COND:
    case N_AND:
    case N_OR:
    case N_NOT: return eval_choice(r, n, out);
    case N_NEG:
    case N_POS: return eval_sign(r, n, out);
    case N_BINARY: return eval_binary(r, n, out);
    default: return eval_compare(r, n, out);
    }
}

int jinja_eval(struct jinja_run *r, const struct jinja_node *n, struct jinja_value *out) {
    int rc = jinja_enter(r);
    if (rc != 0) return rc;
    r->line = n->line;
    rc = eval(r, n, out);
    jinja_leave(r);
    return rc;
}
