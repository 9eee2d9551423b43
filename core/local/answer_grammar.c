/* answer_grammar.c -- a grammar for all that an answer may be.
 *
 *     root ::= think? ( text | calls )
 *               |        |      |
 *               |        |      +-- tools: in the form that the model's template taught it (call_reader.c reads it)
 *               |        +--------- response_format: gbnf.c
 *               +------------------ a model that thinks does so before it answers in the wanted form
 *
 * A grammar rules an answer from its first token on, so it must allow what a model says beside what is wanted: without
 * `think` a model that thinks would be cut off from it, and answer worse.
 *
 * The form of calls is fixed to the blank, as templates write it: a model reads its calls again in later turns, and one
 * blank more is another prompt.
 *
 * Two forms are more than marks around JSON.  HARMONY has a head in front of everything that is said, and a thought is
 * a message of its own.  GLM writes arguments one by one, strings without quotes: each has a rule of its own.
 *
 * Invariants: rules of schemas are called v0, v1 ... (tools), then that of the text, then those of single arguments.
 *
 * Thread: any. */
#include "local/answer_grammar.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/member_names.h"

static void put_text(struct buf *out, const char *text) { gbnf_put_literal(out, slice_str(text)); }

/* -- Strings without quotes ----------------------------------------------------------------- */

static bool all_strings(const struct json_doc *doc, uint32_t list) {
    for (uint32_t e = json_first(doc, list); e != JSON_NONE; e = json_next(doc, list, e))
        if (!json_is(doc, e, JSON_STRING)) return false;
    return doc->nodes[list].count > 0;
}

bool answer_is_string(const struct json_doc *doc, uint32_t schema) {
    if (!json_is(doc, schema, JSON_OBJECT)) return false;
    uint32_t type = json_get(doc, schema, SLICE("type")), one_of = json_get(doc, schema, SLICE("enum"));
    if (type != JSON_NONE) return json_is(doc, type, JSON_STRING) && json_str_eq(doc, type, SLICE("string"));
    if (json_is(doc, one_of, JSON_ARRAY)) return all_strings(doc, one_of);
    return json_is(doc, json_get(doc, schema, SLICE("const")), JSON_STRING);
}

/* Anything up to a mark and what stands behind it, letter by letter: rule NAME i has seen the mark's first i letters.
 * Marks have their first letter nowhere else, so a letter that does not go on begins another mark, or none. */
static void put_up_to(struct buf *out, const char *name, struct slice mark, const char *behind) {
    unsigned first = (unsigned char)mark.ptr[0];
    for (unsigned i = 0; i < mark.len; i++) {
        unsigned c = (unsigned char)mark.ptr[i];
        buf_printf(out, "%s%u ::= [^\\x%02X\\x%02X] %s0 | \"\\x%02X\" %s%u", name, i, first, c, name, c, name, i + 1);
        if (i > 0) buf_printf(out, " | \"\\x%02X\" %s1", first, name);
        buf_putc(out, '\n');
    }
    buf_printf(out, "%s%zu ::= %s\n", name, mark.len, behind);
}

/* -- One call ------------------------------------------------------------------------------- */

/* What is being written, and the schemas it needs: first those of the tools, then that of the text, then others. */
struct writing {
    const struct answer_shape *s;
    struct buf                *out;
    uint32_t                  *nodes;
    unsigned                   count, cap;
};

/* The number of its rule. */
static unsigned add_schema(struct writing *w, uint32_t node) {
    uint32_t cap = w->cap;
    if (w->count == cap && !mem_grow((void **)&w->nodes, w->count, &cap, sizeof(*w->nodes))) {
        w->out->error = PERILUNE_ERR_NOMEM;
        return 0;
    }
    w->cap = cap;
    w->nodes[w->count] = node;
    return w->count++;
}

