/* cached.h -- an answer as a cache keeps it: recorded from a response, given again as a source.
 * See recorder.c and hit.c.
 *
 * An entry's data are the records of the answer (flow/records.h): the events of a stream, end mark
 * included, or one whole.  Its meta is what is known of the answer besides, read by cached_read(). */
#ifndef PERILUNE_REQUEST_CACHED_H
#define PERILUNE_REQUEST_CACHED_H

#include "flow/response.h"
#include "llm/dialect.h"
#include "store/cache.h"
#include "store/far.h"

struct stores;

/* A question that other questions may be compared with: the last thing that a user said. */
struct asked {
    struct hash128 part;     /* all else that the answer depends on: questions of other parts have other answers */
    struct slice   text;     /* as it was written, CACHED_MAX_QUESTION bytes at most */
    struct slice   embedder; /* who made the vector */
    struct slice   vector;   /* a signed byte for each of its numbers, times what does not matter */
};
#define CACHED_MAX_QUESTION 4096 /* bytes */
#define CACHED_MAX_VECTOR   4096 /* numbers */

enum cached_kind {
    CACHED_STREAM, /* FRAMEs */
    CACHED_WHOLE,  /* one BYTES */
    CACHED_FAILURE, /* data are JSON that tells it, no records */
    CACHED_VALUE   /* a policy's own: data are its bytes, no records */
};

/* Borrowed from the entry. */
struct cached {
    enum cached_kind kind;
    const struct dialect *dialect; /* NULL: of a VALUE */
    struct slice     cache, tenant, upstream, model; /* whose it is, and who answered */
    struct usage     usage;
    uint32_t         usage_at;     /* of the record that says nothing but usage, or CACHED_NO_USAGE; */
    uint32_t         usage_len;    /* and its bytes, all told */
    bool             usage_within; /* usage stands in other events, too: who did not ask must not see those */
    struct asked     asked;        /* what it answers; text empty: nobody needs to know */
    struct slice     far;          /* CACHED_FAR bytes of its key in the second tier; empty: it is not there */
};
#define CACHED_FAR 32 /* bytes: a far key without its digits */

#define CACHED_NO_USAGE UINT32_MAX

/* False: the meta is none (it came from a file, say). */
bool cached_read(const struct cache_entry *e, struct cached *out);
/* Appends the meta. */
void cached_write(const struct cached *c, struct buf *out);
/* For people: {"kind":...,"model":...}, without a brace at the end. */
void cached_describe(const struct cached *c, struct buf *out);

/* -- Recording ------------------------------------------------------------------------- */

struct recorder_options {
    struct cache    *cache;
    const struct loop *loop;    /* its clock */
    struct hash128   key;
    struct far      *far;       /* the second tier, which gets it, too, under far_key; NULL: it does not */
    struct far_key   far_key;
    struct slice     name;      /* of the cache */
    struct slice     tenant;    /* "": it belongs to all */
    struct slice     tags[CACHE_MAX_TAGS - 2]; /* a policy's */
    unsigned         tag_count;
    struct cache_when asked_at; /* cache_ask() when the question was asked; zeroed: now */
    uint64_t         fresh_ms, keep_ms;
    size_t           limit;     /* bytes of an entry; a longer answer is not kept */
    struct stores   *stores;    /* where near questions are looked for; NULL: nowhere */
    struct asked     asked;     /* text empty: not to be compared with others */
    unsigned         choices;   /* that were asked for; 0: not known */
    bool             keep_tools; /* answers that call tools are kept, too; */
    bool             heeds;     /* and those of which the upstream says no-store are not */
};

/* Can this answer be kept, when it ends well? Its form is known, it has not failed, nobody took it. */
bool recorder_suits(const struct response *r);
/* A source that gives what r gives, and stores it when it has ended well.  Keeps a share of r, whose
 * consumer it is; opt is copied.  NULL: no memory, and r is as it was. */
struct source *recorder_new(struct response *r, const struct recorder_options *opt);

/* A source that gives what r gives, and keeps nothing: so that what reads r is apart from what reads the source.
 * As recorder_new(). */
struct source *recorder_pass(struct response *r);

/* The key of the entry in the second tier; false: it is in none. */
bool cached_far_key(const struct cached *c, struct far_key *out);
/* Lets go what stands under that key there; how many.  Looks through all entries, some 50 ns each: for what an operator
 * does.  [any] */
unsigned cached_forget_far(struct cache *cache, struct slice hex);

/* For people: the texts of all pieces of an answer, or a value's bytes, the first `most` bytes. */
void cached_text(const struct cache_entry *e, size_t most, struct buf *out);
/* All tags of an entry with these options, written to text, which holds nothing yet.  How many; 0: no memory. */
unsigned cached_tags(const struct recorder_options *opt, struct buf *text, struct slice tags[CACHE_MAX_TAGS]);
/* Stores `data` with these facts and the options' key, name, tenant, tags and times, here and in the second tier.
 * 0, or as cache_put(): what was let go meanwhile is kept in neither. */
int cached_store(const struct recorder_options *opt, const struct cached *facts, struct slice data);

/* -- Giving it again ------------------------------------------------------------------------ */

struct hit_options {
    struct loop *loop;
    bool         stream;      /* as the client asks for it: events, or one whole; */
    bool         wants_usage; /* and with its usage, or without */
    uint64_t     pace_ms;     /* between two events of a stream; 0: as fast as the client reads */
};

/* Takes the share of e, of which `c` was read.  NULL: no memory. */
struct source *hit_new(struct cache_entry *e, const struct cached *c, const struct hit_options *opt);

#endif
