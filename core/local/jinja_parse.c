/* jinja_parse.c -- tokens as a tree: the tags.
 *
 *     {% for m in messages %}{{ m.content }}{% endfor %}
 *
 *     FOR  a: NAME m   b: NAME messages   list: PRINT a: ATTR content of NAME m
 *
 * Recursive descent; jinja_expr.c has what stands in tags.  A body ends at a tag that is not one to begin with
 * (endfor, else, elif ...), and whoever began it says whether that is the right one.
 *
 * What this interpreter does not know is refused here, with its line and what it was, and so are filters, tests
 * and methods that do not exist: a model's template is wrong when it is loaded, not at the thousandth request.
 * Tags that call other templates (include, import, extends, block) and callers ({% call %}) are not known: a chat
 * template is one text.
 *
 * Invariants: after the first failure (p->rc) everything returns NULL at once.  Nodes live in the template's
 * arena.  Depths are bounded (JINJA_MAX_BLOCKS, JINJA_MAX_HEIGHT), so neither this file nor the interpreter
 * recurses further than a stack allows.
 *
 * Thread: any. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "include/perilune.h"
#include "local/jinja_int.h"

void *jinja_refuse(struct jinja_parser *p, uint32_t line, const char *fmt, ...) {
    if (p->rc != 0) return NULL;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->err->message, sizeof(p->err->message), fmt, ap);
    va_end(ap);
    slice_mute(p->err->message);
    p->err->line = line;
    p->rc = PERILUNE_ERR_INVAL;
    return NULL;
}

void *jinja_no_memory(struct jinja_parser *p) {
    if (p->rc == 0) p->rc = PERILUNE_ERR_NOMEM;
    return NULL;
}

static uint32_t height_of(const struct jinja_node *n) { return n ? n->height : 0; }

struct jinja_node *jinja_node(struct jinja_parser *p, enum jinja_kind kind, struct jinja_node *a,
                              struct jinja_node *b) {
    if (p->rc != 0) return NULL;
    uint32_t line = jinja_peek(p)->line, height = height_of(a) > height_of(b) ? height_of(a) : height_of(b);
    if (height >= JINJA_MAX_HEIGHT)
        return jinja_refuse(p, line, "an expression of more than %d levels", JINJA_MAX_HEIGHT);
    struct jinja_node *n = arena_alloc(&p->t->arena, sizeof(*n));
    if (n == NULL) return jinja_no_memory(p);
    *n = (struct jinja_node){ .kind = kind, .line = a ? a->line : line, .height = height + 1, .a = a, .b = b };
    return n;
}

/* -- Looking at tokens ---------------------------------------------------------- */

const struct jinja_token *jinja_peek(const struct jinja_parser *p) { return &p->tokens[p->at]; }

static bool is(const struct jinja_parser *p, enum jinja_tok type, const char *text) {
    const struct jinja_token *t = jinja_peek(p);
    return p->rc == 0 && t->type == type && slice_eq(t->s, slice_str(text));
}

bool jinja_is_op(const struct jinja_parser *p, const char *op) { return is(p, TOK_OP, op); }
bool jinja_is_name(const struct jinja_parser *p, const char *name) { return is(p, TOK_NAME, name); }

bool jinja_eat_op(struct jinja_parser *p, const char *op) {
    bool yes = jinja_is_op(p, op);
    p->at += yes;
    return yes;
}

bool jinja_eat_name(struct jinja_parser *p, const char *name) {
    bool yes = jinja_is_name(p, name);
    p->at += yes;
    return yes;
}

bool jinja_want_op(struct jinja_parser *p, const char *op) {
    if (jinja_eat_op(p, op)) return true;
    const struct jinja_token *t = jinja_peek(p);
    if (t->type == TOK_END) jinja_refuse(p, t->line, "the template ends where \"%s\" should be", op);
    else jinja_refuse(p, t->line, "\"%.*s\" where \"%s\" should be", t->s.len < 40 ? (int)t->s.len : 40, t->s.ptr, op);
    return false;
}

static bool want(struct jinja_parser *p, enum jinja_tok type, const char *what) {
    const struct jinja_token *t = jinja_peek(p);
    if (p->rc != 0) return false;
    if (t->type == type) return p->at++, true;
    jinja_refuse(p, t->line, "\"%.*s\" where %s should be", t->s.len < 40 ? (int)t->s.len : 40, t->s.ptr, what);
    return false;
}

static bool want_end(struct jinja_parser *p) { return want(p, TOK_TAG_END, "the end of the tag (\"%}\")"); }

