/* far_value.h -- an entry of the cache as bytes that another process reads. See far_value.c. */
#ifndef PERILUNE_STORE_FAR_VALUE_H
#define PERILUNE_STORE_FAR_VALUE_H

#include "store/cache.h"

/* Under which an entry is kept there; "": there was no memory to make it. */
struct far_key { char hex[65]; };

/* What a thread needs for it. */
struct far_codec {
    struct hash_long_key sum;  /* who does not know the secret makes no value that is read */
    struct buf           raw;  /* scratch: what was read stands here */
    void                *pack, *unpack; /* zstd's contexts, made when they are needed */
};

void far_codec_init(struct far_codec *c, struct slice secret);
void far_codec_deinit(struct far_codec *c);

/* Appends item as it is kept under key.  On failure out has failed; what is over `most` bytes fails. */
void far_value_write(struct far_codec *c, struct slice key, const struct cache_item *item, size_t most,
                     struct buf *out);
/* The reverse; slices of item and `tags` are borrowed from the codec until its next use, and item->key and age_ms
 * are left alone.  False: these bytes were not written for this key with this secret, or are damaged. */
bool far_value_read(struct far_codec *c, struct slice key, struct slice bytes, size_t most,
                    struct slice tags[CACHE_MAX_TAGS], struct cache_item *item);

#endif
