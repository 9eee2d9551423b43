/* file_store.h -- files of clients, in a folder. See file_store.c. */
#ifndef PERILUNE_JOBS_FILE_STORE_H
#define PERILUNE_JOBS_FILE_STORE_H

#include "base/hash.h"
#include "base/slice.h"

#define FILE_ID_SIZE   40   /* with its NUL: "file-" and 32 hexadecimal digits */
#define FILE_NAME_MAX  255  /* bytes of the name that a client gave it */
#define FILE_PATH_SIZE 4300

/* Immutable; lives in the configuration. */
struct file_settings {
    const char *folder;
    uint64_t    keep_ms;   /* how long a file is kept that does not say */
    unsigned    most;      /* files of a tenant */
    uint64_t    most_bytes; /* of all files of a tenant together; 0: as many as the disk has room for */
    int       (*sync)(int fd); /* of tests; NULL: fsync() */
};

struct file_facts {
    char     id[FILE_ID_SIZE];
    char     name[FILE_NAME_MAX + 1], purpose[32];
    uint64_t bytes, created_s, expires_s; /* seconds since 1970; expires 0: never */
    uint64_t lines;                       /* of answers of a batch; 0: nobody counted them */
};

enum file_refusal { FILE_NOT_FOUND = 1, FILE_TOO_MANY, FILE_TOO_MUCH };

/* Is this an id, so that it may be part of a path? */
bool file_id_is(struct slice id);
/* A new one: later ones are greater, and none can be guessed. */
void file_id_new(uint64_t now_ms, struct rng *rng, char out[FILE_ID_SIZE]);

/* Where the content is. */
void file_path(const struct file_settings *s, struct slice tenant, const char *id, char out[FILE_PATH_SIZE]);
/* Makes the tenant's place, and takes away what has expired.  Returns 0, FILE_TOO_MANY, FILE_TOO_MUCH (there is no room
 * for so many bytes), or PERILUNE_ERR_IO with errno. */
int  file_make_room(const struct file_settings *s, struct slice tenant, uint64_t bytes, uint64_t now_s);
/* 0, or the refusal, where the tenant has more than may be: of several that were made at once each saw room. */
int  file_over_quota(const struct file_settings *s, struct slice tenant);
/* The content is on the disk, and whole: from now on the file is there, and outlives a power cut.  Waits for the disk.
 * Returns 0 or PERILUNE_ERR_IO with errno; then it is not there. */
int  file_commit(const struct file_settings *s, struct slice tenant, const struct file_facts *f);
/* The same without waiting: a power cut may take it. */
int  file_tell(const struct file_settings *s, struct slice tenant, const struct file_facts *f);
/* Returns 0, FILE_NOT_FOUND (also when it has expired), or PERILUNE_ERR_IO. */
int  file_find(const struct file_settings *s, struct slice tenant, struct slice id, uint64_t now_s,
               struct file_facts *out);
int  file_remove(const struct file_settings *s, struct slice tenant, struct slice id, uint64_t now_s);
struct file_filter {
    struct slice after;        /* only those that come after this one; "": all */
    struct slice purpose;      /* ptr NULL: any */
    bool         oldest_first; /* else the newest */
};
/* Up to count of the tenant's.  Returns how many, or PERILUNE_ERR_IO or NOMEM. */
int  file_list(const struct file_settings *s, struct slice tenant, const struct file_filter *which, uint64_t now_s,
               struct file_facts *out, unsigned count);

#endif
