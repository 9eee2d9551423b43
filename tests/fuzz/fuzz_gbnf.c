/* fuzz_gbnf.c -- a schema becomes a grammar, the same one each time, or a keyword and its place are named. */
#include "fuzz.h"

#include <string.h>

#include "base/mem.h"
#include "include/perilune.h"
#include "local/gbnf.h"

const char *const fuzz_tokens[] = {
    "{", "}", "[", "]", ",", ":", "true", "false", "null", "1", "0", "-3", "2.5", "300", "1e30", "{\"type\":", "\"object\"",
    "\"string\"", "\"integer\"", "\"number\"", "\"array\"", "\"null\"", "\"properties\":{", "\"a\":", "\"b\":{", "\"required\":[\"a\"]",
    "\"additionalProperties\":", "\"items\":", "\"prefixItems\":[", "\"minItems\":", "\"maxItems\":", "\"minLength\":",
    "\"maxLength\":", "\"pattern\":\"", "^[a-z]+$", "(a|b)", "{2,3}", "\\\\d", "\\\\w", "[^x]", "\"format\":\"date\"", "\"enum\":[",
    "\"const\":", "\"anyOf\":[", "\"oneOf\":[", "\"allOf\":[", "\"$ref\":\"#\"", "\"$ref\":\"#/properties/a\"", "\"$defs\":{",
    "\"minimum\":", "\"maximum\":", "\"exclusiveMinimum\":", "\"nullable\":true", "\"not\":{}", "\"\xe4\xbd\xa0\"", NULL
};

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
    } else {
        ORACLE(rc == PERILUNE_ERR_INVAL || rc == PERILUNE_ERR_LIMITED);
        ORACLE(buf_len(&a) == 0 && err.keyword[0] != '\0' && err.message[0] != '\0');
    }
    buf_deinit(&a);
    buf_deinit(&b);
    json_deinit(&doc);
    return 0;
}
