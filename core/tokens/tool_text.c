/* tool_text.c -- tool definitions as models read them.
 *
 * OpenAI does not publish how `tools` become part of the prompt.  Models repeat it when
 * asked, and the counts of the API confirm it: a namespace of TypeScript types.
 *
 *     namespace functions {
 *
 *     // Get the current weather in a given location
 *     type get_current_weather = (_: {
 *     // The city and state, e.g. San Francisco, CA
 *     location: string,
 *     unit?: "celsius" | "fahrenheit",
 *     }) => any;
 *
 *     } // namespace functions
 *
 * Descriptions of the outer two levels are comments, deeper ones are left out.  Harmony
 * (gpt-oss), whose format is published, has the same shape.
 *
 * Reads a JSON schema that a client wrote: whatever is not what it should be becomes
 * `any`.  Depth is bounded by the reader of JSON; what is written can be many times
 * longer than what is read (a list of types repeats the properties), so `out` should have
 * a limit: on it everything stops. */
#include "tokens/tool_text.h"

static bool is(const struct json_doc *d, uint32_t n, enum json_type type) {
    return n != JSON_NONE && json_type(d, n) == type;
}

static void spaces(struct buf *out, unsigned n) {
    while (n-- > 0) buf_putc(out, ' ');
}

#define REQUIRED_MAX 512 /* names; of more, nothing is marked: they would be compared with each other */

static bool holds(const struct json_doc *d, uint32_t list, uint32_t name, struct buf *scratch) {
    if (!is(d, list, JSON_ARRAY) || d->nodes[list].count > REQUIRED_MAX) return false;
    buf_clear(scratch);
    json_decode_string(d, name, scratch);
    for (uint32_t e = json_first(d, list); e != JSON_NONE; e = json_next(d, list, e))
        if (is(d, e, JSON_STRING) && json_str_eq(d, e, buf_get(scratch))) return true;
    return false;
}

static void put_type(const struct json_doc *d, uint32_t schema, unsigned indent, struct buf *out);

static void put_comment(const struct json_doc *d, uint32_t object, unsigned indent, struct buf *out) {
    uint32_t text = json_get(d, object, SLICE("description"));
    if (!is(d, text, JSON_STRING) || json_raw(d, text).len == 2) return;
    spaces(out, indent);
    buf_puts(out, "// ");
    json_decode_string(d, text, out);
    buf_putc(out, '\n');
}

static void put_properties(const struct json_doc *d, uint32_t schema, unsigned indent, struct buf *out) {
    uint32_t all = json_get(d, schema, SLICE("properties")), required = json_get(d, schema, SLICE("required"));
    if (!is(d, all, JSON_OBJECT)) return;
    struct buf scratch;
    buf_init(&scratch, 0);
    for (uint32_t key = json_first(d, all); key != JSON_NONE && !buf_failed(out);) {
        uint32_t value = json_next(d, all, key);
        bool object = is(d, value, JSON_OBJECT);
        if (object && indent < 2) put_comment(d, value, indent, out);
        spaces(out, indent);
        json_decode_string(d, key, out);
        if (!holds(d, required, key, &scratch)) buf_putc(out, '?');
        buf_puts(out, ": ");
        put_type(d, value, indent, out);
        buf_puts(out, ",\n");
        key = json_next(d, all, value);
    }
    if (buf_failed(&scratch)) out->error = scratch.error;
    buf_deinit(&scratch);
}

static void put_enum(const struct json_doc *d, uint32_t list, struct buf *out) {
    bool first = true;
    for (uint32_t e = json_first(d, list); e != JSON_NONE && !buf_failed(out); e = json_next(d, list, e)) {
        if (!first) buf_puts(out, " | ");
        first = false;
        buf_slice(out, json_raw(d, e));
    }
}

static void put_named(const struct json_doc *d, uint32_t schema, uint32_t type, unsigned indent, struct buf *out) {
    uint32_t items = json_get(d, schema, SLICE("items"));
    if (json_str_eq(d, type, SLICE("object"))) {
        if (!is(d, json_get(d, schema, SLICE("properties")), JSON_OBJECT)) {
            buf_puts(out, "object");
            return;
        }
        buf_puts(out, "{\n");
        put_properties(d, schema, indent + 2, out);
        spaces(out, indent);
        buf_putc(out, '}');
    } else if (json_str_eq(d, type, SLICE("array"))) {
        if (is(d, items, JSON_OBJECT)) put_type(d, items, indent, out);
        else buf_puts(out, "any");
        buf_puts(out, "[]");
    } else if (json_str_eq(d, type, SLICE("integer"))) {
        buf_puts(out, "number");
    } else {
        json_decode_string(d, type, out); /* string, number, boolean, null */
    }
}

