/* test_err_body.c -- what upstreams say when they fail, in all the shapes they have for it. */
#include "base/err_body.h"

#include <stdio.h>

#include "unit.h"

/* "400 invalid_request_error code=c param=p retry: message" of an answer with this status and body. */
static const char *told(int status, const char *body) {
    static char text[600];
    struct failure f;
    failure_init(&f);
    err_body_status(&f, status);
    err_body_add(&f, slice_str(body));
    snprintf(text, sizeof(text), "%d %s %s %s%s%s", f.status, f.type, f.code, f.param, f.retryable ? "* " : "| ", f.message);
    failure_deinit(&f);
    return text;
}

#define SAYS(status, body, expected) CHECK_STR(told(status, body), expected)

TEST(the_shapes_of_an_error) {
    SAYS(400, "{\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\"param\":\"messages\",\"code\":\"context_length_exceeded\"}}",
         "400 invalid_request_error context_length_exceeded messages| the upstream answered 400: too long");
    SAYS(404, "{\"error\":\"model 'x' not found\"}", "404 invalid_request_error upstream_status | the upstream answered 404: model 'x' not found");
    SAYS(400, "{\"object\":\"error\",\"message\":\"no n\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
         "400 BadRequestError upstream_status | the upstream answered 400: no n");
    SAYS(422, "{\"object\":\"error\",\"message\":{\"detail\":[{\"type\":\"extra_forbidden\",\"loc\":[\"body\",\"stream_options\"],\"msg\":\"Extra inputs\"}]}}",
         "422 invalid_request_error upstream_status stream_options| the upstream answered 422: stream_options: Extra inputs");
    SAYS(403, "{\"detail\":\"Not a member\"}", "403 permission_error upstream_status | the upstream answered 403: Not a member");
    SAYS(422, "{\"detail\":[{\"loc\":[\"body\",\"messages\",0,\"role\"],\"msg\":\"field required\",\"type\":\"missing\"},"
              "{\"loc\":[\"body\",\"model\"],\"msg\":\"no\"},{\"loc\":[],\"msg\":\"c\"},{\"loc\":[],\"msg\":\"not told\"}]}",
         "422 invalid_request_error upstream_status messages.0.role| the upstream answered 422: "
         "messages.0.role: field required; model: no; c");
    SAYS(401, "{\"message\":\"no such key\"}", "401 authentication_error upstream_status | the upstream answered 401: no such key");
    SAYS(400, "[{\"error\":{\"code\":400,\"message\":\"bad\",\"status\":\"INVALID_ARGUMENT\"}}]",
         "400 invalid_request_error upstream_status | the upstream answered 400: bad");
    SAYS(404, "\xEF\xBB\xBF{\"error\":\"gone\"}", "404 invalid_request_error upstream_status | the upstream answered 404: gone");
    SAYS(529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
         "503 overloaded_error upstream_status * the upstream answered 529: Overloaded");
}

TEST(what_is_no_json) {
    SAYS(413, "<html><head><title>413 Request Entity Too Large</title></head><body>nginx on gpu-7.internal</body></html>",
         "413 invalid_request_error upstream_status | the upstream answered 413: 413 Request Entity Too Large");
    SAYS(502, "<!DOCTYPE html><H1>\n Bad Gateway </H1>", "502 upstream_error upstream_status * the upstream answered 502: Bad Gateway");
    SAYS(403, "<p>gpu-7.internal</p>", "403 permission_error upstream_status | the upstream answered 403");
    SAYS(404, " \nno such path\n at gpu-7", "404 invalid_request_error upstream_status | the upstream answered 404: no such path");
    SAYS(400, "a\x1b[2Jb", "400 invalid_request_error upstream_status | the upstream answered 400: a?[2Jb");
    SAYS(400, "", "400 invalid_request_error upstream_status | the upstream answered 400");
    SAYS(400, "{\"a\":[{},{}]}", "400 invalid_request_error upstream_status | the upstream answered 400");
    SAYS(400, "null", "400 invalid_request_error upstream_status | the upstream answered 400");
    SAYS(400, "\xff\xfe", "400 invalid_request_error upstream_status | the upstream answered 400");
    SAYS(400, "{\"error\":{\"error\":{\"error\":{\"error\":{\"error\":\"too deep\"}}}}}", "400 invalid_request_error upstream_status | the upstream answered 400");
}

static bool names_options(const char *body) {
    static const char *const words[] = { "stream_options", "include_usage" };
    return err_body_names(slice_str(body), words, 2);
}

