/* gbnf.c -- a JSON schema as a grammar in the notation of llama.cpp (GBNF).
 *
 *     {"properties": {"n": {"type": "integer"}, "next": {"$ref": "#"}}, "required": ["n"]}
 *
 *     root ::= space v0
 *     v0   ::= r0
 *     r0   ::= "{" space "\"n\"" space ":" space r1 s0 "}" space
 *     s0   ::= ("," space "\"next\"" space ":" space r0)?
 *     r1   ::= integer
 *
 * Each schema becomes a rule, named once however often it is referred to, so recursion costs nothing: rules that
 * are named but not written wait in a list, and writing one may name more.  What holds for one value together, a
 * schema with its $ref, its allOf and one alternative of its anyOf, is a view: parts whose keywords are read as those
 * of one schema.  Two that say different things fail.
 *
 * A grammar is made for writing, not for checking, so it may say less than the schema but never more: members come
 * in the schema's order; where properties are listed, be the list empty, others come only when additionalProperties
 * asks for them; numbers have at most 15 digits and white space is short, so that a model cannot go on for ever.
 * oneOf is read as anyOf.
 * What would have to be more (not, uniqueItems, multipleOf ...) is refused with keyword and place.
 *
 * A request's schema is read on the loop's thread, and a short one may ask for much: what stands beside anyOf holds for
 * each alternative, and is read again for it.  So everything that is looked at costs steps (gbnf_charge), and a schema
 * that needs more than GBNF_MAX_STEPS of them is refused.
 *
 * Invariants: after the first failure (g->rc) nothing more is written.  No rule begins with itself.
 *
 * Thread: any.  Does not: fetch schemas from elsewhere; anchors ("#name"). */
#include "local/gbnf_int.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

enum { ANY_NULL = 1, ANY_BOOL = 2, ANY_INT = 4, ANY_NUMBER = 8, ANY_STRING = 16, ANY_ARRAY = 32, ANY_OBJECT = 64,
    ANY = 127 };
static const struct { const char *name; unsigned bit; } types[] = {
    { "null", ANY_NULL },     { "boolean", ANY_BOOL }, { "integer", ANY_INT },   { "number", ANY_NUMBER },
    { "string", ANY_STRING }, { "array", ANY_ARRAY },  { "object", ANY_OBJECT },
};

static const char basics[] =
    "space ::= | \" \" | \"\\n\" [ \\t]{0,20}\n"
    "char ::= [^\"\\\\\\x7F\\x00-\\x1F] | [\\\\] ([\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4})\n"
    "string ::= \"\\\"\" char* \"\\\"\" space\n"
    "integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,14}) space\n"
    "number ::= \"-\"? (\"0\" | [1-9] [0-9]{0,14}) (\".\" [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})? space\n"
    "boolean ::= (\"true\" | \"false\") space\n"
    "null ::= \"null\" space\n"
    "array ::= \"[\" space (value (\",\" space value)*)? \"]\" space\n"
    "object ::= \"{\" space (string \":\" space value (\",\" space string \":\" space value)*)? \"}\" space\n"
    "value ::= object | array | string | number | boolean | null\n";

/* -- Failures ------------------------------------------------------------------------------ */

/* The schema among those asked for that node stands in. */
static unsigned root_of(const struct gbnf *g, uint32_t node) {
    for (unsigned i = 0; i < g->root_count; i++)
        if (g->roots[i] != JSON_NONE && g->roots[i] <= node && node < g->doc->nodes[g->roots[i]].next) return i;
    return 0;
}

static void path_of(struct gbnf *g, uint32_t node, struct buf *to) {
    uint32_t at = g->roots[root_of(g, node)];
    while (at != node && (json_type(g->doc, at) == JSON_OBJECT || json_type(g->doc, at) == JSON_ARRAY)) {
        unsigned i = 0;
        bool object = json_type(g->doc, at) == JSON_OBJECT;
        uint32_t k = json_first(g->doc, at), v = k;
        for (; k != JSON_NONE; k = json_next(g->doc, at, v), i++) {
            v = object ? json_next(g->doc, at, k) : k;
            if (node < g->doc->nodes[v].next) break;
        }
        if (k == JSON_NONE) return;
        buf_putc(to, '/');
        if (object) json_decode_string(g->doc, k, to);
        else buf_u64(to, i);
        at = v;
    }
}