/* "type": ["string", "null"], anyOf, oneOf: one or the other. */
static void put_either(const struct json_doc *d, uint32_t schema, uint32_t list, unsigned indent, struct buf *out) {
    bool first = true;
    for (uint32_t e = json_first(d, list); e != JSON_NONE && !buf_failed(out); e = json_next(d, list, e)) {
        if (!first) buf_puts(out, " | ");
        first = false;
        if (is(d, e, JSON_STRING)) put_named(d, schema, e, indent, out);
        else put_type(d, e, indent, out);
    }
}

static void put_type(const struct json_doc *d, uint32_t schema, unsigned indent, struct buf *out) {
    if (!is(d, schema, JSON_OBJECT)) {
        buf_puts(out, "any");
        return;
    }
    uint32_t type = json_get(d, schema, SLICE("type")), one = json_get(d, schema, SLICE("enum"));
    uint32_t any = json_get(d, schema, SLICE("anyOf"));
    if (any == JSON_NONE) any = json_get(d, schema, SLICE("oneOf"));
    if (is(d, one, JSON_ARRAY) && d->nodes[one].count > 0) put_enum(d, one, out);
    else if (is(d, type, JSON_STRING)) put_named(d, schema, type, indent, out);
    else if (is(d, type, JSON_ARRAY)) put_either(d, schema, type, indent, out);
    else if (is(d, any, JSON_ARRAY)) put_either(d, schema, any, indent, out);
    else buf_puts(out, "any");
}

static void put_function(const struct json_doc *d, uint32_t f, struct buf *out) {
    uint32_t name = json_get(d, f, SLICE("name")), parameters = json_get(d, f, SLICE("parameters"));
    put_comment(d, f, 0, out);
    buf_puts(out, "type ");
    if (is(d, name, JSON_STRING)) json_decode_string(d, name, out);
    uint32_t all = is(d, parameters, JSON_OBJECT) ? json_get(d, parameters, SLICE("properties")) : JSON_NONE;
    if (is(d, all, JSON_OBJECT) && d->nodes[all].count > 0) {
        buf_puts(out, " = (_: {\n");
        put_properties(d, parameters, 0, out);
        buf_puts(out, "}) => any;\n\n");
    } else {
        buf_puts(out, " = () => any;\n\n");
    }
}

unsigned tools_as_typescript(const struct json_doc *doc, uint32_t list, struct buf *out) {
    unsigned n = 0;
    buf_puts(out, "namespace functions {\n\n");
    for (uint32_t e = json_first(doc, list); e != JSON_NONE && !buf_failed(out); e = json_next(doc, list, e)) {
        if (!is(doc, e, JSON_OBJECT)) continue;
        uint32_t f = json_get(doc, e, SLICE("function"));
        if (f == JSON_NONE) f = json_get(doc, e, SLICE("custom"));
        put_function(doc, is(doc, f, JSON_OBJECT) ? f : e, out);
        n++;
    }
    buf_puts(out, "} // namespace functions");
    return n;
}

void json_spaced(const struct json_doc *doc, uint32_t node, struct buf *out) {
    enum json_type type = json_type(doc, node);
    if (type != JSON_OBJECT && type != JSON_ARRAY) {
        buf_slice(out, json_raw(doc, node));
        return;
    }
    buf_putc(out, type == JSON_OBJECT ? '{' : '[');
    bool first = true;
    for (uint32_t e = json_first(doc, node); e != JSON_NONE; e = json_next(doc, node, e)) {
        if (!first) buf_puts(out, ", ");
        first = false;
        if (type == JSON_OBJECT) {
            buf_slice(out, json_raw(doc, e));
            buf_puts(out, ": ");
            e = json_next(doc, node, e);
        }
        json_spaced(doc, e, out);
    }
    buf_putc(out, type == JSON_OBJECT ? '}' : ']');
}
