/* gbnf_object.c -- objects as a grammar: their members, in the schema's order.
 *
 *     {"properties": {"a": {}, "b": {}}, "required": ["b"]}
 *
 *     "{" ( a s1 | b s2 )? "}"     s_i: what may stand behind the members before it, each behind a comma
 *
 * Members that are not listed, where they may be any, have a name that is none of the listed ones: letter by letter,
 * what goes on otherwise than those.
 *
 * Invariants: a member is written once, however often it is listed.  No more than GBNF_PROPS of them.
 *
 * Thread: any. */
#include "local/gbnf_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/member_names.h"
#include "tokens/unicode.h"

#define NAME_STEPS 12 /* of a name that is decoded and looked up */

struct prop {
    uint32_t         key;
    uint32_t         schema;  /* the first that was found */
    unsigned         schemas;
    struct gbnf_view view;    /* all of them together, where there are several */
    bool             required;
};

/* The members that a schema speaks of, in its order. */
struct members {
    struct member_names names;
    struct prop  props[GBNF_PROPS];
    bool         listed; /* it has `properties`, be they none */
};

/* -- Which there are -------------------------------------------------------------------------------- */

/* The property whose name is the string at key, added when it is new; of: the schema that names it. */
static struct prop *prop_of(struct gbnf *g, struct members *m, uint32_t key, uint32_t of) {
    struct buf name;
    unsigned before = m->names.len;
    if (json_type(g->doc, key) != JSON_STRING)
        gbnf_fail(g, PERILUNE_ERR_INVAL, of, "required", "is a list of strings");
    gbnf_charge(g, of, NAME_STEPS + (g->doc->nodes[key].end - g->doc->nodes[key].start) / 8);
    if (g->rc != 0) return NULL;
    buf_init(&name, 0);
    json_decode_string(g->doc, key, &name);
    int i = buf_failed(&name) ? -1 : member_names_add(&m->names, buf_get(&name));
    if (buf_failed(&name) || buf_failed(&m->names.text)) g->rc = PERILUNE_ERR_NOMEM;
    else if (i < 0) gbnf_fail(g, PERILUNE_ERR_LIMITED, key, "properties", "more than %d of them", GBNF_PROPS);
    buf_deinit(&name);
    if (i < 0) return NULL;
    if (m->names.len > before) m->props[i] = (struct prop){ .key = key };
    return &m->props[i];
}

static void note_property(struct gbnf *g, struct members *m, uint32_t key, uint32_t schema, uint32_t of) {
    struct prop *p = prop_of(g, m, key, of);
    if (p == NULL) return;
    if (p->schemas++ == 0) {
        p->schema = schema;
        return;
    }
    if (p->schemas == 2) gbnf_view_add(g, &p->view, p->schema);
    gbnf_view_add(g, &p->view, schema);
}

static void gather(struct gbnf *g, const struct gbnf_view *v, struct members *m) {
    for (unsigned i = 0; i < v->len && g->rc == 0; i++) {
        uint32_t of = gbnf_get(g, v->node[i], SLICE("properties")), value;
        if (!json_is(g->doc, of, JSON_OBJECT)) continue;
        m->listed = true;
        for (uint32_t k = json_first(g->doc, of); k != JSON_NONE && g->rc == 0; k = json_next(g->doc, of, value)) {
            value = json_next(g->doc, of, k);
            note_property(g, m, k, value, v->node[i]);
        }
    }
    for (unsigned i = 0; i < v->len && g->rc == 0; i++) { /* `required` may name what `properties` do not */
        uint32_t list = gbnf_get(g, v->node[i], SLICE("required"));
        if (!json_is(g->doc, list, JSON_ARRAY)) continue;
        for (uint32_t k = json_first(g->doc, list); k != JSON_NONE && g->rc == 0; k = json_next(g->doc, list, k)) {
            struct prop *p = prop_of(g, m, k, v->node[i]);
            if (p) p->required = true;
        }
    }
}

/* -- How they are written ---------------------------------------------------------------------------- */

static void put_member(struct gbnf *g, struct buf *to, const struct prop *p) {
    struct buf text;
    buf_init(&text, 0);
    gbnf_compact(g, p->key, &text);
    gbnf_put_literal(to, buf_get(&text));
    if (buf_failed(&text)) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
    buf_deinit(&text);
    if (p->schemas == 0) buf_puts(to, " space \":\" space value");
    else buf_printf(to, " space \":\" space r%u", p->schemas == 1 ? gbnf_rule_of(g, p->schema)
                    : gbnf_new_rule(g, &p->view));
}

