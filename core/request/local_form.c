/* local_form.c -- the form that an answer is to have: response_format, tools, tool_choice.
 *
 *     response_format   json_object, json_schema  --+
 *     tools             which may be called         +--> struct answer_shape --> a grammar, where one is needed
 *     tool_choice       auto none required NAME   --+                        \-> how the answer is read (local/voice.c)
 *
 * Tools alone need no grammar: the model was told of them, and says text or calls.  What must be a call, or must be
 * JSON, is ruled by one.  With both an answer is JSON of the form or calls.
 *
 * A tool whose parameters cannot become a grammar is refused only where one is needed. */
#include <string.h>

#include "request/local_ask.h"

/* -- response_format --------------------------------------------------------------------------- */

static int read_schema(struct asking *in, uint32_t format) {
    uint32_t named = json_get(in->doc, format, SLICE("json_schema"));
    uint32_t schema = json_is(in->doc, named, JSON_OBJECT) ? json_get(in->doc, named, SLICE("schema")) : JSON_NONE;
    if (!json_is(in->doc, schema, JSON_OBJECT))
        return local_refuse(in, "response_format", "must have json_schema.schema, which is an object");
    in->shape.schema = schema;
    return 0;
}

static int read_format(struct asking *in) {
    uint32_t n = local_member(in, "response_format");
    if (n == JSON_NONE) return 0;
    uint32_t type = json_is(in->doc, n, JSON_OBJECT) ? json_get(in->doc, n, SLICE("type")) : JSON_NONE;
    if (!json_is(in->doc, type, JSON_STRING))
        return local_refuse(in, "response_format", "must be an object with a type");
    if (local_is_word(in->doc, type, "text")) return 0;
    if (local_is_word(in->doc, type, "json_schema")) return read_schema(in, n);
    in->shape.object = local_is_word(in->doc, type, "json_object");
    if (in->shape.object) return 0;
    return local_refuse(in, "response_format", "must be of type text, json_object or json_schema");
}

/* -- tools --------------------------------------------------------------------------------------- */

/* Names stand in grammars and in what models write: letters that need no escape. */
static bool is_name(struct slice s) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/";
    if (s.len == 0 || s.len > 128) return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '\0' || strchr(letters, s.ptr[i]) == NULL) return false;
    return true;
}

static int read_tool(struct asking *in, uint32_t tool) {
    const struct json_doc *doc = in->doc;
    uint32_t f = json_is(doc, tool, JSON_OBJECT) ? json_get(doc, tool, SLICE("function")) : JSON_NONE;
    if (!json_is(doc, f, JSON_OBJECT) || !local_is_word(doc, json_get(doc, tool, SLICE("type")), "function"))
        return local_refuse(in, "tools", "must be of type function, with a function");
    uint32_t name = json_get(doc, f, SLICE("name")), parameters = json_get(doc, f, SLICE("parameters"));
    if (!json_is(doc, name, JSON_STRING) || doc->nodes[name].escaped || !is_name(json_plain(doc, name)))
        return local_refuse(in, "tools", "must have functions with a name of 1 to 128 of a-z A-Z 0-9 _ - . : /");
    if (json_is(doc, parameters, JSON_NULL)) parameters = JSON_NONE;
    if (parameters != JSON_NONE && !json_is(doc, parameters, JSON_OBJECT))
        return local_refuse(in, "tools", "must have parameters that are a JSON schema");
    unsigned place = in->shape.tool_count++;
    in->tools[place] = (struct answer_tool){ json_plain(doc, name), parameters, place };
    return 0;
}

static int read_tools(struct asking *in, uint32_t tools) {
    if (!json_is(in->doc, tools, JSON_ARRAY)) return local_refuse(in, "tools", "must be an array");
    if (in->doc->nodes[tools].count > ANSWER_TOOLS)
        return local_refuse(in, "tools", "must be %d at most", ANSWER_TOOLS);
    in->shape.tools = in->tools;
    for (uint32_t t = json_first(in->doc, tools); t != JSON_NONE; t = json_next(in->doc, tools, t)) {
        int rc = read_tool(in, t);
        if (rc != 0) return rc;
    }
    return 0;
}

/* One function that must be called. */
static int read_named(struct asking *in, uint32_t choice) {
    const struct json_doc *doc = in->doc;
    uint32_t f = json_is(doc, choice, JSON_OBJECT) ? json_get(doc, choice, SLICE("function")) : JSON_NONE;
    uint32_t name = json_is(doc, f, JSON_OBJECT) ? json_get(doc, f, SLICE("name")) : JSON_NONE;
    if (!json_is(doc, name, JSON_STRING))
        return local_refuse(in, "tool_choice", "must be auto, none, required, or {type: function, function: {name}}");
    for (unsigned i = 0; i < in->shape.tool_count; i++) {
        if (!json_str_eq(doc, name, in->tools[i].name)) continue;
        in->tools[0] = in->tools[i];
        in->shape.tool_count = 1;
        in->shape.calls_only = in->shape.one_call = true;
        return 0;
    }
    return local_refuse(in, "tool_choice", "names a function that is not among tools");
}