TEST(which_field_is_at_fault) {
    CHECK(names_options("{\"error\":{\"message\":\"Unrecognized: stream_options\",\"param\":null}}"));
    CHECK(names_options("{\"detail\":[{\"loc\":[\"body\",\"stream_options\",\"include_usage\"],\"msg\":\"no\"}]}"));
    CHECK(names_options("{\"error\":{\"message\":\"no\",\"param\":\"stream_options\"}}"));
    CHECK(names_options("unknown field include_usage"));
    CHECK(!names_options("{\"error\":{\"message\":\"bad user (beside stream_options)\",\"param\":\"user\"}}"));
    CHECK(!names_options("{\"error\":{\"message\":\"too long\"}}"));
    CHECK(!names_options(""));
}

TEST(long_words_are_cut_at_a_character) {
    char body[700] = "{\"error\":\"";
    for (int i = 0; i < 200; i++) strcat(body, "\xe2\x82\xac"); /* 299 bytes fit: 99 of them */
    strcat(body, "\"}");
    const char *got = told(400, body);
    CHECK_UINT(utf8_valid_prefix(slice_str(got)), strlen(got));
    CHECK(strlen(got) > 297);
}

TEST(money_is_not_retried) {
    SAYS(429, "{\"error\":{\"message\":\"slow down\"}}", "429 rate_limit_error rate_limit_exceeded * the upstream answered 429: slow down");
    SAYS(429, "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_quota\"}}",
         "429 insufficient_quota insufficient_quota | the upstream answered 429: m");
    SAYS(429, "{\"error\":{\"message\":\"m\",\"code\":\"billing_hard_limit_reached\"}}",
         "429 rate_limit_error billing_hard_limit_reached | the upstream answered 429: m");
    SAYS(503, "{\"error\":{\"message\":\"m\",\"type\":\"billing_not_active\"}}", "503 billing_not_active insufficient_quota | the upstream answered 503: m");
}

TEST_NOFAULT(what_a_status_means) {
    static const struct { int status, ours; bool retryable; } all[] = {
        { 301, 502, false }, { 400, 400, false }, { 402, 402, false }, { 408, 408, true }, { 409, 409, true }, { 425, 425, true },
        { 429, 429, true }, { 499, 499, false }, { 500, 502, true }, { 501, 502, false },
        { 505, 502, false }, { 520, 502, true }, { 503, 503, true }, { 504, 504, true }, { 529, 503, true },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct failure f;
        failure_init(&f);
        err_body_status(&f, all[i].status);
        NOTE("%d", all[i].status);
        CHECK_INT(f.status, all[i].ours);
        CHECK_INT(f.retryable, all[i].retryable);
        failure_deinit(&f);
    }
}

/* The same for a document that came with 200; "" when it is no error. */
static const char *found(const char *text, bool named) {
    static char out[600];
    struct failure f;
    struct json_doc d = { .nodes = NULL };
    failure_init(&f);
    out[0] = '\0';
    CHECK_INT(json_parse(&d, slice_str(text), &(struct json_error){ 0 }), 0);
    if (err_body_inside(&f, &d, named))
        snprintf(out, sizeof(out), "%d %s %s%s%s", f.status, f.type, f.code, f.retryable ? "* " : " | ", f.message);
    json_deinit(&d);
    failure_deinit(&f);
    return out;
}

TEST(an_error_inside_an_answer) {
    CHECK_STR(found("{\"error\":{\"code\":400,\"message\":\"no\"}}", false), "400 invalid_request_error upstream_stream_error | no");
    CHECK_STR(found("{\"error\":{\"code\":\"429\",\"message\":\"no\"}}", false), "429 rate_limit_error rate_limit_exceeded* no");
    CHECK_STR(found("{\"error\":{\"code\":401,\"message\":\"no\"}}", false), "401 authentication_error upstream_stream_error | no");
    CHECK_STR(found("{\"object\":\"error\",\"message\":\"no\",\"type\":\"BadRequestError\",\"code\":400}", false),
              "400 BadRequestError upstream_stream_error | no");
    CHECK_STR(found("{\"error\":{\"code\":503,\"message\":\"no\"}}", false), "503 upstream_error upstream_stream_error* no");
    CHECK_STR(found("{\"error\":{\"message\":\"no\",\"type\":\"overloaded_error\"}}", false), "503 overloaded_error upstream_stream_error* no");
    CHECK_STR(found("{\"error\":{\"message\":\"no\",\"type\":\"insufficient_quota\"}}", false), "429 insufficient_quota insufficient_quota | no");
    CHECK_STR(found("{\"error\":{\"message\":\"no\",\"type\":\"server_error\",\"code\":\"boom\"}}", false), "502 server_error boom* no");
    CHECK_STR(found("{\"error\":\"busy\"}", false), "502 upstream_error upstream_stream_error* busy");
    CHECK_STR(found("{\"error\":{}}", false), "502 upstream_error upstream_stream_error* the upstream sent an error in its answer");
    CHECK_STR(found("{\"error\":null,\"object\":\"chat.completion\"}", false), "");
    CHECK_STR(found("{\"error\":\"\",\"choices\":[]}", false), "");
    CHECK_STR(found("{\"error\":false}", false), "");
    CHECK_STR(found("{\"error\":{},\"choices\":[]}", false), "");
    CHECK_STR(found("{\"error\":[],\"choices\":[]}", false), "");
    CHECK_STR(found("{\"x\":{\"error\":{\"message\":\"no\"}}}", false), "");
    CHECK_STR(found("[\"error\"]", false), "");
    CHECK_STR(found("{\"message\":\"no\",\"code\":404}", true), "404 invalid_request_error upstream_stream_error | no");
    CHECK_STR(found("\"no\"", true), "502 upstream_error upstream_stream_error* no");
}