void gbnf_fail(struct gbnf *g, int rc, uint32_t node, const char *keyword, const char *fmt, ...) {
    if (g->rc != 0) return;
    struct buf path;
    va_list ap;
    g->rc = rc;
    va_start(ap, fmt);
    vsnprintf(g->err->message, sizeof(g->err->message), fmt, ap);
    va_end(ap);
    snprintf(g->err->keyword, sizeof(g->err->keyword), "%s", keyword);
    g->err->root = root_of(g, node);
    buf_init(&path, 0);
    path_of(g, node, &path);
    slice_copy(g->err->path, sizeof(g->err->path), buf_get(&path));
    g->err->path[utf8_valid_prefix(slice_str(g->err->path))] = '\0';
    buf_deinit(&path);
}

void gbnf_charge(struct gbnf *g, uint32_t node, uint64_t steps) {
    if (steps <= g->steps) g->steps -= steps;
    else gbnf_fail(g, PERILUNE_ERR_LIMITED, node, "schema", "takes more than %u steps to become a grammar: make it "
                   "smaller (what stands beside anyOf or in allOf is read again for each alternative)", GBNF_MAX_STEPS);
}

uint32_t gbnf_get(struct gbnf *g, uint32_t node, struct slice key) {
    gbnf_charge(g, node, 1 + g->doc->nodes[node].count);
    return g->rc == 0 ? json_get(g->doc, node, key) : JSON_NONE;
}

/* -- Views: the schemas that hold for one value -------------------------------------------- */

/* The schema that a JSON pointer behind "#" names. */
static uint32_t resolve(struct gbnf *g, uint32_t in, struct slice ref) {
    char token[256];
    unsigned root = root_of(g, in);
    uint32_t at = g->roots[root];
    gbnf_charge(g, in, 1 + root + ref.len / 8);
    if (!slice_starts(ref, SLICE("#")) || (ref.len > 1 && ref.ptr[1] != '/')) {
        gbnf_fail(g, PERILUNE_ERR_INVAL, in, "$ref", "leads out of the schema: only \"#\" and \"#/...\" are followed");
        return JSON_NONE;
    }
    for (size_t i = 1; i < ref.len && at != JSON_NONE;) {
        size_t n = 0;
        for (i++; i < ref.len && ref.ptr[i] != '/' && n < sizeof(token) - 1; i++) {
            bool tilde = ref.ptr[i] == '~' && i + 1 < ref.len;
            token[n++] = !tilde ? ref.ptr[i] : ref.ptr[++i] == '1' ? '/' : '~';
        }
        if (json_type(g->doc, at) == JSON_OBJECT) {
            at = gbnf_get(g, at, slice_of(token, n));
        } else {
            uint32_t index = 0, of = at;
            bool number = n > 0 && n < 7 && json_type(g->doc, at) == JSON_ARRAY;
            for (size_t k = 0; k < n && number; k++) number = token[k] >= '0' && token[k] <= '9',
                index = index * 10 + (uint32_t)(token[k] - '0');
            at = number ? json_first(g->doc, of) : JSON_NONE;
            gbnf_charge(g, in, index);
            while (index-- > 0 && at != JSON_NONE) at = json_next(g->doc, of, at);
        }
    }
    if (at == JSON_NONE) gbnf_fail(g, PERILUNE_ERR_INVAL, in, "$ref", "names nothing: %.*s",
                                   ref.len < 100 ? (int)ref.len : 100, ref.ptr);
    return at;
}

/* Keywords that no grammar can hold to. */
static void check_keywords(struct gbnf *g, uint32_t node) {
    static const char *const not_ours[] = { "not", "if", "then", "else", "dependentRequired", "dependentSchemas",
        "dependencies",
        "patternProperties", "propertyNames", "maxProperties", "contains", "minContains", "maxContains", "multipleOf",
        "unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef", NULL };
    for (unsigned i = 0; not_ours[i]; i++)
        if (gbnf_get(g, node, slice_str(not_ours[i])) != JSON_NONE)
            gbnf_fail(g, PERILUNE_ERR_INVAL, node, not_ours[i],
                      "cannot become a grammar: leave it out and check the answer");
    uint32_t unique = gbnf_get(g, node, SLICE("uniqueItems"));
    if (json_is(g->doc, unique, JSON_TRUE))
        gbnf_fail(g, PERILUNE_ERR_INVAL, node, "uniqueItems",
                  "cannot become a grammar: leave it out and check the answer");
}

