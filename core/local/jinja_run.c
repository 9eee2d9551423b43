/* jinja_run.c -- a chat template, run: how a conversation becomes the text that a model reads.
 *
 *     jinja_new:     text -> jinja_lex.c -> tokens -> jinja_parse.c, jinja_expr.c -> tree     once per model
 *
 *     jinja_render:  tree + { messages, tools, ... } -> this file (tags)                      once per request
 *                                                         |  jinja_eval.c (expressions)
 *                                                         |    jinja_filter.c jinja_seq.c jinja_test.c jinja_method.c
 *                                                         |    jinja_value.c jinja_str.c jinja_print.c
 *                                                         v
 *                                                       text
 *
 * A model ships its chat template as a Jinja program, which Python runs.  This is the part of Jinja that the
 * templates of shipped models use, to the byte: one blank more in a prompt is another prompt.  What is not
 * known is refused when the template is loaded.
 *
 * A template comes with a file from the net and its values come from clients, so neither is trusted: steps, memory,
 * depth and output are bounded (struct jinja_limits), there are no files and no imports, and everything that a
 * run makes lies in an arena that ends with it.
 *
 * Scopes, as in Jinja: a `for` has one per turn, a macro and a captured block have one each; `if` has none.  A
 * {% set %} stays in the innermost; a namespace() is how templates carry something out of a loop.
 *
 *     r->scope -> [ loop, m ] -> [ messages, tools, macros ... ]
 *
 * Invariants: a template is not changed by a run.  On failure out is as it was and err says line and reason.
 *
 * Thread: any, one per run. */
#include <stdarg.h>
#include <stdio.h>

#include "include/perilune.h"
#include "local/jinja_int.h"

#define DEFAULT_STEPS  20000000u
#define DEFAULT_MEMORY (64u << 20)
#define DEFAULT_OUTPUT (16u << 20)

/* -- Bounds -------------------------------------------------------------------------- */

int jinja_fail(struct jinja_run *r, int rc, const char *fmt, ...) {
    if (r->err->message[0] != '\0') return rc; /* the first one counts */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->err->message, sizeof(r->err->message), fmt, ap);
    va_end(ap);
    size_t whole = utf8_valid_prefix(slice_str(r->err->message));
    r->err->message[whole] = '\0'; /* a character was cut */
    slice_mute(r->err->message);
    r->err->line = r->line;
    return rc;
}

int jinja_charge(struct jinja_run *r, size_t steps) {
    if (steps <= r->steps) return r->steps -= steps, 0;
    r->steps = 0;
    return jinja_fail(r, PERILUNE_ERR_LIMITED, "the template takes too many steps");
}

int jinja_charge_bytes(struct jinja_run *r, size_t bytes) { return jinja_charge(r, bytes / 64); }

void *jinja_alloc(struct jinja_run *r, size_t size) {
    if (size > r->memory) {
        r->memory = 0;
        jinja_fail(r, PERILUNE_ERR_LIMITED, "the template needs more memory than it may have");
        return NULL;
    }
    r->memory -= size;
    return arena_alloc(&r->arena, size);
}

int jinja_out_of(const struct jinja_run *r) {
    return r->err->message[0] != '\0' ? PERILUNE_ERR_LIMITED : PERILUNE_ERR_NOMEM;
}

int jinja_enter(struct jinja_run *r) {
    int rc = jinja_charge(r, 1);
    if (rc != 0) return rc;
    if (r->depth >= JINJA_MAX_DEPTH)
        return jinja_fail(r, PERILUNE_ERR_LIMITED, "more than %d levels of calls or of values in values",
                          JINJA_MAX_DEPTH);
    r->depth++;
    return 0;
}

/* -- Scopes --------------------------------------------------------------------------- */

static int push_scope(struct jinja_run *r, struct jinja_scope *parent) {
    struct jinja_scope *s = jinja_alloc(r, sizeof(*s));
    if (s == NULL) return jinja_out_of(r);
    *s = (struct jinja_scope){ parent, NULL };
    r->scope = s;
    return 0;
}

int jinja_bind(struct jinja_run *r, struct slice name, struct jinja_value v) {
    for (struct jinja_binding *b = r->scope->first; b; b = b->next)
        if (slice_eq(b->name, name)) return b->value = v, 0;
    struct jinja_binding *b = jinja_alloc(r, sizeof(*b));
    if (b == NULL) return jinja_out_of(r);
    *b = (struct jinja_binding){ name, v, r->scope->first };
    r->scope->first = b;
    return 0;
}

static int assign(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v);

static int assign_attr(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v) {
    struct jinja_value ns;
    int rc = jinja_eval(r, target->a, &ns);
    if (rc != 0) return rc;
    if (ns.type != J_SPACE)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "%.*s.%.*s: only attributes of a namespace() can be set",
                          SLICE_ARG(target->a->name), SLICE_ARG(target->name));
    return jinja_dict_set(r, ns.dict, j_str(target->name), v);
}

