/* test_limit_far.c -- what can be told of shared limits without a server; tests/redis/ has the rest. */
#include "unit.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "request/limit_far.h"
#include "request/reserved.h"
#include "sched/limit_script.h"

TEST_NOFAULT(the_hash_is_that_of_the_script) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char hex[41] = "";
    CHECK(EVP_Digest(LIMIT_SCRIPT, sizeof(LIMIT_SCRIPT) - 1, digest, &len, EVP_sha1(), NULL) == 1);
    CHECK_INT((int)len, 20);
    for (unsigned i = 0; i < 20; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    CHECK_STR(hex, LIMIT_SCRIPT_SHA1);
}

TEST(the_dearest_price_stands_for_one_that_is_not_known) {
    struct price_list *p = price_list_new();
    CHECK(p != NULL);
    CHECK(price_list_add(p, &(struct price){ .upstream = "a", .in = 1, .out = 8, .cached = 0.5 }));
    CHECK(price_list_add(p, &(struct price){ .upstream = "b", .in = 2, .out = 4, .cached = 1 }));
    CHECK_DOUBLE(price_list_find(p, SLICE("a")).in, 1);
    CHECK_DOUBLE(price_list_find(p, SLICE("")).in, 2);
    CHECK_DOUBLE(price_list_find(p, SLICE("c")).out, 8);
    price_list_put(p);
    CHECK_DOUBLE(price_list_find(NULL, SLICE("a")).out, 0);
}

/* A request that nobody ends (a policy's own) holds nothing for ever. */
TEST(what_is_open_goes_back_with_the_request) {
    struct limits *l = limits_new(1 << 20);
    struct loop loop = { .is_virtual = true };
    CHECK(l != NULL);
    struct limit_group *g = limits_group(l, SLICE("a"));
    struct limit_rule rule = { .slots = 1 };
    struct limit_ask ask = { .slots = 1 };
    struct limit_verdict v;
    CHECK(g != NULL);
    for (int i = 0; i < 3; i++) {
        struct request *r = request_new();
        CHECK(r != NULL);
        struct reserved *one = reserved_new(r, &loop, &loop, true);
        CHECK(one != NULL);
        CHECK_INT(limits_take(g, &rule, SLICE("k"), &ask, reserved_clock(&loop), false, &one->hold, &v), 0);
        request_put(r);
        reserved_settle(one, &(struct limit_use){ .out = -1 }); /* too late, and harmless */
        reserved_put(one);
    }
    limits_free(l);
}
