/* tenants.c -- who is asking, by a key or by a header that a proxy in front sets.
 *
 *     tenants = { keys = { [SHA-256] = "acme" } }     the key in `authorization`
 *     tenants = { header = "x-tenant" }               the name itself
 *
 * Policies set req.tenant, but a route is chosen before any policy runs; so a route that asks
 * for a tenant needs to know it earlier.  This is a name and no permission: a request without
 * a known key has no tenant and takes a route that asks for none, where `auth_keys` may
 * refuse it. */
#include "gateway/tenants.h"

#include <stdlib.h>
#include <strings.h>

#include "base/hex.h"
#include "include/perilune.h"

bool tenant_key_parse(const char *hex, unsigned char digest[SHA256_BYTES]) {
    if (strlen(hex) != 2 * SHA256_BYTES) return false;
    for (int i = 0; i < SHA256_BYTES; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static int by_digest(const void *a, const void *b) {
    const struct tenant_key *x = a, *y = b;
    return memcmp(x->digest, y->digest, SHA256_BYTES);
}

void tenants_sort(struct tenants *t) {
    if (t->count > 1) qsort(t->keys, t->count, sizeof(*t->keys), by_digest);
}

/* "Bearer KEY" or KEY. */
static struct slice key_of(struct slice value) {
    static const char scheme[] = "bearer ";
    size_t n = sizeof(scheme) - 1;
    if (value.len >= n && strncasecmp(value.ptr, scheme, n) == 0) value = slice_of(value.ptr + n, value.len - n);
    return slice_trim(value);
}

static const char *name_of(const struct tenants *t, struct slice key) {
    struct tenant_key wanted;
    if (key.len == 0 || !sha256_of(key, wanted.digest)) return NULL;
    struct tenant_key *k = bsearch(&wanted, t->keys, t->count, sizeof(wanted), by_digest);
    return k ? k->name : NULL;
}

int tenants_find(const struct tenants *t, struct http_header *headers, unsigned *count, char *out, size_t size) {
    out[0] = '\0';
    if (t->header == NULL) return 0;
    const struct http_header *h = http_headers_find(headers, *count, slice_str(t->header));
    if (h == NULL) return 0;
    unsigned i = (unsigned)(h - headers), behind = *count - i - 1;
    /* A client may have added one to the proxy's; whoever reads the other would be told of somebody else. */
    if (http_headers_find(h + 1, behind, slice_str(t->header)) != NULL) return PERILUNE_ERR_INVAL;
    if (t->count == 0) {
        if (h->value.len >= size) return PERILUNE_ERR_LIMITED; /* cut, two tenants would be one */
        slice_copy(out, size, h->value);
        return 0;
    }
    const char *name = name_of(t, key_of(h->value));
    if (name == NULL) return 0;
    slice_copy(out, size, slice_str(name));
    memmove(headers + i, headers + i + 1, behind * sizeof(*headers));
    --*count;
    return 0;
}
