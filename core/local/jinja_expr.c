/* jinja_expr.c -- tokens as a tree: expressions.
 *
 *     x if a or b else c        COND
 *     or, and, not              OR AND NOT
 *     == < in `not in` ...      COMPARE, a chain as in Python: a < b < c
 *     + -                       BINARY
 *     ~                         BINARY
 *     * / // %                  BINARY
 *     **                        BINARY
 *     - +                       NEG POS
 *     a.b a[b] a(b) a|f a is t  ATTR ITEM SLICE CALL FILTER TEST
 *
 * from loose to tight, in the order in which Jinja reads them, which is not Python's everywhere: filters bind
 * tighter than a sign (-1|abs is (-1)|abs all the same: Jinja reads the sign first).
 *
 * Filters, tests and methods are looked up here, once; names that do not exist are refused.  Whether a name in
 * front of "(" is a macro or nothing is known only when it runs.
 *
 * Thread: any. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/perilune.h"
#include "local/jinja_int.h"

#define MAX_NESTED 60 /* parens in parens */

static struct jinja_node *parse_unary(struct jinja_parser *p, bool filters);

/* Elements until `close`, with commas between them and perhaps behind the last. */
static bool parse_elements(struct jinja_parser *p, const char *close, struct jinja_node *of) {
    struct jinja_node **to = &of->list;
    while (p->rc == 0 && !jinja_is_op(p, close)) {
        if (of->list && !jinja_want_op(p, ",")) return false;
        if (of->list && jinja_is_op(p, close)) break;
        struct jinja_node *n = jinja_parse_expr(p);
        if (n == NULL) return false;
        if (n->height > of->height) of->height = n->height;
        *to = n;
        to = &n->next;
    }
    return jinja_want_op(p, close);
}

struct jinja_node *jinja_parse_tuple(struct jinja_parser *p, struct jinja_node *(*one)(struct jinja_parser *)) {
    struct jinja_node *n = one(p);
    if (n == NULL || !jinja_is_op(p, ",")) return n;
    struct jinja_node *tuple = jinja_node(p, N_TUPLE, n, NULL);
    if (tuple == NULL) return NULL;
    tuple->a = NULL;
    tuple->list = n;
    while (jinja_eat_op(p, ",")) {
        const struct jinja_token *t = jinja_peek(p);
        if (t->type == TOK_PRINT_END || t->type == TOK_TAG_END || jinja_is_op(p, ")") || jinja_is_op(p, "=") ||
            jinja_is_name(p, "in")) break;
        n->next = one(p);
        if (n->next == NULL) return NULL;
        n = n->next;
        if (n->height >= tuple->height) tuple->height = n->height + 1;
    }
    return tuple;
}

/* -- Primary -------------------------------------------------------------------- */

static struct jinja_node *constant(struct jinja_parser *p, struct jinja_value v) {
    struct jinja_node *n = jinja_node(p, N_CONST, NULL, NULL);
    if (n) n->value = v;
    return n;
}

static struct jinja_node *parse_number(struct jinja_parser *p, const struct jinja_token *t) {
    char text[64];
    size_t len = 0;
    for (size_t i = 0; i < t->s.len && len < sizeof(text) - 1; i++)
        if (t->s.ptr[i] != '_') text[len++] = t->s.ptr[i];
    text[len] = '\0';
    p->at++;
    if (t->type == TOK_FLOAT) return constant(p, j_float(strtod(text, NULL)));
    errno = 0;
    int64_t i = strtoll(text, NULL, 10);
    if (errno != 0) return jinja_refuse(p, t->line, "an integer of more than 64 bits");
    return constant(p, j_int(i));
}

/* 'a' 'b' is one string. */
static struct jinja_node *parse_string(struct jinja_parser *p) {
    struct slice s = jinja_peek(p)->s;
    p->at++;
    while (p->rc == 0 && jinja_peek(p)->type == TOK_STR) {
        struct slice more = jinja_peek(p)->s;
        char *both = arena_alloc(&p->t->arena, s.len + more.len + 1);
        if (both == NULL) return jinja_no_memory(p);
        memcpy(both, s.ptr, s.len);
        memcpy(both + s.len, more.ptr, more.len);
        s = slice_of(both, s.len + more.len);
        p->at++;
    }
    return constant(p, j_str(s));
}

