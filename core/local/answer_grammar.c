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
 * Invariants: rules of schemas are called v0, v1 ... (tools), then that of the text.
 *
 * Thread: any. */
#include "local/answer_grammar.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"

static void put_text(struct buf *out, const char *text) { gbnf_put_literal(out, slice_str(text)); }

/* -- One call ------------------------------------------------------------------------------- */

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

static void put_call(struct buf *out, const struct answer_shape *s, unsigned i) {
    struct slice name = s->tools[i].name;
    switch (s->calls.form) {
    case CALLS_LLAMA3: put_json_call(out, name, i, "parameters"); break;
    case CALLS_MISTRAL:
        if (s->calls.newer) put_named_call(out, name, i, "", "[ARGS]", "");
        else put_json_call(out, name, i, "arguments");
        break;
    case CALLS_DEEPSEEK:
        if (s->calls.newer)
            put_named_call(out, name, i, "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>",
                           "<｜tool▁call▁end｜>");
        else put_named_call(out, name, i, "<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```json\n",
                            "\n```<｜tool▁call▁end｜>");
        break;
    default: put_json_call(out, name, i, "arguments");
    }
}

/* -- All of them ------------------------------------------------------------------------------ */

static void put_calls(struct buf *out, const struct answer_shape *s) {
    bool one = s->one_call;
    buf_puts(out, "call ::= ");
    for (unsigned i = 0; i < s->tool_count; i++) {
        if (i > 0) buf_puts(out, " | ");
        put_call(out, s, i);
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
    default:
        buf_puts(out, one ? "marked\n" : "marked (\"\\n\" marked)*\n");
        buf_puts(out, "marked ::= \"<tool_call>\\n\" call \"\\n</tool_call>\"");
    }
    buf_putc(out, '\n');
}

/* Anything up to the closing mark, letter by letter: rule tI has seen its first I letters.  Marks have their first
 * letter nowhere else, so a letter that does not go on is the beginning of another mark, or of none. */
static void put_thought(struct buf *out, const struct answer_shape *s) {
    struct slice close = s->marks.close;
    unsigned first = (unsigned char)close.ptr[0];
    if (s->thinks == ANSWER_MAY_THINK) {
        buf_puts(out, "think ::= (");
        gbnf_put_literal(out, s->marks.open);
        buf_puts(out, " t0)?\n");
    } else {
        buf_puts(out, "think ::= t0\n");
    }
    for (unsigned i = 0; i < close.len; i++) {
        unsigned c = (unsigned char)close.ptr[i];
        buf_printf(out, "t%u ::= [^\\x%02X\\x%02X] t0 | \"\\x%02X\" t%u", i, first, c, c, i + 1);
        if (i > 0) buf_printf(out, " | \"\\x%02X\" t1", first);
        buf_putc(out, '\n');
    }
    buf_printf(out, "t%zu ::= [ \\n]{0,4}\n", close.len);
}

static void put_root(struct buf *out, const struct answer_shape *s) {
    bool text = s->object || s->schema != JSON_NONE, calls = s->tool_count > 0;
    bool thinks = s->thinks != ANSWER_THINKS_NOT && s->marks.close.len > 1;
    buf_puts(out, thinks ? "root ::= think answer\n" : "root ::= answer\n");
    if (thinks) put_thought(out, s);
    buf_puts(out, "answer ::= ");
    if (text && !s->calls_only) {
        if (s->object) buf_puts(out, "object");
        else buf_printf(out, "v%u", s->tool_count);
        if (calls) buf_puts(out, " | calls");
    } else {
        buf_puts(out, "calls");
    }
    buf_putc(out, '\n');
    if (calls) put_calls(out, s);
}

int answer_grammar(const struct answer_shape *s, struct buf *out, struct gbnf_error *err) {
    uint32_t nodes[ANSWER_TOOLS + 1];
    unsigned count = 0;
    size_t before = out->len;
    for (unsigned i = 0; i < s->tool_count; i++) nodes[count++] = s->tools[i].parameters;
    if (s->schema != JSON_NONE) nodes[count++] = s->schema;
    put_root(out, s);
    int rc = gbnf_from_schemas(s->doc, nodes, count, out, err);
    if (rc == 0 && buf_failed(out)) rc = out->error;
    if (rc != 0) out->len = before;
    return rc;
}
