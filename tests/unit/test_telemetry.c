/* test_telemetry.c -- requests by route, upstream and model, within bounds. */
#include "gateway/telemetry.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "unit.h"

static const char *const policies[] = { "auth_keys", "routes[1].policies[2]" };

static struct request_facts facts(const char *route, const char *upstream, const char *model, const char *code) {
    return (struct request_facts){ .tenant = "", .degraded = SLICE(""), .route = route, .upstream = upstream, .model = slice_str(model),
                                   .model_listed = true, .status = code[0] ? 502 : 200, .code = code,
                                   .policies = policies, .policy_count = 2, .tries = 3, .retries = 1, .fallbacks = 1,
                                   .usage = { .known = true, .prompt = 100, .completion = 20, .cached = 30 },
                                   .usd = 0.0000025, .ttft_us = 150, .total_us = 300 };
}

static bool says(const struct telemetry *t, const char *line) {
    struct buf out;
    buf_init(&out, 0);
    telemetry_write(t, &out);
    const char *text = buf_cstr(&out), *at = text ? strstr(text, line) : NULL;
    if (at == NULL) NOTE("%s is not in\n%s", line, text ? text : "(no memory)");
    bool yes = at != NULL && at[strlen(line)] == '\n';
    buf_deinit(&out);
    return yes;
}

static struct telemetry *new_table(void) {
    struct telemetry *t = mem_zalloc(sizeof(*t));
    CHECK(t != NULL);
    return t;
}

TEST_NOFAULT(a_request_is_counted_everywhere) {
    struct telemetry *t = new_table();
    struct request_facts f = facts("/v1/*", "big", "gpt", "");
    telemetry_count(t, &f);
    f.code = "upstream_reset";
    telemetry_count(t, &f);
    CHECK(says(t, "perilune_errors_total{error_type=\"upstream_reset\"} 1"));
    CHECK(says(t, "perilune_route_requests_total{route=\"/v1/*\",upstream=\"big\",model=\"gpt\",code=\"ok\"} 1"));
    CHECK(says(t, "perilune_route_requests_total{route=\"/v1/*\",upstream=\"big\",model=\"gpt\",code=\"upstream_reset\"} 1"));
    CHECK(says(t, "perilune_tokens_total{route=\"/v1/*\",upstream=\"big\",model=\"gpt\",type=\"cached\"} 60"));
    CHECK(says(t, "perilune_usd_total{route=\"/v1/*\",upstream=\"big\",model=\"gpt\"} 0.000005000"));
    CHECK(says(t, "perilune_retries_total{route=\"/v1/*\",upstream=\"big\",model=\"gpt\"} 2"));
    CHECK(says(t, "perilune_fallbacks_total{route=\"/v1/*\",upstream=\"big\",model=\"gpt\"} 2"));
    CHECK(says(t, "perilune_time_to_first_token_seconds_count{route=\"/v1/*\",upstream=\"big\",model=\"gpt\"} 2"));
    CHECK(says(t, "perilune_request_duration_seconds_bucket{route=\"/v1/*\",upstream=\"big\",model=\"gpt\",le=\"0.0005\"} 2"));
    CHECK(says(t, "perilune_policy_requests_total{policy=\"auth_keys\",code=\"ok\"} 1"));
    CHECK(says(t, "perilune_policy_requests_total{policy=\"routes[1].policies[2]\",code=\"upstream_reset\"} 1"));
    mem_free(t);
}

TEST_NOFAULT(labels_cannot_be_left) {
    struct telemetry *t = new_table();
    struct request_facts f = facts("", "a\"b\\c", "x\ny\x01z", "");
    telemetry_count(t, &f);
    CHECK(says(t, "perilune_route_requests_total{route=\"\",upstream=\"a\\\"b\\\\c\",model=\"x\\ny?z\",code=\"ok\"} 1"));
    mem_free(t);
}

static uint64_t all_requests(const struct telemetry *t) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < t->row_count; i++)
        for (unsigned c = 0; c < TELEMETRY_CODES; c++) sum += stats_get(&t->rows[i].by_code[c]);
    return sum;
}

TEST_NOFAULT(tables_are_bounded_and_nothing_is_lost) {
    struct telemetry *t = new_table();
    char name[200];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%s-%d", i % 3 ? "n" : "a name that is much longer than any field of a row may be, so that it is cut", i);
        struct request_facts f = facts(i % 2 ? name : "/r", i % 5 ? "up" : name, name, i % 7 ? "" : name);
        telemetry_count(t, &f);
    }
    CHECK(t->row_count <= TELEMETRY_ROWS && t->code_count == TELEMETRY_CODES && t->policy_count == 2);
    CHECK_UINT(all_requests(t), 1000);
    CHECK_STR(t->rows[t->row_count - 1].route, "other");
    CHECK_STR(t->codes[TELEMETRY_CODES - 1], "other");

    struct telemetry *sum = new_table(); /* of a full one and another one that has other names */
    struct telemetry *small = new_table();
    struct request_facts f = facts("/new", "new", "new", "new_code");
    telemetry_count(small, &f);
    telemetry_merge(sum, small);
    telemetry_merge(sum, t);
    telemetry_merge(sum, t);
    CHECK_UINT(all_requests(sum), 2001);
    CHECK(says(sum, "perilune_errors_total{error_type=\"new_code\"} 1"));
    mem_free(small);
    mem_free(sum);
    mem_free(t);
}