static struct jinja_node *parse_name(struct jinja_parser *p, const struct jinja_token *t) {
    static const struct { const char *name; struct jinja_value v; } known[] = {
        { "true", { J_BOOL, { .b = true } } },   { "True", { J_BOOL, { .b = true } } },
        { "false", { J_BOOL, { .b = false } } }, { "False", { J_BOOL, { .b = false } } },
        { "none", { J_NONE, { 0 } } },           { "None", { J_NONE, { 0 } } },
    };
    static const char *const words[] = { "and", "or", "not", "in", "is", "if", "else", "elif", NULL };
    for (unsigned i = 0; words[i]; i++)
        if (jinja_is_name(p, words[i])) return jinja_refuse(p, t->line, "\"%s\" where a value should be", words[i]);
    p->at++;
    for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (slice_eq(t->s, slice_str(known[i].name))) return constant(p, known[i].v);
    struct jinja_node *n = jinja_node(p, N_NAME, NULL, NULL);
    if (n == NULL) return NULL;
    n->name = t->s;
    n->line = t->line;
    struct jinja *tp = p->t;
    if (jinja_mentions(tp, t->s)) return n;
    if (tp->names_len == tp->names_cap &&
        !mem_grow((void **)&tp->names, tp->names_len, &tp->names_cap, sizeof(*tp->names))) return jinja_no_memory(p);
    tp->names[tp->names_len++] = t->s;
    return n;
}

static struct jinja_node *parse_dict(struct jinja_parser *p) {
    struct jinja_node *n = jinja_node(p, N_DICT, NULL, NULL);
    if (n == NULL) return NULL;
    struct jinja_node **to = &n->list;
    while (p->rc == 0 && !jinja_is_op(p, "}")) {
        if (n->list && !jinja_want_op(p, ",")) return NULL;
        if (n->list && jinja_is_op(p, "}")) break;
        struct jinja_node *key = jinja_parse_expr(p);
        if (!jinja_want_op(p, ":")) return NULL;
        struct jinja_node *pair = jinja_node(p, N_PAIR, key, jinja_parse_expr(p));
        if (pair == NULL) return NULL;
        if (pair->height > n->height) n->height = pair->height;
        *to = pair;
        to = &pair->next;
    }
    return jinja_want_op(p, "}") ? n : NULL;
}

/* Behind "(". */
static struct jinja_node *parse_parens(struct jinja_parser *p) {
    struct jinja_node *n;
    if (jinja_is_op(p, ")")) n = jinja_node(p, N_TUPLE, NULL, NULL);
    else n = jinja_parse_tuple(p, jinja_parse_expr);
    return jinja_want_op(p, ")") ? n : NULL;
}

static struct jinja_node *parse_primary(struct jinja_parser *p) {
    const struct jinja_token *t = jinja_peek(p);
    if (p->rc != 0) return NULL;
    switch (t->type) {
    case TOK_STR: return parse_string(p);
    case TOK_INT:
    case TOK_FLOAT: return parse_number(p, t);
    case TOK_NAME: return parse_name(p, t);
    case TOK_OP: break;
    default: return jinja_refuse(p, t->line, "a value should be where the tag ends");
    }
    if (jinja_eat_op(p, "(")) return parse_parens(p);
    if (jinja_eat_op(p, "{")) return parse_dict(p);
    if (!jinja_eat_op(p, "["))
        return jinja_refuse(p, t->line, "\"%.*s\" where a value should be", SLICE_ARG(t->s));
    struct jinja_node *n = jinja_node(p, N_LIST, NULL, NULL);
    return n && parse_elements(p, "]", n) ? n : NULL;
}

/* -- Behind a value ---------------------------------------------------------------- */