/* The tag that a body ended at is {% name %}.  line: where the body began. */
static bool want_closing(struct jinja_parser *p, const char *name, uint32_t line) {
    if (p->rc != 0) return false;
    if (jinja_peek(p)->type == TOK_TAG && p->at + 1 < p->len) {
        p->at++;
        if (jinja_eat_name(p, name)) {
            while (p->rc == 0 && jinja_peek(p)->type == TOK_NAME) p->at++; /* {% endmacro its_name %} */
            return want_end(p);
        }
        const struct jinja_token *t = jinja_peek(p);
        jinja_refuse(p, t->line, "{%% %.*s %%} where {%% %s %%} should be, for the tag in line %u",
                     t->s.len < 40 ? (int)t->s.len : 40, t->s.ptr, name, line);
    } else {
        jinja_refuse(p, line, "this tag has no {%% %s %%}", name);
    }
    return false;
}

/* Is the tag that comes {% name ... %}?  Its beginning is eaten. */
static bool eat_tag(struct jinja_parser *p, const char *name) {
    if (p->rc != 0 || jinja_peek(p)->type != TOK_TAG) return false;
    p->at++;
    if (jinja_eat_name(p, name)) return true;
    p->at--;
    return false;
}

/* -- Tags --------------------------------------------------------------------------- */

/* Behind `if` and `elif`. */
static struct jinja_node *parse_if(struct jinja_parser *p) {
    uint32_t line = jinja_peek(p)->line;
    struct jinja_node *first = NULL, **to = &first;
    do {
        struct jinja_node *n = jinja_node(p, N_IF, NULL, NULL);
        if (n == NULL) return NULL;
        n->a = jinja_parse_expr(p);
        if (!want_end(p)) return NULL;
        n->list = jinja_parse_body(p);
        *to = n;
        to = &n->other;
    } while (eat_tag(p, "elif"));
    if (eat_tag(p, "else")) {
        if (!want_end(p)) return NULL;
        *to = jinja_parse_body(p);
    }
    return want_closing(p, "endif", line) ? first : NULL;
}

/* Is this something that a value can be put into?  attrs: also ns.x. */
static struct jinja_node *check_target(struct jinja_parser *p, struct jinja_node *n, bool attrs) {
    if (p->rc != 0 || n == NULL) return NULL;
    if (n->kind == N_ATTR && attrs && n->a->kind == N_NAME) {
        n->kind = N_SPACE_REF;
        return n;
    }
    if (n->kind == N_TUPLE) {
        for (struct jinja_node *i = n->list; i; i = i->next)
            if (i->kind == N_TUPLE || check_target(p, i, attrs) == NULL)
                return jinja_refuse(p, n->line, "cannot assign to what stands here: only to names");
        return n;
    }
    if (n->kind != N_NAME) return jinja_refuse(p, n->line,
                                               "only names and attributes of a namespace() can be set");
    return n;
}

/* A name, or one attribute of it: no filters, no calls. */
static struct jinja_node *parse_target_one(struct jinja_parser *p) {
    const struct jinja_token *t = jinja_peek(p);
    if (jinja_eat_op(p, "(")) {
        struct jinja_node *n = jinja_parse_tuple(p, parse_target_one);
        return jinja_want_op(p, ")") ? n : NULL;
    }
    if (!want(p, TOK_NAME, "a name")) return NULL;
    struct jinja_node *n = jinja_node(p, N_NAME, NULL, NULL);
    if (n == NULL) return NULL;
    n->name = t->s;
    if (!jinja_eat_op(p, ".")) return n;
    t = jinja_peek(p);
    if (!want(p, TOK_NAME, "a name")) return NULL;
    n = jinja_node(p, N_ATTR, n, NULL);
    if (n) n->name = t->s;
    return n;
}

static struct jinja_node *parse_target(struct jinja_parser *p, bool attrs) {
    return check_target(p, jinja_parse_tuple(p, parse_target_one), attrs);
}

static struct jinja_node *parse_for(struct jinja_parser *p) {
    uint32_t line = jinja_peek(p)->line;
    struct jinja_node *n = jinja_node(p, N_FOR, NULL, NULL);
    if (n == NULL) return NULL;
    n->a = parse_target(p, false);
    if (p->rc == 0 && !jinja_eat_name(p, "in")) return jinja_refuse(p, line, "a {%% for %%} without its \"in\"");
    n->b = jinja_parse_tuple(p, jinja_parse_or);
    if (jinja_eat_name(p, "if")) n->c = jinja_parse_expr(p);
    if (jinja_is_name(p, "recursive")) return jinja_refuse(p, line, "a recursive {%% for %%} is not supported");
    if (!want_end(p)) return NULL;
    p->loops++;
    n->list = jinja_parse_body(p);
    p->loops--;
    if (eat_tag(p, "else")) {
        if (!want_end(p)) return NULL;
        n->other = jinja_parse_body(p);
    }
    return want_closing(p, "endfor", line) ? n : NULL;
}

