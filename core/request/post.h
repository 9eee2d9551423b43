/* post.h -- a store that is asked by HTTP. See post.c. The loop's thread. */
#ifndef PERILUNE_REQUEST_POST_H
#define PERILUNE_REQUEST_POST_H

#include "store/store.h"
#include "upstream/client.h"

struct post;

struct post_options {
    struct loop   *loop;
    struct client *client;
    const char    *url, *token; /* token NULL: none.  Borrowed until post_close() */
    /* It is not asked for a while, or again; called from inside of it.  NULL: nobody wants to know. */
    void         (*changed)(void *ud, bool up);
    void          *ud;
};

/* NULL: no memory. */
struct post  *post_new(const struct post_options *opt);
/* All that waits ends, from within this call. */
void          post_close(struct post *p); /* NULL is fine */
/* To ask: STORE_WORDS, which are a path behind the URL and a body of JSON. */
struct store *post_store(struct post *p);

#endif