static int assign_each(struct jinja_run *r, const struct jinja_node *target, const struct jinja_value *v) {
    struct jinja_list *l;
    uint32_t names = 0;
    int rc = jinja_iterate(r, v, &l);
    if (rc != 0) return rc;
    for (const struct jinja_node *i = target->list; i; i = i->next) names++;
    if (names != l->len)
        return jinja_fail(r, PERILUNE_ERR_INVAL, "%u values for %u names", (unsigned)l->len, (unsigned)names);
    uint32_t at = 0;
    for (const struct jinja_node *i = target->list; i && rc == 0; i = i->next) rc = assign(r, i, l->items[at++]);
    return rc;
}

static int assign(struct jinja_run *r, const struct jinja_node *target, struct jinja_value v) {
    if (target->kind == N_NAME) return jinja_bind(r, target->name, v);
    if (target->kind == N_SPACE_REF) return assign_attr(r, target, v);
    return assign_each(r, target, &v);
}

/* -- Tags ------------------------------------------------------------------------------ */

enum { GO_ON = 0, BREAK = 1, CONTINUE = 2 }; /* above 0: how a body was left */

static int exec(struct jinja_run *r, const struct jinja_node *list);

static int exec_if(struct jinja_run *r, const struct jinja_node *n) {
    for (; n && n->kind == N_IF; n = n->other) {
        struct jinja_value v;
        int rc = jinja_eval(r, n->a, &v);
        if (rc != 0) return rc;
        if (jinja_truth(&v)) return exec(r, n->list);
        /* An else that begins with an if looks like an elif, and means the same unless more follows. */
        if (n->other && (n->other->kind != N_IF || n->other->next)) return exec(r, n->other);
    }
    return 0;
}

/* What a loop's filter leaves of its items. */
static int filter_items(struct jinja_run *r, const struct jinja_node *n, struct jinja_list *all,
                        struct jinja_list **out) {
    struct jinja_value kept;
    struct jinja_scope *outer = r->scope;
    int rc = jinja_new_list(r, J_LIST, 0, &kept);
    for (uint32_t i = 0; i < all->len && rc == 0; i++) {
        struct jinja_value yes;
        rc = push_scope(r, outer);
        if (rc == 0) rc = assign(r, n->a, all->items[i]);
        if (rc == 0) rc = jinja_eval(r, n->c, &yes);
        if (rc == 0 && jinja_truth(&yes)) rc = jinja_push(r, kept.list, all->items[i]);
        r->scope = outer;
    }
    *out = kept.list;
    return rc;
}

static int exec_turn(struct jinja_run *r, const struct jinja_node *n, struct jinja_loop *loop,
                     struct jinja_scope *outer) {
    int rc = push_scope(r, outer);
    if (rc == 0) rc = jinja_bind(r, SLICE("loop"), (struct jinja_value){ .type = J_LOOP, .loop = loop });
    if (rc == 0) rc = assign(r, n->a, loop->items->items[loop->at]);
    return rc ? rc : exec(r, n->list);
}

static int exec_for(struct jinja_run *r, const struct jinja_node *n) {
    struct jinja_value of;
    struct jinja_list *items;
    struct jinja_scope *outer = r->scope;
    int rc = jinja_eval(r, n->b, &of);
    if (rc == 0) rc = jinja_iterate(r, &of, &items);
    if (rc == 0 && n->c) rc = filter_items(r, n, items, &items);
    if (rc != 0) return rc;
    if (items->len == 0) return exec(r, n->other);
    struct jinja_loop *loop = jinja_alloc(r, sizeof(*loop));
    if (loop == NULL) return jinja_out_of(r);
    *loop = (struct jinja_loop){ .items = items, .depth = ++r->loops };
    for (; loop->at < items->len; loop->at++) {
        rc = exec_turn(r, n, loop, outer);
        r->scope = outer;
        if (rc < 0 || rc == BREAK) break;
    }
    r->loops--;
    return rc < 0 ? rc : GO_ON;
}

/* The text of a body that is not printed where it stands. */
static int capture(struct jinja_run *r, const struct jinja_node *list, struct slice *out) {
    struct buf *outside = r->out, b;
    jinja_buf(r, &b);
    r->out = &b;
    int rc = exec(r, list);
    r->out = outside;
    int took = jinja_take(r, &b, out);
    return rc ? rc : took;
}

static int exec_capture(struct jinja_run *r, const struct jinja_node *n) {
    struct slice text;
    struct jinja_scope *outer = r->scope;
    int rc = push_scope(r, outer);
    int left = rc ? rc : capture(r, n->list, &text);
    r->scope = outer;
    if (left < 0) return left;
    struct jinja_value v = j_str(text);
    if (n->b) {
        r->held = v;
        rc = jinja_eval(r, n->b, &v);
        if (rc != 0) return rc;
    }
    rc = n->a ? assign(r, n->a, v) : jinja_print(r, &v, r->out);
    return rc ? rc : left;
}

