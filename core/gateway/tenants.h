/* tenants.h -- who is asking, known before a route is chosen. See tenants.c. */
#ifndef PERILUNE_GATEWAY_TENANTS_H
#define PERILUNE_GATEWAY_TENANTS_H

#include <stdbool.h>

#include "base/sha256.h"
#include "http/parse.h"

struct tenant_key {
    unsigned char digest[SHA256_BYTES];
    const char   *name;
};

struct tenants {
    const char        *header; /* NULL: nobody is known before policies say so */
    struct tenant_key *keys;   /* sorted by digest; none: the header is the name itself */
    unsigned           count;
};

/* From 64 hex digits. */
bool tenant_key_parse(const char *hex, unsigned char digest[SHA256_BYTES]);
void tenants_sort(struct tenants *t);

/* The name into out, "" when there is none.  The header that had a known key is taken out of
 * the list: what opens this gateway is nobody else's business.  Returns 0; PERILUNE_ERR_INVAL:
 * more than one line says who asks; PERILUNE_ERR_LIMITED: the name does not fit. */
int tenants_find(const struct tenants *t, struct http_header *headers, unsigned *count, char *out, size_t size);

#endif