void gbnf_view_add(struct gbnf *g, struct gbnf_view *v, uint32_t node) {
    gbnf_charge(g, node, 1);
    if (g->rc != 0 || json_is(g->doc, node, JSON_TRUE)) return;
    if (!json_is(g->doc, node, JSON_OBJECT)) {
        gbnf_fail(g, PERILUNE_ERR_INVAL, node, "schema", json_is(g->doc, node,
                                                                 JSON_FALSE) ? "false: no value is valid here"
                                                                     : "a schema is an object, true or false");
        return;
    }
    for (unsigned i = 0; i < v->len; i++)
        if (v->node[i] == node) return;
    if (v->len == GBNF_PARTS) {
        gbnf_fail(g, PERILUNE_ERR_LIMITED, node, "allOf", "more than %d schemas hold for one value", GBNF_PARTS);
        return;
    }
    v->node[v->len] = node;
    v->chosen[v->len++] = false;
    check_keywords(g, node);
    uint32_t ref = gbnf_get(g, node, SLICE("$ref")), all = gbnf_get(g, node, SLICE("allOf"));
    if (ref != JSON_NONE) {
        struct buf text;
        buf_init(&text, 0);
        if (json_type(g->doc, ref) == JSON_STRING) json_decode_string(g->doc, ref, &text);
        if (buf_failed(&text)) g->rc = PERILUNE_ERR_NOMEM;
        uint32_t to = g->rc ? JSON_NONE : resolve(g, node, buf_get(&text));
        buf_deinit(&text);
        if (g->rc == 0) gbnf_view_add(g, v, to);
    }
    if (!json_is(g->doc, all, JSON_ARRAY)) return;
    for (uint32_t i = json_first(g->doc, all); i != JSON_NONE && g->rc == 0; i = json_next(g->doc, all,
        i)) gbnf_view_add(g, v, i);
}

uint32_t gbnf_keyword(struct gbnf *g, const struct gbnf_view *v, const char *name, uint32_t *in) {
    uint32_t found = JSON_NONE;
    for (unsigned i = 0; i < v->len; i++) {
        uint32_t at = gbnf_get(g, v->node[i], slice_str(name));
        if (at == JSON_NONE) continue;
        struct slice raw = json_raw(g->doc, at);
        gbnf_charge(g, v->node[i], raw.len / 64);
        if (found != JSON_NONE && !slice_eq(json_raw(g->doc, found), raw))
            gbnf_fail(g, PERILUNE_ERR_INVAL, v->node[i], name,
                      "says one thing here and another in what it is combined with");
        found = at;
        *in = v->node[i];
    }
    return found;
}

int64_t gbnf_count(struct gbnf *g, const struct gbnf_view *v, const char *name, int64_t other) {
    uint32_t in = v->node[0], at = gbnf_keyword(g, v, name, &in);
    uint64_t n = 0;
    if (at == JSON_NONE) return other;
    if (!json_is(g->doc, at, JSON_NUMBER) || json_u64(g->doc, at, &n) != 0 || n > 65536)
        gbnf_fail(g, PERILUNE_ERR_INVAL, in, name, "is an integer from 0 to 65536 here");
    return (int64_t)n;
}

/* -- Rules ------------------------------------------------------------------------------------- */

unsigned gbnf_new_rule(struct gbnf *g, const struct gbnf_view *v) {
    if (g->rc != 0) return 0;
    if (g->len == GBNF_MAX_RULES) {
        gbnf_fail(g, PERILUNE_ERR_LIMITED, v->len ? v->node[0] : g->roots[0], "schema",
                  "makes more than %d rules: make it smaller", GBNF_MAX_RULES);
        return 0;
    }
    if (g->len == g->cap && !mem_grow((void **)&g->rules, g->len, &g->cap, sizeof(*g->rules))) {
        g->rc = PERILUNE_ERR_NOMEM;
        return 0;
    }
    g->rules[g->len] = (struct gbnf_rule){ .view = *v };
    return g->len++;
}

/* The rule of the schema at node. */
unsigned gbnf_rule_of(struct gbnf *g, uint32_t node) {
    struct gbnf_view v = { .len = 0 };
    if (g->rc != 0) return 0;
    if (g->known[node] != 0) return g->known[node] - 1;
    gbnf_view_add(g, &v, node);
    unsigned rule = gbnf_new_rule(g, &v);
    if (g->rc == 0) g->known[node] = rule + 1;
    return rule;
}

/* The rule of those values of a schema that are objects.  It is not the schema's own, to which "#" may lead. */
static unsigned object_rule_of(struct gbnf *g, uint32_t node) {
    struct gbnf_view v = { .object = true };
    gbnf_view_add(g, &v, node);
    return gbnf_new_rule(g, &v);
}