static int exec_one(struct jinja_run *r, const struct jinja_node *n) {
    struct jinja_value v;
    int rc;
    switch (n->kind) {
    case N_TEXT: return jinja_print(r, &n->value, r->out);
    case N_PRINT:
        rc = jinja_eval(r, n->a, &v);
        return rc ? rc : jinja_print(r, &v, r->out);
    case N_IF: return exec_if(r, n);
    case N_FOR: return exec_for(r, n);
    case N_SET:
        rc = jinja_eval(r, n->b, &v);
        return rc ? rc : assign(r, n->a, v);
    case N_CAPTURE: return exec_capture(r, n);
    case N_SCOPE: return exec(r, n->list);
    case N_BREAK: return BREAK;
    case N_CONTINUE: return CONTINUE;
    default: break;
    }
    struct jinja_macro *m = jinja_alloc(r, sizeof(*m)); /* N_MACRO */
    if (m == NULL) return jinja_out_of(r);
    *m = (struct jinja_macro){ n, r->scope };
    return jinja_bind(r, n->name, (struct jinja_value){ .type = J_MACRO, .macro = m });
}

static int exec(struct jinja_run *r, const struct jinja_node *list) {
    int rc = jinja_enter(r);
    if (rc != 0) return rc;
    for (const struct jinja_node *n = list; n && rc == 0; n = n->next) {
        r->line = n->line;
        rc = jinja_charge(r, 1);
        if (rc == 0) rc = exec_one(r, n);
    }
    jinja_leave(r);
    return rc;
}

/* -- Macros ------------------------------------------------------------------------------ */

static int bind_params(struct jinja_run *r, const struct jinja_node *macro, const struct jinja_args *args) {
    unsigned at = 0, named = 0;
    int rc = 0;
    for (const struct jinja_node *param = macro->list; param && rc == 0; param = param->next, at++) {
        struct jinja_value v = j_undef(param->name);
        bool given = at < args->len;
        if (given) v = args->v[at];
        for (unsigned i = 0; i < args->named_len; i++) {
            if (!slice_eq(args->named[i].name, param->name)) continue;
            if (given) return jinja_fail(r, PERILUNE_ERR_INVAL, "%.*s(): \"%.*s\" is given twice",
                                         SLICE_ARG(macro->name), SLICE_ARG(param->name));
            v = args->named[i].v;
            given = true;
            named++;
        }
        if (!given && param->b) rc = jinja_eval(r, param->b, &v);
        if (rc == 0) rc = jinja_bind(r, param->name, v);
    }
    if (rc == 0 && (at < args->len || named < args->named_len))
        return jinja_fail(r, PERILUNE_ERR_INVAL, "%.*s(): an argument that the macro does not have",
                          SLICE_ARG(macro->name));
    return rc;
}

int jinja_call_macro(struct jinja_run *r, const struct jinja_macro *m, const struct jinja_args *args,
                     struct jinja_value *out) {
    struct jinja_scope *outer = r->scope;
    uint32_t loops = r->loops;
    r->loops = 0;
    int rc = push_scope(r, m->scope);
    if (rc == 0) rc = bind_params(r, m->node, args);
    *out = J(J_STR);
    if (rc == 0) rc = capture(r, m->node->other, &out->s);
    r->scope = outer;
    r->loops = loops;
    return rc;
}

/* -- Public ---------------------------------------------------------------------------------- */

static int bind_vars(struct jinja_run *r, const struct jinja_input *in) {
    int rc = 0;
    for (unsigned i = 0; i < in->len && rc == 0; i++) {
        const struct jinja_var *var = &in->vars[i];
        struct jinja_value v = var->type == JINJA_VAR_BOOL ? j_bool(var->flag) : j_str(var->text);
        if (var->type == JINJA_VAR_JSON) rc = jinja_from_json(r, var->doc, var->node, true, &v);
        if (rc == 0) rc = jinja_bind(r, var->name, v);
    }
    return rc;
}

int jinja_render(const struct jinja *t, const struct jinja_input *in, struct buf *out, struct jinja_error *err) {
    struct buf text;
    struct jinja_run r = { .err = err, .out = &text, .now = in->now };
    *err = (struct jinja_error){ 0 };
    r.steps = in->limits.steps ? in->limits.steps : DEFAULT_STEPS;
    r.memory = in->limits.memory ? in->limits.memory : DEFAULT_MEMORY;
    buf_init(&text, in->limits.output ? in->limits.output : DEFAULT_OUTPUT);
    hash_key_random(&r.key);
    arena_init(&r.arena);
    int rc = push_scope(&r, NULL);
    if (rc == 0) rc = bind_vars(&r, in);
    if (rc == 0) rc = push_scope(&r, r.scope);
    if (rc == 0) rc = exec(&r, t->body);
    size_t before = out->len;
    if (rc == 0) {
        buf_slice(out, buf_get(&text));
        rc = out->error;
        if (rc != 0) out->len = before;
    }
    if (rc == PERILUNE_ERR_LIMITED) jinja_fail(&r, rc, "the template makes too long a text");
    arena_deinit(&r.arena);
    buf_deinit(&text);
    return rc;
}