/* {"name": "f", "arguments": v0} */
static void put_json_call(struct buf *out, struct slice name, unsigned i, const char *arguments) {
    struct buf head;
    buf_init(&head, 0);
    buf_puts(&head, "{\"name\": \"");
    buf_slice(&head, name);
    buf_printf(&head, "\", \"%s\": ", arguments);
    gbnf_put_literal(out, buf_get(&head));
    if (buf_failed(&head)) out->error = head.error;
    buf_deinit(&head);
    buf_printf(out, " v%u \"}\"", i);
}

static void put_named_call(struct buf *out, struct slice name, unsigned i, const char *before, const char *behind,
                           const char *end) {
    put_text(out, before);
    buf_putc(out, ' ');
    gbnf_put_literal(out, name);
    buf_putc(out, ' ');
    put_text(out, behind);
    buf_printf(out, " v%u ", i);
    put_text(out, end);
}

/* The recipient stands in front of the channel or behind it; models know both. */
static void put_harmony_call(struct buf *out, struct slice name, unsigned i) {
    buf_puts(out, "(\"<|channel|>commentary to=functions.\" ");
    gbnf_put_literal(out, name);
    buf_puts(out, " | \" to=functions.\" ");
    gbnf_put_literal(out, name);
    buf_printf(out, " \"<|channel|>commentary\") \" \" \"<|constrain|>\"? \"json<|message|>\" v%u", i);
}

/* One of these strings, as they are. */
static void put_words(struct writing *w, uint32_t list) {
    struct buf word;
    buf_init(&word, 0);
    buf_putc(w->out, '(');
    for (uint32_t e = json_first(w->s->doc, list), first = e; e != JSON_NONE; e = json_next(w->s->doc, list, e)) {
        buf_clear(&word);
        json_decode_string(w->s->doc, e, &word);
        if (e != first) buf_puts(w->out, " | ");
        gbnf_put_literal(w->out, buf_get(&word));
    }
    buf_puts(w->out, ") \"</arg_value>\"");
    if (buf_failed(&word)) w->out->error = word.error;
    buf_deinit(&word);
}

static void put_glm_argument(struct writing *w, uint32_t key, uint32_t schema) {
    const struct json_doc *doc = w->s->doc;
    struct buf head;
    buf_init(&head, 0);
    buf_puts(&head, "<arg_key>");
    json_decode_string(doc, key, &head);
    buf_puts(&head, "</arg_key>\n<arg_value>");
    gbnf_put_literal(w->out, buf_get(&head));
    if (buf_failed(&head)) w->out->error = head.error;
    buf_deinit(&head);
    buf_putc(w->out, ' ');
    uint32_t words = json_is(doc, schema, JSON_OBJECT) ? json_get(doc, schema, SLICE("enum")) : JSON_NONE;
    if (!answer_is_string(doc, schema)) buf_printf(w->out, "v%u \"</arg_value>\"", add_schema(w, schema));
    else if (json_is(doc, words, JSON_ARRAY) && all_strings(doc, words)) put_words(w, words);
    else buf_puts(w->out, "a0");
    buf_puts(w->out, " \"\\n\"");
}

/* Which of these names the schema requires. */
static void find_required(struct writing *w, uint32_t parameters, const struct member_names *names, bool *required) {
    const struct json_doc *doc = w->s->doc;
    uint32_t list = json_get(doc, parameters, SLICE("required"));
    struct buf name;
    buf_init(&name, 0);
    memset(required, false, MEMBER_NAMES_MAX);
    for (uint32_t e = json_is(doc, list, JSON_ARRAY) ? json_first(doc, list) : JSON_NONE; e != JSON_NONE;
         e = json_next(doc, list, e)) {
        if (!json_is(doc, e, JSON_STRING)) continue;
        buf_clear(&name);
        json_decode_string(doc, e, &name);
        int i = member_names_find(names, buf_get(&name));
        if (i >= 0) required[i] = true;
    }
    if (buf_failed(&name)) w->out->error = name.error;
    buf_deinit(&name);
}