/* The rule being written may be this one. */
static void put_unit(struct gbnf *g, unsigned rule) {
    if (g->units_len == g->units_cap && !mem_grow((void **)&g->units, g->units_len, &g->units_cap, sizeof(*g->units))) {
        g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
        return;
    }
    g->units[g->units_len++] = rule;
    g->rules[g->at].unit_len++;
    buf_printf(&g->out, "r%u", rule);
}

void gbnf_class_char(struct buf *to, uint32_t c) {
    if (c < 0x80) buf_printf(to, "\\x%02X", (unsigned)c);
    else if (c < 0x10000) buf_printf(to, "\\u%04X", (unsigned)c);
    else buf_printf(to, "\\U%08X", (unsigned)c);
}

void gbnf_put_literal(struct buf *to, struct slice text) {
    buf_putc(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            buf_puts(to, "\\n");
            continue;
        }
        if (text.ptr[i] == '"' || text.ptr[i] == '\\') buf_putc(to, '\\');
        buf_putc(to, text.ptr[i]);
    }
    buf_putc(to, '"');
}

#define BLOCK 256 /* times in one rule: libraries refuse more than some 2,000, and copy the unit for each */

void gbnf_repeat(struct gbnf *g, struct buf *to, const char *unit, int64_t min, int64_t max) {
    long long more = max < 0 ? 0 : (long long)(max - min), blocks = more / BLOCK;
    unsigned block = g->names;
    if (min >= BLOCK || blocks > 0) buf_printf(&g->side, "s%u ::= %s{%d}\n", g->names++, unit, BLOCK);
    if (min >= BLOCK) buf_printf(to, "s%u{%lld} ", block, (long long)min / BLOCK);
    if (min % BLOCK > 0) buf_printf(to, "%s{%lld} ", unit, (long long)min % BLOCK);
    if (max < 0) buf_printf(to, "%s*", unit);
    else if (blocks == 0 && more > 0) buf_printf(to, "%s{0,%lld}", unit, more);
    else if (blocks > 0) buf_printf(to, "(s%u{0,%lld} %s{0,%d} | s%u{%lld} %s{0,%lld})", block, blocks - 1, unit,
                                    BLOCK - 1, block, blocks, unit, more % BLOCK);
}

/* -- Values -------------------------------------------------------------------------------------- */

void gbnf_compact(struct gbnf *g, uint32_t node, struct buf *to) {
    enum json_type type = json_type(g->doc, node);
    if (type == JSON_STRING) {
        struct buf s;
        buf_init(&s, 0);
        json_decode_string(g->doc, node, &s);
        json_write_string(to, buf_get(&s));
        if (buf_failed(&s)) to->error = s.error;
        buf_deinit(&s);
        return;
    }
    if (type != JSON_ARRAY && type != JSON_OBJECT) {
        buf_slice(to, json_raw(g->doc, node));
        return;
    }
    unsigned i = 0;
    buf_putc(to, type == JSON_ARRAY ? '[' : '{');
    for (uint32_t k = json_first(g->doc, node); k != JSON_NONE; k = json_next(g->doc, node, k), i++) {
        if (i > 0) buf_putc(to, type == JSON_OBJECT && i % 2 == 1 ? ':' : ',');
        gbnf_compact(g, k, to);
    }
    buf_putc(to, type == JSON_ARRAY ? ']' : '}');
}

static void put_value(struct gbnf *g, uint32_t node) {
    struct buf text;
    buf_init(&text, 0);
    gbnf_compact(g, node, &text);
    gbnf_put_literal(&g->out, buf_get(&text));
    buf_puts(&g->out, " space");
    if (buf_failed(&text)) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
    buf_deinit(&text);
}

static unsigned bit_of(const struct json_doc *doc, uint32_t node) {
    switch (json_type(doc, node)) {
    case JSON_NULL: return ANY_NULL;
    case JSON_TRUE:
    case JSON_FALSE: return ANY_BOOL;
    case JSON_STRING: return ANY_STRING;
    case JSON_ARRAY: return ANY_ARRAY;
    case JSON_OBJECT: return ANY_OBJECT;
    default: return json_number(doc, node) == floor(json_number(doc, node)) ? ANY_INT | ANY_NUMBER : ANY_NUMBER;
    }
}

/* -- Arrays ------------------------------------------------------------------------------------------- */

