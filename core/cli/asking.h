/* asking.h -- a command asks an upstream. See asking.c. */
#ifndef PERILUNE_CLI_ASKING_H
#define PERILUNE_CLI_ASKING_H

#include "base/buf.h"
#include "include/perilune.h"

struct asking {
    perilune *gateway;
};

/* An upstream to be asked. */
struct asking_to {
    const char *url;                 /* the base, as an upstream of the configuration has it, or the whole of a path */
    const char *key_env;             /* the environment variable with the key, or NULL */
    double      price_in, price_out; /* USD for a million tokens */
    long        timeout_s;           /* of a request; 0: as configurations have it */
    size_t      most;                /* bytes of an answer; 0: the same */
    bool        any_path;            /* not only those of OpenAI that are known */
};

/* A gateway with this one upstream and without a listener; o says the rest (its config is set here).  Returns 0, or an
 * error with a sentence in err. */
int  asking_gateway(perilune **out, const struct asking_to *to, perilune_options *o, char *err, size_t errlen);

/* url: the base, as an upstream of the configuration has it, or the whole of one path; key_env: the environment
 * variable with the key, or NULL.  Returns 0, or an error with a sentence in err. */
int  asking_open(struct asking *a, const char *url, const char *key_env, char *err, size_t errlen);
/* POSTs to /v1/... `path`; what may be better later is asked for again.  The status, with the body of the reply in
 * reply; 0: none came. */
int  asking_post(struct asking *a, const char *path, struct slice body, struct buf *reply);
void asking_close(struct asking *a);

#endif