/* Behind "(": arguments of a call, a filter or a test, into of->list. */
static bool parse_args(struct jinja_parser *p, struct jinja_node *of) {
    struct jinja_node **to = &of->list;
    unsigned len = 0;
    while (p->rc == 0 && !jinja_is_op(p, ")")) {
        if (len > 0 && !jinja_want_op(p, ",")) return false;
        if (len > 0 && jinja_is_op(p, ")")) break;
        const struct jinja_token *t = jinja_peek(p);
        if (jinja_is_op(p, "*") || jinja_is_op(p, "**"))
            return jinja_refuse(p, t->line, "\"%.*s\" in front of an argument is not supported", SLICE_ARG(t->s)),
                false;
        struct jinja_node *n;
        const struct jinja_token *next = t->type == TOK_NAME ? t + 1 : t; /* END is behind everything */
        if (next != t && next->type == TOK_OP && slice_eq(next->s, SLICE("="))) {
            p->at += 2;
            n = jinja_node(p, N_KWARG, jinja_parse_expr(p), NULL);
            if (n) n->name = t->s;
        } else {
            n = jinja_parse_expr(p);
        }
        if (n == NULL) return false;
        if (++len > JINJA_MAX_ARGS)
            return jinja_refuse(p, t->line, "more than %d arguments", JINJA_MAX_ARGS), false;
        if (n->height > of->height) of->height = n->height;
        *to = n;
        to = &n->next;
    }
    return jinja_want_op(p, ")");
}

/* Behind "[". */
static struct jinja_node *parse_subscript(struct jinja_parser *p, struct jinja_node *of) {
    struct jinja_node *parts[3] = { NULL, NULL, NULL };
    unsigned colons = 0;
    const struct jinja_token *t = jinja_peek(p);
    for (; p->rc == 0 && !jinja_is_op(p, "]");) {
        if (jinja_is_op(p, ",")) return jinja_refuse(p, t->line, "a comma between [ and ] is not supported");
        if (jinja_eat_op(p, ":")) {
            if (++colons > 2) return jinja_refuse(p, t->line, "a slice with more than two colons");
        } else {
            if (parts[colons] != NULL) return jinja_want_op(p, "]"), NULL;
            parts[colons] = jinja_parse_expr(p);
        }
    }
    if (!jinja_want_op(p, "]")) return NULL;
    if (colons == 0 && parts[0] == NULL) return jinja_refuse(p, t->line, "nothing between [ and ]");
    if (colons == 0) return jinja_node(p, N_ITEM, of, parts[0]);
    struct jinja_node *n = jinja_node(p, N_SLICE, of, parts[0]);
    if (n) n->c = parts[1], n->other = parts[2];
    return n;
}

/* Behind ".". */
static struct jinja_node *parse_attr(struct jinja_parser *p, struct jinja_node *of) {
    const struct jinja_token *t = jinja_peek(p);
    if (p->rc == 0 && t->type == TOK_INT) { /* a.0 is a[0] */
        struct jinja_node *i = parse_number(p, t);
        return jinja_node(p, N_ITEM, of, i);
    }
    if (p->rc == 0 && t->type != TOK_NAME)
        return jinja_refuse(p, t->line, "\"%.*s\" where an attribute's name should be", SLICE_ARG(t->s));
    p->at += p->rc == 0;
    struct jinja_node *n = jinja_node(p, N_ATTR, of, NULL);
    if (n == NULL) return NULL;
    n->name = t->s;
    if (jinja_is_op(p, "(") && jinja_method_find(t->s) < 0)
        return jinja_refuse(p, t->line, "the method .%.*s() is not supported", SLICE_ARG(t->s));
    return n;
}

static struct jinja_node *parse_postfix(struct jinja_parser *p, struct jinja_node *n) {
    while (n != NULL && p->rc == 0) {
        if (jinja_eat_op(p, ".")) {
            n = parse_attr(p, n);
        } else if (jinja_eat_op(p, "[")) {
            n = parse_subscript(p, n);
        } else if (jinja_eat_op(p, "(")) {
            n = jinja_node(p, N_CALL, n, NULL);
            if (n == NULL || !parse_args(p, n)) return NULL;
        } else {
            break;
        }
    }
    return n;
}

struct jinja_node *jinja_parse_filter(struct jinja_parser *p, struct jinja_node *of) {
    const struct jinja_token *t = jinja_peek(p);
    if (of == NULL || p->rc != 0) return NULL;
    if (t->type != TOK_NAME) return jinja_refuse(p, t->line, "\"%.*s\" where a filter's name should be",
                                                 SLICE_ARG(t->s));
    struct jinja_node *n = jinja_node(p, N_FILTER, of, NULL);
    if (n == NULL) return NULL;
    n->name = t->s;
    n->line = t->line;
    n->op = jinja_filter_find(t->s);
    if (n->op < 0) return jinja_refuse(p, t->line, "the filter \"%.*s\" is not supported", SLICE_ARG(t->s));
    p->at++;
    if (jinja_eat_op(p, "(") && !parse_args(p, n)) return NULL;
    return n;
}

struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *of) {
    while (jinja_eat_op(p, "|")) of = jinja_parse_filter(p, of);
    return p->rc == 0 ? of : NULL;
}

/* A test takes one argument without parens: `is divisibleby 3`. */
static bool has_bare_arg(const struct jinja_parser *p) {
    const struct jinja_token *t = jinja_peek(p);
    if (t->type == TOK_STR || t->type == TOK_INT || t->type == TOK_FLOAT) return true;
    if (t->type == TOK_OP) return jinja_is_op(p, "[") || jinja_is_op(p, "{");
    return t->type == TOK_NAME && !jinja_is_name(p, "else") && !jinja_is_name(p, "or") && !jinja_is_name(p, "and") &&
           !jinja_is_name(p, "if") && !jinja_is_name(p, "is") && !jinja_is_name(p, "not") && !jinja_is_name(p, "in") &&
           !jinja_is_name(p, "recursive");
}

/* Behind `is`. */
static struct jinja_node *parse_test(struct jinja_parser *p, struct jinja_node *of) {
    bool negated = jinja_eat_name(p, "not");
    const struct jinja_token *t = jinja_peek(p);
    if (p->rc == 0 && t->type != TOK_NAME && t->type != TOK_OP)
        return jinja_refuse(p, t->line, "\"%.*s\" where a test's name should be", SLICE_ARG(t->s));
    struct jinja_node *n = jinja_node(p, N_TEST, of, NULL);
    if (n == NULL) return NULL;
    n->name = t->s;
    n->line = t->line;
    n->flag = negated;
    n->op = jinja_test_find(t->s);
    if (n->op < 0) return jinja_refuse(p, t->line, "the test \"is %.*s\" is not supported", SLICE_ARG(t->s));
    p->at++;
    if (jinja_eat_op(p, "(")) return parse_args(p, n) ? n : NULL;
    if (has_bare_arg(p)) n->list = parse_postfix(p, parse_primary(p));
    if (n->list && n->list->height > n->height) n->height = n->list->height;
    return p->rc == 0 ? n : NULL;
}

static struct jinja_node *parse_tail(struct jinja_parser *p, struct jinja_node *n) {
    while (n != NULL && p->rc == 0) {
        if (jinja_eat_op(p, "|")) {
            n = jinja_parse_filter(p, n);
        } else if (jinja_eat_name(p, "is")) {
            n = parse_test(p, n);
        } else if (jinja_eat_op(p, "(")) { /* what a filter gave is called */
            n = jinja_node(p, N_CALL, n, NULL);
            if (n == NULL || !parse_args(p, n)) return NULL;
        } else {
            break;
        }
    }
    return p->rc == 0 ? n : NULL;
}

/* -- Operators ------------------------------------------------------------------------ */

static bool deeper(struct jinja_parser *p) {
    if (p->rc == 0 && p->depth < JINJA_MAX_BLOCKS + MAX_NESTED) return p->depth++, true;
    jinja_refuse(p, jinja_peek(p)->line, "an expression of more than %d levels", MAX_NESTED);
    return false;
}

static struct jinja_node *parse_unary(struct jinja_parser *p, bool filters) {
    struct jinja_node *n;
    enum jinja_kind sign = jinja_is_op(p, "-") ? N_NEG : jinja_is_op(p, "+") ? N_POS : N_NAME;
    if (!deeper(p)) return NULL;
    if (sign != N_NAME) {
        p->at++;
        n = jinja_node(p, sign, parse_unary(p, false), NULL);
    } else {
        n = parse_postfix(p, parse_primary(p));
    }
    p->depth--;
    return filters ? parse_tail(p, n) : n;
}

struct level { const char *op; enum jinja_op means; };
static const struct level pow_ops[] = { { "**", OP_POW }, { NULL, 0 } },
                          mul_ops[] = { { "*", OP_MUL }, { "/", OP_DIV }, { "//", OP_FLOOR }, { "%", OP_MOD },
                              { NULL, 0 } },
                          concat_ops[] = { { "~", OP_CONCAT }, { NULL, 0 } },
                          add_ops[] = { { "+", OP_ADD }, { "-", OP_SUB }, { NULL, 0 } };