static void put_array(struct gbnf *g, const struct gbnf_view *v) {
    uint32_t in = v->node[0], items = gbnf_keyword(g, v, "items", &in), first = gbnf_keyword(g, v, "prefixItems", &in);
    int64_t min = gbnf_count(g, v, "minItems", 0), max = gbnf_count(g, v, "maxItems", -1), n = 0;
    char unit[24], more[48];
    if (g->rc == 0 && max >= 0 && max < min) gbnf_fail(g, PERILUNE_ERR_INVAL, in, "maxItems", "is below minItems");
    if (json_is(g->doc, items, JSON_ARRAY)) first = items, items = gbnf_get(g, in,
        SLICE("additionalItems")); /* draft 7 */
    buf_puts(&g->out, "\"[\" space ");
    for (uint32_t i = json_is(g->doc, first, JSON_ARRAY) ? json_first(g->doc, first) : JSON_NONE; i != JSON_NONE &&
         g->rc == 0;
         i = json_next(g->doc, first, i), n++) {
        if (max >= 0 && n >= max) break;
        buf_printf(&g->out, n ? "\",\" space r%u " : "r%u ", gbnf_rule_of(g,
                                                                     i)); /* all of them: fewer would be valid, too */
    }
    bool closed = json_is(g->doc, items, JSON_FALSE) || (items == JSON_NONE && n > 0);
    if (closed && min > n) gbnf_fail(g, PERILUNE_ERR_INVAL, in, "minItems", "is above the number of prefixItems");
    if (closed || (max >= 0 && max <= n)) {
        buf_puts(&g->out, "\"]\" space");
        return;
    }
    if (items == JSON_NONE || json_is(g->doc, items, JSON_TRUE)) snprintf(unit, sizeof(unit), "value");
    else snprintf(unit, sizeof(unit), "r%u", gbnf_rule_of(g, items));
    min = min > n ? min - n : 0;
    max = max < 0 ? -1 : max - n;
    unsigned name = g->names++;
    snprintf(more, sizeof(more), "s%u", name);
    buf_printf(&g->side, "%s ::= \",\" space %s\n", more, unit);
    if (n > 0) {
        gbnf_repeat(g, &g->out, more, min, max);
    } else {
        buf_printf(&g->out, "(%s ", unit);
        gbnf_repeat(g, &g->out, more, min > 0 ? min - 1 : 0, max < 0 ? -1 : max - 1);
        buf_puts(&g->out, min > 0 ? ")" : ")?");
    }
    buf_puts(&g->out, " \"]\" space");
}

/* -- One schema ------------------------------------------------------------------------------------------ */

static unsigned type_bits(struct gbnf *g, uint32_t node, uint32_t in) {
    unsigned bits = 0;
    uint32_t one = json_is(g->doc, node, JSON_ARRAY) ? json_first(g->doc, node) : node;
    for (; one != JSON_NONE && g->rc == 0; one = one == node ? JSON_NONE : json_next(g->doc, node, one)) {
        unsigned bit = 0;
        gbnf_charge(g, in, sizeof(types) / sizeof(types[0]));
        for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
            if (json_is(g->doc, one, JSON_STRING) && json_str_eq(g->doc, one,
                                                                 slice_str(types[i].name))) bit = types[i].bit;
        if (bit == 0) gbnf_fail(g, PERILUNE_ERR_INVAL, in, "type",
                                "is one or several of null, boolean, integer, number, string, array, object");
        bits |= bit == ANY_NUMBER ? ANY_NUMBER | ANY_INT : bit;
    }
    return bits;
}

/* A schema without a type speaks of the type that its keywords are for. */
static unsigned implied(struct gbnf *g, const struct gbnf_view *v) {
    static const struct { const char *name; unsigned bits; } of[] = {
        { "properties", ANY_OBJECT }, { "required", ANY_OBJECT },  { "additionalProperties", ANY_OBJECT },
            { "minProperties", ANY_OBJECT },
        { "items", ANY_ARRAY },       { "prefixItems", ANY_ARRAY }, { "minItems", ANY_ARRAY },  { "maxItems",
            ANY_ARRAY },
        { "pattern", ANY_STRING },    { "minLength", ANY_STRING },  { "maxLength", ANY_STRING }, { "format",
            ANY_STRING },
        { "minimum", ANY_NUMBER },    { "maximum", ANY_NUMBER },    { "exclusiveMinimum", ANY_NUMBER },
            { "exclusiveMaximum", ANY_NUMBER },
    };
    unsigned bits = 0;
    for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++)
        for (unsigned k = 0; k < v->len; k++)
            if (gbnf_get(g, v->node[k], slice_str(of[i].name)) != JSON_NONE) bits |= of[i].bits;
    return bits ? bits : ANY;
}

