/* reach.c -- which addresses may be called when the URL is somebody else's word.
 *
 *     "https://hooks.example/x" --resolver--> 93.184.216.34   public: called
 *                                             10.0.0.7        ours: only when it was allowed by name of its net
 *
 * A client that says where we shall call (a webhook) could have us call what only we can reach: the metadata of the
 * cloud (169.254.169.254), a database without a password, our own admin listener.  A look at the name says nothing,
 * because whoever owns it decides what it resolves to, and may decide anew between a check and a call.  So the address
 * that is about to be connected to is looked at, each time.
 *
 * Only who writes an address instead of a name can be told at once (reach_allows_host), and an address can be written
 * in more ways than one ("10.1", "0x0a000001", "167772161"): all those that the resolver takes are read by it.
 *
 * What is not public is in the registries of special addresses (RFC 6890, RFC 5735, and IANA's lists that go on from
 * them).  An IPv4 address can hide in an IPv6 one in four ways (mapped, compatible, NAT64, 6to4, Teredo is refused as a
 * whole), and is judged as the IPv4 address that it is.
 *
 * Any thread. */
#include "base/reach.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

/* -- Nets ------------------------------------------------------------------------------- */

static bool is_in(const struct reach_net *n, const unsigned char a[16]) {
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(n->address, a, whole) != 0) return false;
    return rest == 0 || ((n->address[whole] ^ a[whole]) >> (8 - rest)) == 0;
}

static bool read_bits(struct slice s, unsigned most, unsigned *out) {
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || n > 128) return false;
        n = n * 10 + (unsigned)(s.ptr[i] - '0');
    }
    *out = n;
    return s.len > 0 && n <= most;
}

static bool read_net(struct slice s, struct reach_net *out) {
    const char *slash = s.len > 0 ? memchr(s.ptr, '/', s.len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - s.ptr) : s.len;
    char text[INET6_ADDRSTRLEN];
    if (len == 0 || len >= sizeof(text)) return false;
    memcpy(text, s.ptr, len);
    text[len] = '\0';
    struct in_addr v4;
    bool is_v4 = inet_pton(AF_INET, text, &v4) == 1;
    unsigned most = is_v4 ? 32 : 128, bits = most;
    if (slash != NULL && !read_bits(slice_of(slash + 1, s.len - len - 1), most, &bits)) return false;
    if (is_v4) {
        memcpy(out->address, mapped, 12);
        memcpy(out->address + 12, &v4, 4);
    } else if (inet_pton(AF_INET6, text, out->address) != 1) {
        return false;
    }
    out->bits = (unsigned char)(is_v4 ? 96 + bits : bits);
    return true;
}

bool reach_add(struct reach *r, struct slice net) {
    if (r->count == REACH_NETS || !read_net(net, &r->nets[r->count])) return false;
    r->count++;
    return true;
}

/* -- What is public -------------------------------------------------------------------------- */

struct v4_net { uint32_t address; unsigned bits; };

static bool is_public_v4(const unsigned char a[4]) {
    static const struct v4_net special[] = {
        { 0x00000000, 8 },  /* this network */
        { 0x0a000000, 8 },  /* private */
        { 0x64400000, 10 }, /* shared by carriers (RFC 6598), and by some clouds for their own services */
        { 0x7f000000, 8 },  /* this machine */
        { 0xa9fe0000, 16 }, /* link-local: the metadata of clouds */
        { 0xac100000, 12 }, /* private */
        { 0xc0000000, 24 }, /* protocol assignments */
        { 0xc0000200, 24 }, { 0xc6336400, 24 }, { 0xcb007100, 24 }, /* documentation */
        { 0xc0586300, 24 }, /* relays of 6to4, which are gone */
        { 0xc0a80000, 16 }, /* private */
        { 0xc6120000, 15 }, /* benchmarks */
        { 0xe0000000, 3 },  /* multicast, reserved, broadcast */
    };
    uint32_t n = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];
    for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
        if ((n ^ special[i].address) >> (32 - special[i].bits) == 0) return false;
    return true;
}

static bool is_public_v6(const unsigned char a[16]) {
    static const struct reach_net global = { { 0x20 }, 3 };
    static const struct reach_net special[] = {
        { { 0x20, 0x01 }, 23 },                   /* protocol assignments, Teredo among them */
        { { 0x20, 0x01, 0x0d, 0xb8 }, 32 },       /* documentation */
        { { 0x3f, 0xff }, 20 },                   /* the same */
    };
    static const unsigned char nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    static const unsigned char none[12];
    bool inside = memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0 || memcmp(a, none, 12) == 0;
    if (inside) return is_public_v4(a + 12); /* :: and ::1 are 0.0.0.0/8 there */
    if (a[0] == 0x20 && a[1] == 0x02) return is_public_v4(a + 2);
    for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
        if (is_in(&special[i], a)) return false;
    return is_in(&global, a);
}

bool reach_read(const struct sockaddr *a, unsigned char out[16]) {
    if (a->sa_family == AF_INET) {
        memcpy(out, mapped, 12);
        memcpy(out + 12, &((const struct sockaddr_in *)(const void *)a)->sin_addr, 4);
    } else if (a->sa_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, 16);
    } else {
        return false;
    }
    return true;
}

bool reach_allows(const struct reach *r, const struct sockaddr *a) {
    unsigned char address[16];
    if (r == NULL) return true;
    if (!reach_read(a, address)) return false;
    for (unsigned i = 0; i < r->count; i++)
        if (is_in(&r->nets[i], address)) return true;
    return is_public_v6(address);
}

bool reach_allows_host(const struct reach *r, struct slice host) {
    static const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo *all = NULL;
    char text[256];
    bool allowed = true;
    if (host.len >= sizeof(text)) return true; /* no address is that long */
    slice_copy(text, sizeof(text), host);
    if (getaddrinfo(text, NULL, &hints, &all) != 0) return true;
    for (const struct addrinfo *a = all; a != NULL && allowed; a = a->ai_next) allowed = reach_allows(r, a->ai_addr);
    freeaddrinfo(all);
    return allowed;
}

bool reach_is_same(const struct reach *a, const struct reach *b) {
    if (a == NULL || b == NULL) return a == b;
    if (a->count != b->count) return false;
    for (unsigned i = 0; i < a->count; i++)
        if (a->nets[i].bits != b->nets[i].bits || memcmp(a->nets[i].address, b->nets[i].address, 16) != 0) return false;
    return true;
}
