/* test_reach.c -- reach.c: which addresses are public, and which nets were allowed. */
#include "base/reach.h"

#include <arpa/inet.h>
#include <string.h>

#include "unit.h"

static bool allows(const struct reach *r, const char *text) {
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) return reach_allows(r, (struct sockaddr *)&v4);
    CHECK_INT(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return reach_allows(r, (struct sockaddr *)&v6);
}

TEST_NOFAULT(public_addresses_only) {
    struct reach r = { .count = 0 };
    static const char *const open[] = {
        "93.184.216.34", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255",
        "192.169.0.0", "223.255.255.255", "1.0.0.0", "198.17.255.255", "198.20.0.0", "2606:4700::1111",
        "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
    };
    static const char *const shut[] = {
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1",
        "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::", "2001::1", "2001:db8::1", "3fff::1", "fc00::1", "fd12::1",
        "fe80::1", "fec0::1", "ff02::1", "100::1",
    };
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
        if (!allows(&r, open[i])) FAIL("%s is public", open[i]);
    for (size_t i = 0; i < sizeof(shut) / sizeof(*shut); i++)
        if (allows(&r, shut[i])) FAIL("%s is not public", shut[i]);
    CHECK(allows(NULL, "127.0.0.1"));
    struct sockaddr odd = { .sa_family = AF_UNIX };
    CHECK(!reach_allows(&r, &odd));
}

TEST_NOFAULT(nets_that_were_allowed) {
    struct reach r = { .count = 0 };
    CHECK(reach_add(&r, SLICE("10.1.0.0/16")));
    CHECK(reach_add(&r, SLICE("192.168.7.9")));
    CHECK(reach_add(&r, SLICE("fd00:1::/33")));
    CHECK(allows(&r, "10.1.255.3"));
    CHECK(allows(&r, "::ffff:10.1.0.1")); /* the same address */
    CHECK(!allows(&r, "10.2.0.1"));
    CHECK(allows(&r, "192.168.7.9"));
    CHECK(!allows(&r, "192.168.7.8"));
    CHECK(allows(&r, "fd00:1:7fff::1"));
    CHECK(!allows(&r, "fd00:1:8000::1"));
    CHECK(allows(&r, "8.8.8.8"));
}

/* A URL may name an address in all ways that the resolver takes; what is none is a name, which nobody can judge yet. */
TEST_NOFAULT(hosts_that_are_addresses) {
    struct reach r = { .count = 0 };
    static const char *const shut[] = { "10.0.0.1", "10.1", "127.1", "0", "0x7f.0.0.1", "0x7f000001", "2130706433",
                                        "017700000001", "0177.0.0.1", "169.254.169.254", "192.168.257", "::1", "::",
                                        "::ffff:10.0.0.1", "::ffff:a00:1", "fe80::1", "fd00::1", "64:ff9b::10.0.0.1" };
    static const char *const open[] = { "8.8.8.8", "134744072", "0x08080808", "2606:4700::1111", "::ffff:8.8.8.8",
                                        "example.com", "localhost", "10.0.0.1.example.com", "1.2.3.4.5", "0x", "" };
    for (size_t i = 0; i < sizeof(shut) / sizeof(*shut); i++)
        if (reach_allows_host(&r, slice_str(shut[i]))) FAIL("%s is not public", shut[i]);
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
        if (!reach_allows_host(&r, slice_str(open[i]))) FAIL("%s is public, or a name", open[i]);
    CHECK(reach_add(&r, SLICE("10.0.0.0/8")));
    CHECK(reach_allows_host(&r, SLICE("0xa000001")));
    CHECK(reach_allows_host(&r, SLICE("::ffff:10.0.0.1")));
    CHECK(!reach_allows_host(&r, SLICE("127.0.0.1")));
    CHECK(reach_allows_host(NULL, SLICE("127.0.0.1")));
    char longer[400];
    memset(longer, '1', sizeof(longer));
    CHECK(reach_allows_host(&r, slice_of(longer, sizeof(longer))));
}

TEST_NOFAULT(what_is_no_net) {
    struct reach r = { .count = 0 };
    static const char *const wrong[] = { "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/8x", "::/129",
                                         "localhost", "10.0.0.0/4294967304", "1.2.3.4.5", "[::1]", "10.0.0.1:80" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        if (reach_add(&r, slice_str(wrong[i]))) FAIL("'%s' is no net", wrong[i]);
    CHECK_UINT(r.count, 0);
    CHECK(reach_add(&r, SLICE("0.0.0.0/0")));
    CHECK(allows(&r, "127.0.0.1"));
    CHECK(!allows(&r, "fd00::1"));
    for (unsigned i = 1; i < REACH_NETS; i++) CHECK(reach_add(&r, SLICE("::/0")));
    CHECK(!reach_add(&r, SLICE("::/0")));
}

TEST_NOFAULT(rules_that_are_the_same) {
    struct reach a = { .count = 0 }, b = { .count = 0 };
    CHECK(reach_is_same(NULL, NULL));
    CHECK(!reach_is_same(&a, NULL));
    CHECK(reach_is_same(&a, &b));
    reach_add(&a, SLICE("10.0.0.0/8"));
    CHECK(!reach_is_same(&a, &b));
    reach_add(&b, SLICE("10.0.0.0/9"));
    CHECK(!reach_is_same(&a, &b));
}