/* Servers that answer 200 whatever happens, and put no `error` around what they say (Zhipu, DashScope, MiniMax, Baidu,
 * FastAPI behind a proxy). */
TEST(an_error_inside_an_answer_without_a_word_for_it) {
    CHECK_STR(found("{\"code\":429,\"message\":\"slow\"}", false), "429 rate_limit_error rate_limit_exceeded* slow");
    CHECK_STR(found("{\"message\":\"none\",\"status\":404}", false), "404 invalid_request_error upstream_stream_error | none");
    CHECK_STR(found("{\"code\":500,\"msg\":\"no\",\"success\":false,\"data\":null}", false), "502 upstream_error upstream_stream_error* no");
    CHECK_STR(found("{\"code\":1302,\"msg\":\"no\",\"success\":false}", false), "502 upstream_error upstream_stream_error* no");
    CHECK_STR(found("{\"code\":\"InvalidApiKey\",\"message\":\"no\",\"request_id\":\"r\"}", false), "401 authentication_error InvalidApiKey | no");
    CHECK_STR(found("{\"error_code\":336003,\"error_msg\":\"no\",\"id\":\"x\"}", false), "502 upstream_error upstream_stream_error* no");
    CHECK_STR(found("{\"choices\":null,\"base_resp\":{\"status_code\":1008,\"status_msg\":\"no\"}}", false), "502 upstream_error upstream_stream_error* no");
    CHECK_STR(found("{\"detail\":\"no\"}", false), "502 upstream_error upstream_stream_error* no");
    CHECK_STR(found("{\"errors\":[{\"message\":\"no\",\"code\":400}]}", false), "400 invalid_request_error upstream_stream_error | no");
    CHECK_STR(found("{\"status\":\"error\",\"message\":\"no\"}", false), "502 upstream_error upstream_stream_error* no");
    CHECK_STR(found("{\"success\":false,\"message\":\"no\"}", false), "502 upstream_error upstream_stream_error* no");
    CHECK_STR(found("{\"error\":{\"code\":429.0,\"message\":\"no\"}}", false), "429 rate_limit_error rate_limit_exceeded* no");
    /* These say how it went, or are something else. */
    CHECK_STR(found("{\"code\":0,\"msg\":\"ok\"}", false), "");
    CHECK_STR(found("{\"code\":200,\"msg\":\"ok\",\"success\":true}", false), "");
    CHECK_STR(found("{\"code\":\"Success\",\"message\":\"ok\"}", false), "");
    CHECK_STR(found("{\"choices\":[],\"base_resp\":{\"status_code\":0,\"status_msg\":\"\"}}", false), "");
    CHECK_STR(found("{\"choices\":[{}],\"code\":500,\"message\":\"x\"}", false), "");
    CHECK_STR(found("{\"data\":[{\"embedding\":[1]}],\"code\":500,\"message\":\"x\"}", false), "");
    CHECK_STR(found("{\"message\":{\"role\":\"assistant\",\"content\":\"x\"},\"status\":500}", false), "");
    CHECK_STR(found("{\"message\":\"hello\"}", false), "");
    CHECK_STR(found("{\"code\":400}", false), "");
    CHECK_STR(found("{}", false), "");
}

TEST(a_body_that_clients_can_read) {
    CHECK(err_body_is_openai(SLICE("{\"error\":{\"message\":\"m\",\"code\":7}}")));
    CHECK(!err_body_is_openai(SLICE("{\"error\":\"m\"}")));
    CHECK(!err_body_is_openai(SLICE("{\"error\":{\"message\":null}}")));
    CHECK(!err_body_is_openai(SLICE("{\"detail\":\"m\"}")));
    CHECK(!err_body_is_openai(SLICE("<html>")));
}