static struct jinja_node *parse_set(struct jinja_parser *p) {
    uint32_t line = jinja_peek(p)->line;
    struct jinja_node *n = jinja_node(p, N_SET, NULL, NULL);
    if (n == NULL) return NULL;
    n->a = parse_target(p, true);
    if (jinja_eat_op(p, "=")) {
        n->b = jinja_parse_tuple(p, jinja_parse_expr);
        return want_end(p) ? n : NULL;
    }
    n->kind = N_CAPTURE;
    if (jinja_is_op(p, "|")) n->b = jinja_parse_filters(p, jinja_node(p, N_HELD, NULL, NULL));
    if (!want_end(p)) return NULL;
    n->list = jinja_parse_body(p);
    return want_closing(p, "endset", line) ? n : NULL;
}

static struct jinja_node *parse_filter_block(struct jinja_parser *p) {
    uint32_t line = jinja_peek(p)->line;
    struct jinja_node *n = jinja_node(p, N_CAPTURE, NULL, NULL);
    if (n == NULL) return NULL;
    n->b = jinja_parse_filter(p, jinja_node(p, N_HELD, NULL, NULL));
    n->b = jinja_parse_filters(p, n->b);
    if (!want_end(p)) return NULL;
    n->list = jinja_parse_body(p);
    return want_closing(p, "endfilter", line) ? n : NULL;
}

/* (a, b, c=1) */
static void parse_params(struct jinja_parser *p, struct jinja_node **to) {
    unsigned len = 0;
    while (p->rc == 0 && !jinja_is_op(p, ")")) {
        const struct jinja_token *t = jinja_peek(p);
        if (len > 0 && !jinja_want_op(p, ",")) return;
        if (len > 0 && jinja_is_op(p, ")")) break;
        t = jinja_peek(p);
        if (!want(p, TOK_NAME, "a parameter's name")) return;
        struct jinja_node *n = jinja_node(p, N_NAME, NULL, NULL);
        if (n == NULL) return;
        n->name = t->s;
        if (jinja_eat_op(p, "=")) n->b = jinja_parse_expr(p);
        if (++len > JINJA_MAX_ARGS) {
            jinja_refuse(p, t->line, "a macro with more than %d parameters", JINJA_MAX_ARGS);
            return;
        }
        *to = n;
        to = &n->next;
    }
    jinja_want_op(p, ")");
}

static struct jinja_node *parse_macro(struct jinja_parser *p) {
    uint32_t line = jinja_peek(p)->line;
    struct jinja_node *n = jinja_node(p, N_MACRO, NULL, NULL);
    if (n == NULL) return NULL;
    n->name = jinja_peek(p)->s;
    if (!want(p, TOK_NAME, "the macro's name") || !jinja_want_op(p, "(")) return NULL;
    parse_params(p, &n->list);
    if (!want_end(p)) return NULL;
    unsigned loops = p->loops;
    p->loops = 0;
    n->other = jinja_parse_body(p);
    p->loops = loops;
    return want_closing(p, "endmacro", line) ? n : NULL;
}

/* transformers' tag around what an assistant says: it only tells trainers where that is. */
static struct jinja_node *parse_generation(struct jinja_parser *p) {
    uint32_t line = jinja_peek(p)->line;
    struct jinja_node *n = jinja_node(p, N_SCOPE, NULL, NULL);
    if (n == NULL || !want_end(p)) return NULL;
    n->list = jinja_parse_body(p);
    return want_closing(p, "endgeneration", line) ? n : NULL;
}

static struct jinja_node *parse_leave(struct jinja_parser *p, enum jinja_kind kind) {
    struct jinja_node *n = jinja_node(p, kind, NULL, NULL);
    if (p->rc == 0 && p->loops == 0)
        return jinja_refuse(p, n->line, "a {%% %s %%} outside of a {%% for %%}",
                            kind == N_BREAK ? "break" : "continue");
    return want_end(p) ? n : NULL;
}