static const struct level *const levels[] = { add_ops, concat_ops, mul_ops, pow_ops };

static struct jinja_node *parse_binary(struct jinja_parser *p, unsigned level) {
    if (level == sizeof(levels) / sizeof(levels[0])) return parse_unary(p, true);
    struct jinja_node *n = parse_binary(p, level + 1);
    for (unsigned i = 0; n != NULL && p->rc == 0 && levels[level][i].op;) {
        if (!jinja_eat_op(p, levels[level][i].op)) {
            i++;
            continue;
        }
        struct jinja_node *b = parse_binary(p, level + 1);
        if (b == NULL) return NULL;
        n = jinja_node(p, N_BINARY, n, b);
        if (n) n->op = levels[level][i].means;
        i = 0;
    }
    return p->rc == 0 ? n : NULL;
}

/* The comparison that stands here, or -1; eaten. */
static int eat_comparison(struct jinja_parser *p) {
    static const struct level ops[] = { { "==", OP_EQ }, { "!=", OP_NE }, { "<=", OP_LE }, { ">=", OP_GE },
                                        { "<", OP_LT },  { ">", OP_GT },  { NULL, 0 } };
    for (unsigned i = 0; ops[i].op; i++)
        if (jinja_eat_op(p, ops[i].op)) return (int)ops[i].means;
    if (jinja_eat_name(p, "in")) return OP_IN;
    if (!jinja_is_name(p, "not")) return -1;
    p->at++;
    if (jinja_eat_name(p, "in")) return OP_NOT_IN;
    p->at--;
    return -1;
}

static struct jinja_node *parse_compare(struct jinja_parser *p) {
    struct jinja_node *n = parse_binary(p, 0), *chain = NULL, **to = NULL;
    for (int op; n != NULL && p->rc == 0 && (op = eat_comparison(p)) >= 0;) {
        struct jinja_node *b = parse_binary(p, 0);
        if (b == NULL) return NULL;
        if (chain == NULL) {
            chain = jinja_node(p, N_COMPARE, n, b);
            if (chain == NULL) return NULL;
            chain->b = NULL;
            to = &chain->list;
        }
        struct jinja_node *link = jinja_node(p, N_LINK, b, NULL);
        if (link == NULL) return NULL;
        link->op = op;
        if (link->height > chain->height) chain->height = link->height;
        *to = link;
        to = &link->next;
    }
    return p->rc != 0 ? NULL : chain ? chain : n;
}

static struct jinja_node *parse_not(struct jinja_parser *p) {
    if (!jinja_eat_name(p, "not")) return parse_compare(p);
    if (!deeper(p)) return NULL;
    struct jinja_node *n = parse_not(p);
    p->depth--;
    return n ? jinja_node(p, N_NOT, n, NULL) : NULL;
}

static struct jinja_node *parse_and(struct jinja_parser *p) {
    struct jinja_node *n = parse_not(p);
    while (n && jinja_eat_name(p, "and")) {
        struct jinja_node *b = parse_not(p);
        n = b ? jinja_node(p, N_AND, n, b) : NULL;
    }
    return n;
}

struct jinja_node *jinja_parse_or(struct jinja_parser *p) {
    struct jinja_node *n = parse_and(p);
    while (n && jinja_eat_name(p, "or")) {
        struct jinja_node *b = parse_and(p);
        n = b ? jinja_node(p, N_OR, n, b) : NULL;
    }
    return n;
}

struct jinja_node *jinja_parse_expr(struct jinja_parser *p) {
    if (!deeper(p)) return NULL;
    struct jinja_node *n = jinja_parse_or(p);
    while (n && jinja_eat_name(p, "if")) {
        struct jinja_node *b = jinja_parse_or(p), *c = NULL;
        if (b == NULL) return NULL;
        if (jinja_eat_name(p, "else") && (c = jinja_parse_expr(p)) == NULL) return NULL;
        n = jinja_node(p, N_COND, n, b);
        if (n) n->c = c;
        if (n && c && c->height >= n->height) n->height = c->height + 1;
    }
    p->depth--;
    return p->rc == 0 ? n : NULL;
}