/* Names that are none of the properties': what follows `depth` characters that all of names[0..n) begin with. */
static void put_other_names(struct gbnf *g, struct buf *to, const struct slice *names, unsigned n, size_t depth) {
    bool ends = depth > 0, first = true; /* an empty name is none of ours to write */
    struct buf not_these;
    buf_init(&not_these, 0);
    if (depth > 256) gbnf_fail(g, PERILUNE_ERR_LIMITED, g->roots[0], "properties",
                               "names of more than 256 bytes beside additionalProperties");
    buf_putc(to, '(');
    for (unsigned i = 0; i < n && g->rc == 0;) {
        if (names[i].len == depth) {
            ends = false;
            i++;
            continue;
        }
        uint32_t c = 0;
        const unsigned char *at = (const unsigned char *)names[i].ptr + depth;
        unsigned bytes = unicode_decode(at, (const unsigned char *)names[i].ptr + names[i].len, &c), k = i + 1;
        while (k < n && names[k].len >= depth + bytes && memcmp(names[k].ptr + depth, at, bytes) == 0) k++;
        gbnf_class_char(&not_these, c);
        if (c != '"' && c != '\\' && c >= 0x20) {
            buf_puts(to, first ? "[" : " | [");
            gbnf_class_char(to, c);
            buf_puts(to, "] ");
            put_other_names(g, to, names + i, k - i, depth + bytes);
            first = false;
        }
        i = k;
    }
    buf_printf(to, "%s[^%.*s\"\\\\\\x7F\\x00-\\x1F] [^\"\\\\\\x7F\\x00-\\x1F]*)%s", first ? "" : " | ",
               SLICE_ARG(buf_get(&not_these)), ends ? "?" : "");
    if (buf_failed(&not_these)) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
    buf_deinit(&not_these);
}

/* The side rule of a member that is none of props; its number. */
static unsigned other_member(struct gbnf *g, const struct member_names *of, uint32_t schema) {
    struct slice names[GBNF_PROPS];
    struct buf line;
    unsigned name = g->names++, len = of->len;
    buf_init(&line, 0);
    for (unsigned i = 0; i < len; i++) names[i] = member_names_get(of, i);
    if (len > 1) qsort(names, len, sizeof(*names), gbnf_by_bytes);
    buf_printf(&line, "s%u ::= ", name);
    if (len == 0) buf_puts(&line, "string");
    else buf_puts(&line, "\"\\\"\" ");
    if (len > 0) put_other_names(g, &line, names, len, 0);
    if (len > 0) buf_puts(&line, " \"\\\"\" space");
    if (schema == JSON_NONE) buf_puts(&line, " \":\" space value\n");
    else buf_printf(&line, " \":\" space r%u\n", gbnf_rule_of(g, schema));
    buf_slice(&g->side, buf_get(&line));
    if (buf_failed(&line)) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
    buf_deinit(&line);
    return name;
}

/* s_i: the members from i on, each behind a comma.  Returns the name of s_1; s_0 is never needed. */
static unsigned put_tails(struct gbnf *g, const struct prop *props, unsigned len, int other) {
    unsigned base = g->names;
    g->names += len;
    for (unsigned i = 1; i <= len; i++) {
        struct buf line;
        buf_init(&line, 0);
        buf_printf(&line, "s%u ::= ", base + i - 1);
        if (i < len) {
            buf_puts(&line, "(\",\" space ");
            put_member(g, &line, &props[i]);
            buf_printf(&line, ")%s s%u\n", props[i].required ? "" : "?", base + i);
        } else if (other >= 0) {
            buf_printf(&line, "(\",\" space s%d)*\n", other);
        } else {
            buf_puts(&line, "\"\"\n");
        }
        buf_slice(&g->side, buf_get(&line));
        if (buf_failed(&line)) g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
        buf_deinit(&line);
    }
    return base;
}

static void put_members(struct gbnf *g, const struct gbnf_view *v, const struct members *m) {
    const struct prop *props = m->props;
    unsigned len = m->names.len;
    uint32_t in = v->node[0], more = gbnf_keyword(g, v, "additionalProperties", &in);
    bool none = json_is(g->doc, more, JSON_FALSE) || (more == JSON_NONE && (len > 0 || m->listed));
    bool first = true, all_optional = true;
    unsigned required = 0;
    for (unsigned i = 0; i < len; i++) required += props[i].required;
    if (gbnf_count(g, v, "minProperties", 0) > required) gbnf_fail(g, PERILUNE_ERR_INVAL, in, "minProperties",
                                                                   "is above the number of required properties");
    int other = none ? -1 : (int)other_member(g, &m->names, json_is(g->doc, more, JSON_OBJECT) ? more : JSON_NONE);
    unsigned tail = len ? put_tails(g, props, len, other) : 0;
    buf_puts(&g->out, "\"{\" space (");
    for (unsigned i = 0; i < len && all_optional; i++) {
        if (!first) buf_puts(&g->out, " | ");
        put_member(g, &g->out, &props[i]);
        buf_printf(&g->out, " s%u", tail + i);
        first = false;
        all_optional = !props[i].required;
    }
    if (all_optional && other >= 0) buf_printf(&g->out, "%ss%d (\",\" space s%d)*", first ? "" : " | ", other, other);
    else if (first) buf_puts(&g->out, "\"\"");
    buf_puts(&g->out, all_optional ? ")? \"}\" space" : ") \"}\" space");
}

void gbnf_object(struct gbnf *g, const struct gbnf_view *v) {
    struct members *m = mem_alloc(sizeof(*m));
    if (m == NULL) {
        g->rc = g->rc ? g->rc : PERILUNE_ERR_NOMEM;
        return;
    }
    member_names_init(&m->names);
    m->listed = false;
    gather(g, v, m);
    if (g->rc == 0) put_members(g, v, m);
    member_names_deinit(&m->names);
    mem_free(m);
}