/* The types that every part allows. */
static unsigned bits_of(struct gbnf *g, const struct gbnf_view *v) {
    unsigned bits = ANY;
    bool typed = v->object, nullable = false;
    if (v->object) bits = ANY_OBJECT;
    for (unsigned i = 0; i < v->len; i++) {
        uint32_t type = gbnf_get(g, v->node[i], SLICE("type"));
        nullable |= json_is(g->doc, gbnf_get(g, v->node[i], SLICE("nullable")), JSON_TRUE);
        if (type == JSON_NONE) continue;
        typed = true;
        bits &= type_bits(g, type, v->node[i]);
    }
    if (!typed) bits = implied(g, v);
    if (bits == 0) gbnf_fail(g, PERILUNE_ERR_INVAL, v->node[0], "type", v->object ?
                             "is none of an object, which the arguments of a function are: say \"type\": \"object\"" :
                             "no type is allowed by all that is combined here");
    return bits | (nullable && !v->object ? ANY_NULL : 0);
}

/* anyOf or oneOf of the first part that has one to be settled: each alternative with the other parts. */
static bool put_choices(struct gbnf *g, const struct gbnf_view *v) {
    for (unsigned i = 0; i < v->len; i++) {
        uint32_t any = gbnf_get(g, v->node[i], SLICE("anyOf")), one = gbnf_get(g, v->node[i], SLICE("oneOf"));
        uint32_t list = any != JSON_NONE ? any : one;
        if (list == JSON_NONE || v->chosen[i]) continue;
        if (any != JSON_NONE && one != JSON_NONE) gbnf_fail(g, PERILUNE_ERR_INVAL, v->node[i], "oneOf",
                                                            "cannot stand beside anyOf: put them into an allOf");
        if (!json_is(g->doc, list, JSON_ARRAY) || g->doc->nodes[list].count == 0) gbnf_fail(g, PERILUNE_ERR_INVAL,
            v->node[i], any != JSON_NONE ? "anyOf" : "oneOf", "is a list of schemas");
        bool alone = v->len == 1 && !v->object && implied(g, v) == ANY &&
                     gbnf_get(g, v->node[i], SLICE("type")) == JSON_NONE &&
                     gbnf_get(g, v->node[i], SLICE("enum")) == JSON_NONE && gbnf_get(g, v->node[i],
                         SLICE("const")) == JSON_NONE;
        for (uint32_t k = g->rc ? JSON_NONE : json_first(g->doc, list); k != JSON_NONE &&
             g->rc == 0; k = json_next(g->doc, list, k)) {
            struct gbnf_view with = *v;
            with.chosen[i] = true;
            if (!alone) gbnf_view_add(g, &with, k);
            if (k != json_first(g->doc, list)) buf_puts(&g->out, " | ");
            unsigned rule = alone ? gbnf_rule_of(g, k) : gbnf_new_rule(g, &with);
            if (g->rc == 0) put_unit(g, rule);
        }
        if (alone && json_is(g->doc, gbnf_get(g, v->node[i], SLICE("nullable")), JSON_TRUE)) buf_puts(&g->out,
            " | null");
        return true;
    }
    return false;
}

#define ENUM_STEPS 16 /* of a value in an enum: it is sorted, and looked at again at each fork */
#define FORKS 64 /* in forks; deeper ones are written one by one */

/* How many bytes all of values[0..n), which are in order, have in front: whole characters. */
static size_t common(const struct slice *values, unsigned n, size_t from) {
    struct slice a = values[0], b = values[n - 1];
    size_t at = from;
    while (at < a.len && at < b.len && a.ptr[at] == b.ptr[at]) at++;
    while (at > from && at < b.len && ((unsigned char)b.ptr[at] & 0xC0) == 0x80) at--;
    return at;
}

/* values[0..n), in order and each one once, behind the `from` bytes that all of them begin with: what they go on with
 * alike is written once, so that ten thousand of them are no more ways than the characters that may come next. */
