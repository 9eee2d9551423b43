/* calls.c -- what the public functions look at first: is there a gateway, and may it be used now?
 *
 * A host's mistakes end here, with a code and a sentence: no gateway, options of another
 * library, a call out of what runs while it loads, a process that came out of
 * fork() with a gateway in its memory.  In such a process the workers' threads do not
 * exist and the loop's descriptors are the parent's, whose clients and timers it would
 * take away: it may do nothing with that gateway, not even close it. */
#include "gateway/gateway.h"

#include <stdio.h>
#include <unistd.h>

#define OPTIONS_MOST 4096 /* bytes; what says to be larger was not begun with PERILUNE_OPTIONS_INIT */

static const char no_gateway[] = "no gateway was given (NULL)";
const char gateway_forked[] = "this process came out of fork() after perilune_open(): the gateway is the parent's; "
                              "open one of your own here";

bool gateway_is_foreign(const struct perilune *g) { return g == NULL || g->pid != getpid(); }

int gateway_refuses(struct perilune *g) {
    if (g == NULL) return PERILUNE_ERR_INVAL;
    if (gateway_is_foreign(g)) return PERILUNE_ERR_STATE;
    if (!g->loading) return 0;
    snprintf(g->errmsg, sizeof(g->errmsg), "a configuration is being loaded: %s must not call this",
             gateway_who_loads(g));
    return PERILUNE_ERR_STATE;
}

const char *gateway_who_loads(const struct perilune *g) {
    return g->reads ? "options.read()" : "a function that policies call while they are loaded";
}

int gateway_looks(const struct perilune *g) {
    if (g == NULL) return PERILUNE_ERR_INVAL;
    return gateway_is_foreign(g) ? PERILUNE_ERR_STATE : 0;
}

PERILUNE_API const char *perilune_errmsg(const perilune *g) {
    if (g == NULL) return no_gateway;
    return gateway_is_foreign(g) ? gateway_forked : g->errmsg;
}

/* -- Options --------------------------------------------------------------------------------- */

/* Is everything behind the fields that are known here zero? */
static bool rest_is_unset(const perilune_options *o) {
    const char *bytes = (const char *)o;
    for (size_t i = sizeof(*o); i < o->size; i++)
        if (bytes[i] != 0) return false;
    return true;
}

static const char *options_problem(const perilune_options *o) {
    static const size_t first = offsetof(perilune_options, read); /* of the first version */
    if (o == NULL) return "options are missing (NULL): begin them with PERILUNE_OPTIONS_INIT";
    if (o->size < first || o->size > OPTIONS_MOST || o->size % sizeof(void *) != 0)
        return "options.size is none that perilune_options ever had: begin it with PERILUNE_OPTIONS_INIT";
    if (!rest_is_unset(o))
        return "options are set that this library is too old to know (it is " PERILUNE_VERSION_STRING ")";
    if (o->threads < -1 || o->threads > WORKERS_MOST) return "options.threads is -1 (as configured), or from 0 to 1024";
    return NULL;
}

int gateway_options(perilune_options *out, const perilune_options *options, char *err, size_t errlen) {
    perilune_options known = PERILUNE_OPTIONS_INIT;
    const char *problem = options_problem(options);
    *out = known;
    if (problem != NULL) {
        if (err != NULL && errlen > 0) snprintf(err, errlen, "%s", problem);
        return PERILUNE_ERR_INVAL;
    }
    memcpy(out, options, options->size < sizeof(*out) ? options->size : sizeof(*out));
    out->size = sizeof(*out);
    return 0;
}