static int read_choice(struct asking *in) {
    uint32_t choice = local_member(in, "tool_choice"), tools = local_member(in, "tools");
    bool any = tools != JSON_NONE && !(json_is(in->doc, tools, JSON_ARRAY) && in->doc->nodes[tools].count == 0);
    uint32_t old = local_member(in, "functions");
    if (old != JSON_NONE && !(json_is(in->doc, old, JSON_ARRAY) && in->doc->nodes[old].count == 0))
        return local_refuse(in, "functions", "are not read any more; name them in tools");
    bool none = local_is_word(in->doc, choice, "none"), required = local_is_word(in->doc, choice, "required");
    if (none || (!any && (choice == JSON_NONE || local_is_word(in->doc, choice, "auto")))) return 0;
    if (!any) return local_refuse(in, "tool_choice", "needs tools");
    if (!in->traits->tools)
        return local_refuse(in, "tools", "cannot be called by this local model: its chat template does not know any; "
                            "say tool_choice = \"none\", or name another template with engine.template");
    if (in->traits->shape.form == CALLS_NONE)
        return local_refuse(in, "tools", "cannot be called by this local model: the form in which it writes calls is "
                            "not read; say tool_choice = \"none\"");
    int rc = read_tools(in, tools);
    if (rc != 0) return rc;
    in->offers = true;
    in->shape.one_call = json_is(in->doc, local_member(in, "parallel_tool_calls"), JSON_FALSE);
    in->shape.calls_only = required;
    return required || choice == JSON_NONE || local_is_word(in->doc, choice, "auto") ? 0 : read_named(in, choice);
}

/* Which arguments are strings, for who reads calls in which they stand without quotes. */
static int note_strings(struct asking *in) {
    struct buf *out = &in->q->strings;
    for (unsigned i = 0; i < in->shape.tool_count; i++) {
        uint32_t parameters = in->tools[i].parameters;
        uint32_t of = parameters != JSON_NONE ? json_get(in->doc, parameters, SLICE("properties")) : JSON_NONE;
        if (!json_is(in->doc, of, JSON_OBJECT)) continue;
        for (uint32_t k = json_first(in->doc, of), v; k != JSON_NONE; k = json_next(in->doc, of, v)) {
            v = json_next(in->doc, of, k);
            if (!answer_is_string(in->doc, v)) continue;
            buf_slice(out, in->tools[i].name);
            buf_putc(out, '\0');
            size_t at = buf_len(out);
            json_decode_string(in->doc, k, out);
            for (; at < buf_len(out); at++)
                if (out->data[out->mark + at] == '\0') out->data[out->mark + at] = ' '; /* no such name is written */
            buf_putc(out, '\0');
        }
    }
    in->q->ask.reading.strings = buf_get(out);
    return buf_failed(out) ? local_no_memory(in) : 0;
}

int local_read_form(struct asking *in) {
    in->shape = (struct answer_shape){ .doc = in->doc, .schema = JSON_NONE, .calls = in->traits->shape };
    int rc = read_format(in);
    if (rc == 0) rc = read_choice(in);
    in->q->ask.reading.channels = in->traits->shape.form == CALLS_HARMONY;
    if (!in->offers || rc != 0) return rc;
    in->q->ask.reading.calls = in->traits->shape.form;
    in->q->ask.reading.one_call = in->shape.one_call;
    in->q->ask.reading.only_calls = in->shape.calls_only;
    return in->traits->shape.form == CALLS_GLM ? note_strings(in) : 0;
}

/* -- The grammar ------------------------------------------------------------------------------------ */

static int grammar_failed(struct asking *in, int rc, const struct gbnf_error *err) {
    if (rc == PERILUNE_ERR_NOMEM) return local_no_memory(in);
    if (err->root >= in->shape.tool_count)
        return local_refuse(in, "response_format", "has '%s' at \"%s\": %s", err->keyword, err->path, err->message);
    const struct answer_tool *t = &in->tools[err->root];
    return local_refuse(in, "tools", "have parameters of '%.*s' (tools[%u].function.parameters), which has '%s' at "
                        "\"%s\": %s", SLICE_ARG(t->name), t->place, err->keyword, err->path, err->message);
}

int local_write_grammar(struct asking *in) {
    struct local_question *q = in->q;
    struct gbnf_error err;
    const struct answer_shape *s = &in->shape;
    if (!s->calls_only && !s->object && s->schema == JSON_NONE) return 0;
    int rc = answer_grammar(s, &q->grammar, &err);
    if (rc != 0) return grammar_failed(in, rc, &err);
    q->ask.grammar = buf_cstr(&q->grammar);
    return q->ask.grammar ? 0 : local_no_memory(in);
}
