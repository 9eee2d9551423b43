/* fuzz_gbnf.c -- a schema becomes a grammar that can be followed, the same one each time, or a keyword and its place
 * are named. */
#include "fuzz.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/gbnf.h"
#include "local/grammar.h"

const char *const fuzz_tokens[] = {
    "{", "}", "[", "]", ",", ":", "true", "false", "null", "1", "0", "-3", "2.5", "300", "1e30", "{\"type\":", "\"object\"",
    "\"string\"", "\"integer\"", "\"number\"", "\"array\"", "\"null\"", "\"properties\":{", "\"a\":", "\"b\":{", "\"required\":[\"a\"]",
    "\"additionalProperties\":", "\"items\":", "\"prefixItems\":[", "\"minItems\":", "\"maxItems\":", "\"minLength\":",
    "\"maxLength\":", "\"pattern\":\"", "^[a-z]+$", "(a|b)", "[ -~]", "[\\n\\\\]", "{2,3}", "\\\\d", "\\\\w", "[^x]", "\"format\":\"date\"", "\"enum\":[",
    "\"const\":", "\"anyOf\":[", "\"oneOf\":[", "\"allOf\":[", "\"$ref\":\"#\"", "\"$ref\":\"#/properties/a\"", "\"$defs\":{",
    "\"minimum\":", "\"maximum\":", "\"exclusiveMinimum\":", "\"nullable\":true", "\"not\":{}", "\"\xe4\xbd\xa0\"", NULL
};

/* No grammar of ours is none; one may be too large, or leave too many ways open. */
static void follow(struct buf *text) {
    static const char *const said[] = { "{", "\"a\":", "[", "1", "\"x", "\xe4", "\xbd\xa0", "}", "]", "true" };
    struct grammar *g;
    struct matcher m;
    char why[400];
    buf_putc(text, '\0');
    int rc = grammar_new(&g, text->data, why, sizeof(why));
    ORACLE(rc == 0 || rc == PERILUNE_ERR_LIMITED);
    if (rc == 0 && (rc = matcher_init(&m, g)) != 0) grammar_put(g);
    ORACLE(rc == 0 || rc == PERILUNE_ERR_LIMITED);
    for (unsigned i = 0; rc == 0 && i < 40; i++) {
        struct slice s = slice_str(said[i * 7 % 10]);
        int may = matcher_allows(&m, s);
        ORACLE(may == 0 || may == 1 || may == PERILUNE_ERR_LIMITED);
        if (may == 1) ORACLE(matcher_accept(&m, s) == 0);
    }
    if (rc == 0) matcher_deinit(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct json_doc doc = { .nodes = NULL };
    struct json_error json;
    struct gbnf_error err;
    struct buf a, b;
    if (json_parse(&doc, slice_of((const char *)data, size), &json) != 0) return 0;
    buf_init(&a, 0);
    buf_init(&b, 0);
    int rc = gbnf_from_schema(&doc, 0, &a, &err);
    ORACLE(rc == gbnf_from_schema(&doc, 0, &b, &err));
    ORACLE(slice_eq(buf_get(&a), buf_get(&b)));
    if (rc == 0) {
        ORACLE(slice_starts(buf_get(&a), SLICE("root ::= space v0\n")));
        ORACLE(utf8_valid_prefix(buf_get(&a)) == buf_len(&a));
        follow(&b);
    } else {
        ORACLE(rc == PERILUNE_ERR_INVAL || rc == PERILUNE_ERR_LIMITED);
        ORACLE(buf_len(&a) == 0 && err.keyword[0] != '\0' && err.message[0] != '\0');
    }
    buf_deinit(&a);
    buf_deinit(&b);
    json_deinit(&doc);
    return 0;
}