/* The arguments that `of`, the schema's properties, names: keys, each once.  What is beyond the most that there may be
 * is left out: gbnf.c refuses the schema for it. */
static void find_names(struct writing *w, uint32_t of, struct member_names *names, uint32_t *keys) {
    const struct json_doc *doc = w->s->doc;
    struct buf name;
    buf_init(&name, 0);
    for (uint32_t k = json_first(doc, of); k != JSON_NONE; k = json_next(doc, of, json_next(doc, of, k))) {
        unsigned before = names->len;
        buf_clear(&name);
        json_decode_string(doc, k, &name);
        int i = member_names_add(names, buf_get(&name));
        if (i < 0) break;
        if (names->len > before) keys[i] = k;
    }
    if (buf_failed(&name) || buf_failed(&names->text)) w->out->error = PERILUNE_ERR_NOMEM;
    buf_deinit(&name);
}

/* Arguments stand one by one, in the order of the schema; those that are not required may be left out. */
static void put_glm_call(struct writing *w, unsigned i) {
    const struct json_doc *doc = w->s->doc;
    uint32_t parameters = w->s->tools[i].parameters;
    uint32_t of = parameters != JSON_NONE ? json_get(doc, parameters, SLICE("properties")) : JSON_NONE;
    gbnf_put_literal(w->out, w->s->tools[i].name);
    buf_puts(w->out, " \"\\n\"");
    if (!json_is(doc, of, JSON_OBJECT)) return;
    struct { struct member_names names; uint32_t keys[MEMBER_NAMES_MAX]; bool required[MEMBER_NAMES_MAX]; } *all =
        mem_alloc(sizeof(*all));
    if (all == NULL) {
        w->out->error = PERILUNE_ERR_NOMEM;
        return;
    }
    member_names_init(&all->names);
    find_names(w, of, &all->names, all->keys);
    find_required(w, parameters, &all->names, all->required);
    for (unsigned k = 0; k < all->names.len && !buf_failed(w->out); k++) {
        buf_puts(w->out, " (");
        put_glm_argument(w, all->keys[k], json_next(doc, of, all->keys[k]));
        buf_puts(w->out, all->required[k] ? ")" : ")?");
    }
    member_names_deinit(&all->names);
    mem_free(all);
}

static void put_call(struct writing *w, unsigned i) {
    const struct call_shape *form = &w->s->calls;
    struct slice name = w->s->tools[i].name;
    struct buf *out = w->out;
    switch (form->form) {
    case CALLS_LLAMA3: put_json_call(out, name, i, "parameters"); break;
    case CALLS_MISTRAL:
        if (form->newer) put_named_call(out, name, i, "", "[ARGS]", "");
        else put_json_call(out, name, i, "arguments");
        break;
    case CALLS_DEEPSEEK:
        if (form->newer)
            put_named_call(out, name, i, "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>",
                           "<｜tool▁call▁end｜>");
        else put_named_call(out, name, i, "<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```json\n",
                            "\n```<｜tool▁call▁end｜>");
        break;
    case CALLS_GLM: put_glm_call(w, i); break;
    case CALLS_HARMONY: put_harmony_call(out, name, i); break;
    default: put_json_call(out, name, i, "arguments");
    }
}

/* -- All of them ------------------------------------------------------------------------------ */