static void put_values(struct buf *to, const struct slice *values, unsigned n, size_t from, unsigned forks) {
    size_t at = common(values, n, from);
    if (at > from) gbnf_put_literal(to, slice_of(values[0].ptr + from, at - from)), buf_putc(to, ' ');
    if (n == 1) return;
    buf_putc(to, '(');
    for (unsigned i = 0; i < n;) {
        unsigned k = i + 1;
        if (i > 0) buf_puts(to, " | ");
        if (values[i].len > at && forks < FORKS)
            while (k < n && common((struct slice[]){ values[i], values[k] }, 2, at) > at) k++;
        if (values[i].len == at) buf_puts(to, "\"\"");
        else put_values(to, values + i, k - i, at, forks + 1);
        i = k;
    }
    buf_puts(to, ") ");
}

int gbnf_by_bytes(const void *a, const void *b) {
    const struct slice *x = a, *y = b;
    int c = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* The texts of an enum's values that the type allows, in order and each one once; they are in *text.  How many. */
static unsigned enum_values(struct gbnf *g, uint32_t list, unsigned bits, struct buf *text, struct slice *out) {
    unsigned n = 0, kept = 0;
    gbnf_charge(g, list, (uint64_t)(g->doc->nodes[list].next - list) * ENUM_STEPS);
    if (g->rc != 0) return 0;
    for (uint32_t k = json_first(g->doc, list); k != JSON_NONE; k = json_next(g->doc, list, k)) {
        if ((bit_of(g->doc, k) & bits) == 0) continue;
        size_t from = buf_len(text);
        gbnf_compact(g, k, text);
        out[n++] = slice_of(NULL, buf_len(text) - from);
    }
    if (buf_failed(text)) return 0;
    const char *at = buf_get(text).ptr;
    for (unsigned i = 0; i < n; at += out[i++].len) out[i].ptr = at;
    if (n > 1) qsort(out, n, sizeof(*out), gbnf_by_bytes);
    for (unsigned i = 0; i < n; i++)
        if (kept == 0 || !slice_eq(out[kept - 1], out[i])) out[kept++] = out[i];
    return kept;
}

static void put_enum(struct gbnf *g, const struct gbnf_view *v, uint32_t list, uint32_t in) {
    unsigned bits = bits_of(g, v), n = 0;
    struct slice *values = NULL;
    struct buf text;
    buf_init(&text, GBNF_MAX_TEXT);
    if (json_is(g->doc, list, JSON_ARRAY)) {
        values = mem_alloc((g->doc->nodes[list].count + 1) * sizeof(*values));
        if (values == NULL) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
        else n = enum_values(g, list, bits, &text, values);
    }
    if (text.error == PERILUNE_ERR_LIMITED) gbnf_fail(g, text.error, in, "enum", "has more than 1 MiB of values");
    else if (buf_failed(&text)) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
    else if (n == 0) gbnf_fail(g, PERILUNE_ERR_INVAL, in, "enum", "has no value that the type allows");
    else put_values(&g->out, values, n, 0, 0), buf_puts(&g->out, "space");
    buf_deinit(&text);
    mem_free(values);
}

static void put_body(struct gbnf *g, const struct gbnf_view *v) {
    uint32_t in = v->len ? v->node[0] : 0, is = gbnf_keyword(g, v, "const", &in), list = gbnf_keyword(g, v, "enum",
        &in);
    static const char *const whole[] = { "null", "boolean" };
    if (v->len == 0) buf_puts(&g->out, v->object ? "object" : "value");
    if (v->len == 0 || g->rc != 0 || put_choices(g, v)) return;
    if (is != JSON_NONE || list != JSON_NONE) {
        if (is != JSON_NONE && v->object && !json_is(g->doc, is, JSON_OBJECT))
            gbnf_fail(g, PERILUNE_ERR_INVAL, in, "const", "is no object, which the arguments of a function are");
        else if (is != JSON_NONE) put_value(g, is);
        else put_enum(g, v, list, in);
        return;
    }
    unsigned bits = bits_of(g, v), n = 0;
    if (bits == ANY) {
        buf_puts(&g->out, "value");
        return;
    }
    if (bits & ANY_NUMBER) bits &= ~(unsigned)ANY_INT;
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]) && g->rc == 0; i++) {
        if ((bits & types[i].bit) == 0) continue;
        if (n++ > 0) buf_puts(&g->out, " | ");
        if (i < 2) buf_puts(&g->out, whole[i]);
        else if (types[i].bit == ANY_INT || types[i].bit == ANY_NUMBER) gbnf_number(g, v, types[i].bit == ANY_INT);
        else if (types[i].bit == ANY_STRING) gbnf_string(g, v);
        else if (types[i].bit == ANY_ARRAY) put_array(g, v);
        else gbnf_object(g, v);
    }
}

/* -- The whole ------------------------------------------------------------------------------------------- */

