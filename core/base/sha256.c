/* sha256.c -- SHA-256: keys of clients are compared by their digest, so that no
 * configuration has to hold them and no comparison tells how much of a guess was right. */
#include "base/sha256.h"

#include <openssl/evp.h>

bool sha256_of(struct slice s, unsigned char digest[SHA256_BYTES]) {
    if (EVP_Digest(s.ptr, s.len, digest, NULL, EVP_sha256(), NULL) == 1) return true;
    memset(digest, 0, SHA256_BYTES);
    return false;
}