/* Behind "{%".  NULL with *ends: a tag that ends a body. */
static struct jinja_node *parse_tag(struct jinja_parser *p, bool *ends) {
    static const char *const closing[] = { "endif", "else", "elif", "endfor", "endset", "endmacro", "endfilter",
                                           "endgeneration", NULL };
    for (unsigned i = 0; closing[i]; i++)
        if (jinja_is_name(p, closing[i])) return *ends = true, NULL;
    if (jinja_eat_name(p, "if")) return parse_if(p);
    if (jinja_eat_name(p, "for")) return parse_for(p);
    if (jinja_eat_name(p, "set")) return parse_set(p);
    if (jinja_eat_name(p, "macro")) return parse_macro(p);
    if (jinja_eat_name(p, "filter")) return parse_filter_block(p);
    if (jinja_eat_name(p, "generation")) return parse_generation(p);
    if (jinja_eat_name(p, "break")) return parse_leave(p, N_BREAK);
    if (jinja_eat_name(p, "continue")) return parse_leave(p, N_CONTINUE);
    const struct jinja_token *t = jinja_peek(p);
    return jinja_refuse(p, t->line,
                        "the tag {%% %.*s %%} is not supported (known: if, for, set, macro, filter, generation, "
                        "break, continue, raw)", t->s.len < 40 ? (int)t->s.len : 40, t->s.ptr);
}

static struct jinja_node *parse_print(struct jinja_parser *p) {
    struct jinja_node *n = jinja_node(p, N_PRINT, NULL, NULL);
    if (n == NULL) return NULL;
    n->a = jinja_parse_tuple(p, jinja_parse_expr);
    return want(p, TOK_PRINT_END, "the end of the tag (\"}}\")") ? n : NULL;
}

struct jinja_node *jinja_parse_body(struct jinja_parser *p) {
    struct jinja_node *first = NULL, **to = &first;
    if (p->rc == 0 && ++p->depth > JINJA_MAX_BLOCKS)
        return jinja_refuse(p, jinja_peek(p)->line, "more than %d tags in tags", JINJA_MAX_BLOCKS);
    while (p->rc == 0 && jinja_peek(p)->type != TOK_END) {
        const struct jinja_token *t = jinja_peek(p);
        struct jinja_node *n = NULL;
        bool ends = false;
        p->at++;
        if (t->type == TOK_TEXT) {
            n = jinja_node(p, N_TEXT, NULL, NULL);
            if (n) n->value = j_str(t->s), n->line = t->line;
        } else if (t->type == TOK_PRINT) {
            n = parse_print(p);
        } else {
            n = parse_tag(p, &ends);
        }
        if (ends) {
            p->at--;
            break;
        }
        if (n == NULL) break;
        *to = n;
        to = &n->next;
    }
    p->depth--;
    return first;
}

/* -- Public --------------------------------------------------------------------------- */

static int parse(struct jinja *t, struct slice text, struct jinja_error *err) {
    struct jinja_parser p = { .t = t, .err = err };
    char *copy = arena_alloc(&t->arena, text.len + 1);
    if (copy == NULL) return PERILUNE_ERR_NOMEM;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) { /* \r\n and \r are \n */
        if (text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n') continue;
        copy[len++] = text.ptr[i] == '\r' ? '\n' : text.ptr[i];
    }
    int rc = jinja_lex(&p, slice_of(copy, len));
    if (rc == 0) {
        t->body = jinja_parse_body(&p);
        if (p.rc == 0 && jinja_peek(&p)->type != TOK_END)
            jinja_refuse(&p, jinja_peek(&p)->line, "a tag that ends what was not begun: {%% %.*s %%}",
                         SLICE_ARG(p.tokens[p.at + 1].s));
        rc = p.rc;
    }
    mem_free(p.tokens);
    return rc;
}

int jinja_new(struct jinja **out, struct slice text, struct jinja_error *err) {
    *out = NULL;
    *err = (struct jinja_error){ 0 };
    if (text.len > JINJA_MAX_TEXT || utf8_valid_prefix(text) != text.len) {
        snprintf(err->message, sizeof(err->message), text.len > JINJA_MAX_TEXT ? "the template has more than %u bytes"
                 : "the template is not UTF-8", JINJA_MAX_TEXT);
        return PERILUNE_ERR_INVAL;
    }
    struct jinja *t = mem_zalloc(sizeof(*t));
    if (t == NULL) return PERILUNE_ERR_NOMEM;
    arena_init(&t->arena);
    int rc = parse(t, text, err);
    if (rc == 0) *out = t;
    else jinja_free(t);
    return rc;
}

void jinja_free(struct jinja *t) {
    if (t == NULL) return;
    mem_free(t->names);
    arena_deinit(&t->arena);
    mem_free(t);
}

bool jinja_mentions(const struct jinja *t, struct slice name) {
    for (uint32_t i = 0; i < t->names_len; i++)
        if (slice_eq(t->names[i], name)) return true;
    return false;
}