/* A rule that may be itself, with nothing in front, means nothing. Three colours, without recursion. */
static void check_units(struct gbnf *g) {
    unsigned char *seen = mem_zalloc(g->len + 1);
    unsigned *stack = mem_alloc((g->len + 1) * 2 * sizeof(*stack));
    if (seen == NULL || stack == NULL) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
    for (unsigned start = 0; start < g->len && g->rc == 0; start++) {
        unsigned depth = 0;
        if (seen[start] == 0) stack[depth++] = start, stack[depth++] = 0, seen[start] = 1;
        while (depth > 0 && g->rc == 0) {
            const struct gbnf_rule *rule = &g->rules[stack[depth - 2]];
            if (stack[depth - 1] == rule->unit_len) {
                seen[stack[depth - 2]] = 2;
                depth -= 2;
                continue;
            }
            unsigned to = g->units[rule->unit_from + stack[depth - 1]++];
            if (seen[to] == 1) gbnf_fail(g, PERILUNE_ERR_INVAL, rule->view.node[0], "anyOf",
                                         "is itself again: nothing would ever be written");
            else if (seen[to] == 0) stack[depth++] = to, stack[depth++] = 0, seen[to] = 1;
        }
    }
    mem_free(seen);
    mem_free(stack);
}

static void write_rules(struct gbnf *g) {
    for (unsigned i = 0; i < g->root_count && g->rc == 0; i++) {
        if (g->roots[i] == JSON_NONE) buf_printf(&g->out, "v%u ::= \"{\" space \"}\" space\n", i);
        else buf_printf(&g->out, "v%u ::= r%u\n", i, i < g->objects ? object_rule_of(g, g->roots[i])
                        : gbnf_rule_of(g, g->roots[i]));
    }
    for (g->at = 0; g->at < g->len && g->rc == 0; g->at++) {
        struct gbnf_view v = g->rules[g->at].view; /* the list grows while it is read */
        g->rules[g->at].unit_from = g->units_len;
        buf_printf(&g->out, "r%u ::= ", g->at);
        put_body(g, &v);
        buf_putc(&g->out, '\n');
        buf_slice(&g->out, buf_get(&g->side));
        if (buf_failed(&g->side)) g->out.error = g->side.error;
        buf_clear(&g->side);
        if (g->out.error == PERILUNE_ERR_LIMITED) gbnf_fail(g, g->out.error, v.len ? v.node[0] : g->roots[0], "schema",
                                                            "makes a grammar of more than 1 MiB: make it smaller");
        else if (g->out.error && g->rc == 0) g->rc = g->out.error;
    }
    buf_puts(&g->out, basics);
    if (g->rc == 0) g->rc = g->out.error;
}

int gbnf_from_schemas(const struct json_doc *doc, const uint32_t *nodes, unsigned count, unsigned objects,
                      struct buf *out, struct gbnf_error *err) {
    struct gbnf g = { .doc = doc, .roots = nodes, .root_count = count, .objects = objects,
                      .steps = GBNF_MAX_STEPS, .err = err };
    size_t before = out->len;
    *err = (struct gbnf_error){ .keyword = "" };
    buf_init(&g.out, GBNF_MAX_TEXT);
    buf_init(&g.side, GBNF_MAX_TEXT);
    g.known = mem_zalloc((doc->len + 1) * sizeof(*g.known));
    if (g.known == NULL) g.rc = PERILUNE_ERR_NOMEM;
    if (g.rc == 0) write_rules(&g);
    if (g.rc == 0) check_units(&g);
    if (g.rc == 0) buf_slice(out, buf_get(&g.out));
    if (g.rc == 0 && buf_failed(out)) g.rc = out->error, out->len = before;
    buf_deinit(&g.out);
    buf_deinit(&g.side);
    mem_free(g.rules);
    mem_free(g.known);
    mem_free(g.units);
    return g.rc;
}

int gbnf_from_schema(const struct json_doc *doc, uint32_t node, struct buf *out, struct gbnf_error *err) {
    size_t before = out->len;
    buf_puts(out, "root ::= space v0\n");
    int rc = gbnf_from_schemas(doc, &node, 1, 0, out, err);
    if (rc != 0) out->len = before;
    return rc;
}

int gbnf_json_object(struct buf *out) {
    size_t before = out->len;
    buf_puts(out, "root ::= space object\n");
    buf_puts(out, basics);
    if (!buf_failed(out)) return 0;
    out->len = before;
    return out->error;
}
