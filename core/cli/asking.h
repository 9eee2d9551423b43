/* asking.h -- a command asks an upstream. See asking.c. */
#ifndef PERILUNE_CLI_ASKING_H
#define PERILUNE_CLI_ASKING_H

#include "base/buf.h"
#include "include/perilune.h"

struct asking {
    perilune *gateway;
};

/* url: the base, as an upstream of the configuration has it, or the whole of one path; key_env: the environment
 * variable with the key, or NULL.  Returns 0, or an error with a sentence in err. */
int  asking_open(struct asking *a, const char *url, const char *key_env, char *err, size_t errlen);
/* POSTs to /v1/... `path`; what may be better later is asked for again.  The status, with the body of the reply in
 * reply; 0: none came. */
int  asking_post(struct asking *a, const char *path, struct slice body, struct buf *reply);
void asking_close(struct asking *a);

#endif