static void put_calls(struct writing *w) {
    const struct answer_shape *s = w->s;
    struct buf *out = w->out;
    bool one = s->one_call;
    buf_puts(out, "call ::= ");
    for (unsigned i = 0; i < s->tool_count; i++) {
        if (i > 0) buf_puts(out, " | ");
        put_call(w, i);
    }
    buf_puts(out, "\ncalls ::= ");
    switch (s->calls.form) {
    case CALLS_LLAMA3: buf_puts(out, one ? "call" : "call (\"; \" call)*"); break;
    case CALLS_MISTRAL:
        put_text(out, s->calls.newer ? "[TOOL_CALLS]" : "[TOOL_CALLS][");
        buf_puts(out, one ? " call" : s->calls.newer ? " call (\"[TOOL_CALLS]\" call)*" : " call (\", \" call)*");
        if (!s->calls.newer) buf_puts(out, " \"]\"");
        break;
    case CALLS_DEEPSEEK:
        put_text(out, "<｜tool▁calls▁begin｜>");
        buf_puts(out, one ? " call " : " call (\"\\n\"? call)* ");
        put_text(out, "<｜tool▁calls▁end｜>");
        break;
    case CALLS_HARMONY: buf_puts(out, "call"); break; /* an answer ends with it */
    case CALLS_GLM:
        buf_puts(out, one ? "marked\n" : "marked (\"\\n\" marked)*\n");
        put_up_to(out, "a", SLICE("</arg_value>"), "\"\"");
        buf_puts(out, "marked ::= \"<tool_call>\" call \"</tool_call>\"");
        break;
    default:
        buf_puts(out, one ? "marked\n" : "marked (\"\\n\" marked)*\n");
        buf_puts(out, "marked ::= \"<tool_call>\\n\" call \"\\n</tool_call>\"");
    }
    buf_putc(out, '\n');
}

static void put_thought(struct buf *out, enum answer_thinks thinks, struct think_marks marks, const char *behind) {
    buf_puts(out, "think ::= ");
    if (thinks == ANSWER_MAY_THINK) {
        buf_putc(out, '(');
        gbnf_put_literal(out, marks.open);
        buf_puts(out, " t0)?\n");
    } else {
        buf_puts(out, "t0\n");
    }
    put_up_to(out, "t", marks.close, behind);
}

static void put_root(struct writing *w) {
    static const struct think_marks analysis = { { "<|channel|>analysis<|message|>", 30 }, { "<|end|>", 7 } };
    const struct answer_shape *s = w->s;
    struct buf *out = w->out;
    bool text = s->object || s->schema != JSON_NONE, calls = s->tool_count > 0;
    bool channels = s->calls.form == CALLS_HARMONY;
    bool thinks = s->thinks != ANSWER_THINKS_NOT && (channels || s->marks.close.len > 1);
    buf_puts(out, thinks ? "root ::= think answer\n" : "root ::= answer\n");
    if (thinks && channels) put_thought(out, s->thinks, analysis, "\"<|start|>assistant\"");
    else if (thinks) put_thought(out, s->thinks, s->marks, "[ \\n]{0,4}");
    buf_puts(out, "answer ::= ");
    if (text && !s->calls_only) {
        if (channels) buf_puts(out, "\"<|channel|>final<|message|>\" ");
        if (s->object) buf_puts(out, "object");
        else buf_printf(out, "v%u", s->tool_count);
        if (calls) buf_puts(out, " | calls");
    } else {
        buf_puts(out, "calls");
    }
    buf_putc(out, '\n');
    if (calls) put_calls(w);
}

int answer_grammar(const struct answer_shape *s, struct buf *out, struct gbnf_error *err) {
    struct writing w = { .s = s, .out = out };
    size_t before = out->len;
    *err = (struct gbnf_error){ .keyword = "" };
    for (unsigned i = 0; i < s->tool_count; i++) add_schema(&w, s->tools[i].parameters);
    if (s->schema != JSON_NONE) add_schema(&w, s->schema);
    if (!buf_failed(out)) put_root(&w);
    /* What is wrong inside of an argument is told of its tool: its schema is in the tool's, which comes first. */
    int rc = buf_failed(out) ? out->error : gbnf_from_schemas(s->doc, w.nodes, w.count, s->tool_count,
                                                             out, err);
    if (rc == 0 && buf_failed(out)) rc = out->error;
    if (rc != 0) out->len = before;
    mem_free(w.nodes);
    return rc;
}
