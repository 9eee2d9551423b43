/* fuzz_jinja.c -- a template is either refused with its line, or renders a conversation within its bounds: the
 * same text each time, UTF-8, or nothing and a reason. */
#include "fuzz.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/jinja.h"

const char *const fuzz_tokens[] = {
    "{{ ", " }}", "{% ", " %}", "{%- ", " -%}", "{# ", " #}", "if ", "elif ", "else", "endif", "for m in messages", "endfor",
    "set x = ", "endset", "macro f(a, b=1)", "endmacro", "filter upper", "endfilter", "raw", "endraw", "break", "continue",
    "messages", "tools", "s", "n", "loop.index", "loop.last", "m.role", "m['content']", "namespace(a=1)", "ns.a", "range(3)",
    "|trim", "|tojson", "|tojson(indent=2)", "|length", "|join(', ')", "|default('x')", "|selectattr('role')", "|map('upper')",
    "|sort", "|unique", "|list", "|first", "|items", "|replace('a', 'b')", "|indent(2)", "|int", "|from_json", ".split('a')",
    ".items()", ".strip()", ".get('a')", ".append(x)", ".pop()", ".format(x)", " is defined", " is not none", " is string",
    " is in ", " not in ", " and ", " or ", " not ", "[1:]", "[::-1]", "[0]", " ~ ", " + ", " * ", " // ", " % ", " ** ", "(", ")",
    "[", "]", "{", "}", ",", ":", "'a'", "\"b\"", "'%s'", "'{}'", "1", "0", "-1", "9223372036854775807", "1.5", "true", "none",
    "\n", "  ", "\xe4\xbd\xa0", "raise_exception('x')", "f(x)", NULL
};

static const char vars[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\" a\\nb \"},{\"role\":\"user\",\"content\":\"\\u4f60\\u597d\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,true]}}}]}],"
    "\"tools\":[{\"type\":\"function\"}],\"s\":\"text a\",\"n\":7,\"x\":[3,1,2]}";

static int run(const struct jinja *t, struct jinja_var *list, unsigned len, struct buf *out, struct jinja_error *err) {
    struct jinja_input in = { .vars = list, .len = len, .now = 1, .limits = { 20000, 1 << 20, 65536 } };
    buf_clear(out);
    return jinja_render(t, &in, out, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error json;
    struct jinja_var list[8];
    struct jinja_error err, again;
    struct jinja *t;
    struct buf a, b;
    unsigned len = 0;
    struct slice text = slice_of((const char *)data, size);
    int rc = jinja_new(&t, text, &err);
    if (rc != 0) {
        ORACLE(t == NULL && rc == PERILUNE_ERR_INVAL && err.message[0] != '\0');
        ORACLE(err.line > 0 || utf8_valid_prefix(text) != size || size > JINJA_MAX_TEXT);
        return 0;
    }
    ORACLE(json_parse(&doc, slice_str(vars), &json) == 0);
    for (uint32_t k = json_first(&doc, 0), v; k != JSON_NONE; k = json_next(&doc, 0, v)) {
        v = json_next(&doc, 0, k);
        list[len++] = (struct jinja_var){ .name = json_plain(&doc, k), .type = JINJA_VAR_JSON, .doc = &doc, .node = v };
    }
    buf_init(&a, 0);
    buf_init(&b, 0);
    rc = run(t, list, len, &a, &err);
    ORACLE(rc == run(t, list, len, &b, &again));
    ORACLE(slice_eq(buf_get(&a), buf_get(&b)) && utf8_valid_prefix(buf_get(&a)) == buf_len(&a));
    ORACLE(rc == 0 || rc == PERILUNE_ERR_INVAL || rc == PERILUNE_ERR_LIMITED);
    /* raise_exception() may say nothing. */
    ORACLE(rc == 0 || (buf_len(&a) == 0 && err.line > 0 && (err.raised || err.message[0] != '\0')));
    buf_deinit(&a);
    buf_deinit(&b);
    json_deinit(&doc);
    jinja_free(t);
    return 0;
}
