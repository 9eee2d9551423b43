/* sha256.c -- SHA-256: keys of clients are compared by their digest, so that no
 * configuration has to hold them and no comparison tells how much of a guess was right; and what signs messages. */
#include "base/sha256.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

bool sha256_of(struct slice s, unsigned char digest[SHA256_BYTES]) {
    if (EVP_Digest(s.ptr, s.len, digest, NULL, EVP_sha256(), NULL) == 1) return true;
    memset(digest, 0, SHA256_BYTES);
    return false;
}

static bool hmac_of(EVP_MAC_CTX *c, struct slice key, const struct slice *pieces, unsigned count, unsigned char *out) {
    char name[] = "SHA256";
    const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_END };
    if (c == NULL || EVP_MAC_init(c, (const unsigned char *)key.ptr, key.len, params) != 1) return false;
    for (unsigned i = 0; i < count; i++)
        if (EVP_MAC_update(c, (const unsigned char *)pieces[i].ptr, pieces[i].len) != 1) return false;
    size_t len;
    return EVP_MAC_final(c, out, &len, SHA256_BYTES) == 1;
}

bool sha256_hmac(struct slice key, const struct slice *pieces, unsigned count, unsigned char digest[SHA256_BYTES]) {
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *c = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    bool done = hmac_of(c, key, pieces, count, digest);
    EVP_MAC_CTX_free(c);
    EVP_MAC_free(mac);
    if (!done) memset(digest, 0, SHA256_BYTES);
    return done;
}