TEST_NOFAULT(made_up_models_take_no_rows) {
    struct telemetry *t = new_table();
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "made-up-%d", i);
        struct request_facts f = facts("/r", "up", name, "model_not_found");
        f.model_listed = false;
        telemetry_count(t, &f);
    }
    CHECK_UINT(t->row_count, 1);
    struct request_facts f = facts("/r", "up", "real", "");
    f.model_listed = false; /* but it was answered */
    telemetry_count(t, &f);
    CHECK(says(t, "perilune_route_requests_total{route=\"/r\",upstream=\"up\",model=\"other\",code=\"model_not_found\"} 500"));
    CHECK(says(t, "perilune_route_requests_total{route=\"/r\",upstream=\"up\",model=\"real\",code=\"ok\"} 1"));
    mem_free(t);
}

TEST_NOFAULT(tenants_are_told_apart_up_to_a_number) {
    struct telemetry *t = new_table(), *sum = new_table();
    char name[200];
    struct request_facts f = facts("/r", "up", "m", "");
    telemetry_count(t, &f); /* nobody's */
    CHECK_UINT(t->tenant_count, 0);
    f.tenant = "ac\"me";
    telemetry_count(t, &f);
    f.code = "upstream_reset";
    telemetry_count(t, &f);
    CHECK(says(t, "perilune_tenant_requests_total{tenant=\"ac\\\"me\"} 2"));
    CHECK(says(t, "perilune_tenant_tokens_total{tenant=\"ac\\\"me\",type=\"input\"} 200"));
    CHECK(says(t, "perilune_tenant_tokens_total{tenant=\"ac\\\"me\",type=\"output\"} 40"));
    CHECK(says(t, "perilune_tenant_tokens_total{tenant=\"ac\\\"me\",type=\"cached\"} 60"));
    CHECK(says(t, "perilune_tenant_cost_usd_total{tenant=\"ac\\\"me\"} 0.000005000"));
    CHECK(says(t, "perilune_tenant_errors_total{tenant=\"ac\\\"me\",error_type=\"upstream_reset\"} 1"));
    CHECK(says(t, "perilune_tenant_request_duration_seconds_count{tenant=\"ac\\\"me\"} 2"));
    CHECK(says(t, "perilune_tenant_request_duration_seconds_bucket{tenant=\"ac\\\"me\",le=\"0.00025\"} 0"));
    CHECK(says(t, "perilune_tenant_time_to_first_token_seconds_bucket{tenant=\"ac\\\"me\",le=\"0.00025\"} 2"));
    for (int i = 1; i < 64; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        f.tenant = name;
        telemetry_count(t, &f);
    }
    CHECK(says(t, "perilune_tenant_requests_total{tenant=\"t63\"} 1"));
    for (int i = 64; i < 1000; i++) {
        snprintf(name, sizeof(name), "t%d-%0150d", i, 0);
        f.tenant = name;
        telemetry_count(t, &f);
    }
    CHECK(says(t, "perilune_tenant_requests_total{tenant=\"other\"} 936"));
    telemetry_merge(sum, t);
    telemetry_merge(sum, t);
    CHECK(says(sum, "perilune_tenant_requests_total{tenant=\"other\"} 1872"));
    CHECK(says(sum, "perilune_tenant_requests_total{tenant=\"t63\"} 2"));
    CHECK(says(sum, "perilune_tenant_cost_usd_total{tenant=\"t63\"} 0.000005000"));
    mem_free(sum);
    mem_free(t);
}

TEST_NOFAULT(answers_that_a_policy_stood_in_for) {
    struct telemetry *t = new_table(), *sum = new_table();
    struct request_facts f = facts("/r", "up", "m", "");
    f.degraded = SLICE("canned");
    telemetry_count(t, &f);
    f.degraded = SLICE(" auth_keys , canned,,");
    telemetry_count(t, &f);
    telemetry_merge(sum, t);
    CHECK(says(sum, "perilune_degraded_total{policy=\"canned\"} 2"));
    CHECK(says(sum, "perilune_degraded_total{policy=\"auth_keys\"} 1"));
    mem_free(sum);
    mem_free(t);
}
